"""Training the arms of a study: alike, step by step, in a way that a kill does not change."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import torch
from lightning.fabric import Fabric

from lab.ablation.convolutions import MARK, ConvolutionBlock, without_dwt
from lab.ablation.losses import load_all_losses
from lab.ablation.plan import Scale
from lab.ablation.studies import Arm
from wavepaint.data.crops import Batch
from wavepaint.data.images import find_images
from wavepaint.data.resident import ImageBank, MaskBank
from wavepaint.errors import OptionError
from wavepaint.evaluation.protocol import item_name
from wavepaint.files import atomic_write
from wavepaint.network import WavePaint, WavePaintConfig, load_checkpoint, preset, save_checkpoint
from wavepaint.network.coarse import evaluating, most_coarse_levels
from wavepaint.training.learner import Learner, has_bfloat16, is_finite
from wavepaint.training.losses import Loss, WeightedLosses
from wavepaint.training.pace import warmup
from wavepaint.training.recipes import Recipe, load_recipe

SAVE_SECONDS = 20.0
MAX_PIXELS = 384 * 384
AVERAGE = 0.99
WARMUP = 50
MASKS: Mapping[str, int] = MappingProxyType({"thin": 1, "medium": 1, "thick": 1, "everyday": 1})
MASK_BANK = 2000
REFERENCE_LOSSES: Mapping[str, float] = MappingProxyType({"hole-l1": 1.0, "gradient": 0.5})
"""What every arm minimises."""
_SPREAD = 0x9E3779B9
_UNTIMED_STEPS, _TIMED_STEPS = 2, 7
_STATE = "state.ckpt"


@dataclass(frozen=True)
class Start:
    """Where the training of every arm begins.

    Attributes:
        init: checkpoint to start from, "default" for the packaged network; None for random weights.
        learning_rate: AdamW's, after the warm-up.
        vgg_weights: file of VGG16 weights for losses and scores; None for the official ones, downloaded once.
    """

    init: str | None = None
    learning_rate: float = 2e-3
    vgg_weights: Path | None = None


FRESH = Start()


def training_precision(device: torch.device) -> Literal["bf16-mixed", "32-true"]:
    """Lightning's name of the precision that steps are made in: on a processor the same one everywhere."""
    return "bf16-mixed" if device.type == "cuda" and has_bfloat16(device) else "32-true"


class PairedTrainer:
    """A learner whose every moment can be compared with another arm's.

    The rate stays as it is after the warm-up, so that no moment is the end of a schedule and the weights' average
    takes the place of the decay. The crops and masks of a step follow from the seed and its number alone: all
    arms see the same ones, and a resumed run sees those that it would have seen.

    Args:
        model: to train.
        images: to train on.
        masks: likewise.
        recipe: batch, crops, losses, coarse starts, average, seed and learning rate.
        device: that trains.
        losses: those of the recipe.
    """

    def __init__(
        self,
        model: WavePaint,
        images: ImageBank,
        masks: MaskBank,
        recipe: Recipe,
        device: torch.device,
        losses: Mapping[str, Loss],
    ) -> None:
        self.model, self.recipe, self.device = model, recipe, device
        self._images, self._masks = images, masks
        fabric = Fabric(accelerator=device.type, devices=1, precision=training_precision(device))
        fabric.launch()
        self.learner = Learner(recipe, fabric, model, losses)
        self._losses = WeightedLosses(losses, recipe.losses).to(device)
        self._generator = torch.Generator(device)
        self.steps, self._before, self._started = 0, 0.0, self._now()

    def _now(self) -> float:
        return time.process_time() if self.device.type == "cpu" else time.monotonic()

    @property
    def seconds(self) -> float:
        """Time trained so far, before it was resumed included."""
        return self._before + self._now() - self._started

    def step(self) -> None:
        """One optimiser step."""
        batch = self.draw(self.steps)
        coarse = float(torch.rand(())) < self.recipe.self_condition
        most = most_coarse_levels(self.model.config, self.recipe.crops[0])
        coarse_levels = int(torch.randint(1, most + 1, ())) if coarse else 0
        phase = self.recipe.phases[0]
        rate = phase.learning_rate * warmup(self.steps, phase.warmup)
        self.learner.step(lambda: batch, rate, coarse_levels, self.steps)
        self.steps += 1

    def draw(self, number: int) -> Batch:
        """The batch of a step, after which PyTorch's own generator follows from the step, too."""
        # PyTorch's generator on the CPU looks at 32 bits: seeds are spread over them, far from each other.
        seed = (self.recipe.seed * _SPREAD + number) % 2**32
        self._generator.manual_seed(seed)
        torch.manual_seed(seed)
        count, side = self.recipe.batch, self.recipe.crops[0]
        scale = 1 + float(torch.rand((), generator=self._generator, device=self.device))
        image = self._images.crops(count, side, scale, self._generator)
        mask = self._masks.crops(count, side, self._generator)
        return Batch(image=(image * 255 + 0.5).to(torch.uint8), mask=mask > 0, name=[])

    def gradient_norms(self, groups: Mapping[str, Sequence[str]], batches: int) -> dict[str, float]:
        """How strongly losses pull at the filled samples, before the first step.

        Args:
            groups: names of losses of the recipe that pull together, with their weights, by any name.
            batches: those of the first steps, which the norms are averaged over.

        Returns:
            For every group the mean L2 norm of its gradient by the hole samples of a batch.
        """
        norms = dict.fromkeys(groups, 0.0)
        for number in range(batches):
            batch = self.draw(number)
            image, mask = batch["image"].float() / 255, batch["mask"].float()
            with torch.no_grad(), evaluating(self.model):
                filled = self.model(image, mask).float()
            losses = self._losses(filled.requires_grad_(), image, mask)
            for group, names in groups.items():
                total = torch.stack([losses[name] for name in names]).sum()
                (gradient,) = torch.autograd.grad(total, filled, retain_graph=True)
                norms[group] += float((gradient * mask).norm()) / batches
        return norms

    def save(self, path: Path) -> None:
        """Write all that resuming needs."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as unfinished:
            torch.save({"steps": self.steps, "seconds": self.seconds, "learner": self.learner.state_dict()}, unfinished)

    def resume(self, path: Path) -> None:
        """Continue from what `save` wrote."""
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.steps, self._before, self._started = state["steps"], state["seconds"], self._now()
        self.learner.load_state_dict(state["learner"])


def config_of(arm: Arm, scale: Scale) -> WavePaintConfig:
    """The network of an arm."""
    own = {**preset(arm.preset).to_dict(), "octaves": arm.coarse_levels}
    return WavePaintConfig.from_dict({**own, **scale.network, **arm.network})


def make_trainer(
    arm: Arm,
    scale: Scale,
    images: ImageBank,
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
        images: to train on.
        masks: likewise.
        seed: decides the random initial weights and everything that the trainer sees.
        device: that trains.
        start: where it begins.
        added: weights of losses besides `REFERENCE_LOSSES`.
    """
    weights = {**REFERENCE_LOSSES, **added}
    base = load_recipe("default")
    phase = base.phases[0].model_copy(update={"learning_rate": start.learning_rate, "warmup": WARMUP})
    recipe = base.model_copy(
        update={
            "crops": (scale.crop, scale.crop),
            "batch": scale.batch,
            "losses": weights,
            "self_condition": arm.self_condition,
            "ema": AVERAGE,
            "seed": seed,
            "phases": (phase,),
        }
    )
    torch.manual_seed(seed)
    if start.init is not None:
        model = load_checkpoint(start.init)
    else:
        config = config_of(arm, scale)
        model = WavePaint(config) if arm.convolutions is None else without_dwt(config, arm.convolutions)
    return PairedTrainer(model, images, masks, recipe, device, load_all_losses(weights, start.vgg_weights))


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
    return trainer.seconds


def snapshot_path(folder: Path, steps: int) -> Path:
    """The averaged weights of a run after so many steps."""
    return folder / f"step-{steps:06d}.safetensors"


def train_run(trainer: PairedTrainer, folder: Path, moments: Sequence[int], save_seconds: float = SAVE_SECONDS) -> None:
    """Train to each of `moments` and leave a snapshot there; a run that was killed is resumed.

    Args:
        trainer: at its first step.
        folder: of the run; made if need be.
        moments: numbers of steps.
        save_seconds: between two states from which the run can be resumed.

    Raises:
        OptionError: weights that are no longer finite; the snapshots before stay as they are.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = folder / _STATE
    if state.is_file():
        trainer.resume(state)
    saved = trainer.seconds
    for moment in sorted(moments):
        while trainer.steps < moment:
            trainer.step()
            if trainer.seconds - saved >= save_seconds:
                trainer.save(state)
                saved = trainer.seconds
        snapshot = snapshot_path(folder, moment)
        if not snapshot.is_file():
            if not is_finite(trainer.model):
                raise OptionError(f"{folder}: weights are not finite at step {trainer.steps}")
            kind = "convolution" if _has_convolutions(trainer.model) else "dwt"
            note = {MARK: kind, "steps": str(trainer.steps), "seconds": f"{trainer.seconds:.1f}"}
            save_checkpoint(trainer.learner.average, snapshot, extra=note)
    state.unlink(missing_ok=True)


def _has_convolutions(model: WavePaint) -> bool:
    return any(isinstance(part, ConvolutionBlock) for part in model.modules())


def load_images(source: str, count: int, excluded: frozenset[str], device: torch.device) -> ImageBank:
    """Images to train on, as bytes on a device.

    Args:
        source: see `data.images.find_images`.
        count: at most so many, taken evenly from all.
        excluded: names in a test set (`protocol.item_name`), which are left out.
        device: that trains.

    Raises:
        ImageError: no such source.
        OptionError: nothing in it to train on.
    """
    available = find_images(source)
    usable = [index for index in range(len(available)) if item_name(available.name(index)) not in excluded]
    if not usable:
        raise OptionError(f"{source}: all its images are in the test set")
    step = max(1.0, len(usable) / count)
    chosen = available.part(usable[int(number * step)] for number in range(min(count, len(usable))))
    return ImageBank((image for _, image in chosen.readable(MAX_PIXELS)), device)
