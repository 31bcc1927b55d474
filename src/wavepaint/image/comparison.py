"""Before and after side by side, to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from wavepaint.errors import ImageError
from wavepaint.files import atomic_write
from wavepaint.image.vips import has_field, libvips

GAP = 16
"""White pixels between the two."""


def write_comparison(before: Path | bytes, after: Path | bytes, target: Path) -> None:
    """Write two images of the same size side by side, in 8-bit sRGB on white.

    Args:
        before, after: image files, or the contents of some; of several pages the first.
        target: file to write, in the format of its suffix.

    Raises:
        ImageError: a file that cannot be read or written.
    """
    try:
        sides = [_as_srgb(source) for source in (before, after)]
        joined = sides[0].join(sides[1], "horizontal", shim=GAP, background=[255.0], expand=True)
        content = joined.write_to_buffer(target.suffix)
    except libvips().Error as error:
        raise ImageError(f"{target}: the comparison cannot be made: {str(error).strip().splitlines()[-1]}") from None
    try:
        with atomic_write(target) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise ImageError(f"{target}: cannot be written: {error.strerror or error}") from None


def _as_srgb(source: Path | bytes) -> Any:
    if isinstance(source, bytes):
        image = libvips().Image.new_from_buffer(source, "")
    else:
        image = libvips().Image.new_from_file(str(source))
    image = image.autorot()
    if has_field(image, "icc-profile-data"):
        image = image.icc_transform("srgb")
    image = image.colourspace("srgb")
    return image.flatten(background=[255.0]) if image.hasalpha() else image
