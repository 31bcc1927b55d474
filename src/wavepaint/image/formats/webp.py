"""The chunks of a WebP."""

from __future__ import annotations

import io
from typing import BinaryIO

from wavepaint.image.formats.splicing import splice

_HAS_EXIF, _HAS_ALPHA = 0x08, 0x10


def is_lossless(stream: BinaryIO) -> bool:
    """Whether the (first frame of the) WebP file is stored without loss."""
    stream.seek(12)
    while len(head := stream.read(8)) == 8:
        if head[:4] in (b"VP8L", b"VP8 "):
            return head[:4] == b"VP8L"
        size = int.from_bytes(head[4:], "little")
        # A frame of an animation wraps its own chunks behind 16 bytes of geometry and timing.
        stream.seek(16 if head[:4] == b"ANMF" else size + size % 2, 1)
    return False


def append_exif(stream: BinaryIO, block: bytes, width: int, height: int, has_alpha: bool) -> None:
    """Add an EXIF block to a WebP of one frame that has none, open for reading and writing."""
    stream.seek(12)
    kind, flags = stream.read(4), stream.read(5)[4]
    if kind != b"VP8X":
        flags = _HAS_ALPHA if has_alpha else 0
        sizes = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        splice(stream, 12, 12, b"VP8X" + (10).to_bytes(4, "little") + bytes([flags, 0, 0, 0]) + sizes)
    stream.seek(20)
    stream.write(bytes([flags | _HAS_EXIF]))
    stream.seek(0, io.SEEK_END)
    stream.write(b"EXIF" + len(block).to_bytes(4, "little") + block + b"\0" * (len(block) % 2))
    size = stream.tell()
    stream.seek(4)
    stream.write((size - 8).to_bytes(4, "little"))
