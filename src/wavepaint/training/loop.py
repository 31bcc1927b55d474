"""The training loop: any number of devices through Lightning Fabric, and runs that can be stopped at any moment.

Everything random in a step is a function of the recipe's seed, the number of the step and the number of the
process: crops and masks through the source of crops, dropout and the choice of the start through generators seeded
anew at every step. A checkpoint therefore holds no generator's state, and a run that was killed and resumed makes
the same steps, on a CPU to the last bit, as one that never stopped. (With a time budget the steps are planned once,
at the start; where the machine turns out faster or slower they are planned anew, which a note reports.)
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import Tensor

from wavepaint.data.crops import Batch
from wavepaint.data.images import Skipped
from wavepaint.data.masks import rng_for
from wavepaint.errors import OptionError
from wavepaint.network.coarse import most_octaves
from wavepaint.training.callbacks import Callback, Metrics, format_seconds
from wavepaint.training.folder import REPORT, RunFolder, conditions, record
from wavepaint.training.learner import Learner
from wavepaint.training.pace import Pace, Position
from wavepaint.training.recipes import Recipe
from wavepaint.training.report import write_report
from wavepaint.training.settings import Outcome, Settings, Supply
from wavepaint.training.stopping import explained, stop_requests, worker_died
from wavepaint.training.validation import Scores, sample_grid, validate

_AGREE_EVERY = 10
"""Steps between two agreements of several processes on the time and on whether to stop."""
_NAMED_AT_MOST = 20
"""Broken images named on the terminal; the report names all."""


class TrainingLoop:
    """One process of a run, `fabric` launched; it `began` to work for the run then, on the monotonic clock."""

    def __init__(
        self,
        recipe: Recipe,
        settings: Settings,
        fabric: Fabric,
        learner: Learner,
        supply: Supply,
        callbacks: Sequence[Callback],
        began: float,
    ) -> None:
        self.settings, self.fabric, self.learner, self.supply = settings, fabric, learner, supply
        self.pace = Pace(recipe, settings.seconds, began, supply.steps_per_epoch)
        self.position = self.pace.position
        self.callbacks = list(callbacks) if fabric.is_global_zero else []
        self.folder = RunFolder(settings.folder)
        self.broken: dict[str, Skipped] = {}
        self.received: list[int] = []
        self.stop_signal: int | None = None
        self.state: Mapping[str, Any] | None = None
        self.differences: list[str] = []
        self.saved = began
        self._begin_row()

    @property
    def recipe(self) -> Recipe:
        """What is computed; with a time budget, as it is planned by now."""
        return self.pace.recipe

    def run(self) -> Outcome:
        """Train to the end, or until asked to stop."""
        position = self.position
        try:
            with stop_requests() as self.received:
                self._open()
                self._train()
                self._finish()
        except (RuntimeError, MemoryError, OSError) as error:
            crops = f"{self.recipe.batch} crops of {self.pace.side}x{self.pace.side}"
            doing = f"on {self.fabric.device} in step {position.step + 1}, {crops}"
            line = explained(error, doing, str(self.settings.folder), self.folder.last_good())
            if line is None:
                raise
            raise line from None
        finally:
            for callback in self.callbacks:
                # All they had to write was flushed before: a disk that is full by now must not hide what ended the run.
                with suppress(OSError):
                    callback.close()
            self.supply.crops.close()
            self.folder.close()
        best = position.best_step if position.best_step >= 0 else None
        return Outcome(position.step, best, self.stop_signal, tuple(self.broken.values()))

    def load(self, state: Mapping[str, Any], differences: Sequence[str] = ()) -> None:
        """Continue from what `_save` wrote; note what is not as it was, beginning with `differences` of the recipe."""
        self.state = state
        self.position = self.pace.resume(Position(**state["position"]))
        self.broken = {name: Skipped(name, reason) for name, reason in state["skipped"].items()}
        self.learner.begin_phase(self.recipe.phases[min(self.position.phase, len(self.recipe.phases) - 1)])
        self.learner.load_state_dict(state["learner"])
        # Reported once the folder is ours.
        if not self.supply.crops.load_state_dict(state["crops"]):
            self.differences.append("other workers, processes or batches: the crops continue in a new order")
        self.differences += differences
        for what, now in conditions(self.supply.images, self.fabric).items():
            if (before := state["conditions"][what]) != now:
                change = f"{what}: {before} before, {now} from now on"
                self.differences.append(f"{change}; the steps are not those of one whole run")

    def _open(self) -> None:
        """The folder, its lock and its logs, in the first process; the first validation and the plan of a new run."""
        settings, supply, note = self.settings, self.supply, self._note
        scored = self.fabric.broadcast(0 if supply.validation is None else len(supply.validation))
        if scored == 0 and any(phase.patience is not None for phase in self.recipe.phases):
            raise OptionError(
                f"{settings.images}: patience needs validation, but no image is held out for it that can be read: "
                f"raise validation.share (now {self.recipe.validation.share})"
            )
        if self.fabric.is_global_zero:
            self.folder.open(None if self.state is None else self.state["position"])
            self.callbacks.append(Metrics(settings.folder, self.position.step, settings.loggers, note))
        for difference in self.differences:
            note(difference)
        if scored == 0:
            note("no image to validate with: best.safetensors will be the last weights; raise validation.share")
        if self.state is None:
            self._validate()
            self._plan()
        parameters = sum(value.numel() for value in self.learner.network.parameters())
        note(self.recipe.to_yaml())
        note(
            f"{parameters / 1e6:.3f} M parameters on {self.fabric.world_size} x {self.fabric.device}, "
            f"{len(supply.images)} images, {scored} of those held out scored; {supply.steps_per_epoch} steps an epoch"
        )
        if self.state is None:
            self._save()
        self.saved = time.monotonic()
        self._begin_row()
        self.pace.start()
        self._report_step()

    def _plan(self) -> None:
        """Steps, crops and validations that fit into a time budget, from what a few steps take."""
        if self.settings.seconds is None:
            return
        small, large = [(side, self.learner.seconds_per_step(side)) for side in self.recipe.crops]
        self.pace.plan(small, large)
        # The clocks of several processes differ.
        self.pace.recipe, self.position.cost = self.fabric.broadcast((self.recipe, self.position.cost))
        crops = f"{self.recipe.crops[0]} to {self.recipe.crops[1]} pixels"
        self._note(f"planned for {format_seconds(self.settings.seconds)}: {self.recipe.steps} steps, crops of {crops}")

    def _train(self) -> None:
        position = self.position
        while not self._over():
            self._step()
            self._report_step()
            if position.step % self.recipe.log_every == 0:
                self._report_progress()
                self._replan()
            if position.step % self.pace.every == 0:
                self._validate()
            if time.monotonic() - self.saved >= self.recipe.save_seconds:
                self._save()

    def _over(self) -> bool:
        """Whether the loop ends here; several processes agree on the longest time and the highest signal."""
        fabric, position, seconds = self.fabric, self.position, self.pace.seconds()
        received = self.received[0] if self.received else None
        if fabric.world_size == 1:
            position.seconds, self.stop_signal = seconds, received
        elif position.step % _AGREE_EVERY == 0:
            mine = torch.tensor([seconds, float(received or 0)], device=fabric.device)
            agreed: Any = fabric.all_reduce(mine, reduce_op="max")
            position.seconds, self.stop_signal = agreed[0].item(), int(agreed[1]) or None
        if self.pace.over:
            self.stop_signal = None
        return self.pace.over or self.stop_signal is not None

    def _step(self) -> None:
        """One optimiser step."""
        recipe, position = self.recipe, self.position
        seeds = rng_for(recipe.seed, f"step {position.step} of process {self.fabric.global_rank}")
        torch.manual_seed(int(seeds.integers(2**63)))
        # The same for all processes: the coarse start costs time, and they wait for each other.
        start = rng_for(recipe.seed, f"start of step {position.step}")
        coarse = start.random() < recipe.self_condition
        most = most_octaves(self.learner.network.config, self.pace.side)
        octaves = int(start.integers(1, most + 1)) if coarse else 0
        self.rate = self.pace.rate
        self.losses.append(self.learner.step(self._next_batch, self.rate, octaves, position.step))
        position.step += 1

    def _next_batch(self) -> Batch:
        asked, crops, side = time.monotonic(), self.supply.crops, self.pace.side
        try:
            batch = crops.next(side)
        except RuntimeError as error:
            if not self.received or not worker_died(error):
                raise
            # Whoever asked this process to stop has ended its workers, too; others finish the step at hand.
            crops.close()
            batch = crops.next(side)
        self.waited += time.monotonic() - asked
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
        position, recipe, seconds = self.position, self.recipe, time.monotonic() - self.row_began
        own = torch.stack([torch.stack(list(losses.values())) for losses in self.losses]).mean(0)
        means: Any = self.fabric.all_reduce(own, reduce_op="mean")
        losses = dict(zip(self.losses[0], means.tolist(), strict=True))
        if not all(map(math.isfinite, losses.values())):
            text = ", ".join(f"{name} {value}" for name, value in losses.items())
            raise self.folder.not_finite(text, position.step)
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
            callback.on_progress(position.step, row, self.pace.seconds_left())
        self._begin_row()

    def _replan(self) -> None:
        """Fewer or more steps where the clock proves the plan wrong; all processes follow the first one."""
        if self.settings.seconds is None:
            return
        steps = self.fabric.broadcast(self.pace.replanned_steps())
        if steps != self.recipe.steps:
            self._note(f"step {self.position.step}: {steps} steps instead of {self.recipe.steps} fit the time")
            self.pace.recipe = self.recipe.model_copy(update={"steps": steps})

    def _validate(self) -> None:
        """Score the average; write the best; end a phase whose patience is over."""
        fabric, position, crops, judged = self.fabric, self.position, self.supply.validation, self.recipe.validation
        began = time.monotonic()
        position.validated = position.step
        scores: Scores | None = None
        if crops:
            scores = validate(self.learner.average, crops, {judged.metric: self.supply.metric}, judged.metric)
        metric = fabric.broadcast(None if scores is None else scores.metric)
        # Untrained weights are scored to be compared with, and are nobody's best.
        best = position.step > 0 and (metric is None or metric < position.best)
        if best:
            position.best, position.best_step, position.stale = math.inf if metric is None else metric, position.step, 0
        elif position.step > 0:
            position.stale += 1
        if fabric.is_global_zero and position.step > 0:
            top = 1 if metric is None else judged.top
            self.folder.write_judged(self.learner.average, self._record(scores), metric or 0.0, top, best)
        if scores is not None and crops is not None:
            row = {
                "validation/metric": scores.metric,
                "validation/best": float(best),
                "run/seconds": self.pace.seconds(),
            }
            for kind, found in scores.by_kind.items():
                row |= {f"validation/{name}/{kind}": value for name, value in found.items()}
            grid = sample_grid(self.learner.average, crops)
            for callback in self.callbacks:
                callback.on_validation(position.step, row, grid)
        patience = self.recipe.phases[position.phase].patience
        if patience is not None and position.stale >= patience:
            self._next_phase()
        self.pace.validated(time.monotonic() - began)
        self.row_began += time.monotonic() - began

    def _next_phase(self) -> None:
        """The best weights, and a fresh optimiser."""
        position = self.position
        position.phase += 1
        position.phase_began, position.stale = position.step, 0
        if position.phase == len(self.recipe.phases):
            return
        # The other machines need not see this one's folder.
        best = self.fabric.broadcast(self.folder.best_state() if self.fabric.is_global_zero else {})
        phase = self.recipe.phases[position.phase]
        for network in (self.learner.network, self.learner.average):
            network.load_state_dict(best)
        self.learner.begin_phase(phase)
        self._note(f"step {position.step}: phase {position.phase + 1} begins, {phase.optimizer} from the best weights")

    def _finish(self) -> None:
        position = self.position
        validated = position.validated == position.step or position.phase == len(self.recipe.phases)
        if self.stop_signal is None and not validated:
            self._validate()
        self.broken |= self.supply.broken
        if self.fabric.world_size > 1:
            gathered: list[dict[str, Skipped]] = [{}] * self.fabric.world_size
            torch.distributed.all_gather_object(gathered, self.broken)
            for found in gathered:
                self.broken |= found
        self._save()
        skipped = list(self.broken.values())
        if skipped:
            names = "".join(f"\n  {each.name}: {each.reason}" for each in skipped[:_NAMED_AT_MOST])
            self._note(f"{len(skipped)} images could not be read and were left out:{names}")
        if self.fabric.is_global_zero:
            crops = self.supply.validation
            grid = sample_grid(self.learner.average, crops) if crops else None
            write_report(self.settings.folder / REPORT, self._record(), grid, skipped)

    def _save(self) -> None:
        """Write the state and the averaged weights, in the first process."""
        self.saved = time.monotonic()
        if not self.fabric.is_global_zero:
            return
        self.folder.check_finite(self.learner.network, "the weights", self.position.step)
        self.broken |= self.supply.broken
        settings, position = self.settings, self.position
        position.seconds = self.pace.seconds()
        # As a resumed run finds them, wherever it is started.
        local = "://" not in settings.images
        state = {
            "recipe": self.recipe.to_yaml(),
            "settings": {
                "images": os.path.abspath(os.path.expanduser(settings.images)) if local else settings.images,
                "seconds": settings.seconds,
                "weights": {name: str(path.resolve()) for name, path in settings.weights.items()},
                "loggers": list(settings.loggers),
            },
            "conditions": conditions(self.supply.images, self.fabric),
            "config": self.learner.network.config.to_dict(),
            "position": asdict(position),
            "learner": self.learner.state_dict(),
            "crops": self.supply.crops.state_dict(),
            "skipped": {each.name: each.reason for each in self.broken.values()},
        }
        self.folder.write_state(state, self.learner.average, self._record())

    def _record(self, scores: Scores | None = None) -> dict[str, str]:
        return record(self.recipe, self.position, self.supply.images, self.fabric, scores)
