"""Textures that repeat exactly, as tiles, weaves and halftones do: their continuation is known, and needs no search."""

from __future__ import annotations

import numpy as np

from wavepaint.cancellation import check_cancelled
from wavepaint.fill.levels import Level
from wavepaint.fill.noise import hashes
from wavepaint.fill.patches import RADIUS, Indices, box_around, dilate

FEWEST_KNOWN = 100
"""With fewer known samples around the hole, that they repeat may be chance."""
FIRST_COMPARED = 8
"""Samples that are compared in the first round; later ones double what has been compared."""
MOST_COMPARISONS = 2**19
"""Of offsets with samples in each round, nearly; offsets beyond it are left out, evenly."""


def find_repeats(level: Level) -> tuple[Indices, Indices] | None:
    """Copies that agree with all known samples in the patches that touch the hole.

    Samples are compared as the search sees them: colours only, on the level that is searched, rounded to 1/16 of a step
    of 8 bits. An offset must agree wherever it leads to known samples, and do so for at least half of those around the
    hole. Repetitions may be missed, as offsets are left out; they are not looked for beside excluded samples.

    Returns:
        (N,) indices of the targets and (N,) indices of the sources that they copy; None unless all have one.

    Raises:
        Cancelled: the work of this thread is to end.
    """
    height, width = level.hole.shape
    rows, columns = box_around(level.hole, 2 * RADIUS)
    near = dilate(level.hole[rows, columns], 2 * RADIUS)
    row, column = np.nonzero(near & ~level.hole[rows, columns])
    sources, whole = level.sources()
    if len(row) < FEWEST_KNOWN or (near & level.excluded[rows, columns]).any() or not whole:
        return None
    # Laid out with a margin, so that samples outside are unknown, too.
    pitch = 2 * width
    colours = np.full((height + 2, pitch), -1)
    red, green, blue = level.planes.astype(np.int64)
    colours[1:-1, :width] = np.where(level.hole | level.excluded, -1, red | green << 12 | blue << 24)
    around = (row + rows.start + 1) * pitch + column + columns.start
    offsets = _agreeing_offsets(colours, around[hashes((), len(around)).argsort(kind="stable")])
    copied = np.zeros(colours.shape, np.bool_)
    copied[1:-1, :width] = sources
    targets = np.flatnonzero(dilate(level.hole, RADIUS))
    starts, ends = targets + targets // width * width + pitch, np.empty_like(targets)
    left = np.arange(len(targets))
    for offset in offsets:
        check_cancelled()
        moved = starts[left] + offset
        matched = copied.take(moved, mode="clip")
        ends[left[matched]] = moved[matched]
        left = left[~matched]
        if not len(left):
            return targets, (ends // pitch - 1) * width + ends % pitch
    return None


def _agreeing_offsets(colours: Indices, around: Indices) -> Indices:
    """Offsets at which the samples around the hole repeat, those first that lead to the most known ones.

    Args:
        colours: (height, width) int64, -1 = unknown, also in the first and the last row.
        around: (N,) indices, in the order in which they are compared.
    """
    # The rarest colour leaves the fewest offsets.
    _, colour, count = np.unique(colours.take(around), return_inverse=True, return_counts=True)
    first = around[count[colour].argmin()]
    offsets: Indices = np.flatnonzero(colours == colours.take(first)) - first
    offsets = offsets[offsets != 0]
    known = np.zeros(len(offsets), np.int64)
    start, end = 0, FIRST_COMPARED
    while start < len(around) and len(offsets):
        check_cancelled()
        # Every n-th could miss all those that a regular pattern repeats at.
        chosen = hashes((), len(offsets)) * np.float64(len(offsets) * (end - start)) < 2**32 * MOST_COMPARISONS
        offsets, known = offsets[chosen], known[chosen]
        part = around[start:end]
        moved = colours.take(offsets[:, None] + part, mode="clip")
        agrees = ((moved == colours.take(part)) | (moved < 0)).all(axis=1)
        offsets, known = offsets[agrees], (known + np.count_nonzero(moved >= 0, axis=1))[agrees]
        start, end = end, 2 * end
    return offsets[(-known).argsort(kind="stable")][: np.count_nonzero(2 * known >= len(around))]
