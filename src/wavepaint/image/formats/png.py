"""The chunks of a PNG: what it says about its image besides the samples."""

from __future__ import annotations

import io
from typing import BinaryIO

# Colour (gamma, primaries, rendering intent, coding-independent code points, mastering display, light level),
# texts and physical scale: what a PNG says and libvips either drops or recodes.
_CARRIED = frozenset([b"gAMA", b"cHRM", b"sRGB", b"cICP", b"mDCV", b"cLLI", b"tEXt", b"zTXt", b"iTXt", b"sCAL"])
_HEADER_BYTES = 33
_XMP_KEYWORD = b"XML:com.adobe.xmp\0"


def descriptive_chunks(stream: BinaryIO) -> bytes:
    """Return the chunks of a PNG that describe its image and may stand in another PNG unchanged.

    That leaves out the profile, resolution, EXIF and XMP, which libvips passes on.
    """
    stream.seek(8)
    chunks = b""
    while len(head := stream.read(8)) == 8:
        size, kind = int.from_bytes(head[:4], "big"), head[4:]
        if kind not in _CARRIED:
            stream.seek(size + 4, io.SEEK_CUR)
            continue
        body = stream.read(size + 4)
        if len(body) == size + 4 and not body.startswith(_XMP_KEYWORD):
            chunks += head + body
    return chunks


def insert_chunks(stream: BinaryIO, chunks: bytes) -> None:
    """Insert chunks behind the header of a PNG; `stream` is open for reading and writing."""
    block = 2**20
    end = stream.seek(0, io.SEEK_END)
    while end > _HEADER_BYTES:
        start = max(end - block, _HEADER_BYTES)
        stream.seek(start)
        data = stream.read(end - start)
        stream.seek(start + len(chunks))
        stream.write(data)
        end = start
    stream.seek(_HEADER_BYTES)
    stream.write(chunks)


def frames(stream: BinaryIO) -> int:
    """Return how many frames an animated PNG has; 0 for any other PNG."""
    stream.seek(8)
    while len(head := stream.read(8)) == 8 and head[4:] != b"IDAT":
        size = int.from_bytes(head[:4], "big")
        if head[4:] == b"acTL":
            return int.from_bytes(stream.read(4), "big")
        stream.seek(size + 4, io.SEEK_CUR)
    return 0
