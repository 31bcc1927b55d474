"""How many coarser levels a crop is filled at first."""

from __future__ import annotations

from wavepaint.fill.patches import Mask, dilate

DEEP = 28
"""How far a hole sample must be from every known one for its crop to be filled at half the resolution first, pixels.

Twice as far, a quarter comes before the half. lab/notes/default-model.md has the measurement.
"""
SMALLEST = 16
"""Shortest side of a crop that is still worth filling, pixels."""


def coarse_levels_of(hole: Mask, most: int) -> int:
    """How many halvings a crop is filled at first, each result the guess of the next.

    Args:
        hole: (H, W) bool, True = hole. What lies outside the crop counts as unknown: a hole meets the edge of its crop
            only where the image ends, or the hole goes on.
        most: what the network has learned; see `WavePaintConfig.octaves`.
    """
    levels = 0
    while levels < most and min(hole.shape) >> (levels + 1) >= SMALLEST:
        # Some sample is out of reach of every known one.
        if dilate(~hole, (DEEP << levels) - 1).all():
            break
        levels += 1
    return levels


def work_pixels(hole: Mask, most: int) -> float:
    """What filling a crop costs: its pixels, those of its levels included."""
    return hole.size * sum(0.25**level for level in range(coarse_levels_of(hole, most) + 1))
