"""The training loop: any number of devices through Lightning Fabric, and runs that can be stopped at any moment.

Everything random in a step is a function of the recipe's seed, the number of the step and the number of the
process: crops and masks through the source of crops, dropout and the choice of the start through generators seeded
anew at every step. A checkpoint therefore holds no generator's state, and a run that was killed and resumed makes
the same steps, on a CPU to the last bit, as one that never stopped. (With a time budget the steps are planned once,
at the start; where the machine turns out faster or slower they are planned anew, which a note reports.)
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from lightning.fabric import Fabric
from torch import Tensor

from wavepaint import storage
from wavepaint.data.crops import Batch, CropSource
from wavepaint.data.damage import DamagedSet
from wavepaint.data.held_out import ValidationSet
from wavepaint.data.images import ImageSource, Skipped
from wavepaint.data.seeding import rng_for
from wavepaint.errors import OptionError
from wavepaint.files import sweep_parts
from wavepaint.network import load_network
from wavepaint.network.coarse import most_coarse_levels
from wavepaint.training import folder
from wavepaint.training.callbacks import Callback, Metrics
from wavepaint.training.learner import Learner
from wavepaint.training.pace import Pace, Position
from wavepaint.training.stopping import explained, stop_requests, worker_died
from wavepaint.training.validation import sample_grid, validate

_AGREE_EVERY = 10
"""Steps between two agreements of several processes on whether to stop."""
NAMED = 20
"""Images that could not be read and are named at the end, at most."""


@dataclass(frozen=True)
class Settings:
    """What a run reads and writes, and how long it may take."""

    images: str  # see `wavepaint.data.images.find_images`
    folder: Path  # of the run
    seconds: float | None = None  # time budget of the whole run: steps, crops and validations are planned for it
    weights: Mapping[str, Path] = field(default_factory=dict)  # files for names among `losses.WEIGHTS`
    loggers: tuple[str, ...] = ("tensorboard",)  # among `callbacks.LOGGERS`


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


class TrainingLoop:
    """One process of a run of all `images`: it learns from `crops`, and the first one validates with others."""

    def __init__(
        self,
        settings: Settings,
        fabric: Fabric,
        learner: Learner,
        pace: Pace,
        images: ImageSource,
        crops: CropSource,
        validation_set: ValidationSet | DamagedSet | None,
        callbacks: Sequence[Callback],
    ) -> None:
        self.settings, self.fabric, self.learner = settings, fabric, learner
        self.pace, self.position = pace, pace.position
        self.images, self.crops, self.validation_set = images, crops, validation_set
        self.callbacks = list(callbacks) if fabric.is_global_zero else []
        self.folder = settings.folder
        self.lock: FileLock | None = None
        self.broken: dict[str, Skipped] = {}
        self.received: list[int] = []
        self.stop_signal: int | None = None
        self.state: Mapping[str, Any] | None = None
        self.differences: list[str] = []
        self._begin_row()

    def run(self) -> Outcome:
        """Train to the end, or until asked to stop."""
        try:
            with stop_requests() as self.received:
                self._open()
                self._train()
                self._finish()
        except (RuntimeError, MemoryError, OSError) as error:
            batch = f"{self.pace.recipe.batch} crops of {self.pace.side}x{self.pace.side}"
            doing = f"on {self.fabric.device} in step {self.position.step + 1}, {batch}"
            line = explained(error, doing, str(self.folder), folder.last_good(self.folder))
            if line is None:
                raise
            raise line from None
        finally:
            for callback in self.callbacks:
                # All they had to write was flushed before: a disk that is full by now must not hide what ended the run.
                with suppress(OSError):
                    callback.close()
            self.crops.close()
            if self.lock is not None:
                self.lock.release()
        best = self.position.best_step if self.position.best_step >= 0 else None
        return Outcome(self.position.step, best, self.stop_signal, tuple(self.broken.values()))

    def load(self, state: Mapping[str, Any], differences: Sequence[str] = ()) -> None:
        """Continue from what `_save` wrote; note what is not as it was, beginning with `differences` of the recipe."""
        self.state = state
        self.position = self.pace.resume(Position(**state["position"]))
        self.broken = {name: Skipped(name, reason) for name, reason in state["skipped"].items()}
        self.learner.begin_phase(self.pace.recipe.phases[min(self.position.phase, len(self.pace.recipe.phases) - 1)])
        self.learner.load_state_dict(state["learner"])
        # Reported once the folder is ours.
        if not self.crops.load_state_dict(state["crops"]):
            self.differences.append("other workers, processes or batches: the crops continue in a new order")
        self.differences += differences
        for what, now in folder.conditions(self.images, self.fabric).items():
            if (before := state["conditions"][what]) != now:
                change = f"{what}: {before} before, {now} from now on"
                self.differences.append(f"{change}; the steps are not those of one whole run")

    def _open(self) -> None:
        """The folder, its lock and its logs, in the first process; the first validation and the plan of a new run."""
        settings, note = self.settings, self._note
        scored = self.fabric.broadcast(0 if self.validation_set is None else len(self.validation_set))
        if scored == 0 and any(phase.patience is not None for phase in self.pace.recipe.phases):
            raise OptionError(
                f"{settings.images}: patience needs validation, but no image is held out for it that can be read: "
                f"raise validation.share (now {self.pace.recipe.validation.share})"
            )
        if self.fabric.is_global_zero:
            self.lock = folder.locked(self.folder)
            # Nothing seen before the lock was held need be true now.
            if self.state is None:
                folder.check_new(self.folder, is_ours=True)
            elif folder.read_state(self.folder)["position"] != self.state["position"]:
                raise OptionError(f"{self.folder}: another process has just trained in this folder; resume it again")
            else:
                sweep_parts(self.folder)
            self.callbacks.append(Metrics(self.folder, self.position.step, settings.loggers, note))
        for difference in self.differences:
            note(difference)
        if scored == 0:
            note("no image to validate with: best.safetensors will be the last weights; raise validation.share")
        if self.state is None:
            self._validate()
            if settings.seconds is not None:
                self.pace.plan(self.learner.seconds_per_step)
                # The clocks of several processes differ.
                self.pace.recipe, self.position.cost = self.fabric.broadcast((self.pace.recipe, self.position.cost))
                budget, crops = timedelta(seconds=round(settings.seconds)), self.pace.recipe.crops
                planned = f"{self.pace.recipe.steps} steps, crops of {crops[0]} to {crops[1]} pixels"
                note(f"planned for {budget}: {planned}")
            self._save()
        parameters = sum(value.numel() for value in self.learner.network.parameters())
        where = f"{parameters / 1e6:.3f} M parameters on {self.fabric.world_size} x {self.fabric.device}"
        held_out = f"{len(self.images)} images, {scored} of those held out scored"
        note(f"{self.pace.recipe.to_yaml()}\n{where}, {held_out}; {self.pace.epoch} steps an epoch")
        self.saved = time.monotonic()
        self._begin_row()
        self.pace.start()
        self._report_step()

    def _train(self) -> None:
        position = self.position
        while not self._over():
            self._step()
            self._report_step()
            if position.step % self.pace.recipe.log_every == 0:
                self._report_progress()
                # Where the clock proves the plan for a time budget wrong; all processes follow the first one.
                steps, recipe = self.fabric.broadcast(self.pace.replanned_steps()), self.pace.recipe
                if steps != recipe.steps:
                    self._note(f"step {position.step}: {steps} steps instead of {recipe.steps} fit the time")
                    self.pace.recipe = recipe.model_copy(update={"steps": steps})
            if position.step % self.pace.every == 0:
                self._validate()
            if time.monotonic() - self.saved >= self.pace.recipe.save_seconds:
                self._save()

    def _over(self) -> bool:
        """Whether the loop ends here; several processes agree on the highest signal."""
        fabric, received = self.fabric, self.received[0] if self.received else 0
        if fabric.world_size == 1:
            self.stop_signal = received or None
        elif self.position.step % _AGREE_EVERY == 0:
            agreed: Any = fabric.all_reduce(torch.tensor(received, device=fabric.device), reduce_op="max")
            self.stop_signal = int(agreed) or None
        if self.pace.over:
            self.stop_signal = None
        return self.pace.over or self.stop_signal is not None

    def _step(self) -> None:
        recipe, position = self.pace.recipe, self.position
        seeds = rng_for(recipe.seed, f"step {position.step} of process {self.fabric.global_rank}")
        torch.manual_seed(int(seeds.integers(2**63)))
        # The same for all processes: the coarse start costs time, and they wait for each other.
        start = rng_for(recipe.seed, f"start of step {position.step}")
        coarse = start.random() < recipe.self_condition
        most = most_coarse_levels(self.learner.network.config, self.pace.side)
        coarse_levels = int(start.integers(1, most + 1)) if coarse else 0
        self.rate = self.pace.rate
        self.losses.append(self.learner.step(self._next_batch, self.rate, coarse_levels, position.step))
        position.step, position.seconds = position.step + 1, self.pace.seconds()

    def _next_batch(self) -> Batch:
        started, crops, side = time.monotonic(), self.crops, self.pace.side
        try:
            batch = crops.next(side)
        except RuntimeError as error:
            if not self.received or not worker_died(error):
                raise
            # Whoever asked this process to stop has ended its workers, too; others finish the step at hand.
            crops.close()
            batch = crops.next(side)
        self.waited += time.monotonic() - started
        return batch

    def _note(self, message: str) -> None:
        for callback in self.callbacks:
            callback.on_note(message)

    def _report_step(self) -> None:
        left = self.pace.seconds_left()
        for callback in self.callbacks:
            callback.on_step(self.position.step, self.pace.fraction, left)

    def _begin_row(self) -> None:
        """What the next row of the log sums up begins here."""
        self.losses: list[dict[str, Tensor]] = []
        self.row_began, self.waited = time.monotonic(), 0.0

    def _report_progress(self) -> None:
        position, recipe, seconds = self.position, self.pace.recipe, time.monotonic() - self.row_began
        own = torch.stack([torch.stack(list(losses.values())) for losses in self.losses]).mean(0)
        means: Any = self.fabric.all_reduce(own, reduce_op="mean")
        losses = dict(zip(self.losses[0], means.tolist(), strict=True))
        text = ", ".join(f"{name} {value}" for name, value in losses.items())
        folder.check_finite(self.folder, [means], text, position.step)
        crops = len(self.losses) * recipe.batch * recipe.accumulate * self.fabric.world_size
        row = {
            **{f"loss/{name}": value for name, value in losses.items()},
            "loss/total": sum(losses.values()),
            "run/seconds": self.pace.seconds(),
            "run/phase": position.phase,
            "run/side": self.pace.side,
            "run/learning_rate": self.rate,
            "run/images_per_second": crops / seconds,
            "run/waiting": self.waited / seconds,
        }
        for callback in self.callbacks:
            callback.on_row(position.step, row)
        self._begin_row()

    def _validate(self) -> None:
        """Score the average; write the best; end a phase whose patience is over."""
        fabric, position, validation, began = self.fabric, self.position, self.pace.recipe.validation, time.monotonic()
        position.validated = position.step
        scores, name = None, validation.metric
        if self.validation_set:
            scores = validate(self.learner.average, self.validation_set, {name: self.learner.losses[name]}, name)
        metric = fabric.broadcast(None if scores is None else scores["validation/metric"])
        # Untrained weights are scored to be compared with, and are nobody's best.
        best = position.step > 0 and (metric is None or metric < position.best)
        if best:
            position.best, position.best_step, position.stale = math.inf if metric is None else metric, position.step, 0
        elif position.step > 0:
            position.stale += 1
        if fabric.is_global_zero and position.step > 0:
            top = 1 if metric is None else validation.top
            record = folder.record(self.pace.recipe, position, self.images, fabric, scores)
            folder.write_validated(self.folder, self.learner.average, record, metric or 0.0, top, best)
        if scores is not None and self.validation_set is not None:
            row = {**scores, "validation/best": float(best), "run/seconds": self.pace.seconds()}
            grid = sample_grid(self.learner.average, self.validation_set)
            for callback in self.callbacks:
                callback.on_row(position.step, row, grid)
        patience = self.pace.recipe.phases[position.phase].patience
        if patience is not None and position.stale >= patience:
            self._next_phase()
        self.pace.validated(time.monotonic() - began)
        self.row_began += time.monotonic() - began

    def _next_phase(self) -> None:
        """The best weights, and a fresh optimiser."""
        position = self.position
        position.phase += 1
        position.phase_began, position.stale = position.step, 0
        if position.phase == len(self.pace.recipe.phases):
            return
        # The other machines need not see this one's folder.
        own = load_network(self.folder / folder.BEST).state_dict() if self.fabric.is_global_zero else {}
        best = self.fabric.broadcast(own)
        phase = self.pace.recipe.phases[position.phase]
        for network in (self.learner.network, self.learner.average):
            network.load_state_dict(best)
        self.learner.begin_phase(phase)
        self._note(f"step {position.step}: phase {position.phase + 1} begins, {phase.optimizer} from the best weights")

    def _finish(self) -> None:
        position = self.position
        if self.stop_signal is None and position.validated != position.step:
            self._validate()
        self._find_broken()
        if self.fabric.world_size > 1:
            gathered: list[dict[str, Skipped]] = [{}] * self.fabric.world_size
            torch.distributed.all_gather_object(gathered, self.broken)
            for broken in gathered:
                self.broken |= broken
            # Gloo's threads let go of these tensors meanwhile: one that does so while Python ends aborts the process.
            time.sleep(1)
        self._save()
        if self.broken:
            lines = [f"\n  {each.name}: {each.reason}" for each in self.broken.values()]
            lines[NAMED:] = [f"\n  and {len(lines) - NAMED} more"] if len(lines) > NAMED else []
            self._note(f"{len(self.broken)} images could not be read and were left out:{''.join(lines)}")

    def _find_broken(self) -> None:
        self.broken |= {each.name: each for each in (*self.images.skipped, *self.crops.skipped)}

    def _save(self) -> None:
        """Write the state and the averaged weights, in the first process."""
        self.saved = time.monotonic()
        if not self.fabric.is_global_zero:
            return
        self._find_broken()
        settings, position = self.settings, self.position
        position.seconds = self.pace.seconds()
        state = {
            "recipe": self.pace.recipe.to_yaml(),
            # As a resumed run finds them, wherever it is started.
            "settings": {
                "images": storage.absolute(settings.images),
                "seconds": settings.seconds,
                "weights": {name: str(path.resolve()) for name, path in settings.weights.items()},
                "loggers": list(settings.loggers),
            },
            "conditions": folder.conditions(self.images, self.fabric),
            "config": self.learner.network.config.to_dict(),
            "position": asdict(position),
            "learner": self.learner.state_dict(),
            "crops": self.crops.state_dict(),
            "skipped": {each.name: each.reason for each in self.broken.values()},
        }
        record = folder.record(self.pace.recipe, position, self.images, self.fabric)
        folder.write_state(self.folder, state, self.learner.average, record)
