"""Training the arms of a study: alike, step by step, in a way that a kill does not change."""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray

from lab.ablation.plan import Scale
from lab.ablation.studies import Arm
from wavepaint.data.photographs import PhotographSource, Selection, find_photographs
from wavepaint.errors import ImageError, OptionError
from wavepaint.evaluation.protocol import item_name
from wavepaint.files import atomic_dir
from wavepaint.network import WavePaint, WavePaintConfig, load_checkpoint, preset, save_checkpoint
from wavepaint.training.module import evaluating, is_finite
from wavepaint.training.resident import MaskBank, PhotographBank, ResidentOptions, Trainer

SAVE_SECONDS = 20.0
MAX_PIXELS = 384 * 384
AVERAGE = 0.99
WARMUP = 50
MASK_BANK = 2000
REFERENCE_LOSSES: Mapping[str, float] = MappingProxyType({"hole-l1": 1.0, "gradient": 0.5})
"""What every arm minimises."""
VGG_BATCH, VGG_SIDE = 4, 64
"""On a CPU, crops of a step that VGG16 looks at, and the window of each: it costs more than the network."""
_SPREAD = 0x9E3779B9
_UNTIMED_STEPS, _TIMED_STEPS = 2, 7
_PROGRESS = "progress.json"


@dataclass(frozen=True)
class Start:
    """Where the training of every arm begins.

    Attributes:
        init: checkpoint to go on from, "default" for the packaged network; None for random weights.
        learning_rate: AdamW's, after the warm-up.
        vgg_weights: file of VGG16 weights for losses and scores; None for the official ones, downloaded once.
    """

    init: str | None = None
    learning_rate: float = 2e-3
    vgg_weights: Path | None = None


FRESH = Start()


class PairedTrainer(Trainer):
    """A trainer whose every moment can be compared with another arm's.

    The rate stays as it is after the warm-up, so that no moment is the end of a schedule and the weights' average
    takes the place of the decay. The crops and masks of a step follow from the seed and its number alone: all
    arms see the same ones, and a run that goes on sees those that it would have seen.
    """

    @property
    def progress(self) -> float:
        """Always at the beginning of the schedule."""
        return 0.0

    def step(self) -> dict[str, torch.Tensor]:
        """See `Trainer.step`."""
        self._reseed(self.steps)
        return super().step()

    def gradient_norms(self, groups: Mapping[str, Sequence[str]], batches: int) -> dict[str, float]:
        """How strongly losses pull at the filled samples, before the first step.

        Args:
            groups: names of losses of the options that pull together, with their weights, by any name.
            batches: those of the first steps, which the norms are averaged over.

        Returns:
            For every group the mean L2 norm of its gradient by the hole samples of a batch.
        """
        norms = dict.fromkeys(groups, 0.0)
        for number in range(batches):
            self._reseed(number)
            image, mask = self.draw(self.progress)
            with torch.no_grad(), evaluating(self.model):
                filled = self.model(image, mask).float()
            losses = self._losses(filled.requires_grad_(), image, mask, self.progress)
            for group, names in groups.items():
                total = torch.stack([losses[name] for name in names]).sum()
                (gradient,) = torch.autograd.grad(total, filled, retain_graph=True)
                norms[group] += float((gradient * mask).norm()) / batches
        return norms

    def _reseed(self, number: int) -> None:
        # PyTorch's generator on the CPU looks at 32 bits: seeds are spread over them, far from each other.
        seed = (self.options.seed * _SPREAD + number) % 2**32
        self.generator.manual_seed(seed)
        torch.manual_seed(seed)  # dropout, and the directions of sliced losses


def config_of(arm: Arm, scale: Scale) -> WavePaintConfig:
    """The network of an arm."""
    return WavePaintConfig.from_dict(
        {**preset("default").to_dict(), "octaves": arm.octaves, **scale.network, **arm.network}
    )


def make_trainer(
    arm: Arm,
    scale: Scale,
    photographs: PhotographBank,
    masks: MaskBank,
    seed: int,
    device: torch.device,
    start: Start = FRESH,
    added: Mapping[str, float] = MappingProxyType({}),
) -> PairedTrainer:
    """A trainer at its first step.

    Args:
        arm: what to train.
        scale: size of the steps.
        photographs: to train on.
        masks: likewise.
        seed: decides the random initial weights and everything that the trainer sees.
        device: that trains.
        start: where it begins.
        added: weights of losses besides `REFERENCE_LOSSES`.
    """
    on_cpu = device.type == "cpu"
    options = ResidentOptions(
        crop=(scale.crop, scale.crop),
        batch=scale.batch,
        clock="cpu" if on_cpu else "wall",
        learning_rate=start.learning_rate,
        warmup=WARMUP,
        losses={**REFERENCE_LOSSES, **added},
        vgg_batch=VGG_BATCH if on_cpu else 0,
        vgg_side=VGG_SIDE if on_cpu else 0,
        self_condition=arm.self_condition,
        ema=AVERAGE,
        seed=seed,
    )
    torch.manual_seed(seed)
    model = WavePaint(config_of(arm, scale)) if start.init is None else load_checkpoint(start.init)
    return PairedTrainer(model, photographs, masks, options, device, start.vgg_weights)


def seconds_per_step(trainers: Sequence[PairedTrainer]) -> list[float]:
    """What a step of each takes by its clock: the mean of a few, taken in turns so that a busy machine slows all.

    The trainers are used up.
    """
    seconds: list[list[float]] = [[] for _ in trainers]
    for _ in range(_UNTIMED_STEPS + _TIMED_STEPS):
        for trainer, own in zip(trainers, seconds, strict=True):
            started = _now(trainer)
            trainer.step()
            own.append(_now(trainer) - started)
    return [statistics.fmean(own[_UNTIMED_STEPS:]) for own in seconds]


def _now(trainer: PairedTrainer) -> float:
    if trainer.device.type == "cuda":
        torch.cuda.synchronize(trainer.device)
    return time.process_time() if trainer.options.clock == "cpu" else time.monotonic()


def snapshot_path(folder: Path, steps: int) -> Path:
    """The averaged weights of a run after so many steps."""
    return folder / f"step-{steps:06d}.safetensors"


def train_run(trainer: PairedTrainer, folder: Path, moments: Sequence[int]) -> None:
    """Train to each of `moments` and leave a snapshot there; a run that was killed goes on where it was saved.

    Args:
        trainer: at its first step.
        folder: of the run; made if need be.
        moments: numbers of steps.

    Raises:
        OptionError: weights that are no longer finite; the snapshots before stay as they are.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = folder / "state"
    if (state / _PROGRESS).is_file():
        trainer.resume(state)
    saved = trainer.seconds
    for moment in sorted(moments):
        while trainer.steps < moment:
            trainer.step()
            if trainer.seconds - saved >= SAVE_SECONDS:
                _save(trainer, state)
                saved = trainer.seconds
        snapshot = snapshot_path(folder, moment)
        if not snapshot.is_file():
            if not is_finite(trainer.model):
                raise OptionError(f"{folder}: weights are not finite at step {trainer.steps}")
            note = {"steps": str(trainer.steps), "seconds": f"{trainer.seconds:.1f}"}
            save_checkpoint(trainer.model, snapshot, state=trainer.average, extra=note)
    shutil.rmtree(state, ignore_errors=True)


def _save(trainer: PairedTrainer, state: Path) -> None:
    # One rename for all files: weights and moments of different steps would go on as a different run.
    with atomic_dir(state, _PROGRESS) as made:
        trainer.save(made)


def load_photographs(source: str, count: int, excluded: frozenset[str], device: torch.device) -> PhotographBank:
    """Photographs to train on, as bytes on a device.

    Args:
        source: see `data.photographs.find_photographs`.
        count: at most so many, taken evenly from all.
        excluded: names in a test set (`protocol.item_name`), which are left out.
        device: that trains.

    Raises:
        ImageError: no such source.
        OptionError: nothing in it to train on.
    """
    found = find_photographs(source)
    usable = [index for index in range(len(found)) if item_name(found.name(index)) not in excluded]
    if not usable:
        raise OptionError(f"{source}: all its photographs are in the test set")
    step = max(1.0, len(usable) / count)
    chosen = Selection(found, (usable[int(number * step)] for number in range(min(count, len(usable)))))
    return PhotographBank(_readable(chosen), device)


def _readable(source: PhotographSource) -> Iterator[NDArray[np.uint8]]:
    for index in range(len(source)):
        try:
            yield source.read(index, MAX_PIXELS)
        except ImageError:
            continue
