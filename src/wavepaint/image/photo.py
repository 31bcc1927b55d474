"""Photographs as files: samples and metadata in, samples and metadata out, everything else unchanged.

`Photo` opens a picture file, hands out its samples as people see them (orientation applied), and writes it again
with some rectangles replaced. Where format and depth allow it, every other sample comes back bit for bit; EXIF, ICC,
XMP, IPTC, resolution and PNG comments come back too, as far as the format has a place for them.

Small pictures are decoded once and kept. Larger ones (`DECODED_LIMIT`) are streamed: one pass reads the rectangles
that are asked for, another writes the result strip by strip, and memory does not grow with the photograph.
"""

from __future__ import annotations

import functools
import io
import re
import shutil
import threading
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from wavepaint.box import Box
from wavepaint.cancellation import check_cancelled, kill_when_cancelled
from wavepaint.errors import MaskError, PhotoError
from wavepaint.files import replacing
from wavepaint.image.encoders import HEIF_COMPRESSION, JPEG_SUBSAMPLINGS, Stored, saver_options
from wavepaint.image.formats import containers, tiff
from wavepaint.image.formats.jpeg_blocks import Blocks, can_keep_blocks, read_blocks, replace_blocks
from wavepaint.image.orientation import box_to_stored, to_stored, to_upright
from wavepaint.image.strips import STRIP_ROWS, StripSource
from wavepaint.image.tiles import TileReader
from wavepaint.options import check_format, check_quality

Samples: TypeAlias = NDArray[Any]
Patch: TypeAlias = tuple[Box, Samples]
Source: TypeAlias = str | Path | bytes

DECODED_LIMIT = 256 * 2**20
"""Pictures of more decoded bytes than this are streamed instead of kept in memory."""

FORMAT_OF_SUFFIX = {
    ".png": "png",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".jpe": "jpeg",
    ".webp": "webp",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".avif": "avif",
    ".heic": "heic",
    ".heif": "heic",
}
"""The format of a file to write, one of `options.FORMATS`, by its suffix in lower case."""

READABLE_SUFFIXES = frozenset(FORMAT_OF_SUFFIX) | {".gif"}
"""Suffixes of files that can be opened; what counts in the end is what a file contains, not its name."""

# Only these decoders ever see a file: libvips may know more (SVG, PDF, raw memory dumps), none of them a photograph.
_LOADERS = {
    "png": "pngload",
    "jpeg": "jpegload",
    "webp": "webpload",
    "tiff": "tiffload",
    "gif": "gifload",
    "heif": "heifload",
}
_SAVERS = {
    "png": "pngsave",
    "jpeg": "jpegsave",
    "webp": "webpsave",
    "tiff": "tiffsave",
    "avif": "heifsave",
    "heic": "heifsave",
}
_DTYPES: dict[str, np.dtype[Any]] = {"uchar": np.dtype(np.uint8), "ushort": np.dtype(np.uint16)}

# Fields that travel from the source to the result as they are.
_KEPT_FIELDS = frozenset(["icc-profile-data", "image-description", "resolution-unit"])
_XMP_ORIENTATION = re.compile(rb"(tiff:Orientation(?:\s*=\s*[\"']|>)\s*)[2-8]")

_ADVICE = (
    "JPEGs are compressed again as a whole, not only where something has changed: "
    "`pip install 'wavepaint[jpeg]'` keeps all other blocks"
)
# Acquired by the first to say so and never released. Filters of warnings would do, but for several threads, and for
# whoever hears all of them.
_ADVISED = threading.Lock()

_CIELAB = {8, 9, 10}
_PREMULTIPLIED = 1


class PhotoWarning(UserWarning):
    """Something about a file that the result cannot keep, that was converted on reading, or that looks like a slip."""


class Photo:
    """One picture: a file, or the bytes of one, opened but decoded only when samples are asked for.

    Made by `Photo.open`. Width, height and all boxes refer to the upright picture, as viewers show it. The file must
    not change while the object is in use.

    Attributes:
        name: what messages call it: by default the path as given, or "<bytes>".
        width: pixels.
        height: pixels.
        channels: 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha (not premultiplied). Palettes are resolved and CMYK
            is converted to sRGB.
        dtype: uint8 or uint16. Samples of 1, 2 and 4 bits are spread over 0-255, of 10 and 12 over 0-65535.
        format: "png", "jpeg", "webp", "tiff", "avif", "heic" or "gif".
        pages: pictures in the file: pages of a TIFF, without pyramid levels and previews; frames of an animation.
        decoded_bytes: of all samples.
        lossless: whether the file stores its samples exactly, so that it is worth writing them exactly again.
        warnings: what a user should know about how the file was read, one line each.
    """

    name: str
    width: int
    height: int
    channels: int
    dtype: np.dtype[Any]
    format: str
    pages: int
    decoded_bytes: int
    lossless: bool
    warnings: tuple[str, ...]

    def __init__(
        self, source: Source, page: int, name: str | None, every_page: bool, listed: tiff.Pages | None = None
    ) -> None:
        self.name = name or ("<bytes>" if isinstance(source, bytes) else str(source) or "the file name")
        self._source = source
        self._page, self._every_page = page, every_page
        with self._stream() as stream:
            container = self._container(stream)
            tiff_pages = listed or (tiff.read_pages(stream) if container == "tiff" else tiff.Pages())
            self._directory = self._directory_of(page, tiff_pages) if container == "tiff" else page
            directory = tiff.read_directory(stream, self._directory) if container == "tiff" else {}
            jpeg = containers.jpeg_encoding(stream) if container == "jpeg" else None
            lossless_webp = container == "webp" and containers.webp_is_lossless(stream)
            self._png_frames = containers.png_frames(stream) if container == "png" else 0
        tags = tiff.integer_tags(directory)
        self._check_tags(tags)
        self._loader = _LOADERS[container]
        with self._decoding():
            raw = self._load("sequential")
            self._check_samples(raw)
            self._cmyk = raw.interpretation == "cmyk"
            self._orientation = _get(raw, "orientation", 1)
            self._header = self._prepare(raw)
        self.width, self.height, self.channels = self._header.width, self._header.height, self._header.bands
        self.dtype = _DTYPES[self._header.format]
        self.pages = len(tiff_pages.directories) if container == "tiff" else _get(raw, "n-pages", 1)
        self._tiff_pages = tiff_pages
        self.format: str = _heif_format(raw) if container == "heif" else container
        if not 1 <= self.channels <= 4:
            raise PhotoError(f"{self.name}: pictures of {self.channels} channels are not supported")
        self.decoded_bytes = self.width * self.height * self.channels * self.dtype.itemsize
        self._stored = Stored(
            container=container,
            bits=_get(raw, "bits-per-sample", 8 * self.dtype.itemsize),
            channels=self.channels,
            decoded_bytes=self.decoded_bytes,
            streamed=self.decoded_bytes > DECODED_LIMIT,
            progressive=bool(_get(raw, "interlaced", 0)),
            tile=(_get(raw, "tile-width", 0), _get(raw, "tile-height", 0)),
            jpeg=jpeg,
            tags=tags,
            bigtiff=tiff_pages.bigtiff,
            lossless_webp=lossless_webp,
        )
        self.lossless = self._stored.lossless
        self.warnings = tuple(self._reading_notes(raw))
        self._exif = tiff.exif_block(directory) or _blob(raw, "exif-data")
        self._xmp, self._iptc = _blob(raw, "xmp-data"), _blob(raw, "iptc-data")
        self._photoshop = _blob(raw, "photoshop-data")
        # Tiles can be read in any order, and transposing needs the whole picture: neither is a stream. (libvips
        # keeps a whole picture of more than 100 MB in a temporary file.)
        tiled = min(self._stored.tile) > 0
        with self._decoding():
            self._tiles = TileReader(self._stream, self._directory, self._to_srgb) if tiled else None
        self._random = self._orientation >= 3 or tiled
        self._decoded: Samples | None = None
        self._decode_lock = threading.Lock()
        self._blocks: Future[tuple[Blocks, bytes]] | None = None

    @classmethod
    def open(cls, source: Source, *, page: int = 0, name: str | None = None, every_page: bool = False) -> Photo:
        """Open a picture file, or the bytes of one, and read its header.

        Args:
            source: path or file contents: PNG, JPEG, WebP, TIFF, GIF, and AVIF or HEIC if libvips has the decoder.
            page: which of the `pages` of a TIFF, GIF, animated WebP or AVIF, from 0. The others are neither read nor
                written; `warnings` says so.
            name: what messages call it.
            every_page: whoever opens this page opens the others too: no warning about them.

        Raises:
            PhotoError: the file is missing, empty, unreadable, damaged or of an unsupported kind (float, 32-bit or
                complex samples, CIELAB, more than four channels, camera raw, formats that are not photographs).
                Damage further inside shows later, as the same error, from whatever decodes the samples.
        """
        return cls(source, page, name, every_page)

    def at_page(self, page: int) -> Photo:
        """Open another page of the same file, from 0, for whoever opens them all; see `open`."""
        # What the pages are is read once: to read it for each would take the square of their number.
        return Photo(self._source, page, self.name, True, self._tiff_pages)

    def read(self, box: Box) -> Samples:
        """Return the samples of one box, (height, width, channels) of `dtype`, exact; an array of its own.

        Raises `PhotoError` for a damaged file and for a box that reaches outside the picture.
        """
        return self.read_boxes([box])[0]

    def read_boxes(self, boxes: Sequence[Box]) -> list[Samples]:
        """Return the samples of several boxes, like `read`, in one pass over the file."""
        for box in boxes:
            self._check_inside(box)
        if not self._stored.streamed:
            decoded = self._decoded_samples()
            return [decoded[box.slices].copy() for box in boxes]
        if self._random:
            fetch = self._row_reader()
            return [fetch(box).copy() for box in boxes]
        samples = [np.empty((box.height, box.width, self.channels), self.dtype) for box in boxes]
        for strip, rows in self._strips(max((box.bottom for box in boxes), default=0)):
            for box, target in zip(boxes, samples, strict=True):
                common = box.intersection(strip)
                if common.is_empty:
                    continue
                target[common.relative_to(box).slices] = rows[common.relative_to(strip).slices]
        return samples

    def read_all(self) -> Samples:
        """Return all samples, (height, width, channels) of `dtype`; an array of its own."""
        return self.read(Box(0, 0, self.width, self.height))

    def stream(self) -> Iterator[tuple[Box, Samples]]:
        """Yield the picture in strips of full width, from top to bottom: (box, samples), not writable.

        Decoded anew each time and never kept, however small the picture. Raises `PhotoError` for a damaged file.
        """
        return self._strips(self.height, keep=False)

    def alpha_holes(self) -> NDArray[np.bool_]:
        """Return (height, width) bool, True where the picture is fully transparent (alpha is 0).

        Raises `MaskError` if it has no alpha channel.
        """
        check_alpha(self.name, self.channels)
        holes = np.empty((self.height, self.width), np.bool_)
        for strip, rows in self._strips(self.height):
            holes[strip.slices] = rows[..., -1] == 0
        return holes

    def losses(self, format: str, quality: int | None = None) -> tuple[str, ...]:
        """Say what this picture gives up when `encode` writes it so, one line each; empty if nothing.

        Compression artefacts of a lossy format are not mentioned: whoever asks for a JPEG knows.
        """
        notes = []
        if self.dtype == np.uint16 and format in ("jpeg", "webp"):
            notes.append(f"{self.name}: 16-bit samples become 8-bit in {format}")
        if self._stored.bits > 12 and format in ("avif", "heic"):
            notes.append(f"{self.name}: {self._stored.bits}-bit samples become 12-bit in {format}")
        if self.channels in (2, 4) and format == "jpeg":
            notes.append(f"{self.name}: JPEG has no transparency, the picture is laid on white")
        jpeg = self._stored.jpeg
        if (
            jpeg is not None
            and format == "jpeg"
            and (self._stored.streamed or not self._keeps_blocks(format, quality))
            and jpeg.subsampling not in JPEG_SUBSAMPLINGS
        ):
            notes.append(f"{self.name}: chroma subsampling {jpeg.subsampling} becomes 4:4:4")
        if jpeg is not None and not self._stored.streamed:
            with self._stream() as stream:
                behind = containers.bytes_behind_jpeg(stream)
            if behind:
                notes.append(f"{self.name}: {behind} bytes behind the picture (a video, a second picture) are left out")
        return tuple(notes)

    def output_format(self, target: str | Path) -> str:
        """Return the format a file of that name gets: by its suffix, else the picture's own (PNG for a GIF).

        Raises `PhotoError` for a suffix, or a format, that cannot be written.
        """
        format = format_of_name(target) or self._own_format
        if not can_write(format):
            raise PhotoError(f"{target}: {format} cannot be written here; name it {_writable_suffixes()}")
        return format

    def prepare(self, format: str, quality: int | None = None) -> None:
        """Begin, in a thread of its own, to read what `encode` in that format and quality will need beside the samples.

        Nothing has to be prepared; what is, saves time while something else is computed.
        """
        if self._blocks is None and self._keeps_blocks(format, quality):
            reader = ThreadPoolExecutor(1)
            self._blocks = reader.submit(self._read_blocks)
            reader.shutdown(wait=False)

    def encode(self, patches: Iterable[Patch] = (), format: str | None = None, quality: int | None = None) -> bytes:
        """Return the picture as the bytes of a file, with some boxes replaced.

        Args:
            patches: (box, samples) with samples (box.height, box.width, channels) of `dtype`; where boxes overlap,
                the later one counts.
            format: one of the values of `FORMAT_OF_SUFFIX`; None for the picture's own (PNG for a GIF, whose 256
                colours have no room for new ones).
            quality: 1-100, for the lossy formats. None keeps the quality of a JPEG that becomes a JPEG, writes lossless
                sources without loss where the format can, and uses the qualities of `image.encoders` otherwise.

        PNG and TIFF store every sample exactly, and so do WebP and AVIF for 8-bit pictures from lossless sources. Grey
        pictures of 1, 2 or 4 bits (in TIFF: of 1 bit) keep their depth if all patches fit it, and become 8-bit
        otherwise. A palette becomes RGB. TIFF keeps a lossless kind of compression and its tiles. Of a JPEG that
        becomes a JPEG the chroma subsampling is kept if it is 4:4:4 or 4:2:0, and becomes 4:4:4 otherwise, which
        `losses` says. With jpeglib installed and without a `quality`, only the blocks of a JPEG in which a sample has
        changed are compressed again, and a turned JPEG stays turned; where a file does not allow it, a `PhotoWarning`
        says why. Without jpeglib another says, once per process, what would keep the blocks.

        Raises:
            PhotoError: the source is damaged, a patch does not fit, or the format cannot hold the picture.
            OptionError: an unknown format or a quality outside 1-100.
        """
        if format is None:
            format = self._own_format
        patches = list(patches)
        self._check_writing(patches, format, quality)
        edited = self._edited_blocks(patches, format, quality)
        if edited is not None:
            return edited
        with self._encoding(self.name, patches, format, quality) as (image, options):
            stream = io.BytesIO(getattr(image, _SAVERS[format] + "_buffer")(**options))
        self._complete(stream, format)
        return stream.getvalue()

    def save(
        self, target: str | Path, patches: Iterable[Patch] = (), quality: int | None = None, bigtiff: bool = False
    ) -> None:
        """Write the picture to a file, with some boxes replaced, in the format of `output_format(target)`.

        The file is complete or not there: it is written beside the target and renamed. `target` may be the file the
        picture was opened from. For `patches`, `quality` and what is kept see `encode`. With `bigtiff` a TIFF becomes a
        BigTIFF even if it is small and its source is none.

        Raises `PhotoError` and `OptionError` like `encode`, and `PhotoError` if the target cannot be written.
        """
        format = self.output_format(target)
        patches = list(patches)
        self._check_writing(patches, format, quality)
        edited = self._edited_blocks(patches, format, quality)
        with _writing(target) as unfinished:
            if edited is not None:
                unfinished.write_bytes(edited)
                return
            with (
                self._encoding(str(target), patches, format, quality) as (image, options),
                open(unfinished, "r+b") as file,
            ):
                if format == "tiff" and bigtiff:
                    options["bigtiff"] = True
                # By its descriptor: a name need not be UTF-8, as libvips takes for granted.
                descriptor = _pyvips().Target.new_to_descriptor(file.fileno())
                getattr(image, _SAVERS[format] + "_target")(descriptor, **options)
            with open(unfinished, "r+b") as file:
                self._complete(file, format)

    def copy(self, target: str | Path) -> None:
        """Write the picture to a file as it is, byte for byte; whole or not at all, and errors like `save`."""
        with _writing(target) as unfinished, self._stream() as stream, open(unfinished, "wb") as file:
            shutil.copyfileobj(stream, file)

    # -- reading -----------------------------------------------------------------------------------------------------

    @contextmanager
    def _stream(self) -> Iterator[BinaryIO]:
        try:
            with self._open_source() as stream:
                yield stream
        except OSError as error:
            raise PhotoError(f"{self.name}: {error.strerror or error}") from None

    def _open_source(self) -> BinaryIO:
        if isinstance(self._source, bytes):
            return io.BytesIO(self._source)
        if not str(self._source):
            raise PhotoError(f"{self.name}: is empty")
        try:
            return open(self._source, "rb")
        except ValueError as error:  # a null character
            raise PhotoError(f"{self.name}: {error}") from None

    def _container(self, stream: BinaryIO) -> str:
        head = stream.read(16)
        if not head:
            raise PhotoError(f"{self.name}: is empty")
        container = containers.sniff(head)
        if container is None:
            raise PhotoError(f"{self.name}: is not a PNG, JPEG, WebP, TIFF, AVIF, HEIC or GIF picture")
        if container in ("png", "jpeg") and self._page:
            raise PhotoError(f"{self.name}: has one page only, there is no page {self._page}")
        return container

    def _load(self, access: str) -> Any:
        """Return a fresh libvips image of the stored picture; decodes nothing yet."""
        options: dict[str, Any] = {"access": access, "fail_on": "error"}
        if self._directory:
            options["page"] = self._directory
        vips = _pyvips()
        if isinstance(self._source, bytes):
            return getattr(vips.Image, self._loader + "_buffer")(self._source, **options)
        # By its descriptor, which libvips duplicates: a name need not be UTF-8, as libvips takes for granted.
        with self._stream() as stream:
            source = vips.Source.new_from_descriptor(stream.fileno())
            return getattr(vips.Image, self._loader + "_source")(source, **options)

    def _directory_of(self, page: int, pages: tiff.Pages) -> int:
        try:
            return pages.directories[page]
        except IndexError:
            raise PhotoError(f"{self.name}: has {len(pages.directories)} pages, there is no page {page}") from None

    def _prepare(self, raw: Any) -> Any:
        """Return the picture in colours and orientation as users see it."""
        return self._to_srgb(raw).autorot()

    def _to_srgb(self, raw: Any) -> Any:
        if self._cmyk:
            return raw.icc_transform(
                "srgb",
                embedded=True,
                input_profile="cmyk",
                intent="relative",
                black_point_compensation=True,
                depth=8 * _DTYPES[raw.format].itemsize,
            )
        return raw

    def _check_tags(self, tags: dict[int, int]) -> None:
        # Only the first of all pages can be one: see `tiff.Pages`.
        if tiff.DNG_VERSION in tags or tiff.is_reduced(tags):
            raise PhotoError(f"{self.name}: is a camera raw file; develop it to a TIFF, PNG or JPEG first")
        if tags.get(tiff.PHOTOMETRIC) in _CIELAB:
            raise PhotoError(f"{self.name}: CIELAB pictures are not supported, only grey, RGB and CMYK")

    def _check_samples(self, raw: Any) -> None:
        if raw.format not in _DTYPES:
            raise PhotoError(f"{self.name}: samples of type {raw.format} are not supported, only 8 and 16 bit integers")

    def _reading_notes(self, raw: Any) -> Iterator[str]:
        if self._cmyk:
            profile = "its profile" if "icc-profile-data" in raw.get_fields() else "the default profile"
            yield f"{self.name}: CMYK is converted to sRGB through {profile}"
        if self._stored.tags.get(tiff.EXTRA_SAMPLES) == _PREMULTIPLIED:
            yield f"{self.name}: colours that were multiplied by their transparency are stored straight"
        if self.pages > 1 and not self._every_page:
            yield f"{self.name}: has {self.pages} pages, only page {self._page + 1} is used"
        if self._tiff_pages.reduced_copies:
            yield f"{self.name}: reduced copies, such as pyramid levels and previews, are left out"
        if self._png_frames > 1:
            yield f"{self.name}: is an animation of {self._png_frames} frames, only its still picture is used"

    @property
    def _own_format(self) -> str:
        return "png" if self.format == "gif" else self.format

    def _check_inside(self, box: Box) -> None:
        if box.is_empty or box.clip(self.width, self.height) != box:
            raise PhotoError(f"{self.name}: {box} is not inside the {self.width} x {self.height} picture")

    def _decoded_samples(self) -> Samples:
        """Return all samples of a picture that is not streamed: decoded once, shared, not writable."""
        with self._decode_lock:
            if self._decoded is None:
                self._decoded = self._decode()
                self._decoded.flags.writeable = False
            return self._decoded

    def _decode(self) -> Samples:
        if self._tiles is not None:
            return self._read_tiles(self._tiles, Box(0, 0, self.width, self.height))
        with self._decoding():
            image = self._upright()
            kill_when_cancelled(image)
            samples = image.numpy()
        check_cancelled()
        return np.asarray(samples).reshape(self.height, self.width, self.channels)

    def _read_tiles(self, tiles: TileReader, box: Box) -> Samples:
        stored = box_to_stored(box, self.width, self.height, self._orientation)
        with self._decoding():
            return to_upright(tiles.read(stored), self._orientation)

    def _upright(self) -> Any:
        return self._prepare(self._load("random" if self._random else "sequential"))

    def _row_reader(self, keep: bool = True) -> Callable[[Box], Samples]:
        """Return a function that reads one box after the other; those of a sequential picture top to bottom.

        keep: whether to hold what is decoded, of a picture that is not streamed.
        """
        if keep and not self._stored.streamed:
            decoded = self._decoded_samples()
            return lambda box: decoded[box.slices]
        if (tiles := self._tiles) is not None:
            return lambda box: self._read_tiles(tiles, box)
        with self._decoding():
            image = self._upright()

        def fetch(box: Box) -> Samples:
            # A region belongs to the thread that made it, and libvips may call from several: one for each read.
            with self._decoding():
                region = _pyvips().Region.new(image)
                data = region.fetch(box.left, box.top, box.width, box.height)
            return np.frombuffer(data, self.dtype).reshape(box.height, box.width, self.channels)

        return fetch

    def _strips(self, bottom: int, keep: bool = True) -> Iterator[tuple[Box, Samples]]:
        """Yield the picture down to row `bottom` in strips of full width: (box, samples), not writable."""
        fetch = self._row_reader(keep)
        for top in range(0, bottom, STRIP_ROWS):
            check_cancelled()
            strip = Box(0, top, self.width, min(STRIP_ROWS, bottom - top))
            yield strip, fetch(strip)

    @contextmanager
    def _decoding(self) -> Iterator[None]:
        try:
            yield
        except _pyvips().Error as error:
            check_cancelled()
            raise PhotoError(f"{self.name}: cannot be decoded: {_reason(error)}") from None
        except ValueError as error:
            raise PhotoError(f"{self.name}: cannot be decoded: {error}") from None

    # -- writing -----------------------------------------------------------------------------------------------------

    def _check_writing(self, patches: list[Patch], format: str, quality: int | None) -> None:
        check_format(format)
        if quality is not None:
            check_quality(quality)
        for box, samples in patches:
            self._check_inside(box)
            if samples.shape != (box.height, box.width, self.channels) or samples.dtype != self.dtype:
                raise PhotoError(f"{self.name}: a patch of {samples.shape} {samples.dtype} does not fit {box}")

    @contextmanager
    def _encoding(
        self, name: str, patches: list[Patch], format: str, quality: int | None
    ) -> Iterator[tuple[Any, dict[str, Any]]]:
        """Provide the libvips image of the result and the options of its saver; `name` is for errors."""
        options = saver_options(self._stored, format, quality, [samples for _, samples in patches])
        changed = _patched_rows(self._row_reader(), self.width, patches)
        rows = StripSource(self.width, self.height, self.channels, self.dtype, changed)
        try:
            image = _in_range_of(format, self._with_metadata(rows.image(), format))
            kill_when_cancelled(image)
            yield image, options
            check_cancelled()
        except _pyvips().Error as error:
            check_cancelled()
            failure = PhotoError(f"{name}: cannot be written as {format}: {_reason(error)}")
            raise (rows.error or failure) from None
        finally:
            rows.close()

    def _with_metadata(self, image: Any, format: str, orientation: int = 1) -> Any:
        """Give the encoder's image what the source says about itself; `orientation` is that of its rows."""
        header = self._header
        image = image.copy(interpretation=header.interpretation, xres=header.xres, yres=header.yres)
        blob = _pyvips().GValue.blob_type
        if self._exif is not None:
            # libvips parses the block at this point, takes the resolution from it and goes by the parsed fields.
            image.set_type(blob, "exif-data", tiff.without_thumbnail(self._exif))
        for field in _KEPT_FIELDS.intersection(header.get_fields()):
            image.set_type(header.get_typeof(field), field, header.get(field))
        if self._orientation != 1:
            image.set_type(_pyvips().GValue.gint_type, "orientation", orientation)
        if self._xmp is not None:
            turned = _XMP_ORIENTATION.sub(rb"\g<1>%d" % orientation, self._xmp)
            image.set_type(blob, "xmp-data", containers.xmp_of_the_picture_alone(turned))
        if self._iptc is not None and format != "tiff":
            resources = containers.iptc_for_jpeg(self._iptc)
            image.set_type(blob, "iptc-data", containers.photoshop_without_thumbnails(resources))
        if self._photoshop is not None:
            image.set_type(blob, "photoshop-data", containers.photoshop_without_thumbnails(self._photoshop))
        return image

    def _keeps_blocks(self, format: str, quality: int | None) -> bool:
        return format == self.format == "jpeg" and quality is None and can_keep_blocks()

    def _edited_blocks(self, patches: list[Patch], format: str, quality: int | None) -> bytes | None:
        """The bytes of a JPEG with the source's own blocks where nothing has changed; None where that cannot be."""
        if not self._keeps_blocks(format, quality):
            if format == self.format == "jpeg" and quality is None:
                _say_what_keeps_blocks()
            return None
        self.prepare(format, quality)
        assert self._blocks is not None
        reading, self._blocks = self._blocks, None
        try:
            return replace_blocks(*reading.result(), self._changed_strips(patches))
        except ValueError as error:
            reason = f"{self.name}: all of it is compressed again, not only what has changed: {error}"
            warnings.warn(reason, PhotoWarning, stacklevel=2)
            return None

    def _read_blocks(self) -> tuple[Blocks, bytes]:
        """The source's blocks, and a JPEG with the metadata of the result; `ValueError` where that cannot be."""
        if self._cmyk:
            raise ValueError("it is CMYK")
        if self._stored.jpeg is not None and self._stored.jpeg.arithmetic:
            # jpeglib complains on standard error.
            raise ValueError("it is arithmetically coded")
        if self._stored.streamed:
            raise ValueError(f"it decodes to more than {DECODED_LIMIT >> 20} MiB")
        with self._stream() as source:
            original = source.read()
        return read_blocks(original), self._metadata_of_jpeg()

    def _metadata_of_jpeg(self) -> bytes:
        """A JPEG with the metadata of the result, as it is stored, but all black, which is soon encoded."""
        # Of its true size, which libvips repeats in the EXIF block.
        stored = box_to_stored(Box(0, 0, self.width, self.height), self.width, self.height, self._orientation)
        black = _pyvips().Image.black(stored.width, stored.height, bands=self.channels)
        try:
            encoded: bytes = self._with_metadata(black, "jpeg", self._orientation).jpegsave_buffer()
        except _pyvips().Error as error:
            raise ValueError(_reason(error)) from None
        return encoded

    def _changed_strips(self, patches: list[Patch]) -> Iterator[tuple[int, Samples, Samples]]:
        """Yield whole rows, as they are stored, that meet a patch: the first row, the samples before and after."""
        before = to_stored(self._decoded_samples(), self._orientation)
        turned = [
            (box_to_stored(box, self.width, self.height, self._orientation), to_stored(samples, self._orientation))
            for box, samples in patches
        ]
        height, width = before.shape[:2]
        after = _patched_rows(lambda box: before[box.slices], width, turned)
        tops = {top for box, _ in turned for top in range(box.top // STRIP_ROWS, (box.bottom - 1) // STRIP_ROWS + 1)}
        for top in (index * STRIP_ROWS for index in sorted(tops)):
            count = min(STRIP_ROWS, height - top)
            yield top, before[top : top + count], after(top, count)

    def _complete(self, stream: BinaryIO, format: str) -> None:
        """Add to an encoded file (open for reading and writing) what libvips cannot write."""
        if format == "png" and self.format == "png":
            with self._stream() as source:
                chunks = containers.png_chunks(source)
            if chunks:
                containers.insert_png_chunks(stream, chunks)
        if format == "tiff":
            if self._exif is not None:
                tiff.append_exif(stream, self._exif)
            if self._iptc is not None:
                records = containers.iptc_records(self._iptc)
                tiff.append_tags(stream, {tiff.IPTC: tiff.Value(tiff.UNDEFINED, records)})


def _say_what_keeps_blocks() -> None:
    if _ADVISED.acquire(blocking=False):
        warnings.warn(_ADVICE, PhotoWarning, stacklevel=2)


def _patched_rows(fetch: Callable[[Box], Samples], width: int, patches: list[Patch]) -> Callable[[int, int], Samples]:
    """Return a function (top, count) -> samples of whole rows, patches included; it is asked for strips in order."""
    patches_of_strip: defaultdict[int, list[Patch]] = defaultdict(list)
    for box, samples in patches:
        for strip_index in range(box.top // STRIP_ROWS, (box.bottom - 1) // STRIP_ROWS + 1):
            patches_of_strip[strip_index].append((box, samples))

    def rows(top: int, count: int) -> Samples:
        strip = Box(0, top, width, count)
        fetched = fetch(strip)
        if top // STRIP_ROWS not in patches_of_strip:
            return fetched
        patched = fetched.copy()
        for box, samples in patches_of_strip[top // STRIP_ROWS]:
            common = box.intersection(strip)
            patched[common.relative_to(strip).slices] = samples[common.relative_to(box).slices]
        return patched

    return rows


def format_of_name(target: str | Path) -> str | None:
    """The format that a file of that name gets by its suffix, one of `options.FORMATS`; None without a suffix.

    Raises:
        PhotoError: a suffix that cannot be written, whether unknown or for want of an encoder.
    """
    suffix = Path(target).suffix.lower()
    format = FORMAT_OF_SUFFIX.get(suffix)
    if suffix and (format is None or not can_write(format)):
        raise PhotoError(f"{target}: cannot write {suffix} files, only {_writable_suffixes()}")
    return format


@functools.cache
def can_write(format: str) -> bool:
    """Whether libvips has an encoder for one of `options.FORMATS`: HEIC is often left out, for its patents."""
    options = {"compression": HEIF_COMPRESSION[format]} if format in HEIF_COMPRESSION else {}
    vips = _pyvips()
    try:
        getattr(vips.Image.black(16, 16, bands=3), _SAVERS[format] + "_buffer")(**options)
    except vips.Error:
        return False
    return True


def _writable_suffixes() -> str:
    return ", ".join(suffix for suffix, format in FORMAT_OF_SUFFIX.items() if can_write(format))


@contextmanager
def _writing(target: str | Path) -> Iterator[Path]:
    """`atomic.replacing` with `PhotoError` for what the system refuses."""
    try:
        with replacing(target) as unfinished:
            yield unfinished
    except OSError as error:
        raise PhotoError(f"{target}: cannot be written: {error.strerror or error}") from None


def check_alpha(name: str, channels: int) -> None:
    """Refuse a picture without an alpha channel where the mask is to come from it: `MaskError`."""
    if channels not in (2, 4):
        raise MaskError(f"{name}: has no transparency to take the mask from")


@functools.cache
def _pyvips() -> Any:
    """Import libvips on first use and switch its cache of operations off, for the whole process.

    The cache would keep decoded pictures alive and hand out stale samples of a file that has changed meanwhile, and
    nothing here runs the same operation twice.
    """
    import pyvips

    pyvips.cache_set_max(0)
    return pyvips


def _get(image: Any, field: str, default: int) -> int:
    return int(image.get(field)) if field in image.get_fields() else default


def _blob(image: Any, field: str) -> bytes | None:
    return image.get(field) if field in image.get_fields() else None


def _heif_format(image: Any) -> str:
    return "avif" if image.get("heif-compression") == "av1" else "heic"


def _in_range_of(format: str, image: Any) -> Any:
    """Reduce depth and transparency to what the format holds (see `Photo.losses`)."""
    if format in ("jpeg", "webp") and image.format == "ushort":
        image = image.cast("uchar", shift=True).copy(interpretation="srgb" if image.bands >= 3 else "b-w")
    if format == "jpeg" and image.bands in (2, 4):
        image = image.flatten(background=255)
    return image


def _reason(error: Any) -> str:
    """Boil what libvips says, many lines from many layers, down to the first that tells something."""
    lines = [line.strip() for line in error.detail.splitlines() if line.strip()]
    telling = [line for line in lines if "bad seek" not in line] or lines or [error.message]
    reason = telling[0].partition(": ")[2] or telling[0]
    return str(reason[:200])
