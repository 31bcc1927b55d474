"""From an opened image and some patches to a file."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wavepaint.cancellation import check_cancelled, kill_when_cancelled
from wavepaint.errors import ImageError, ImageWarning
from wavepaint.files import atomic_write
from wavepaint.image import hevc
from wavepaint.image.decoding import Decoder
from wavepaint.image.encoders import JPEG_SUBSAMPLINGS, SAVERS, saver_options
from wavepaint.image.formats import jpeg
from wavepaint.image.formats.jpeg_blocks import can_keep_blocks
from wavepaint.image.header import Header, check_inside
from wavepaint.image.jpeg_editing import edit_jpeg
from wavepaint.image.metadata import Metadata
from wavepaint.image.stored_file import StoredFile
from wavepaint.image.strips import StripSource, patched_rows
from wavepaint.image.suffixes import libvips_writes
from wavepaint.image.types import Patch
from wavepaint.image.vips import has_operation, libvips, reason_of
from wavepaint.options import Options

_EIGHT_BIT = ("jpeg", "webp", "bmp")
_ADVICE = (
    "JPEGs are compressed again as a whole, not only where something has changed: "
    "`pip install 'wavepaint[jpeg]'` keeps all other blocks"
)


class Encoder:
    """Writes one image of a file again, with some boxes replaced; see `ImageFile.encode`."""

    def __init__(self, file: StoredFile, header: Header, decoder: Decoder, metadata: Metadata) -> None:
        self._file, self._header, self._decoder, self._metadata = file, header, decoder, metadata
        # Of what is written; None where the source states none that has been applied.
        # AVIF and HEIC state it apart from EXIF, which still states it, too.
        turned = header.orientation != 1 or (header.stored.container == "heif" and metadata.is_turned)
        self._orientation = 1 if turned else None

    def encode(self, patches: list[Patch], format: str, quality: int | None) -> bytes:
        """Return the bytes of a file."""
        self._check(patches, format, quality)
        edited = self._edited_jpeg(patches, format, quality)
        if edited is not None:
            return edited
        with self._encoding(self._file.name, patches, format, quality) as (image, options):
            stream = io.BytesIO(_encoded(image, format, options))
            self._metadata.complete(stream, format, image, self._orientation)
        return stream.getvalue()

    def save(
        self, target: str | Path, patches: list[Patch], format: str, quality: int | None, bigtiff: bool, name: str
    ) -> None:
        """Write a file, which is complete or not there; errors name it `name`."""
        self._check(patches, format, quality)
        edited = self._edited_jpeg(patches, format, quality)
        with writing(target, name) as unfinished:
            if edited is not None:
                unfinished.write_bytes(edited)
                return
            with self._encoding(name, patches, format, quality) as (image, options), open(unfinished, "r+b") as file:
                if format == "tiff" and bigtiff:
                    options["bigtiff"] = True
                if has_operation(f"{SAVERS[format]}_target") and libvips_writes(format):
                    # By its descriptor: a name need not be UTF-8, as libvips takes for granted.
                    descriptor = libvips().Target.new_to_descriptor(file.fileno())
                    getattr(image, SAVERS[format] + "_target")(descriptor, **options)
                else:
                    file.write(_encoded(image, format, options))
                self._metadata.complete(file, format, image, self._orientation)

    def conversion_warnings(self, format: str, quality: int | None) -> Iterator[str]:
        """See `ImageFile.conversion_warnings`."""
        name, header = self._file.name, self._header
        if header.dtype.itemsize > 1 and format in _EIGHT_BIT:
            yield f"{name}: {header.stored.bits}-bit samples become 8-bit in {format}"
        if header.stored.bits > 12 and format in ("avif", "heic"):
            yield f"{name}: {header.stored.bits}-bit samples become 12-bit in {format}"
        if header.channels in (2, 4) and not header.has_alpha and format != "tiff":
            yield f"{name}: a channel of unspecified meaning is left out in {format}"
        if header.has_alpha and format == "jpeg":
            yield f"{name}: JPEG has no transparency, the image is laid on white"
        for loss in self._metadata.losses(format):
            yield f"{name}: {loss}"
        encoding = header.stored.jpeg
        if encoding is None:
            return
        keeps_blocks = not header.is_streamed and self._keeps_blocks(format, quality)
        if format == "jpeg" and not keeps_blocks and encoding.subsampling not in JPEG_SUBSAMPLINGS:
            yield f"{name}: chroma subsampling {encoding.subsampling} becomes 4:4:4"
        if not header.is_streamed:
            with self._file.open() as stream:
                behind = jpeg.bytes_behind(stream)
            if behind:
                yield f"{name}: {behind} bytes behind the image (a gain map, a video, a second image) are left out"

    def _check(self, patches: list[Patch], format: str, quality: int | None) -> None:
        check_options: Any = Options
        check_options(format=format, quality=quality)
        header = self._header
        for box, samples in patches:
            check_inside(self._file.name, box, header)
            if samples.shape != (box.height, box.width, header.channels) or samples.dtype != header.dtype:
                raise ImageError(f"{self._file.name}: a patch of {samples.shape} {samples.dtype} does not fit {box}")

    @contextmanager
    def _encoding(
        self, name: str, patches: list[Patch], format: str, quality: int | None
    ) -> Iterator[tuple[Any, dict[str, Any]]]:
        """Provide the libvips image of the result and the options of its saver; `name` is for errors."""
        header = self._header
        options = saver_options(header.stored, format, quality, [samples for _, samples in patches])
        changed = patched_rows(self._decoder.row_reader(), header.width, patches)
        rows = StripSource(header.width, header.height, header.channels, header.dtype, changed)
        try:
            image = self._metadata.attach(rows.image(), format, header.interpretation, self._orientation)
            if format != "tiff" and not header.has_alpha:
                image = _colours_alone(image)
            image = _in_range_of(format, image)
            kill_when_cancelled(image)
            yield image, options
            check_cancelled()
        except libvips().Error as error:
            check_cancelled()
            failure = ImageError(f"{name}: cannot be written as {format}: {reason_of(error)}")
            raise (rows.error or failure) from None
        finally:
            rows.close()

    def _keeps_blocks(self, format: str, quality: int | None) -> bool:
        return format == self._header.format == "jpeg" and quality is None and can_keep_blocks()

    def _edited_jpeg(self, patches: list[Patch], format: str, quality: int | None) -> bytes | None:
        """The bytes of a JPEG with the source's own blocks where nothing has changed; None where that cannot be."""
        if self._keeps_blocks(format, quality):
            return edit_jpeg(self._file, self._header, self._decoder, self._metadata, patches)
        if format == self._header.format == "jpeg" and quality is None:
            warnings.warn(_ADVICE, ImageWarning, stacklevel=1)
        return None


@contextmanager
def writing(target: str | Path, name: str) -> Iterator[Path]:
    """`files.atomic_write` with `ImageError` for what the system refuses; it names the file `name`."""
    try:
        with atomic_write(target) as unfinished:
            yield unfinished
    except OSError as error:
        raise ImageError(f"{name}: cannot be written: {error.strerror or error}") from None


def _colours_alone(image: Any) -> Any:
    """Leave out a channel that is no transparency."""
    colours = 3 if image.bands >= 3 else 1
    narrow, wide = ("srgb", "rgb16") if colours == 3 else ("b-w", "grey16")
    interpretation = wide if image.format == "ushort" else narrow
    return image.extract_band(0, n=colours).copy(interpretation=interpretation)


def _encoded(image: Any, format: str, options: dict[str, Any]) -> bytes:
    if format == "heic" and not libvips_writes(format):
        return hevc.encode(image, **options)
    return bytes(getattr(image, SAVERS[format] + "_buffer")(**options))


def _in_range_of(format: str, image: Any) -> Any:
    """Reduce depth and transparency to what the format holds (see `ImageFile.conversion_warnings`)."""
    if format in _EIGHT_BIT and image.format == "ushort":
        image = image.cast("uchar", shift=True).copy(interpretation="srgb" if image.bands >= 3 else "b-w")
    if format == "jpeg" and image.bands in (2, 4):
        image = image.flatten(background=255)
    return image
