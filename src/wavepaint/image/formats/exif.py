"""EXIF blocks, passed on byte for byte but for what is no longer true of the image."""

from __future__ import annotations

import struct

from wavepaint.image.formats import tiff

_ORIENTATION, _EXIF, _USER_COMMENT = 274, 34665, 37510
_WIDTH, _HEIGHT = 40962, 40963
_SIZES = {1: "B", 3: "H", 4: "I"}


def for_image(block: bytes, orientation: int | None, width: int, height: int) -> bytes:
    """Return an EXIF block for an image, without prefix and thumbnail.

    Every other byte stays where it is, so that maker notes with offsets of their own stay whole.

    Args:
        block: of the source, with its prefix or without.
        orientation: of the samples, 1 to 8, in place of the one that the block states; None leaves it.
        width: of the image, if the block states any.
        height: likewise.
    """
    data = bytearray(tiff.without_thumbnail(block.removeprefix(tiff.EXIF_PREFIX)))
    try:
        order = "<" if data[:2] == b"II" else ">"
        (first,) = struct.unpack_from(order + "I", data, 4)
        pointers = _replace(data, order, first, {} if orientation is None else {_ORIENTATION: orientation})
        if _EXIF in pointers:
            _replace(data, order, pointers[_EXIF], {_WIDTH: width, _HEIGHT: height})
    except struct.error:  # damaged: there is nothing more to replace
        pass
    return bytes(data)


def _replace(data: bytearray, order: str, start: int, values: dict[int, int]) -> dict[int, int]:
    """Replace integers of the directory at `start`; return the offset of the EXIF directory, if it names one."""
    pointers = {}
    (count,) = struct.unpack_from(order + "H", data, start)
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        tag, kind, number = struct.unpack_from(order + "HHI", data, entry)
        if tag == _EXIF:
            pointers[tag] = struct.unpack_from(order + "I", data, entry + 8)[0]
        elif tag in values and number == 1 and kind in _SIZES and values[tag] < 256 ** struct.calcsize(_SIZES[kind]):
            struct.pack_into(order + _SIZES[kind], data, entry + 8, values[tag])
    return pointers


def placeholder(size: int) -> tuple[bytes, bytes]:
    """Return an EXIF block with room for `size` bytes, and the bytes by which it is found in a file.

    For encoders that write what they understand of a block, and not the block.
    """
    mark = b"wavepaint" * 4
    room = mark + bytes(size)
    comment: tiff.Directory = {_USER_COMMENT: tiff.Value(tiff.UNDEFINED, room)}
    return tiff.exif_block({_EXIF: comment}) or b"", mark


def fill_placeholder(data: bytes, mark: bytes, block: bytes) -> bytes:
    """Put an EXIF block, without its prefix, in the place of the one with the mark."""
    found = data.find(mark)
    start = max(data.rfind(b"II*\0", 0, found), data.rfind(b"MM\0*", 0, found))
    if found < 0 or start < 0:
        return data
    end = found + len(mark) + len(block)
    return data[:start] + block + bytes(end - start - len(block)) + data[end:]
