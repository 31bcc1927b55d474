"""What all runs of a study that trains have in common."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from lab.ablation.plan import Plan, Scale
from lab.ablation.studies import Arm, TrainingStudy
from lab.ablation.training import FRESH, Start


@dataclass(frozen=True)
class Conditions:
    """Under which all arms of a study are trained.

    Attributes:
        scale: how much is done.
        device: to train on; scores are always taken on the CPU.
        seed: of the first run of every arm, of the masks and of the bootstrap.
        start: where every run begins.
    """

    scale: Scale
    device: torch.device
    seed: int = 0
    start: Start = FRESH


@dataclass(frozen=True)
class Bench:
    """What all runs of a study share.

    Attributes:
        study: what is compared.
        plan: how far.
        folder: of the study; a run lies in `runs/ARM-seedN`.
        conditions: under which the runs are made.
    """

    study: TrainingStudy
    plan: Plan
    folder: Path
    conditions: Conditions

    def run_folder(self, arm: Arm, run: int) -> Path:
        """Where a run lies."""
        name = "".join(c if c.isalnum() else "-" for c in arm.name)
        return self.folder / "runs" / f"{self.study.arms.index(arm)}-{name}-seed{self.conditions.seed + run}"


def runs_of(study: TrainingStudy, arm: Arm, scale: Scale) -> int:
    """How many times an arm is trained: the reference at least twice, to see what a seed changes."""
    return max(2, scale.seeds) if arm is study.arms[0] else scale.seeds
