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
    box = Box.from_edges(
        int(columns[0]) - RING, int(rows[0]) - RING, int(columns[-1]) + 1 + RING, int(rows[-1]) + 1 + RING
    )
    box = box.clip(hole.shape[1], hole.shape[0])
    known = ~unknown[box.slices]
    around, inside = samples[box.slices][known], hole[box.slices]
    if not len(around):
        return None
    if (around == around[0]).all():
        return np.broadcast_to(around[0], (np.count_nonzero(inside), samples.shape[2]))
    step = 1e-5 if np.issubdtype(samples.dtype, np.floating) else 1 / np.iinfo(samples.dtype).max
    places = np.stack([*np.nonzero(known), np.ones(len(around))], axis=1)
    values = to_unit(around).astype(np.float64)
    # A few samples tell most surroundings from a plane, at little cost.
    few = slice(None, None, max(1, len(around) // 64))
    if not _lies_on_plane(places[few], values[few], step):
        return None
    plane = np.linalg.lstsq(places, values, rcond=None)[0]
    if np.abs(places @ plane - values).max() > TOLERANCE * step:
        return None
    targets = np.stack([*np.nonzero(inside), np.ones(np.count_nonzero(inside))], axis=1)
    return from_unit((targets @ plane).astype(np.float32), samples.dtype)


def _lies_on_plane(places: NDArray[np.float64], values: NDArray[np.float64], step: float) -> bool:
    plane = np.linalg.lstsq(places, values, rcond=None)[0]
    return bool(np.abs(places @ plane - values).max() <= TOLERANCE * step)
