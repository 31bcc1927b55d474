"""Textures that repeat exactly, as tiles, weaves and halftones do: their continuation is known, and needs no search."""

from __future__ import annotations

import numpy as np

from wavepaint.fill.levels import Level
from wavepaint.fill.noise import hashes
from wavepaint.fill.patches import RADIUS, Indices, box_around, dilate

TOGETHER = 8
"""Samples that are compared at all moves together."""
THOROUGH = 64
"""Samples that are compared before moves are left out."""
MOST_MOVES = 1000
"""Moves that are then enough, evenly taken."""


def find_repeats(level: Level) -> tuple[Indices, Indices] | None:
    """Copies that agree, to the last bit, with all known samples in the patches that touch the hole.

    A move must agree wherever it leads to known samples, and do so for at least half of those around the hole.

    Returns:
        (N,) indices of the targets and (N,) indices of the sources that they copy; None unless all have one.
    """
    height, width = level.hole.shape
    # Laid out with a margin, so that samples outside are unknown, too.
    pitch = 2 * width
    colours = np.full((height + 2, pitch), -1)
    red, green, blue = level.planes.astype(np.int64)
    unknown = level.hole | level.excluded
    colours[1:-1, :width] = np.where(unknown, -1, red | green << 12 | blue << 24)
    rows, columns = box_around(level.hole, 2 * RADIUS)
    row, column = np.nonzero(dilate(level.hole[rows, columns], 2 * RADIUS) & ~unknown[rows, columns])
    around = (row + rows.start + 1) * pitch + column + columns.start
    around = around[hashes((), len(around)).argsort(kind="stable")]
    if not len(around):
        return None
    # The rarest colour leaves the fewest moves; the one to itself is always among them.
    _, name, count = np.unique(colours.take(around), return_inverse=True, return_counts=True)
    first = around[count[name].argmin()]
    moves = np.flatnonzero(colours == colours.take(first)) - first
    known = np.zeros(len(moves), np.int64)
    for start in range(0, len(around), TOGETHER):
        if len(moves) < 2:
            return None
        part = around[start : start + TOGETHER]
        found = colours.take(moves[:, None] + part, mode="clip")
        same = ((found == colours.take(part)) | (found < 0)).all(axis=1)
        moves, known = moves[same], (known + np.count_nonzero(found >= 0, axis=1))[same]
        if start >= THOROUGH:
            moves, known = (each[:: len(moves) // MOST_MOVES + 1] for each in (moves, known))
    moves = moves[(-known).argsort(kind="stable")][: np.count_nonzero(2 * known >= len(around))]
    sources, whole = level.sources()
    fit = np.zeros(colours.shape, np.bool_)
    fit[1:-1, :width] = sources & whole
    targets = np.flatnonzero(dilate(level.hole, RADIUS))
    at, to = targets + targets // width * width + pitch, np.zeros_like(targets)
    for move in moves:
        (left,) = (to == 0).nonzero()
        found = left[fit.take(at[left] + move, mode="clip")]
        to[found] = at[found] + move
    return None if (to == 0).any() else (targets, (to // pitch - 1) * width + to % pitch)
