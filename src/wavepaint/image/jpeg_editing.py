"""From a JPEG file to one with some boxes replaced, in which all other blocks keep their coefficients."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator

from wavepaint.box import Box
from wavepaint.errors import ImageWarning
from wavepaint.image.decoding import Decoder
from wavepaint.image.encoders import ALL_BUT_EXIF
from wavepaint.image.formats.jpeg_blocks import read_blocks, replace_blocks
from wavepaint.image.header import DECODED_LIMIT, Header
from wavepaint.image.metadata import Metadata
from wavepaint.image.orientation import box_to_stored, to_stored
from wavepaint.image.stored_file import StoredFile
from wavepaint.image.strips import STRIP_ROWS, patched_rows
from wavepaint.image.types import Patch, Samples
from wavepaint.image.vips import libvips, reason_of


def edit_jpeg(
    file: StoredFile, header: Header, decoder: Decoder, metadata: Metadata, patches: list[Patch]
) -> bytes | None:
    """Return a JPEG with the file's own blocks where nothing has changed; None, with a warning, where that cannot be.

    Raises `ImageError` for a damaged file.
    """
    try:
        _check(header)
        with file.open() as source:
            original = source.read()
        blocks = read_blocks(original)
        return replace_blocks(blocks, _metadata_alone(header, metadata), _changed_strips(header, decoder, patches))
    except ValueError as error:
        reason = f"{file.name}: all of it is compressed again, not only what has changed: {error}"
        warnings.warn(reason, ImageWarning, stacklevel=2)
        return None


def _check(header: Header) -> None:
    if header.is_cmyk:
        raise ValueError("it is CMYK")
    if header.stored.jpeg is not None and header.stored.jpeg.arithmetic:
        # jpeglib complains on standard error.
        raise ValueError("it is arithmetically coded")
    if header.is_streamed:
        raise ValueError(f"it decodes to more than {DECODED_LIMIT >> 20} MiB")


def _metadata_alone(header: Header, metadata: Metadata) -> bytes:
    """A JPEG with the metadata of the result, as it is stored, but all black, which is soon encoded."""
    # Of its true size, which libvips repeats in the EXIF block.
    whole = Box(0, 0, header.width, header.height)
    stored = box_to_stored(whole, header.width, header.height, header.orientation)
    black = libvips().Image.black(stored.width, stored.height, bands=header.channels)
    orientation = None if header.orientation == 1 else header.orientation
    try:
        image = metadata.attach(black, "jpeg", header.interpretation, orientation)
        stream = io.BytesIO(image.jpegsave_buffer(keep=ALL_BUT_EXIF))
    except libvips().Error as error:
        raise ValueError(reason_of(error)) from None
    metadata.complete(stream, "jpeg", image, orientation)
    return stream.getvalue()


def _changed_strips(header: Header, decoder: Decoder, patches: list[Patch]) -> Iterator[tuple[int, Samples, Samples]]:
    """Yield whole rows, as they are stored, that meet a patch: the first row, the samples before and after."""
    before = to_stored(decoder.decoded(), header.orientation)
    turned = [
        (box_to_stored(box, header.width, header.height, header.orientation), to_stored(samples, header.orientation))
        for box, samples in patches
    ]
    height, width = before.shape[:2]
    after = patched_rows(lambda box: before[box.slices], width, turned)
    tops = {top for box, _ in turned for top in range(box.top // STRIP_ROWS, (box.bottom - 1) // STRIP_ROWS + 1)}
    for top in (index * STRIP_ROWS for index in sorted(tops)):
        count = min(STRIP_ROWS, height - top)
        yield top, before[top : top + count], after(top, count)
