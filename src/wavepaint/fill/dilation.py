"""Growing a hole by a distance: exact, in time linear in the area of the mask whatever the radius.

A sample is within the radius of a hole sample in row y if that row's nearest hole sample is `g` columns away and row y
is at most `reach[g] = sqrt(radius**2 - g**2)` rows away. So every row yields, per column, an interval of rows that it
covers, and the union of intervals along a column needs only two running extremes: the lowest row that those above
reach, and the highest row that those below reach. Both are carried over the mask strip by strip.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from wavepaint.cancellation import check_cancelled
from wavepaint.fill.patches import Mask, box_around

STRIP_SAMPLES = 2**18
"""Samples that are worked on together: the working memory is a few bytes for each."""


def dilate(mask: Mask, radius: int) -> Mask:
    """Grow the holes of a mask.

    Args:
        mask: (H, W) bool, True = hole.
        radius: pixels, at least 0.

    Returns:
        (H, W) bool, a new array: True within `radius` (Euclidean distance, inclusive) of a hole sample.
    """
    grown = mask.copy()
    if radius == 0 or not mask.any():
        return grown
    around = box_around(mask, radius)
    source, target = mask[around], grown[around]
    # A row more than `radius` columns from every hole sample covers nothing, not even itself: -1.
    reach = np.array([math.isqrt(radius**2 - gap**2) for gap in range(radius + 1)] + [-1], np.int32)
    _cover_below(source, target, reach)
    # Turned upside down, what is above is below.
    _cover_below(source[::-1], target[::-1], reach)
    return grown


def _cover_below(source: Mask, target: Mask, reach: NDArray[np.int32]) -> None:
    """Mark in `target` what the holes of `source` reach in their own row and below it."""
    lowest = np.full(source.shape[1], -1, np.int32)
    step = max(1, STRIP_SAMPLES // source.shape[1])
    for top in range(0, len(source), step):
        check_cancelled()
        strip = source[top : top + step]
        occupied = np.logical_or.reduce(strip, axis=1)
        gaps = iter(_gaps(strip[occupied], len(reach) - 1))
        for row, has_hole in enumerate(occupied, top):
            if has_hole:
                np.maximum(lowest, reach[next(gaps)] + row, out=lowest)
            target[row] |= lowest >= row


def _gaps(rows: Mask, limit: int) -> NDArray[np.int32]:
    """The distance of every sample to the nearest hole sample of its row, at most `limit`: (N, W) int32."""
    columns = np.arange(rows.shape[1], dtype=np.int32)
    nearest = np.where(rows, columns, np.int32(-limit))
    before = columns - np.maximum.accumulate(nearest, axis=1)
    nearest = np.where(rows, columns, np.int32(rows.shape[1] + limit))
    behind = np.minimum.accumulate(nearest[:, ::-1], axis=1)[:, ::-1] - columns
    return np.minimum(np.minimum(before, behind), np.int32(limit))
