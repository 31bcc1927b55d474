"""What a search has found, and how it is carried over to samples of any depth and number of channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wavepaint.box import Box
from wavepaint.fill.blend import remove_seams, vote_with_gradients
from wavepaint.fill.patches import Doubles, Floats, Indices, Mask, box_around
from wavepaint.fill.pyramid import enlarge, halve_known
from wavepaint.fill.units import from_unit, to_unit

LAST_WINDOW = 0.75
"""Standard deviation of a patch's weight around its centre in the last vote, samples."""
STRIP = 128
"""Rows that inherit their offsets together."""
SHARPNESS = 4
"""Power of the bilinear weights with which a sample inherits the offsets of the four cells around it."""


@dataclass(frozen=True, eq=False)
class Solution:
    """Where the samples of a hole come from.

    Attributes:
        hole: (H, W) bool, True = hole.
        halvings: of the image, to the level that was searched; 0 unless the hole is very large.
        searched: (h, w) bool, the hole on that level.
        targets: (N,) indices on it of the centres of the patches that touch the hole.
        matches: (N,) indices on it of the centres of the known patches that they copy.
        weights: (N,) float64, how loud each patch speaks.
        known: (h, w) bool, the samples of that level that may be copied, or None where no patch holds others.
    """

    hole: Mask
    halvings: int
    searched: Mask
    targets: Indices
    matches: Indices
    weights: Doubles
    known: Mask | None

    def offsets(self) -> NDArray[np.int64]:
        """(h, w, 2) rows and columns from each hole sample of the searched level to what it copies; 0 elsewhere."""
        offsets = np.zeros((self.searched.size, 2), np.int64)
        ends, starts = (np.stack(np.divmod(each, self.searched.shape[1]), 1) for each in (self.matches, self.targets))
        offsets[self.targets] = ends - starts
        offsets[~self.searched.ravel()] = 0
        return offsets.reshape(*self.searched.shape, 2)


def carry_over(solution: Solution, samples: NDArray[Any]) -> NDArray[Any]:
    """Fill the hole of samples of the same geometry by the votes of a solution.

    Args:
        solution: of `exemplar.solve`.
        samples: (H, W, C) uint8, uint16 or float in [0, 1], any number of channels; what it holds inside the hole is
            ignored.

    Returns:
        (H, W, C) of the same type, an array of its own.
    """
    filled = samples.copy()
    if solution.halvings:
        _inherit(solution, samples, filled)
    else:
        filled[solution.hole] = from_unit(_voted(solution, samples), samples.dtype)
    return filled


def _voted(solution: Solution, samples: NDArray[Any]) -> Floats:
    """(M, C) samples of the hole of the searched level, without seams of tone."""
    unit = to_unit(samples)
    unit[solution.searched] = 0
    matching = solution.targets, solution.matches, solution.weights
    voted = vote_with_gradients(unit, solution.known, solution.searched, matching, LAST_WINDOW)
    return remove_seams(*voted, solution.searched[box_around(solution.searched, 1)]).astype(np.float32)


def _inherit(solution: Solution, samples: NDArray[Any], filled: NDArray[Any]) -> None:
    """Fill by the offsets of a coarser level; then its tones, from which seams are gone, replace those of the copy."""
    reduced, hole = samples, solution.hole
    for _ in range(solution.halvings):
        reduced, hole = halve_known(reduced, hole)
    reduced[solution.searched] = _voted(solution, reduced)
    offsets = np.where(solution.searched[..., None], solution.offsets(), 0)
    height, width = solution.hole.shape
    for top in range(0, height, STRIP):
        rows = np.arange(top, min(top + STRIP, height))
        if solution.hole[rows].any():
            _copy_strip(solution, offsets, samples, reduced, int(rows[0]), filled[top : top + STRIP])
    copied, nowhere = filled, np.zeros_like(solution.hole)
    for _ in range(solution.halvings):
        copied, nowhere = halve_known(copied, nowhere)
    missing = np.where(solution.searched[..., None], reduced - copied, 0).astype(np.float32)
    for _ in range(solution.halvings - 1):
        missing = enlarge(missing, Box(0, 0, 2 * missing.shape[1], 2 * missing.shape[0]))
    for top in range(0, height, STRIP):
        box = Box(0, top, width, min(STRIP, height - top))
        here = solution.hole[box.slices]
        if here.any():
            part = filled[box.slices]
            part[here] = from_unit(to_unit(part[here]) + enlarge(missing, box)[here], samples.dtype)


def _copy_strip(
    solution: Solution,
    offsets: NDArray[np.int64],
    samples: NDArray[Any],
    reduced: Floats,
    top: int,
    target: NDArray[Any],
) -> None:
    """Fill the hole samples of some rows from where the four cells around each copy, bilinearly, but sharper."""
    height, width = solution.hole.shape
    scale = 2**solution.halvings
    row, column = np.nonzero(solution.hole[top : top + len(target)])
    row += top
    total, sums = np.zeros((len(row), samples.shape[2])), np.zeros(len(row))
    down, right = (row + 0.5) / scale - 0.5, (column + 0.5) / scale - 0.5
    for below in (0, 1):
        for beside in (0, 1):
            cell_row, cell_column = np.floor(down).astype(int) + below, np.floor(right).astype(int) + beside
            weight = (1 - np.abs(down - cell_row)) * (1 - np.abs(right - cell_column))
            cell_row = cell_row.clip(0, offsets.shape[0] - 1)
            cell_column = cell_column.clip(0, offsets.shape[1] - 1)
            move = offsets[cell_row, cell_column] * scale
            from_row, from_column = row + move[:, 0], column + move[:, 1]
            inside = (from_row >= 0) & (from_row < height) & (from_column >= 0) & (from_column < width)
            from_row, from_column = from_row.clip(0, height - 1), from_column.clip(0, width - 1)
            usable = inside & ~solution.hole[from_row, from_column]
            weight = np.where(usable, weight**SHARPNESS + 1e-9, 0)
            total += to_unit(samples[from_row, from_column]) * weight[:, None]
            sums += weight
    # Where no cell leads to a known sample, the searched level's own sample stands in.
    nearest = reduced[np.minimum(row // scale, len(reduced) - 1), np.minimum(column // scale, reduced.shape[1] - 1)]
    values = np.where(sums[:, None] > 0, total / np.maximum(sums, 1e-300)[:, None], nearest)
    target[row - top, column] = from_unit(values.astype(np.float32), samples.dtype)
