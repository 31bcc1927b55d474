"""The detail of a hole: flat parts exactly, thin parts from the guide, the rest by example."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wavepaint.fill.exemplar import Progress, solve
from wavepaint.fill.flat import fill_flat
from wavepaint.fill.options import ExemplarOptions
from wavepaint.fill.patches import Floats, Mask, dilate
from wavepaint.fill.pieces import THIN
from wavepaint.fill.pyramid import haar_fill
from wavepaint.fill.solution import Solution, carry_over
from wavepaint.fill.units import colours_of, from_unit, to_unit


def complete(
    samples: NDArray[Any],
    hole: Mask,
    guide: Floats | None = None,
    options: ExemplarOptions | None = None,
    exclude: Mask | None = None,
    progress: Progress | None = None,
) -> tuple[NDArray[Any], Solution | None]:
    """Fill a hole with detail from what surrounds it.

    Args:
        samples: (H, W, C) uint8, uint16 or float in [0, 1]; grey or RGB, with or without alpha; what it holds inside
            the hole is ignored.
        hole: (H, W) bool, True = hole; not all of it.
        guide: (H, W, 1 or 3) float32 in [0, 1], the network's fill; None where there is none.
        options: see `ExemplarOptions`.
        exclude: (H, W) bool, True = not to copy from.
        progress: called with the share done, 0 to 1; it may return False to stop.

    Returns:
        The filled samples, an array of its own of the same shape and type; and where they come from, None where
        nothing needed a search.

    Raises:
        cancellation.Cancelled: `progress` has returned False.
        OptionError: the hole is empty or all.
    """
    filled, flat = fill_flat(samples, hole)
    rest = hole & ~flat
    thin = thin_parts(rest) if guide is not None else np.zeros_like(rest)
    if guide is not None and thin.any():
        _fill_from_guide(filled, thin, hole, guide)
        rest &= ~thin
    if not rest.any():
        return filled, None
    without = flat | thin if exclude is None else flat | thin | exclude
    solution = solve(filled[..., : colours_of(filled)], rest, guide, options or ExemplarOptions(), without, progress)
    return carry_over(solution, filled), solution


def thin_parts(hole: Mask) -> Mask:
    """(H, W) bool: what a square of 2 * `THIN` + 1 samples inside the hole cannot cover, which is the guide's."""
    return hole & ~dilate(~dilate(~hole, THIN), THIN)


def _fill_from_guide(filled: NDArray[Any], thin: Mask, hole: Mask, guide: Floats) -> None:
    colours = colours_of(filled)
    values = guide if guide.shape[2] == colours else guide.mean(axis=2, keepdims=True)
    filled[thin, :colours] = from_unit(values[thin], filled.dtype)
    for channel in range(colours, filled.shape[2]):
        plane = haar_fill(to_unit(filled[..., channel]), hole)
        filled[thin, channel] = from_unit(plane[thin], filled.dtype)
