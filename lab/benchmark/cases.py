"""The images that are filled, and what was measured on them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wavepaint.errors import OptionError
from wavepaint.evaluation.metrics import BoolMask, Image

SMALLEST_SIDE, LARGEST_SIDE = 64, 8192


@dataclass(frozen=True, order=True)
class Case:
    """A square image of `side` pixels with a square hole in its middle that takes `percent` of the area.

    Raises:
        OptionError: a side or a hole that makes no sense.
    """

    side: int
    percent: float

    def __post_init__(self) -> None:
        if not SMALLEST_SIDE <= self.side <= LARGEST_SIDE:
            raise OptionError(f"size must be {SMALLEST_SIDE} to {LARGEST_SIDE} pixels, got {self.side}")
        if not 0 < self.percent <= 80:
            raise OptionError(f"hole must be above 0 and at most 80 percent of the image, got {self.percent:g}")

    @property
    def hole_side(self) -> int:
        """Side of the hole in pixels."""
        return max(1, round(self.side * math.sqrt(self.percent / 100)))

    def render(self, seed: int = 0) -> tuple[Image, BoolMask]:
        """Waves with noise on them, uint8 `(side, side, 3)`, and the hole, bool `(side, side)`."""
        rng = np.random.default_rng(seed)
        rows, columns = np.ogrid[: self.side, : self.side]
        waves = [np.sin(rows / (40 + 9 * k) + seed) * np.cos(columns / 60 + k) for k in range(3)]
        image = 127 + 80 * np.stack(waves, axis=-1) + 4 * rng.standard_normal((self.side, self.side, 3))
        mask = np.zeros((self.side, self.side), np.bool_)
        start = (self.side - self.hole_side) // 2
        mask[start : start + self.hole_side, start : start + self.hole_side] = True
        return image.clip(0, 255).astype(np.uint8), mask


@dataclass(frozen=True)
class Spread:
    """Median and range of repeated measurements."""

    median: float
    low: float
    high: float
    count: int


def spread_of(values: Sequence[float]) -> Spread | None:
    """Median, smallest, largest and number of some values; None of no values."""
    if not values:
        return None
    return Spread(statistics.median(values), min(values), max(values), len(values))
