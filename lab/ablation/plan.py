"""What a study is going to do, written down before it begins: a run that is resumed or repeated follows it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from wavepaint.errors import OptionError
from wavepaint.files import atomic_write

PLAN_FILE = "plan.json"


@dataclass(frozen=True)
class Scale:
    """How much a study does.

    Attributes:
        budget: seconds of training of all runs together; processor time on a CPU, else wall time.
        train_images: at most, to train on.
        test_images: at most, to measure on (each with every kind of hole).
        crop: side of training crops, pixels.
        batch: crops per step.
        seeds: runs of every arm; the reference gets one more than that while there is only one.
        network: fields of the default network's configuration that differ in every arm.
        steps: of every arm at equal steps, instead of those that the slowest arm makes in its share of the budget.
    """

    budget: float
    train_images: int
    test_images: int
    crop: int
    batch: int
    seeds: int
    network: Mapping[str, Any] = field(default_factory=dict)
    steps: int | None = None


SMALL = Scale(
    budget=1800,
    train_images=2000,
    test_images=60,
    crop=64,
    batch=8,
    seeds=3,
    network={"final_dim": 48, "ff_channel": 48},
)
"""For one core and half an hour: crops of the size that the published code trains on, half of the default's width."""
FULL = Scale(budget=7 * 86400, train_images=1_000_000, test_images=1_000_000, crop=256, batch=32, seeds=3)
"""For an accelerator and a week."""


@dataclass(frozen=True)
class Plan:
    """What decides the outcome of a study; stored as `plan.json`.

    Attributes:
        study: its name.
        settings: everything chosen: sources, test sets, scale, seed, device.
        step_seconds: what a training step of each arm took when the run began; this and what follows is empty in
            studies that train nothing.
        equal_steps: steps after which the arms are compared at equal steps.
        equal_time: steps that each arm makes in the same time.
        losses: weights of what each arm adds to the reference losses, where a study measures them.
    """

    study: str
    settings: Mapping[str, Any]
    step_seconds: Mapping[str, float] = field(default_factory=dict)
    equal_steps: int = 0
    equal_time: Mapping[str, int] = field(default_factory=dict)
    losses: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def moments(self, arm: str) -> dict[str, int]:
        """The numbers of steps at which an arm is measured."""
        return {EQUAL_STEPS: self.equal_steps, EQUAL_TIME: self.equal_time[arm]}


EQUAL_STEPS, EQUAL_TIME = "equal steps", "equal time"


def share_budget(
    budget: float, runs: int, step_seconds: Mapping[str, float], steps: int | None = None
) -> tuple[int, dict[str, int]]:
    """Steps at equal steps, and of every arm at equal time.

    Args:
        budget: seconds for all runs.
        runs: how many there are.
        step_seconds: of every arm.
        steps: of the slowest arm, whose time then takes the place of the budget's share.

    Returns:
        The steps that the slowest arm can make in its share of the budget, and what each can; at least one.
    """
    slowest = max(step_seconds.values())
    limit = budget / runs if steps is None else (steps + 1e-6) * slowest  # above the error of rounding
    equal_time = {arm: max(1, int(limit / seconds)) for arm, seconds in step_seconds.items()}
    return min(equal_time.values()), equal_time


def read_plan(folder: Path, study: str, settings: Mapping[str, Any]) -> Plan | None:
    """The plan of a run that was begun in this folder; None where there is none.

    Raises:
        OptionError: the folder holds something else: another study, other settings, or no run at all.
    """
    path = folder / PLAN_FILE
    if not path.is_file():
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise OptionError(f"{folder}: exists and holds no {PLAN_FILE}; not overwritten")
        return None
    try:
        plan = Plan(**json.loads(path.read_text(encoding="utf-8")))
        stored = dict(plan.settings)
    except (TypeError, ValueError) as error:
        raise OptionError(f"{path}: damaged: {error}") from None
    if plan.study != study:
        raise OptionError(f"{folder}: holds the study {plan.study}, not {study}")
    expected = json.loads(json.dumps(dict(settings)))
    for name in sorted({*expected, *stored}):
        if expected.get(name) != stored.get(name):
            raise OptionError(
                f"{folder}: was begun with {name} {stored.get(name)}, not {expected.get(name)}; take another folder"
            )
    return plan


def write_plan(folder: Path, plan: Plan) -> None:
    """Write `plan.json`, whole or not at all; `OptionError` where it cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(folder / PLAN_FILE) as unfinished:
            unfinished.write_text(json.dumps(asdict(plan), indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise OptionError(f"{folder}: cannot be written: {error.strerror or error}") from None
