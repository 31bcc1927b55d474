"""The settings of a run, its sources, and its outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from wavepaint.data.crops import CropSource
from wavepaint.data.damage import DamagedSet
from wavepaint.data.held_out import ValidationSet
from wavepaint.data.images import ImageSource, Skipped
from wavepaint.training.losses import Loss


@dataclass(frozen=True)
class Settings:
    """What a run reads and writes, and how long it may take."""

    images: str  # see `wavepaint.data.images.find_images`
    folder: Path  # of the run
    seconds: float | None = None  # time budget of the whole run: steps, crops and validations are planned for it
    weights: Mapping[str, Path] = field(default_factory=dict)  # files for names among `losses.WEIGHTS`
    loggers: tuple[str, ...] = ("tensorboard",)  # among `callbacks.LOGGERS`


@dataclass(frozen=True)
class Supply:
    """What a run is fed with."""

    images: ImageSource  # all of them; their names and the broken ones are recorded
    crops: CropSource  # to learn from
    steps_per_epoch: int  # that show every image as often as the recipe says
    validation: ValidationSet | DamagedSet | None  # crops to validate with, in the first process; None in others
    metric: Loss  # the recipe's, on the device

    @property
    def broken(self) -> dict[str, Skipped]:
        """The images that this process has found broken since it began or resumed the run, by name."""
        return {each.name: each for each in (*self.images.skipped, *self.crops.skipped)}


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    step: int  # optimiser steps done, all resumed parts together
    best_step: int | None  # of `best.safetensors`; None while there is none
    signal: int | None  # that stopped it, by number; None when the run is over
    skipped: tuple[Skipped, ...]  # images that could not be read

    @property
    def summary(self) -> str:
        """Where a stopped run is, and what its files hold."""
        if self.best_step is None:
            best = "no best.safetensors yet, for no trained weights were validated"
        elif self.best_step == self.step:
            best = "best.safetensors is of this step"
        else:
            best = f"best.safetensors is older, of step {self.best_step}"
        return f"stopped at step {self.step}; {best}"
