"""Counts in squares, by summed-area tables (Crow 1984)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


def box_sums(marks: Mask, side: int) -> NDArray[np.int32]:
    """Count the marks in every square of `side` that lies inside: (H, W) -> (H - side + 1, W - side + 1)."""
    return square_sums(summed_area_table(marks), side)


def summed_area_table(marks: Mask) -> NDArray[np.int32]:
    """A summed-area table: (H, W) -> (H + 1, W + 1), the marks above and left of every corner."""
    return np.pad(marks.cumsum(axis=0, dtype=np.int32).cumsum(axis=1, dtype=np.int32), ((1, 0), (1, 0)))


def square_sums(sums: NDArray[np.int32], side: int) -> NDArray[np.int32]:
    """`box_sums` from a summed-area table."""
    counts: NDArray[np.int32] = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    return counts
