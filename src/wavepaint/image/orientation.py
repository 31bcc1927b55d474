"""From an image as viewers show it back to how a file stores it, by the EXIF orientation 1 to 8."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wavepaint.box import Box

_MIRRORED_ROWS = (3, 4, 7, 8)  # stored columns (from 5 on: rows) run against the upright rows
_MIRRORED_COLUMNS = (2, 3, 6, 7)


def to_upright(stored: NDArray[Any], orientation: int) -> NDArray[Any]:
    """A view of (height, width, ...) samples of a file in the order of the upright image."""
    rows, columns = (-1 if orientation in mirrored else 1 for mirrored in (_MIRRORED_ROWS, _MIRRORED_COLUMNS))
    upright = stored if orientation < 5 else np.swapaxes(stored, 0, 1)
    return upright[::rows, ::columns]


def to_stored(upright: NDArray[Any], orientation: int) -> NDArray[Any]:
    """A view of (height, width, ...) samples in the order of the file."""
    # A quarter turn is undone by the opposite one, everything else by itself.
    return to_upright(upright, {6: 8, 8: 6}.get(orientation, orientation))


def box_to_stored(box: Box, width: int, height: int, orientation: int) -> Box:
    """Where a box of the upright image of `width` x `height` lies in the file."""
    top = height - box.bottom if orientation in _MIRRORED_ROWS else box.top
    left = width - box.right if orientation in _MIRRORED_COLUMNS else box.left
    if orientation < 5:
        return Box(left, top, box.width, box.height)
    return Box(top, left, box.height, box.width)
