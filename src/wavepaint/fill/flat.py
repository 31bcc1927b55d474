"""Flat surroundings: where all that is known around a hole lies on one plane, the plane is the fill."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wavepaint.box import Box
from wavepaint.fill.units import from_unit, to_unit

Mask = NDArray[np.bool_]

RING = 16
"""How far around a hole samples must lie on the plane, pixels."""
TOLERANCE = 0.6
"""How far a sample may be from the plane, in steps of its type: half a step is rounding."""


def plane_fill(samples: NDArray[Any], hole: Mask, unknown: Mask) -> NDArray[Any] | None:
    """Fill a hole by the plane on which its surroundings lie, channel by channel.

    Args:
        samples: (H, W, channels) uint8, uint16 or float in [0, 1].
        hole: (H, W) bool, True = to be filled.
        unknown: (H, W) bool, True = every hole.

    Returns:
        (N, channels), the samples of the hole; None where the surroundings do not lie on a plane. Of one colour, they
        give exactly that colour.
    """
    rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
    tight = Box.from_edges(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    box = tight.grown(RING).clip(hole.shape[1], hole.shape[0])
    known = ~unknown[box.slices]
    around, inside = samples[box.slices][known], hole[box.slices]
    if not len(around):
        return None
    if (around == around[0]).all():
        return np.broadcast_to(around[0], (int(inside.sum()), samples.shape[2]))
    step = 1e-5 if np.issubdtype(samples.dtype, np.floating) else 1 / np.iinfo(samples.dtype).max
    places = _places(known)
    values = to_unit(around).astype(np.float64)
    # A few samples tell most surroundings from a plane, at little cost.
    few = slice(None, None, max(1, len(around) // 64))
    if not _lies_on_plane(places[few], values[few], step):
        return None
    plane = np.linalg.lstsq(places, values, rcond=None)[0]
    if np.abs(places @ plane - values).max() > TOLERANCE * step:
        return None
    return from_unit((_places(inside) @ plane).astype(np.float32), samples.dtype)


def _places(mask: Mask) -> NDArray[np.float64]:
    """(N, 3): row, column and 1 of every marked sample."""
    row, column = np.nonzero(mask)
    return np.stack((row.astype(np.float64), column.astype(np.float64), np.ones(len(row))), axis=1)


def _lies_on_plane(places: NDArray[np.float64], values: NDArray[np.float64], step: float) -> bool:
    plane = np.linalg.lstsq(places, values, rcond=None)[0]
    return bool(np.abs(places @ plane - values).max() <= TOLERANCE * step)
