"""Smooth surroundings: a hole in one colour, or in a gradient plane, needs no search.

Where the known samples around a hole lie on a plane, give or take the rounding of 8 bits, the hole is that plane; where
they all have one colour, exactly that colour.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wavepaint.fill.patches import Doubles, Floats, Indices, Mask, box_around, dilate, label
from wavepaint.fill.units import from_unit, to_unit

CELL = 8
"""Side of the cells in which holes are gathered to pieces: those whose surroundings share a cell are one."""
BAND = 8
"""How far the known samples around a hole are looked at, samples."""
TOLERANCE = 1 / 255
"""How far these may lie from a plane: the rounding of 8 bits, and as much again."""
FEWEST = 24
"""Samples that a plane needs."""


def fill_flat(samples: NDArray[Any], hole: Mask) -> tuple[NDArray[Any], Mask]:
    """Fill the holes whose surroundings are flat.

    Args:
        samples: (H, W, C) uint8, uint16 or float in [0, 1]; what it holds inside the hole is ignored.
        hole: (H, W) bool, True = hole.

    Returns:
        Samples of the same type with those holes filled, and a mask of what was filled; both are arrays of their own.
    """
    filled, done = samples.copy(), np.zeros_like(hole)
    if not hole.any():
        return filled, done
    # All that matters is near the hole; cells lie where they do in the whole image.
    rows, columns = (slice(side.start // CELL * CELL, side.stop) for side in box_around(hole, BAND))
    near = dilate(hole[rows, columns], BAND)
    pieces, corner = _pieces(near), np.array([[rows.start], [columns.start]])
    inside, around = (np.stack(marks.nonzero()) for marks in (hole[rows, columns], near & ~hole[rows, columns]))
    around = around[:, np.argsort(pieces[tuple(around)], kind="stable")]
    names, first = np.unique(pieces[tuple(around)], return_index=True)
    if not len(names):
        return filled, done
    number = np.searchsorted(names, pieces[tuple(inside)]).clip(0, len(names) - 1)
    has_band = names[number] == pieces[tuple(inside)]
    inside, around = inside + corner, around + corner
    values = samples[tuple(around)]
    low, high = np.minimum.reduceat(values, first), np.maximum.reduceat(values, first)
    constant = (low == high).all(axis=1)
    chosen = has_band & constant[number]
    filled[tuple(inside[:, chosen])] = low[number[chosen]]
    done[tuple(inside[:, chosen])] = True

    planar, planes = _fit_planes(to_unit(values), around, first)
    for extreme in (np.minimum, np.maximum):
        # A plane leads into a hole, not out to where nothing is known.
        for axis in (0, 1):
            out = inside[axis] - extreme.reduceat(around[axis], first)[number]
            beyond = out < -1 if extreme is np.minimum else out > 1
            planar[number[beyond & has_band]] = False
    chosen = has_band & planar[number] & ~constant[number]
    row, column = inside[:, chosen]
    coordinates = np.stack((np.ones_like(row), row, column), axis=1).astype(np.float64)
    drawn = np.einsum("ni,nic->nc", coordinates, planes[number[chosen]])
    filled[row, column] = from_unit(drawn.astype(np.float32), samples.dtype)
    done[row, column] = True
    return filled, done


def _pieces(near: Mask) -> NDArray[np.int64]:
    """(H, W) numbers of the connected pieces of a mask, to the precision of cells."""
    height, width = near.shape
    padded = np.pad(near, ((0, -height % CELL), (0, -width % CELL)))
    cells: Mask = np.asarray(padded.reshape(padded.shape[0] // CELL, CELL, -1, CELL).any(axis=(1, 3)))
    return label(cells).repeat(CELL, axis=0).repeat(CELL, axis=1)[:height, :width]


def _fit_planes(values: Floats, around: Indices, first: Indices) -> tuple[Mask, Doubles]:
    """Least squares of a plane for every group: (G,) whether it fits, and (G, 3, C) for 1, row and column."""
    row, column = around
    count = np.diff(np.append(first, len(row)))
    if _are_rough(values, around, first):
        return np.zeros(len(first), np.bool_), np.zeros((len(first), 3, values.shape[1]))
    group = np.repeat(np.arange(len(first)), count)
    middle = np.stack([np.add.reduceat(each, first) / count for each in (row, column)], axis=1)
    centred = np.stack((np.ones(len(row)), row - middle[group, 0], column - middle[group, 1]), axis=1)
    moments = np.add.reduceat(centred[:, :, None] * centred[:, None], first)
    sides = np.add.reduceat(centred[:, :, None] * values[:, None], first)
    planes = np.linalg.solve(moments + 1e-9 * np.eye(3), sides).astype(np.float64)
    error = np.abs(np.einsum("ni,nic->nc", centred, planes[group]) - values).max(axis=1)
    planar = (np.maximum.reduceat(error, first) <= TOLERANCE) & (count >= FEWEST)
    planes[:, 0] -= np.einsum("gi,gic->gc", middle, planes[:, 1:])
    return planar, planes


def _are_rough(values: Floats, around: Indices, first: Indices) -> bool:
    """Whether every group has three samples in a row that are on no plane: a quick test, which most holes pass."""
    bend = np.abs(values[2:] - 2 * values[1:-1] + values[:-2]).max(axis=1)
    in_a_row = (around[:, 2:] - around[:, :-2] == [[0], [2]]).all(axis=0)
    bends = np.zeros(len(values), np.bool_)
    bends[:-2] = in_a_row & (bend > 5 * TOLERANCE)
    return bool(np.logical_or.reduceat(bends, first).all())
