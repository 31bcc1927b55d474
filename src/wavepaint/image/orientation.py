"""From an image as viewers show it back to how a file stores it, by the EXIF orientation 1 to 8."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wavepaint.box import Box

_MIRRORED_ROWS = (3, 4, 7, 8)  # stored columns (from 5 on: rows) run against the upright rows
_MIRRORED_COLUMNS = (2, 3, 6, 7)


def to_stored(upright: NDArray[Any], orientation: int) -> NDArray[Any]:
    """A view of (height, width, ...) samples in the order of the file."""
    return _transposed(_mirrored(upright, orientation), orientation)


def to_upright(stored: NDArray[Any], orientation: int) -> NDArray[Any]:
    """A view of (height, width, ...) samples of a file in the order of the upright image."""
    return _mirrored(_transposed(stored, orientation), orientation)


def _mirrored(upright: NDArray[Any], orientation: int) -> NDArray[Any]:
    rows, columns = orientation in _MIRRORED_ROWS, orientation in _MIRRORED_COLUMNS
    return upright[:: -1 if rows else 1, :: -1 if columns else 1]


def _transposed(samples: NDArray[Any], orientation: int) -> NDArray[Any]:
    return samples if orientation < 5 else np.swapaxes(samples, 0, 1)


def box_to_stored(box: Box, width: int, height: int, orientation: int) -> Box:
    """Where a box of the upright image of `width` x `height` lies in the file."""
    top = height - box.bottom if orientation in _MIRRORED_ROWS else box.top
    left = width - box.right if orientation in _MIRRORED_COLUMNS else box.left
    if orientation < 5:
        return Box(left, top, box.width, box.height)
    return Box(top, left, box.height, box.width)
