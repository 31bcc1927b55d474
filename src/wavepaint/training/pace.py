"""How far a run is, how fast it goes, and what follows from both: crops, learning rate, time left, a time budget."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from wavepaint.training.recipes import CROP_STEP, Recipe

_FLOOR = 0.01
_VALIDATIONS = 10
"""Of a run with a time budget."""
_REPLAN_SECONDS, _REPLAN_ABOVE = 30.0, 0.15
"""How often the plan for a time budget is compared with the clock, and the relative error that changes it."""
_STEPS_SHARE = 0.3
"""Of a time budget, at least, whatever was spent before the first step."""


def warmup(step: int, steps: int) -> float:
    """Factor of the learning rate: rises linearly to 1 over the first `steps`; 1 when there are none."""
    return min(1.0, (step + 1) / steps) if steps else 1.0


def cosine(progress: float) -> float:
    """Factor of the learning rate: half a cosine from 1 down to 0.01, at `progress` (0 to 1) of the run."""
    return _FLOOR + (1 - _FLOOR) * 0.5 * (1 + math.cos(math.pi * progress))


def crop_side(progress: float, smallest: int, largest: int) -> int:
    """Side of the crops in pixels at `progress` (0 to 1) of the run: it grows in steps of 32 that last equally long."""
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


@dataclass
class Position:
    """How far a run is."""

    step: int = 0  # optimiser steps done
    seconds: float = 0.0  # time spent, with everything around the steps
    phase: int = 0  # number of the phase; the number of phases when all are over
    phase_began: int = 0  # the step at which it began
    best: float = math.inf  # validation score so far, of trained weights
    best_step: int = -1  # the step at which it was found; -1 before
    stale: int = 0  # validations since, in this phase
    validated: int = -1  # step of the last validation; -1 before the first
    cost: list[float] | None = None  # what a step takes, as `StepCost` has it; None before it was measured
    validation_seconds: float = 0.0  # what the last validation took


class Pace:
    """The schedule of a run and its clock.

    The `budget` is seconds for the whole run, or None. This process `began` to work for the run then, on the monotonic
    clock. Validations come once an epoch where the recipe does not say how often.
    """

    def __init__(self, recipe: Recipe, budget: float | None, began: float, steps_per_epoch: int) -> None:
        self.recipe, self.position = recipe, Position()
        self._budget, self._began, self.epoch = budget, began, steps_per_epoch
        self.start()

    def resume(self, position: Position) -> Position:
        """Continue from there: what was spent before counts."""
        self.position = position
        self._began -= position.seconds
        return position

    def start(self) -> None:
        """The steps begin."""
        self._first_step, self._first_seconds, self._validating = self.position.step, self.seconds(), 0.0
        self._planned = time.monotonic()

    def seconds(self) -> float:
        """Time spent on the run, before it was resumed included."""
        return time.monotonic() - self._began

    @property
    def fraction(self) -> float | None:
        """Share of the run that is done, 0 to 1; None when only patience ends it."""
        return None if self.recipe.steps is None else min(1.0, self.position.step / self.recipe.steps)

    @property
    def over(self) -> bool:
        """Whether all phases or all steps are done."""
        return self.position.phase == len(self.recipe.phases) or (self.fraction or 0.0) >= 1

    @property
    def side(self) -> int:
        """Of the crops of the next step, in pixels."""
        return crop_side(self.fraction or 0.0, *self.recipe.crops)

    @property
    def rate(self) -> float:
        """Learning rate of the next step."""
        phase = self.recipe.phases[self.position.phase]
        rate = phase.learning_rate * warmup(self.position.step - self.position.phase_began, phase.warmup)
        return rate * (cosine(self.fraction or 0.0) if phase.schedule == "cosine" else 1.0)

    @property
    def every(self) -> int:
        """Steps between validations."""
        return self.recipe.validation.every or self.epoch

    def validated(self, seconds: float) -> None:
        """A validation took so long."""
        self.position.validation_seconds = seconds
        self._validating += seconds

    def seconds_left(self) -> float | None:
        """At the pace so far, with the crops and validations that are still to come; None if that is unknown."""
        recipe, position = self.recipe, self.position
        if recipe.steps is None or (position.cost is None and position.step == self._first_step):
            return None
        cost = StepCost(*(position.cost or ()))
        expected = cost.of_steps(self._first_step, position.step, recipe.steps, recipe.crops)
        spent = self.seconds() - self._first_seconds - self._validating
        scale = spent / expected if expected else 1.0
        validations = recipe.steps // self.every - position.step // self.every
        steps = cost.of_steps(position.step, recipe.steps, recipe.steps, recipe.crops)
        return scale * steps + validations * position.validation_seconds

    def plan(self, seconds_per_step: Callable[[int], float]) -> None:
        """Steps, crops and validations that fit into the budget, from what a step takes with crops of a side."""
        assert self._budget is not None
        recipe = self.recipe
        small, large = ((side, seconds_per_step(side)) for side in recipe.crops)
        cost = StepCost.between(small, large)
        left = self._budget - self.seconds() - _VALIDATIONS * self.position.validation_seconds
        seconds = max(left, _STEPS_SHARE * self._budget)
        steps, largest = cost.plan(seconds, recipe.crops, recipe.least_steps)
        self.position.cost = [cost.fixed, cost.per_pixel]
        validation = recipe.validation.model_copy(update={"every": max(1, math.ceil(steps / _VALIDATIONS))})
        changes = {"steps": steps, "crops": (recipe.crops[0], largest), "validation": validation}
        self.recipe = recipe.model_copy(update=changes)

    def replanned_steps(self) -> int | None:
        """Steps of the run that fit its budget at the pace so far, or those planned where that is about right."""
        recipe, position, now = self.recipe, self.position, time.monotonic()
        expected = self.seconds_left()
        if self._budget is None or recipe.steps is None or not expected or now - self._planned < _REPLAN_SECONDS:
            return recipe.steps
        self._planned = now
        left = max(self._budget - self.seconds(), 0.0)
        if abs(expected - left) <= _REPLAN_ABOVE * max(left, _REPLAN_SECONDS):
            return recipe.steps
        return position.step + max(1, round((recipe.steps - position.step) * left / expected))
