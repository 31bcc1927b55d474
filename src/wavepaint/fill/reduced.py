"""Large pieces: matches are searched on a reduced copy, and carried down to full resolution.

Every cell of the reduced copy knows where it was copied from; its samples at full resolution are copied from the same
source. Near the edge of a cell the neighbours' sources count as well, weighted by distance: where they agree, as most
do, the copy stays sharp. Last, the mean of every cell is moved to that of the reduced solution, which has no seams.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wavepaint.fill.dilation import dilate
from wavepaint.fill.exemplar import Solution, carry_over, solve
from wavepaint.fill.options import ExemplarOptions
from wavepaint.fill.pyramid import double, haar_fill, halve_known
from wavepaint.fill.units import from_unit, to_unit

Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]
Progress = Callable[[float], bool | None]

REDUCED = 100_000
"""Hole samples of a reduced copy, at most."""
STRIP_CELLS = 8
"""Rows of cells that are copied together."""
SPREAD = 0.3
"""Standard deviation of a cell's weight around its centre, in cells."""
SWEEPS = 3
"""Of the prefill that spreads the jump at the edge."""


def complete_reduced(
    samples: NDArray[Any], hole: Mask, exclude: Mask, options: ExemplarOptions, progress: Progress | None = None
) -> NDArray[Any]:
    """Complete a hole that is too large to search at full resolution.

    Args:
        samples: (H, W, channels) uint8, uint16 or float in [0, 1], the hole filled by the guide.
        hole: (H, W) bool, True = hole.
        exclude: (H, W) bool, True = not to copy from.
        options: see `ExemplarOptions`.
        progress: see `exemplar.solve`.

    Returns:
        (N, channels) of the same type, the samples of the hole.
    """
    unknown = hole | exclude
    colours = 3 if samples.shape[2] >= 3 else 1
    reduced, halvings = samples, 0
    guide, own, avoided = samples[..., :colours], hole, exclude
    while np.count_nonzero(own) > REDUCED:
        guide = halve_known(guide, np.zeros_like(own))[0]
        avoided = _any_in_cell(avoided)
        reduced, own = halve_known(reduced, own)
        halvings += 1
    solution = solve(reduced[..., :colours], own, to_unit(guide), options, avoided & ~own, progress)
    coarse = carry_over(solution, reduced)
    edge = dilate(hole, 1) & ~unknown
    copied = _carry_down(solution, samples, hole | edge, unknown, halvings)
    moved = _to_means(copied, coarse, hole | edge, own, halvings)
    return from_unit(_without_jump(moved, samples, hole, edge), samples.dtype)


def _any_in_cell(mask: Mask) -> Mask:
    even = np.pad(mask, [(0, -side % 2) for side in mask.shape])
    return even[::2, ::2] | even[1::2, ::2] | even[::2, 1::2] | even[1::2, 1::2]


def _carry_down(solution: Solution, samples: NDArray[Any], hole: Mask, unknown: Mask, halvings: int) -> Floats:
    """(N, channels) in [0, 1], copied for every hole sample from where its cell and the cells around it were copied."""
    height, width = hole.shape
    side = 1 << halvings
    reduced = solution.hole.shape
    match = np.full(solution.hole.size, -1, np.int64)
    match[solution.targets] = solution.matches
    weight = np.zeros(solution.hole.size, np.float32)
    weight[solution.targets] = solution.weights
    flat_known, flat = ~unknown.ravel(), samples.reshape(-1, samples.shape[2])
    parts = []
    for top in range(0, height, STRIP_CELLS * side):
        row, column = np.nonzero(hole[top : top + STRIP_CELLS * side])
        row += top
        # Where nothing can be copied, the guide stays.
        total = to_unit(flat[row * width + column]) * np.float32(1e-12)
        sums = np.full(len(row), 1e-12, np.float32)
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                cell_row, cell_column = row // side + down, column // side + right
                exists = (cell_row >= 0) & (cell_row < reduced[0]) & (cell_column >= 0) & (cell_column < reduced[1])
                cell = np.where(exists, cell_row * reduced[1] + cell_column, 0)
                target = match[cell]
                exists &= target >= 0
                source_row = row + (target // reduced[1] - cell_row) * side
                source_column = column + (target % reduced[1] - cell_column) * side
                exists &= (source_row >= 0) & (source_row < height) & (source_column >= 0) & (source_column < width)
                source = np.where(exists, source_row * width + source_column, 0)
                exists &= flat_known[source]
                far_rows = (row + 0.5) / side - (cell_row + 0.5)
                far_columns = (column + 0.5) / side - (cell_column + 0.5)
                close = np.exp(-(far_rows**2 + far_columns**2) / (2 * SPREAD**2)).astype(np.float32)
                own = np.where(exists, close * np.maximum(weight[cell], np.float32(1e-6)), np.float32(0))
                total += to_unit(flat[source]) * own[:, None]
                sums += own
        parts.append(total / sums[:, None])
    return np.concatenate(parts)


def _without_jump(moved: Floats, samples: NDArray[Any], hole: Mask, edge: Mask) -> Floats:
    """(N, channels) for the hole, plus what the copies miss at the known samples along its edge, spread out."""
    both = hole | edge
    rows, columns = np.flatnonzero(both.any(axis=1)), np.flatnonzero(both.any(axis=0))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    inside, at_edge = hole[both], edge[both]
    filled = moved[inside]
    if at_edge.any():
        for channel in range(moved.shape[1]):
            jump = np.zeros(hole.shape, np.float32)
            jump[edge] = to_unit(samples[edge][:, channel]) - moved[at_edge, channel]
            filled[:, channel] += haar_fill(jump[box], ~edge[box], SWEEPS)[hole[box]]
    return filled


def _to_means(copied: Floats, coarse: Floats, hole: Mask, own: Mask, halvings: int) -> Floats:
    """Move the samples so that the mean of every cell is that of the reduced solution, smoothly from cell to cell."""
    side = 1 << halvings
    row, column = np.nonzero(hole)
    cell = row // side * own.shape[1] + column // side
    count = np.bincount(cell, minlength=own.size)
    moved = copied.copy()
    for channel in range(copied.shape[1]):
        mean = np.bincount(cell, copied[:, channel], own.size) / np.maximum(count, 1)
        difference = np.where(own.ravel(), coarse[..., channel].ravel() - mean, 0).reshape(own.shape)
        plane = difference.astype(np.float32)
        for _ in range(halvings):
            plane = double(plane)
        moved[:, channel] += plane[row, column]
    return moved
