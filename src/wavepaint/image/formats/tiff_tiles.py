"""The strips of a TIFF, checked, and its tiles, checked and handed on as the strips of another TIFF.

A tile is stored exactly as a strip of its size is, with the same compression, predictor and byte order. So any tiles
of a file make a TIFF in strips: one tile wide, and the tiles below one another.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

import numpy as np

from wavepaint.cancellation import check_cancelled
from wavepaint.image.formats import jpeg, tiff

_WIDTH, _HEIGHT, _SAMPLES_PER_PIXEL, _BITS, _PLANAR = 256, 257, 277, 258, 284
_STRIP_OFFSETS, _ROWS_PER_STRIP, _STRIP_BYTES = 273, 278, 279
_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_BYTES = 322, 323, 324, 325
# Compression, colours and their order, fill order, fax options, predictor, palette, inks, extra samples, sample
# format, JPEG tables, YCbCr, profile: all that tells how samples are coded and what they mean.
_CODING = frozenset(
    [_BITS, 259, 262, 266, _SAMPLES_PER_PIXEL, _PLANAR, 292, 293, 317, 320, 332, 334, 338, 339, 347, *range(529, 533)]
) | {34675}
_SEPARATE = 2
_LZW, _JPEG, _DEFLATE, _PACKBITS, _JPEG_TABLES = 5, 7, (8, 32946), 32773, 347
_PIECE_BYTES = 2**20
_MAX_SIDE = 2**24


class TileTable:
    """Where the tiles of a page are, and how they are coded.

    Args:
        stream: the file.
        page: number of its directory, from 0.

    Attributes:
        tile_width: pixels.
        tile_height: pixels.
        across: tiles in a row of tiles.
        down: rows of tiles.

    Raises:
        ValueError: tags that are missing or make no sense.
    """

    def __init__(self, stream: BinaryIO, page: int) -> None:
        directory = tiff.read_directory(stream, page)
        tags = tiff.integer_tags(directory)
        width, height = tags.get(_WIDTH, 0), tags.get(_HEIGHT, 0)
        self.tile_width, self.tile_height = tags.get(_TILE_WIDTH, 0), tags.get(_TILE_HEIGHT, 0)
        if not (0 < self.tile_width <= _MAX_SIDE and 0 < self.tile_height <= _MAX_SIDE and width and height):
            raise ValueError("its tiles have no size")
        self.across, self.down = -(-width // self.tile_width), -(-height // self.tile_height)
        planes = tags.get(_SAMPLES_PER_PIXEL, 1) if tags.get(_PLANAR) == _SEPARATE else 1
        count = self.across * self.down * planes
        offsets, sizes = (tiff.integers(directory.get(tag)) for tag in (_TILE_OFFSETS, _TILE_BYTES))
        if len(offsets) < count or len(sizes) < count:
            raise ValueError(f"it has {count} tiles, but lists {min(len(offsets), len(sizes))}")
        self._order = tiff.byte_order(stream)
        self._coding = {tag: value for tag, value in directory.items() if tag in _CODING}
        self._offsets, self._sizes = offsets[:count], sizes[:count]
        self._parts = _Parts(directory, self.tile_width, self.tile_height)

    def as_strips(self, stream: BinaryIO, tiles: Sequence[int]) -> bytes:
        """Make a TIFF in which some tiles stand below one another.

        Args:
            stream: the file that the table was read from.
            tiles: their numbers, row by row from 0.

        Raises:
            ValueError: a tile that is not, or not wholly, in the file.
        """
        planes = len(self._offsets) // (self.across * self.down)
        numbers = [tile + plane * self.across * self.down for plane in range(planes) for tile in tiles]
        file_bytes = stream.seek(0, io.SEEK_END)
        data = [self._read(stream, file_bytes, number) for number in numbers]
        sizes = np.array([len(tile) for tile in data], np.uint64)
        ends = np.cumsum(sizes) + np.uint64(tiff.BIGTIFF_HEADER_BYTES)
        directory = self._coding | {
            _WIDTH: tiff.integer_value([self.tile_width]),
            _HEIGHT: tiff.integer_value([self.tile_height * len(tiles)]),
            _ROWS_PER_STRIP: tiff.integer_value([self.tile_height]),
            _STRIP_OFFSETS: tiff.integer_value(ends - sizes),
            _STRIP_BYTES: tiff.integer_value(sizes),
        }
        return tiff.bigtiff_of(self._order, b"".join(data), directory)

    def _read(self, stream: BinaryIO, file_bytes: int, number: int) -> bytes:
        offset, size = int(self._offsets[number]), int(self._sizes[number])
        if not (offset and size):
            raise ValueError(f"tile {number + 1} of {len(self._offsets)} is missing")
        # No encoder makes so much of a tile: a damaged size must not cost the memory that it claims.
        length = min(size, 4 * self._parts.most_bytes + 2**16)
        if offset + length > file_bytes:
            raise ValueError(f"tile {number + 1} of {len(self._offsets)} reaches beyond the end of the file")
        if self._parts.is_damaged(stream, offset, length, self.tile_height):
            raise ValueError(f"tile {number + 1} of {len(self._offsets)} is damaged")
        stream.seek(offset)
        return stream.read(length)


class _Parts:
    """How the strips or tiles of a page are coded.

    Args:
        directory: of the page.
        width: pixels.
        rows: of all but, perhaps, the last strip.
    """

    def __init__(self, directory: tiff.Directory, width: int, rows: int) -> None:
        tags = tiff.integer_tags(directory)
        if wrong := [tag for tag in tiff.CODING_NUMBERS if tag in directory and tag not in tags]:
            raise ValueError(f"its tag {wrong[0]} is no number")
        tables = directory.get(_JPEG_TABLES)
        channels = 1 if tags.get(_PLANAR) == _SEPARATE else tags.get(_SAMPLES_PER_PIXEL, 1)
        self.width, self.rows, self.compression = width, rows, tags.get(tiff.COMPRESSION, 1)
        self.most_bytes = rows * -(-width * channels * tags.get(_BITS, 1) // 8)
        """Of one that is not compressed."""
        self.tables = tables.data if isinstance(tables, tiff.Value) else b""
        """A JPEG that holds only tables."""

    def is_damaged(self, stream: BinaryIO, offset: int, size: int, rows: int) -> bool:
        """Whether one becomes too many bytes, a checksum is wrong, or a JPEG is no whole one: no codec minds these.

        rows: that it must have at least.
        """
        stream.seek(offset)
        expand = {_PACKBITS: _packbits_bytes, **dict.fromkeys(_DEFLATE, _deflate_bytes)}.get(self.compression)
        if expand is not None:
            # Some programs fill the last strip up.
            most = self.most_bytes
            expanded = expand(_pieces(stream, size), most)
            return expanded > most or most * rows // self.rows < expanded < most
        if self.compression == _LZW:  # of 12 bits a byte at most, and codes between them
            return size > 3 * self.most_bytes // 2 + self.most_bytes // 1000 + 64
        return self.compression == _JPEG and not jpeg.is_complete_part(stream, self.tables, self.width, rows)


def check_strips(stream: BinaryIO, page: int) -> None:
    """Refuse strips of a page that are damaged where no decoder looks; nothing is said about any other damage.

    Raises:
        ValueError: such a strip.
    """
    directory = tiff.read_directory(stream, page)
    tags = tiff.integer_tags(directory)
    height = tags.get(_HEIGHT, 0)
    rows = max(1, min(tags.get(_ROWS_PER_STRIP, _MAX_SIDE), height))
    parts = _Parts(directory, tags.get(_WIDTH, 0), rows)
    offsets, sizes = (tiff.integers(directory.get(tag)).tolist() for tag in (_STRIP_OFFSETS, _STRIP_BYTES))
    for number, (offset, size) in enumerate(zip(offsets, sizes, strict=False)):
        check_cancelled()
        top = number % -(-height // rows) * rows if height else 0
        if parts.is_damaged(stream, offset, size, min(rows, height - top)):
            raise ValueError(f"strip {number + 1} is damaged")


def _pieces(stream: BinaryIO, size: int) -> Iterator[bytes]:
    while size > 0 and (piece := stream.read(min(size, _PIECE_BYTES))):
        size -= len(piece)
        yield piece


def _deflate_bytes(pieces: Iterable[bytes], most: int) -> int:
    """How much data become; more than `most` where they do not end there, or are damaged."""
    decompressor = zlib.decompressobj()
    size = 0
    try:
        for piece in pieces:
            part = piece
            while part and size <= most and not decompressor.eof:
                part = decompressor.decompress(piece, _PIECE_BYTES)
                size, piece = size + len(part), decompressor.unconsumed_tail
    except zlib.error:
        return most + 1
    return size if decompressor.eof else most + 1


def _packbits_bytes(pieces: Iterable[bytes], most: int) -> int:
    """Like `_deflate_bytes`; there is no checksum."""
    size = position = 0
    for piece in pieces:
        while position < len(piece) and size <= most + 128:
            control = piece[position]
            if control > 128:
                size, position = size + 257 - control, position + 2
            elif control < 128:
                size, position = size + control + 1, position + control + 2
            else:
                position += 1
        position -= len(piece)
    # A run that ends beyond the data is damage, too.
    return size if position <= 0 else most + 1
