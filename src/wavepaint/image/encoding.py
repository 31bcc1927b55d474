"""From an opened image and some patches to a file."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from wavepaint.cancellation import check_cancelled, kill_when_cancelled
from wavepaint.errors import ImageError, ImageWarning, image_error
from wavepaint.files import atomic_write
from wavepaint.image import hevc
from wavepaint.image.decoding import Decoder
from wavepaint.image.encoders import ALL_BUT_EXIF, JPEG_SUBSAMPLINGS, SAVERS, saver_options
from wavepaint.image.formats import jpeg
from wavepaint.image.formats.jpeg_blocks import Blocks, can_keep_blocks
from wavepaint.image.header import Header, check_inside
from wavepaint.image.limits import LIMITS
from wavepaint.image.metadata import Metadata
from wavepaint.image.orientation import to_stored
from wavepaint.image.stored_file import StoredFile
from wavepaint.image.strips import STRIP_ROWS, StripSource, patched_rows
from wavepaint.image.suffixes import libvips_writes
from wavepaint.image.types import Patch, Samples
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
        turned = header.orientation != 1 or (header.container == "heif" and metadata.is_turned)
        self._orientation = 1 if turned else None

    def write(
        self, stream: BinaryIO, name: str, patches: list[Patch], format: str, quality: int | None, bigtiff: bool = False
    ) -> None:
        """Write to a stream that is open for reading and writing; errors name it `name`."""
        self._check(patches, format, quality)
        if (edited := self._edited_jpeg(patches, format, quality)) is not None:
            stream.write(edited)
            return
        header = self._header
        options = saver_options(header, format, quality, [samples for _, samples in patches])
        if format == "tiff" and bigtiff:
            options["bigtiff"] = True
        changed = patched_rows(self._decoder.row_reader(), header.width, patches)
        rows = StripSource(header.width, header.height, header.channels, header.dtype, changed)
        try:
            image = self._metadata.attach(rows.image(), format, header.interpretation, self._orientation)
            if format != "tiff" and not header.has_alpha:
                image = _colours_alone(image)
            image = _in_range_of(format, image)
            kill_when_cancelled(image)
            _encode(stream, image, format, options)
            self._metadata.complete(stream, format, image, self._orientation)
            check_cancelled()
        except libvips().Error as error:
            check_cancelled()
            failure = ImageError(f"{name}: cannot be written as {format}: {reason_of(error)}")
            raise (rows.error or failure) from None
        finally:
            rows.close()

    def conversion_warnings(self, format: str, quality: int | None) -> Iterator[str]:
        """See `ImageFile.conversion_warnings`."""
        name, header = self._file.name, self._header
        if header.dtype.itemsize > 1 and format in _EIGHT_BIT:
            yield f"{name}: {header.bits}-bit samples become 8-bit in {format}"
        if header.bits > 12 and format in ("avif", "heic"):
            yield f"{name}: {header.bits}-bit samples become 12-bit in {format}"
        if header.channels in (2, 4) and not header.has_alpha and format != "tiff":
            yield f"{name}: a channel of unspecified meaning is left out in {format}"
        if header.has_alpha and format == "jpeg":
            yield f"{name}: JPEG has no transparency, the image is laid on white"
        for loss in self._metadata.losses(format):
            yield f"{name}: {loss}"
        encoding = header.jpeg
        if encoding is None:
            return
        keeps_blocks = not header.streamed and self._keeps_blocks(format, quality)
        if format == "jpeg" and not keeps_blocks and encoding.subsampling not in JPEG_SUBSAMPLINGS:
            yield f"{name}: chroma subsampling {encoding.subsampling} becomes 4:4:4"
        if not header.streamed:
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

    def _keeps_blocks(self, format: str, quality: int | None) -> bool:
        return format == self._header.format == "jpeg" and quality is None and can_keep_blocks()

    # -- JPEG to JPEG: all blocks in which nothing has changed keep their coefficients --------------------------------

    def _edited_jpeg(self, patches: list[Patch], format: str, quality: int | None) -> bytes | None:
        """A JPEG with the source's own blocks where nothing has changed; None, with a warning, where that cannot be."""
        if self._keeps_blocks(format, quality):
            try:
                if self._header.is_cmyk:
                    raise ValueError("it is CMYK")
                if self._header.jpeg is not None and self._header.jpeg.arithmetic:
                    # jpeglib complains on standard error.
                    raise ValueError("it is arithmetically coded")
                if self._header.streamed:
                    raise ValueError(f"it decodes to more than {LIMITS.get().held_bytes >> 20} MiB")
                with self._file.open() as source:
                    original = source.read()
                return Blocks(original).replaced(self._metadata_alone(), self._changed_strips(patches))
            except ValueError as error:
                reason = f"{self._file.name}: all of it is compressed again, not only what has changed: {error}"
                warnings.warn(reason, ImageWarning, stacklevel=1)
        elif format == self._header.format == "jpeg" and quality is None:
            warnings.warn(_ADVICE, ImageWarning, stacklevel=1)
        return None

    def _metadata_alone(self) -> bytes:
        """A JPEG with the metadata of the result, as it is stored, but all black, which is soon encoded."""
        header, metadata = self._header, self._metadata
        # Of its true size, which libvips repeats in the EXIF block.
        stored = header.stored(header.box)
        black = libvips().Image.black(stored.width, stored.height, bands=header.channels)
        orientation = None if header.orientation == 1 else header.orientation
        try:
            image = metadata.attach(black, "jpeg", header.interpretation, orientation)
            stream = io.BytesIO(image.jpegsave_buffer(keep=ALL_BUT_EXIF))
        except libvips().Error as error:
            raise ValueError(reason_of(error)) from None
        metadata.complete(stream, "jpeg", image, orientation)
        return stream.getvalue()

    def _changed_strips(self, patches: list[Patch]) -> Iterator[tuple[int, Samples, Samples]]:
        """Yield whole rows, as they are stored, that meet a patch: the first row, the samples before and after."""
        header = self._header
        before = to_stored(self._decoder.decoded(), header.orientation)
        turned = [(header.stored(box), to_stored(samples, header.orientation)) for box, samples in patches]
        height, width = before.shape[:2]
        after = patched_rows(lambda box: before[box.slices], width, turned)
        tops = {top for box, _ in turned for top in range(box.top // STRIP_ROWS, (box.bottom - 1) // STRIP_ROWS + 1)}
        for top in (index * STRIP_ROWS for index in sorted(tops)):
            count = min(STRIP_ROWS, height - top)
            yield top, before[top : top + count], after(top, count)


@contextmanager
def writing(target: str | Path, name: str) -> Iterator[Path]:
    """`files.atomic_write` with `ImageError` for what the system refuses; it names the file `name`."""
    with image_error(f"{name}: cannot be written", OSError), atomic_write(target) as unfinished:
        yield unfinished


def _colours_alone(image: Any) -> Any:
    """Leave out a channel that is no transparency."""
    colours = 3 if image.bands >= 3 else 1
    narrow, wide = ("srgb", "rgb16") if colours == 3 else ("b-w", "grey16")
    interpretation = wide if image.format == "ushort" else narrow
    return image.extract_band(0, n=colours).copy(interpretation=interpretation)


def _encode(stream: BinaryIO, image: Any, format: str, options: dict[str, Any]) -> None:
    if format == "heic" and not libvips_writes(format):
        stream.write(hevc.encode(image, **options))
    elif has_operation(f"{SAVERS[format]}_target") and not isinstance(stream, io.BytesIO):
        # By its descriptor: a name need not be UTF-8, as libvips takes for granted.
        descriptor = libvips().Target.new_to_descriptor(stream.fileno())
        getattr(image, SAVERS[format] + "_target")(descriptor, **options)
    else:
        stream.write(getattr(image, SAVERS[format] + "_buffer")(**options))


def _in_range_of(format: str, image: Any) -> Any:
    """Reduce depth and transparency to what the format holds (see `ImageFile.conversion_warnings`)."""
    if format in _EIGHT_BIT and image.format == "ushort":
        image = image.cast("uchar", shift=True).copy(interpretation="srgb" if image.bands >= 3 else "b-w")
    if format == "jpeg" and image.bands in (2, 4):
        image = image.flatten(background=255)
    return image
