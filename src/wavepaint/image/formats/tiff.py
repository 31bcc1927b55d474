"""The directories of TIFF files, and of EXIF blocks, which are TIFF files without an image."""

from __future__ import annotations

import io
import shutil
import struct
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

COMPRESSION, PHOTOMETRIC, PREDICTOR, EXTRA_SAMPLES = 259, 262, 317, 338
CODING_NUMBERS = (258, COMPRESSION, PHOTOMETRIC, 266, 277, 284, PREDICTOR, 339)
"""What decides how samples are read. Without a number they are kept as empty values: libtiff would ignore them."""
DNG_VERSION, IPTC, LAYERS = 50706, 33723, 37724
RESOLUTION = (282, 283, 296)
BIGTIFF_HEADER_BYTES = 16
_NEW_SUBFILE_TYPE, _SUB_IFDS = 254, 330
# Bit of the former: a pyramid level or a preview of another page.
_REDUCED = 1
EXIF, GPS = 34665, 34853
_SUBDIRECTORIES = {EXIF, GPS, 40965}

# Size of a value and of the units in it that have a byte order, by field type.
_VALUE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_UNIT_BYTES = {**_VALUE_BYTES, 5: 4, 10: 4}
_INTEGERS = {1: "B", 3: "H", 4: "I", 16: "Q"}
_LONG, UNDEFINED, IFD, _LONG8 = 4, 7, 13, 16
# Of thumbnails: a JPEG, or strips.
_THUMBNAILS = ((513, 514), (273, 279))
# Of strips and of tiles.
_SAMPLE_OFFSETS = {273, 324}
_MAX_DEPTH = 3
MAX_VALUE_BYTES = 2**15
"""Of one value, where only small ones matter: to tell pages apart, and for a palette."""
# What it may raise to follow an offset or a count of a damaged file: it ends early, or the number fits no file.
_DAMAGE = (struct.error, OverflowError, ValueError, OSError)


@dataclass(frozen=True, slots=True)
class Value:
    """The values of one tag: TIFF field type, and the bytes in little-endian order."""

    kind: int
    data: bytes

    def first_integer(self) -> int:
        """Return the first value of an integer field."""
        return int.from_bytes(self.data[: _VALUE_BYTES[self.kind]], "little")


Directory: TypeAlias = "dict[int, Value | Directory]"


@dataclass(frozen=True, slots=True)
class _Layout:
    """Byte order ("<" or ">") of a TIFF file and whether it is a BigTIFF, with 64-bit counts and offsets."""

    order: str
    big: bool

    @property
    def count(self) -> str:
        """Struct format of the number of entries of a directory."""
        return self.order + ("Q" if self.big else "H")

    @property
    def offset(self) -> str:
        """Struct format of an offset."""
        return self.order + ("Q" if self.big else "I")

    @property
    def entry(self) -> str:
        """Struct format of tag, field type, count, and the values or, if they are larger, their offset."""
        return self.order + ("HHQ8s" if self.big else "HHI4s")


@dataclass(frozen=True, slots=True)
class Pages:
    """What a TIFF file consists of; by default a single page.

    Attributes:
        directories: the numbers, from 0, of those directories that are pages: the first, and all but reduced copies.
        reduced_copies: whether there are pyramid levels or previews, between the pages or in directories below them.
        bigtiff: whether the file is a BigTIFF.
    """

    directories: tuple[int, ...] = (0,)
    reduced_copies: bool = False
    bigtiff: bool = False


def read_directory(stream: BinaryIO, page: int = 0, limit: int | None = None) -> Directory:
    """Read the tags of one directory of a TIFF or BigTIFF file, with those of the EXIF and GPS directories in it.

    Left out are values of more than `limit` bytes, and what cannot be followed: that is for the decoder to say.
    """
    try:
        layout, offset = _read_header(stream)
        for _ in range(page):
            offset = _next_directory(stream, layout, offset)
        return _read_entries(stream, layout, offset, _MAX_DEPTH, limit)
    except _DAMAGE:
        return {}


def read_pages(stream: BinaryIO) -> Pages:
    """Tell the pages of a TIFF or BigTIFF file from reduced copies of them; what follows damage is left out."""
    pages: list[int] = []
    reduced_copies = bigtiff = False
    seen: set[int] = set()
    try:
        layout, offset = _read_header(stream)
        bigtiff = layout.big
        while offset and offset not in seen:
            directory = _read_entries(stream, layout, offset, 0, MAX_VALUE_BYTES)
            if seen and is_reduced(integer_tags(directory)):
                reduced_copies = True
            else:
                pages.append(len(seen))
            reduced_copies = reduced_copies or _SUB_IFDS in directory
            seen.add(offset)
            offset = _next_directory(stream, layout, offset)
    except _DAMAGE:
        pass
    return Pages(tuple(pages) or (0,), reduced_copies, bigtiff)


def is_reduced(tags: dict[int, int]) -> bool:
    """Whether the integer tags of a directory are those of a reduced copy."""
    return bool(tags.get(_NEW_SUBFILE_TYPE, 0) & _REDUCED)


def integer_tags(directory: Directory) -> dict[int, int]:
    """Return {tag: first value} of the integer tags of a directory."""
    return {
        tag: value.first_integer()
        for tag, value in directory.items()
        if isinstance(value, Value) and value.kind in _INTEGERS and value.data
    }


def integers(value: Value | Directory | None) -> NDArray[np.uint64]:
    """Return all values of an integer field; none of any other."""
    if not isinstance(value, Value) or value.kind not in _INTEGERS:
        return np.zeros(0, np.uint64)
    return np.frombuffer(value.data, f"<u{_VALUE_BYTES[value.kind]}").astype(np.uint64)


def integer_value(values: ArrayLike, kind: int = _LONG8) -> Value:
    """Return an integer field, by default of 64 bits a value, for BigTIFFs."""
    return Value(kind, np.asarray(values, f"<u{_VALUE_BYTES[kind]}").tobytes())


def byte_order(stream: BinaryIO) -> str:
    """Return the byte order of a TIFF file, "<" or ">"."""
    return _read_header(stream)[0].order


def tiff_of(directory: Directory) -> bytes:
    """Make a TIFF of tags alone."""
    return struct.pack("<2sHI", b"II", 42, 8) + _pack(directory, {}, _Layout("<", False), 8)


def bigtiff_of(order: str, samples: bytes, directory: Directory) -> bytes:
    """Make a BigTIFF of one page whose samples stand behind its header, at offset `BIGTIFF_HEADER_BYTES`."""
    samples += b"\0" * (len(samples) % 2)
    start = BIGTIFF_HEADER_BYTES + len(samples)
    mark = b"II" if order == "<" else b"MM"
    header = struct.pack(order + "2sHHHQ", mark, 43, 8, 0, start)
    return header + samples + _pack(directory, {}, _Layout(order, True), start)


def without_thumbnail(data: bytes) -> bytes:
    """Return a TIFF of tags with zeros for its thumbnail, and without the directory that describes it."""
    stream = io.BytesIO(data)
    thumbnail: Directory = {}
    try:
        layout, offset = _read_header(stream)
        start = _next_directory(stream, layout, offset)
        end = stream.tell()
        if start:
            thumbnail = _read_entries(stream, layout, start, 0)
    except _DAMAGE:
        return data
    size = struct.calcsize(layout.offset)
    edited = bytearray(data)
    edited[end - size : end] = bytes(size)
    for offsets, sizes in _THUMBNAILS:
        for first, count in zip(integers(thumbnail.get(offsets)), integers(thumbnail.get(sizes)), strict=False):
            part = slice(int(first), int(first) + int(count))
            edited[part] = bytes(len(edited[part]))
    return bytes(edited)


def append_tags(stream: BinaryIO, added: Directory) -> None:
    """Add tags to the first page of a TIFF file; those that are there already keep their values.

    stream: open for reading and writing. A larger copy of the page's directory is appended to the file.
    """
    layout, offset = _read_header(stream)
    stream.seek(offset)
    (count,) = _read(stream, layout.count)
    entries = (_read(stream, layout.entry) for _ in range(count))
    present = {tag: struct.pack(layout.entry, tag, *entry) for tag, *entry in entries}
    end = stream.seek(0, io.SEEK_END)
    start = end + end % 2
    missing = {tag: value for tag, value in added.items() if tag not in present}
    stream.write(b"\0" * (start - end) + _pack(missing, present, layout, start))
    stream.seek(8 if layout.big else 4)
    stream.write(struct.pack(layout.offset, start))


def append_page(stream: BinaryIO, page: BinaryIO) -> None:
    """Add the first page of one TIFF file behind the last of another, or to an empty one.

    Args:
        stream: open for reading and writing.
        page: open for reading, of the same byte order and kind as `stream`; for example by the same encoder.

    Raises:
        ValueError: the files differ in kind, or the result is too large for it.
    """
    layout, offset = _read_header(page)
    directory = _read_entries(page, layout, offset, _MAX_DEPTH)
    page.seek(0)
    base = stream.seek(0, io.SEEK_END)
    if base == 0:
        shutil.copyfileobj(page, stream)
        return
    whole, last = _read_header(stream)
    if whole != layout:
        raise ValueError("the pages are of different kinds of TIFF")
    while last:
        offset, last = last, _next_directory(stream, layout, last)
    link = stream.tell() - struct.calcsize(layout.offset)
    base += _pad(stream)
    shutil.copyfileobj(page, stream)
    start = base + page.tell()
    start += _pad(stream)
    for tag in _SAMPLE_OFFSETS & directory.keys():
        moved = integers(directory[tag]) + np.uint64(base)
        directory[tag] = integer_value(moved, _LONG8 if layout.big else _LONG)
    block = _pack(directory, {}, layout, start)
    if not layout.big and start + len(block) >= 2**32:
        raise ValueError("the pages together are too large for a TIFF")
    stream.write(block)
    stream.seek(link)
    stream.write(struct.pack(layout.offset, start))


def _pad(stream: BinaryIO) -> int:
    """Directories and what they point to stand at even offsets."""
    return stream.write(b"\0" * (stream.seek(0, io.SEEK_END) % 2))


def set_integers(stream: BinaryIO, tag: int, values: list[int]) -> None:
    """Replace the values of an integer tag of the first page of a TIFF, if it has as many."""
    layout, offset = _read_header(stream)
    stream.seek(offset)
    (count,) = _read(stream, layout.count)
    for _ in range(count):
        own, kind, number, field = _read(stream, layout.entry)
        if own == tag and kind in _INTEGERS and number == len(values):
            packed = struct.pack(f"{layout.order}{number}{_INTEGERS[kind]}", *values)
            field_offset = stream.tell() - len(field)
            stream.seek(field_offset if len(packed) <= len(field) else struct.unpack(layout.offset, field)[0])
            stream.write(packed)
            return


def _read(stream: BinaryIO, format: str) -> tuple[Any, ...]:
    return struct.unpack(format, stream.read(struct.calcsize(format)))


def _read_header(stream: BinaryIO) -> tuple[_Layout, int]:
    """Return the layout of a file and the offset of its first directory."""
    stream.seek(0)
    order = "<" if stream.read(2) == b"II" else ">"
    (version,) = _read(stream, order + "H")
    layout = _Layout(order, version == 43)
    if layout.big:
        stream.seek(8)
    return layout, _read(stream, layout.offset)[0]


def _next_directory(stream: BinaryIO, layout: _Layout, offset: int) -> int:
    stream.seek(offset)
    (count,) = _read(stream, layout.count)
    stream.seek(count * struct.calcsize(layout.entry), io.SEEK_CUR)
    (following,) = _read(stream, layout.offset)
    return int(following)


def _read_entries(stream: BinaryIO, layout: _Layout, offset: int, depth: int, limit: int | None = None) -> Directory:
    file_bytes = stream.seek(0, io.SEEK_END)
    stream.seek(offset)
    (count,) = _read(stream, layout.count)
    entry_bytes = struct.calcsize(layout.entry)
    block = stream.read(min(count, 2**16) * entry_bytes)
    directory: Directory = {}
    for tag, kind, values, field in struct.iter_unpack(layout.entry, block[: len(block) // entry_bytes * entry_bytes]):
        size = values * _VALUE_BYTES.get(kind, 0)
        # The first of equal tags counts, and directories that name each other a thousand times cost nothing.
        if tag in directory or not 0 < size <= min(file_bytes, limit or file_bytes):
            if size == 0 and tag in CODING_NUMBERS:
                directory.setdefault(tag, Value(kind, b""))
            continue
        try:
            if size > len(field):
                stream.seek(struct.unpack(layout.offset, field)[0])
                field = stream.read(size)
                if len(field) < size:
                    continue
            value = Value(kind, _swapped(field[:size], kind, layout.order))
            if tag not in _SUBDIRECTORIES:
                directory[tag] = value
            elif depth:
                directory[tag] = _read_entries(stream, layout, value.first_integer(), depth - 1, limit)
        except _DAMAGE:
            continue
    return directory


def _swapped(data: bytes, kind: int, order: str) -> bytes:
    """Turn values between little-endian and the byte order of a file."""
    if order == "<" or _UNIT_BYTES[kind] == 1:
        return data
    return np.frombuffer(data, f"u{_UNIT_BYTES[kind]}").byteswap().tobytes()


def _pack(directory: Directory, present: dict[int, bytes], layout: _Layout, start: int) -> bytes:
    """Return a directory that will stand at offset `start` of a file, with everything that belongs to it behind it.

    present: entries that are taken over as they are, by tag.
    """
    count = len(directory) + len(present)
    room = struct.calcsize(layout.offset)
    behind = start + struct.calcsize(layout.count) + count * struct.calcsize(layout.entry) + room
    entries = dict(present)
    extra = b""
    for tag, item in directory.items():
        extra += b"\0" * (len(extra) % 2)
        if isinstance(item, dict):
            kind, values = _LONG, 1
            field = struct.pack(layout.order + "I", behind + len(extra))
            extra += _pack(item, {}, layout, behind + len(extra))
        else:
            kind, values = item.kind, len(item.data) // _VALUE_BYTES[item.kind]
            field = _swapped(item.data, kind, layout.order)
            if len(field) > room:
                field, extra = struct.pack(layout.offset, behind + len(extra)), extra + field
        entries[tag] = struct.pack(layout.entry, tag, kind, values, field)
    packed = b"".join(entries[tag] for tag in sorted(entries))
    return struct.pack(layout.count, count) + packed + struct.pack(layout.offset, 0) + extra
