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
    """What a run reads and writes, and how long it may take.

    Attributes:
        images: see `wavepaint.data.images.find_images`.
        folder: of the run.
        seconds: time budget of the whole run: steps, crops and validations are planned for it.
        weights: files for names among `losses.WEIGHTS`.
        loggers: among `callbacks.LOGGERS`.
    """

    images: str
    folder: Path
    seconds: float | None = None
    weights: Mapping[str, Path] = field(default_factory=dict)
    loggers: tuple[str, ...] = ("tensorboard",)


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        step: optimiser steps done, all resumed parts together.
        best_step: the step of `best.safetensors`; None while there is none.
        signal: number of the signal that stopped it, None when the run is over.
        skipped: images that could not be read.
    """

    step: int
    best_step: int | None
    signal: int | None
    skipped: tuple[Skipped, ...]

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


@dataclass(frozen=True)
class Supply:
    """What a run is fed with.

    Attributes:
        images: all of them; their names and the broken ones are recorded.
        crops: what to learn from.
        steps_per_epoch: how many steps show every image as often as the recipe says.
        validation: crops to validate with, in the first process; None in others.
        metrics: scores of a validation, on the device.
    """

    images: ImageSource
    crops: CropSource
    steps_per_epoch: int
    validation: ValidationSet | DamagedSet | None
    metrics: Mapping[str, Loss]
