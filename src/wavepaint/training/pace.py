"""How far a run is, how fast it goes, and what follows from both: crops, learning rate, time left, a time budget."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

from wavepaint.training.recipes import Recipe
from wavepaint.training.schedule import StepCost, cosine, crop_side, warmup

_VALIDATIONS = 10
"""Of a run with a time budget."""
_REPLAN_SECONDS, _REPLAN_ABOVE = 30.0, 0.15
"""How often the plan for a time budget is compared with the clock, and the relative error that changes it."""
_STEPS_SHARE = 0.3
"""Of a time budget, at least, whatever was spent before the first step."""


@dataclass
class Position:
    """How far a run is.

    Attributes:
        step: optimiser steps done.
        seconds: time spent, with everything around the steps.
        phase: number of the phase; the number of phases when all are over.
        phase_began: the step at which it began.
        best: best validation score so far, of trained weights.
        best_step: the step at which it was found; -1 before.
        stale: validations since, in this phase.
        validated: step of the last validation; -1 before the first.
        cost: what a step takes, as `schedule.StepCost` has it; None before it was measured.
        validation_seconds: what the last validation took.
    """

    step: int = 0
    seconds: float = 0.0
    phase: int = 0
    phase_began: int = 0
    best: float = math.inf
    best_step: int = -1
    stale: int = 0
    validated: int = -1
    cost: list[float] | None = None
    validation_seconds: float = 0.0


@dataclass
class _Start:
    """Where this process began to make steps, on its own clock, and what validations took since."""

    step: int = 0
    seconds: float = 0.0
    validating: float = field(default=0.0)


class Pace:
    """The schedule of a run and its clock.

    Args:
        recipe: changed by `plan` and `replan`.
        budget: seconds for the whole run, or None.
        began: when this process began to work for the run, on the monotonic clock.
        steps_per_epoch: validations come once an epoch where the recipe does not say how often.
    """

    def __init__(self, recipe: Recipe, budget: float | None, began: float, steps_per_epoch: int) -> None:
        self.recipe = recipe
        self.position = Position()
        self._budget, self._began, self._epoch = budget, began, steps_per_epoch
        self._start = _Start()
        self._planned = began

    def resume(self, position: Position) -> None:
        """Continue from there: what was spent before counts."""
        self.position.__dict__.update(position.__dict__)
        self._began -= position.seconds

    def start(self) -> None:
        """The steps begin."""
        self._start = _Start(self.position.step, self.seconds())
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
        return self.recipe.validation.every or self._epoch

    def validated(self, seconds: float) -> None:
        """A validation took so long."""
        self.position.validation_seconds = seconds
        self._start.validating += seconds

    def seconds_left(self) -> float | None:
        """At the pace so far, with the crops and validations that are still to come; None if that is unknown."""
        recipe, position, start = self.recipe, self.position, self._start
        if recipe.steps is None or (position.cost is None and position.step == start.step):
            return None
        cost = StepCost(*(position.cost or ()))
        expected = cost.of_steps(start.step, position.step, recipe.steps, recipe.crops)
        spent = self.seconds() - start.seconds - start.validating
        scale = spent / expected if expected else 1.0
        validations = recipe.steps // self.every - position.step // self.every
        steps = cost.of_steps(position.step, recipe.steps, recipe.steps, recipe.crops)
        return scale * steps + validations * position.validation_seconds

    def plan(self, small: tuple[int, float], large: tuple[int, float]) -> None:
        """Steps, crops and validations that fit into the budget.

        Args:
            small: side of the smallest crops, and the seconds that a step with them takes.
            large: the same of the largest.
        """
        assert self._budget is not None
        cost = StepCost.between(small, large)
        left = self._budget - self.seconds() - _VALIDATIONS * self.position.validation_seconds
        seconds = max(left, _STEPS_SHARE * self._budget)
        steps, largest = cost.plan(seconds, self.recipe.crops, self.recipe.least_steps)
        self.position.cost = [cost.fixed, cost.per_pixel]
        self.recipe = self.recipe.planned(steps, largest, max(1, math.ceil(steps / _VALIDATIONS)))

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
