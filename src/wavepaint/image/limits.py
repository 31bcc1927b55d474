"""From which sizes on an image is handled otherwise, and which files claim more pixels than they can hold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

from wavepaint.errors import ImageError

# A PNG can hold no more, whatever is in it: https://zlib.net/zlib_tech.html
_DEFLATE_RATIO = 1032


@dataclass(frozen=True, kw_only=True)
class ImageLimits:
    """From which sizes on an image is handled otherwise."""

    held_bytes: int = 256 * 2**20  # images of more decoded bytes are streamed instead of held in memory
    tiff_bytes: int = 3 * 2**30  # a TIFF of more, in all its pages, becomes a BigTIFF: others address 4 GiB
    suspect_pixels: int = 2**26  # images of no more pixels are decoded whatever the size of their file
    # Most that larger images have for each byte of their file. An empty mask in CCITT Group 4, the tightest of usual
    # files, has up to 80,000; a PNG has 8,256.
    pixels_a_byte: int = 2**15
    lifted: bool = False  # whether larger images may have any number of them


LIMITS: ContextVar[ImageLimits] = ContextVar("limits", default=ImageLimits())
"""Those that hold now, in this thread."""


@contextmanager
def changed_limits(**changes: Any) -> Iterator[None]:
    """Open and write images within the block, in this thread, with other limits: fields of `ImageLimits`."""
    token = LIMITS.set(replace(LIMITS.get(), **changes))
    try:
        yield
    finally:
        LIMITS.reset(token)


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
    limits = LIMITS.get()
    if pixels > max(limits.suspect_pixels, limits.pixels_a_byte * file_bytes) and not limits.lifted:
        raise ImageError(f"{name}: {size}; --no-limits (no_limits=True) decodes it all the same")
