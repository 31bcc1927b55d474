"""The levels of exemplar completion: an image window, its hole and its guide at ever lower resolution, as integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wavepaint.fill.patches import RADIUS, WHITE, Ints, Mask, box_sums, depth_of, dilate, texture_of
from wavepaint.fill.units import to_unit

DEEPEST = 40
"""Depths beyond it are not distinguished, samples."""
SHORTEST = 24
"""A level whose shorter side is at most this is not halved."""
FEWEST_SOURCES = 30
"""With fewer sources free of hole samples, patches that hold some serve as well; those samples have no vote."""


@dataclass(frozen=True, eq=False)
class Level:
    """One resolution.

    Attributes:
        number: halvings.
        planes: (3, H, W) int32, 0 to `WHITE`; 0 in the hole.
        hole: (H, W) bool, True = hole.
        guide: (3, H, W) int32, or None.
        texture: (2, H, W) int32, absolute differences; see `patches.texture_of`.
        rough: (H, W) bool, where `texture` is known.
        excluded: (H, W) bool, not to copy from.
        depth: (H, W) int32, see `patches.depth_of`; at most `DEEPEST`.
    """

    number: int
    planes: Ints
    hole: Mask
    guide: Ints | None
    texture: Ints
    rough: Mask
    excluded: Mask
    depth: Ints

    @property
    def deepest(self) -> int:
        """Depth of the deepest hole sample."""
        return int(self.depth.max())

    def sources(self) -> tuple[Mask, bool]:
        """Where patches may be copied from (their centres), and whether all their samples are known."""
        unfit = self.hole | self.excluded
        whole = ~dilate(unfit, RADIUS)
        whole[:RADIUS] = whole[-RADIUS:] = False
        whole[:, :RADIUS] = whole[:, -RADIUS:] = False
        if np.count_nonzero(whole) >= FEWEST_SOURCES:
            return whole, True
        return (~unfit if not unfit.all() else ~self.hole), False

    def halved(self) -> Level:
        """The next level: means of the known samples of 2x2 cells; cells with less than half known are hole."""
        # Planes are 0 in the hole, and guides are known everywhere.
        count = cell_sums(~self.hole)
        planes = _mean(self.planes, count)
        hole = count < 2
        if hole.all():
            hole = count == 0
        rough = cell_sums(self.rough)
        texture = _mean(self.texture * self.rough, rough)
        guide = None if self.guide is None else (cell_sums(self.guide) + 2) >> 2
        excluded = cell_sums(self.excluded) > 0
        np.copyto(planes, 0, where=hole)
        return Level(self.number + 1, planes, hole, guide, texture, rough > 0, excluded, depth_of(hole, DEEPEST))


def first_level(
    samples: NDArray[Any], hole: Mask, guide: NDArray[Any] | None, exclude: Mask | None, number: int
) -> Level:
    """The finest level that is searched, `number` halvings from the image; for arguments see `exemplar.solve`."""
    planes = _integers(samples)
    np.copyto(planes, 0, where=hole)
    rough = ~dilate(hole, 1)
    count = np.maximum(box_sums(rough, RADIUS), 1)
    texture = texture_of(planes)
    for each in texture:
        each[:] = np.rint(box_sums(each * rough, RADIUS) / count)
    excluded = np.zeros_like(hole) if exclude is None else exclude
    guided = None
    if guide is not None:
        guided = planes.copy()
        guided[:, hole] = _integers(guide[hole][None])[:, 0]
    return Level(number, planes, hole, guided, texture, rough, excluded, depth_of(hole, DEEPEST))


def build_levels(finest: Level, deepest: int) -> list[Level]:
    """Levels from the finest on, until no hole sample is deeper than `deepest`."""
    levels = [finest]
    while levels[-1].deepest > deepest and min(levels[-1].hole.shape) > SHORTEST:
        levels.append(levels[-1].halved())
    return levels


def _integers(samples: NDArray[Any]) -> Ints:
    """(H, W, 1 or 3) samples of any type as (3, H, W) working integers."""
    unit = to_unit(np.moveaxis(samples, 2, 0).copy()).clip(0, 1)
    whole = np.rint(unit * np.float32(WHITE)).astype(np.int32)
    return np.repeat(whole, 3, axis=0) if len(whole) == 1 else whole


def cell_sums(values: NDArray[Any]) -> Ints:
    """Sums over 2x2 cells of the last two axes; an odd last row or column is counted twice."""
    if values.shape[-2] % 2 or values.shape[-1] % 2:
        pad = [(0, 0)] * (values.ndim - 2) + [(0, -side % 2) for side in values.shape[-2:]]
        values = np.pad(values, pad, mode="edge")
    rows = np.add(values[..., 0::2, :], values[..., 1::2, :], dtype=np.int32)
    sums: Ints = rows[..., 0::2] + rows[..., 1::2]
    return sums


def _mean(values: Ints, count: Ints) -> Ints:
    """Rounded means over the counted samples of every cell; the others are 0."""
    some = np.maximum(count, 1)
    # Exact in float64, and faster than a division of integers.
    mean: Ints = np.floor((cell_sums(values) + some // 2) / some).astype(np.int32)
    return mean
