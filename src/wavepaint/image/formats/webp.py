"""The chunks of a WebP."""

from __future__ import annotations

from typing import BinaryIO


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
