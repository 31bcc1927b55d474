"""Which format a file name stands for, and which formats can be written."""

from __future__ import annotations

import functools
from pathlib import Path, PurePosixPath

from wavepaint.errors import ImageError
from wavepaint.image.encoders import HEIF_COMPRESSION, SAVERS
from wavepaint.image.vips import libvips

FORMAT_OF_SUFFIX = {
    ".png": "png",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".jpe": "jpeg",
    ".webp": "webp",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".avif": "avif",
    ".heic": "heic",
    ".heif": "heic",
}
"""The format of a file to write, one of `options.FORMATS`, by its suffix in lower case."""

READABLE_SUFFIXES = frozenset(FORMAT_OF_SUFFIX) | {".gif"}
"""Suffixes of files that can be opened; what counts in the end is what a file contains, not its name."""

IMAGE_SUFFIXES = READABLE_SUFFIXES | {".jfif", ".bmp", ".jxl"}
"""Of files that are taken for images in folders and shards; one that cannot be read is reported by name."""


def is_image(name: str) -> bool:
    """Whether a file is taken for an image: by its suffix, unless it is hidden."""
    path = PurePosixPath(name)
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def format_of_name(target: str | Path) -> str | None:
    """The format that a file of that name gets by its suffix, one of `options.FORMATS`; None without a suffix.

    Raises:
        ImageError: a suffix that cannot be written, whether unknown or for want of an encoder.
    """
    suffix = Path(target).suffix.lower()
    format = FORMAT_OF_SUFFIX.get(suffix)
    if suffix and (format is None or not can_write(format)):
        raise ImageError(f"{target}: cannot write {suffix} files, only {writable_suffixes()}")
    return format


@functools.cache
def can_write(format: str) -> bool:
    """Whether libvips has an encoder for one of `options.FORMATS`: HEIC is often left out, for its patents."""
    options = {"compression": HEIF_COMPRESSION[format]} if format in HEIF_COMPRESSION else {}
    vips = libvips()
    try:
        getattr(vips.Image.black(16, 16, bands=3), SAVERS[format] + "_buffer")(**options)
    except vips.Error:
        return False
    return True


def writable_suffixes() -> str:
    """All suffixes that can be written, for messages."""
    return ", ".join(suffix for suffix, format in FORMAT_OF_SUFFIX.items() if can_write(format))
