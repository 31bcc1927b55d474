"""What changes in the course of a run, as plain functions of how far the run has come, and how long that takes."""

from __future__ import annotations

import math
from dataclasses import dataclass

CROP_STEP = 32
"""Crops grow by this many pixels at a time: a multiple of what every network needs."""

_FLOOR = 0.01


def warmup(step: int, steps: int) -> float:
    """Factor of the learning rate: rises linearly to 1 over the first `steps`; 1 when there are none."""
    return min(1.0, (step + 1) / steps) if steps else 1.0


def cosine(progress: float) -> float:
    """Factor of the learning rate: half a cosine from 1 down to 0.01.

    Args:
        progress: share of the run that is done, 0 to 1.
    """
    return _FLOOR + (1 - _FLOOR) * 0.5 * (1 + math.cos(math.pi * progress))


def crop_side(progress: float, smallest: int, largest: int) -> int:
    """Side of the crops in pixels: from `smallest` to `largest` in steps of 32 that last equally long.

    Args:
        progress: share of the run that is done, 0 to 1.
        smallest: side at the start.
        largest: side at the end.
    """
    stages = (largest - smallest) // CROP_STEP + 1
    return min(smallest + CROP_STEP * int(progress * stages), largest)


def average_decay(limit: float, steps: int) -> float:
    """Decay of the weight average after `steps`: at the start it forgets quickly, or it would hold random weights."""
    return min(limit, (1 + steps) / (10 + steps))


@dataclass(frozen=True)
class StepCost:
    """What a step takes: `fixed + per_pixel * side**2`, in seconds, or in any unit where only ratios are known."""

    fixed: float = 0.0
    per_pixel: float = 1.0

    @classmethod
    def between(cls, small: tuple[int, float], large: tuple[int, float]) -> StepCost:
        """From what steps of two sides took, each (side, seconds)."""
        if large[0] == small[0]:
            return cls(0.0, small[1] / small[0] ** 2)
        slope = max(0.0, (large[1] - small[1]) / (large[0] ** 2 - small[0] ** 2))
        return cls(max(0.0, small[1] - slope * small[0] ** 2), slope)

    def of_steps(self, start: int, stop: int, steps: int, crops: tuple[int, int]) -> float:
        """What the steps from `start` up to `stop` take, in a run of `steps` whose crops grow."""
        stages = (crops[1] - crops[0]) // CROP_STEP + 1
        total = 0.0
        for stage in range(stages):
            first, last = (math.ceil(steps * each / stages) for each in (stage, stage + 1))
            count = max(0, min(last, stop) - max(first, start))
            total += count * (self.fixed + self.per_pixel * (crops[0] + CROP_STEP * stage) ** 2)
        return total

    def plan(self, seconds: float, crops: tuple[int, int], least_steps: int) -> tuple[int, int]:
        """How many steps, and up to which crops, fit into `seconds`.

        The last crops are the largest of `crops` at which at least `least_steps` fit, or the smallest.
        """
        for largest in range(crops[1], crops[0] - 1, -CROP_STEP):
            steps = int(seconds / (self.of_steps(0, 1000, 1000, (crops[0], largest)) / 1000))
            if steps >= least_steps:
                break
        return max(1, steps), largest
