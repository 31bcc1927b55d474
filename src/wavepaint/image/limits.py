"""Refuse files that claim far more pixels than their bytes can be expected to hold, before anything is decoded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from wavepaint.errors import ImageError

MIN_SUSPECT_PIXELS = 2**26
"""Images of fewer pixels are decoded whatever the size of their file."""
MAX_PIXELS_A_BYTE = 2**15
"""An empty mask in CCITT Group 4, the tightest of usual files, has up to 80,000 pixels a byte; a PNG has 8,256."""
# A PNG can hold no more, whatever is in it: https://zlib.net/zlib_tech.html
_DEFLATE_RATIO = 1032

_are_lifted: ContextVar[bool] = ContextVar("are_lifted", default=False)


@contextmanager
def limits_lifted(lifted: bool = True) -> Iterator[None]:
    """Open any image within the block, in this thread, whatever the size of its file."""
    token = _are_lifted.set(lifted)
    try:
        yield
    finally:
        _are_lifted.reset(token)


def check_plausible(name: str, container: str, pixels: int, stored_bits: int, file_bytes: int) -> None:
    """Refuse an image by its header: `ImageError`.

    Args:
        name: of the file.
        container: "png" and so on.
        pixels: width times height, by the header.
        stored_bits: of a pixel, before it is compressed.
        file_bytes: of the whole file.
    """
    size = f"claims {pixels / 1e6:,.0f} megapixels in {file_bytes} bytes"
    if container == "png" and pixels * stored_bits // 8 > _DEFLATE_RATIO * file_bytes:
        raise ImageError(f"{name}: {size}, which a PNG cannot hold")
    if pixels > MIN_SUSPECT_PIXELS and pixels > MAX_PIXELS_A_BYTE * file_bytes and not _are_lifted.get():
        raise ImageError(f"{name}: {size}; --no-limits (no_limits=True) decodes it all the same")
