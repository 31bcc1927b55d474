"""Replace a part of a file in place."""

from __future__ import annotations

import io
from typing import BinaryIO

_BLOCK_BYTES = 2**20


def splice(stream: BinaryIO, start: int, stop: int, data: bytes) -> None:
    """Replace the bytes from `start` to `stop` of a file, open for reading and writing, by others of any number."""
    end = stream.seek(0, io.SEEK_END)
    shift = len(data) - (stop - start)
    starts = range(stop, end, _BLOCK_BYTES)
    for position in reversed(starts) if shift > 0 else starts:
        if shift:
            stream.seek(position)
            block = stream.read(min(_BLOCK_BYTES, end - position))
            stream.seek(position + shift)
            stream.write(block)
    stream.seek(start)
    stream.write(data)
    stream.truncate(end + shift)
