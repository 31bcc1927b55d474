"""Which format a file name stands for, and which formats can be written."""

from __future__ import annotations

import functools
import posixpath
from pathlib import Path, PurePosixPath

from wavepaint.errors import ImageError, OptionError
from wavepaint.image.encoders import HEIF_COMPRESSION, SAVER_FORMAT, SAVERS
from wavepaint.image.hevc import ADVICE, is_installed
from wavepaint.image.vips import has_operation, libvips

FORMAT_OF_SUFFIX = {
    ".png": "png",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".jpe": "jpeg",
    ".jfif": "jpeg",
    ".webp": "webp",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".avif": "avif",
    ".heic": "heic",
    ".heif": "heic",
    ".jxl": "jxl",
    ".bmp": "bmp",
}
"""The format of a file to write, one of `options.FORMATS`, by its suffix in lower case."""

IMAGE_SUFFIXES = frozenset(FORMAT_OF_SUFFIX) | {".gif"}
"""Of files that are taken for images in folders and shards; one that cannot be read is reported by name."""


def is_image(name: str) -> bool:
    """Whether a file is taken for an image: by its suffix, unless it is hidden."""
    path = PurePosixPath(name)
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def suffix_in(format: str, suffix: str) -> str:
    """The suffix of a file of that format, one of `options.FORMATS`: the one it has, if that will do."""
    usual = {"jpeg": ".jpg", "tiff": ".tif"}.get(format, f".{format}")
    return suffix if FORMAT_OF_SUFFIX.get(suffix.lower()) == format else usual


def result_name(name: str, format: str | None = None) -> str:
    """The relative name of a result, in a format or in its image's own; `.png` follows the name of one only read.

    It never leads upwards.
    """
    name = posixpath.normpath(f"/{name}").lstrip("/")
    stem, suffix = posixpath.splitext(name)
    if format is not None:
        return stem + suffix_in(format, suffix)
    return name if suffix.lower() in FORMAT_OF_SUFFIX else f"{name}.png"


def format_of_name(target: str | Path) -> str | None:
    """The format that a file of that name gets by its suffix, one of `options.FORMATS`; None without a suffix.

    Raises:
        ImageError: a suffix that cannot be written, whether unknown or for want of an encoder.
    """
    suffix = Path(target).suffix.lower()
    format = FORMAT_OF_SUFFIX.get(suffix)
    if format == "heic" and not can_write(format):
        raise ImageError(f"{target}: {ADVICE}")
    if suffix and (format is None or not can_write(format)):
        raise ImageError(f"{target}: cannot write {suffix} files, only {writable_suffixes()}")
    return format


def can_write(format: str) -> bool:
    """Whether there is an encoder for one of `options.FORMATS`."""
    return libvips_writes(format) or (format == "heic" and is_installed())


def check_writable(format: str | None) -> None:
    """Refuse a format that is asked for and has no encoder: `OptionError`."""
    if format is not None and not can_write(format):
        raise OptionError(f"format {format} cannot be written here" + f": {ADVICE}" * (format == "heic"))


@functools.cache
def libvips_writes(format: str) -> bool:
    """Whether libvips has an encoder for one of `options.FORMATS`: HEIC is often left out, for its patents."""
    options = SAVER_FORMAT.get(format, {})
    if format in HEIF_COMPRESSION:
        options = {"compression": HEIF_COMPRESSION[format]}
    vips = libvips()
    if not has_operation(f"{SAVERS[format]}_buffer"):
        return False
    try:
        getattr(vips.Image.black(16, 16, bands=3), SAVERS[format] + "_buffer")(**options)
    except vips.Error:
        return False
    return True


def writable_suffixes() -> str:
    """All suffixes that can be written, for messages."""
    return ", ".join(suffix for suffix, format in FORMAT_OF_SUFFIX.items() if can_write(format))
