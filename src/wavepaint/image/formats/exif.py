"""EXIF blocks, passed on byte for byte but for what is no longer true of the image; and TIFF tags that describe it.

libvips reads and writes the samples of a TIFF, its profile and resolution, but neither EXIF nor who made the image
when. Those travel as an EXIF block here: `block_of` gathers one from a TIFF, `directory_of` reads what a TIFF gets.
"""

from __future__ import annotations

import io
import struct
from typing import BinaryIO

from wavepaint.image.formats import tiff
from wavepaint.image.formats.tiff import Directory, Value

_PREFIX = b"Exif\0\0"
_MARK = b"wavepaint" * 4
_ORIENTATION, _MAKER_NOTE, _USER_COMMENT = 274, 37500, 37510
_WIDTH, _HEIGHT = 40962, 40963
_FIRST_PRIVATE = 32768
# Description, document and page name, camera, software, date, artist, computer, white point and primaries, ratings,
# copyright, texts of Windows: what an EXIF block may hold of an image.
_PROVENANCE = {269, 270, 271, 272, 285, 305, 306, 315, 316, 318, 319, 18246, 18249, 33432, *range(40091, 40096)}
_PROVENANCE |= {tiff.EXIF, tiff.GPS, *tiff.RESOLUTION}
# How the samples are stored, what libvips writes itself (resolution, profile, XMP, IPTC, Photoshop's resources), what
# belongs to a thumbnail, and Photoshop's layers, which show the image as it was.
_OF_THE_FILE = {*range(254, 260), *range(262, 267), *range(273, 285), *range(288, 294), 296, 301, 317, *range(320, 329)}
_OF_THE_FILE |= {330, *range(332, 348), *range(400, 410), *range(433, 436), *range(512, 522), *range(529, 533), 559}
_OF_THE_FILE |= {700, tiff.IPTC, 34377, 34675, tiff.LAYERS, 40965}
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
    data = bytearray(tiff.without_thumbnail(block.removeprefix(_PREFIX)))
    try:
        order = "<" if data[:2] == b"II" else ">"
        (first,) = struct.unpack_from(order + "I", data, 4)
        pointers = _replace(data, order, first, {} if orientation is None else {_ORIENTATION: orientation})
        if tiff.EXIF in pointers:
            _replace(data, order, pointers[tiff.EXIF], {_WIDTH: width, _HEIGHT: height})
    except struct.error:  # damaged: there is nothing more to replace
        pass
    return bytes(data)


def _replace(data: bytearray, order: str, start: int, values: dict[int, int]) -> dict[int, int]:
    """Replace integers of the directory at `start`; return the offset of the EXIF directory, if it names one."""
    pointers = {}
    (count,) = struct.unpack_from(order + "H", data, start)
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        tag, kind, number = struct.unpack_from(order + "HHI", data, entry)
        if tag == tiff.EXIF:
            pointers[tag] = struct.unpack_from(order + "I", data, entry + 8)[0]
        elif tag in values and number == 1 and kind in _SIZES and values[tag] < 256 ** struct.calcsize(_SIZES[kind]):
            struct.pack_into(order + _SIZES[kind], data, entry + 8, values[tag])
    return pointers


def placeholder(size: int) -> bytes:
    """Return an EXIF block with room for `size` bytes, for encoders that write what they understand of a block."""
    comment: Directory = {_USER_COMMENT: Value(tiff.UNDEFINED, _MARK + bytes(size))}
    return _PREFIX + tiff.tiff_of({tiff.EXIF: comment})


def fill_placeholder(stream: BinaryIO, block: bytes) -> None:
    """Put an EXIF block, without its prefix, in the place of the `placeholder` in a file, open to read and write."""
    stream.seek(0)
    data = stream.read()
    mark = data.find(_MARK)
    start = max(data.rfind(b"II*\0", 0, mark), data.rfind(b"MM\0*", 0, mark))
    if mark >= 0 and start >= 0:
        stream.seek(start)
        stream.write(block + bytes(mark + len(_MARK) - start))


def block_of(directory: Directory) -> bytes | None:
    """Gather where an image is from, with its EXIF and GPS tags, as the EXIF block of another format, or None."""
    described = _without_size({tag: value for tag, value in directory.items() if tag in _PROVENANCE})
    return _PREFIX + tiff.tiff_of(described) if described else None


def directory_of(block: bytes) -> Directory:
    """Read the tags of an EXIF block, with its prefix or without."""
    return tiff.read_directory(io.BytesIO(block.removeprefix(_PREFIX)))


def resolution(directory: Directory) -> tuple[float, float] | None:
    """Return the pixels a millimetre, horizontal and vertical, that the tags of a directory state."""
    across, down, unit = (directory.get(tag) for tag in tiff.RESOLUTION)
    if not (isinstance(across, Value) and isinstance(down, Value)) or len(across.data) != 8 or len(down.data) != 8:
        return None
    millimetres = {2: 25.4, 3: 10.0}.get(unit.first_integer() if isinstance(unit, Value) and unit.data else 2)
    (a, b), (c, d) = (struct.unpack("<II", each.data) for each in (across, down))
    return (a / b / millimetres, c / d / millimetres) if millimetres and a and b and c and d else None


def descriptive(directory: Directory) -> Directory:
    """Return the tags that describe an image, private ones included, and not how a file stores it."""
    return _without_size(
        {
            tag: value
            for tag, value in directory.items()
            if tag not in _OF_THE_FILE and not (isinstance(value, Value) and value.kind == tiff.IFD)
        }
    )


def has_maker_notes(block: bytes) -> bool:
    """Whether an EXIF block holds maker notes."""
    exif = directory_of(block).get(tiff.EXIF)
    return isinstance(exif, dict) and _MAKER_NOTE in exif


def private_tags(directory: Directory) -> list[int]:
    """Return the tags for which an EXIF block has no place."""
    return [tag for tag in directory if tag >= _FIRST_PRIVATE and tag not in _PROVENANCE]


def _without_size(directory: Directory) -> Directory:
    """Leave out the size of the image, which EXIF repeats, and which may change on the way."""
    exif = directory.get(tiff.EXIF)
    if not isinstance(exif, dict):
        return directory
    return directory | {tiff.EXIF: {tag: value for tag, value in exif.items() if tag not in (_WIDTH, _HEIGHT)}}
