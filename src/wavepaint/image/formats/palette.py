"""The palette of an indexed image, which libvips resolves: what index 0 stands for."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import BinaryIO, TypeAlias

import numpy as np

from wavepaint.image.formats import png, tiff

Colour: TypeAlias = tuple[int, int, int, int]
"""Red, green, blue and alpha, 8 bits each."""

_COLOUR_MAP = 320
_PALETTE = 3


def label_base(stream: BinaryIO, format: str, directory: int = 0) -> Colour | None:
    """The colour of index 0 of a palette that holds other colours than greys; None for every other image.

    Args:
        stream: the file, a PNG, GIF or TIFF as `format` says.
        format: the file's format; others have no palettes.
        directory: of a TIFF, which of its images.
    """
    stream.seek(0)
    palette, alpha = b"", 255
    try:
        if format == "png":
            palette, alpha = _png_palette(stream)
        elif format == "gif":
            palette = _gif_palette(stream)
        elif format == "tiff":
            palette = _tiff_palette(stream, directory)
    except (struct.error, ValueError):  # a damaged file, which its decoder will say
        return None
    return base_of(palette[: len(palette) // 3 * 3], alpha)


def base_of(palette: Sequence[int], alpha: int) -> Colour | None:
    """The first colour of a palette, red, green, blue in turn; None if all are greys, or there are none."""
    if palette[::3] == palette[1::3] == palette[2::3]:
        return None
    return palette[0], palette[1], palette[2], alpha


def _png_palette(stream: BinaryIO) -> tuple[bytes, int]:
    palette, alpha, indexed = b"", 255, False
    for kind, size in png.each_chunk(stream):
        if kind == b"IDAT":
            break
        if kind == b"IHDR":
            indexed = stream.read(size)[9] == _PALETTE
        elif kind == b"PLTE":
            palette = stream.read(size)
        elif kind == b"tRNS":
            alpha = [*stream.read(size)[:1], alpha][0]
    return palette if indexed else b"", alpha


def _gif_palette(stream: BinaryIO) -> bytes:
    flags = stream.read(13)[10]
    return stream.read(3 * 2 ** ((flags & 7) + 1)) if flags & 128 else b""


def _tiff_palette(stream: BinaryIO, directory: int) -> bytes:
    entries = tiff.read_directory(stream, directory, tiff.MAX_VALUE_BYTES)
    colours = entries.get(_COLOUR_MAP)
    if tiff.integer_tags(entries).get(tiff.PHOTOMETRIC) != _PALETTE or not isinstance(colours, tiff.Value):
        return b""
    planes = tiff.integers(colours).reshape(3, -1)
    return (planes.T >> np.uint64(8)).astype(np.uint8).tobytes()
