"""Before and after side by side, to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from wavepaint.errors import ImageError
from wavepaint.image.file import ImageFile
from wavepaint.image.vips import has_field, libvips, reason_of

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
        content = joined.pngsave_buffer(compression=1)
    except libvips().Error as error:
        raise ImageError(f"{target}: the comparison cannot be made: {reason_of(error)}") from None
    ImageFile.open(content).save(target)


def _as_srgb(source: Path | bytes) -> Any:
    # Upright, and without what is neither colour nor transparency.
    image = libvips().Image.new_from_buffer(ImageFile.open(source).encode(format="png"), "")
    if has_field(image, "icc-profile-data"):
        image = image.icc_transform("srgb")
    image = image.colourspace("srgb")
    return image.flatten(background=[255.0]) if image.hasalpha() else image
