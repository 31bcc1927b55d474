"""The training loop: any number of devices through Lightning Fabric, and runs that can be stopped at any moment.

Everything random in a step is a function of the recipe's seed, the number of the step and the number of the
process: crops and masks through `CropStream`, dropout and the choice of the start through generators seeded anew at
every step. A checkpoint therefore holds no generator's state, and a run that was killed and resumed makes
the same steps, on a CPU to the last bit, as one that never stopped. (With a time limit the clock drives the
schedule, and no two runs are the same.)

A run is a folder:

    last.ckpt           everything that resuming needs
    last.safetensors    the averaged weights now, a network for `wavepaint inpaint --model`
    best.safetensors    the averaged weights that did best in validation
    recipe.yaml         what the run computes, in full
    journal.jsonl       losses and scores, one JSON object a line
    tensorboard/        the same for TensorBoard, with pictures
    report.html         curves, scores and pictures, at the end
    .lock               held by the process that trains
"""

from __future__ import annotations

import copy
import errno
import io
import math
import os
import pickle
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from lightning.fabric.plugins.precision.amp import MixedPrecision
from lightning.fabric.wrappers import _FabricOptimizer
from torch import Tensor, nn

from wavepaint.data.crops import Batch, CropDataset
from wavepaint.data.masks import rng_for
from wavepaint.data.photographs import PhotographSource, Skipped
from wavepaint.errors import CheckpointError, OptionError, WavepaintError
from wavepaint.files import atomic_write
from wavepaint.network import WavePaint, load_checkpoint, save_checkpoint
from wavepaint.training.lock import LOCK, FolderLock
from wavepaint.training.losses import Loss, WeightedLosses
from wavepaint.training.module import FillTraining, is_finite, memory_format, most_octaves, update_average
from wavepaint.training.recipes import Phase, Recipe
from wavepaint.training.report import write_report
from wavepaint.training.schedule import average_decay, cosine, crop_side, warmup
from wavepaint.training.stopping import StopRequests
from wavepaint.training.stream import CropStream
from wavepaint.training.validation import Scores, ValidationSet, sample_grid, validate
from wavepaint.training.watching import JOURNAL, TENSORBOARD, Journal, Progress, TensorBoard, Validated, Watcher

STATE = "last.ckpt"
LAST = "last.safetensors"
BEST = "best.safetensors"
RECIPE = "recipe.yaml"
REPORT = "report.html"
FILES = (STATE, LAST, BEST, RECIPE, REPORT, JOURNAL, TENSORBOARD)
"""All that a run leaves in its folder."""

ALWAYS_REPORTED = "hole-l1"
_AGREE_EVERY = 10
"""Steps between two agreements of several processes on the time and on whether to stop."""
_MAX_WORKERS = 8
_NAMED_AT_MOST = 20
"""Broken photographs named on the terminal; the report names all."""
_UNFINISHED = re.compile(r"\.[0-9a-f]{16}\.part")
"""Names under which `wavepaint.files.atomic_write` writes."""


@dataclass(frozen=True)
class Settings:
    """What a run reads and writes, and how long it may take.

    Attributes:
        photographs: see `wavepaint.data.photographs.find_photographs`.
        folder: of the run.
        max_seconds: end after this much training; the schedule then follows the clock.
        weights: files for names among `losses.WEIGHTS`.
        tensorboard: write what TensorBoard shows.
    """

    photographs: str
    folder: Path
    max_seconds: float | None = None
    weights: Mapping[str, Path] = field(default_factory=dict)
    tensorboard: bool = True


@dataclass(frozen=True)
class Outcome:
    """How a sitting ended.

    Attributes:
        step: optimiser steps done, earlier sittings included.
        signal: number of the signal that stopped it, None when the run is over.
        skipped: photographs that could not be read.
    """

    step: int
    signal: int | None
    skipped: tuple[Skipped, ...]


@dataclass
class Position:
    """How far a run is.

    Attributes:
        step: optimiser steps done.
        seconds: time trained.
        phase: number of the phase; the number of phases when all are over.
        phase_began: the step at which it began.
        best: best validation score so far.
        stale: validations since, in this phase.
        validated: step of the last validation; -1 before the first.
    """

    step: int = 0
    seconds: float = 0.0
    phase: int = 0
    phase_began: int = 0
    best: float = math.inf
    stale: int = 0
    validated: int = -1


def read_state(folder: Path) -> dict[str, Any]:
    """What `last.ckpt` of a run holds, on the CPU; `recipe` is the recipe's YAML.

    Raises:
        CheckpointError: there is none, or it is damaged.
    """
    path = folder / STATE
    if not path.is_file():
        raise CheckpointError(f"{folder}: no run to resume: no {STATE}")
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"{path}: damaged: {(str(error).splitlines() or ['unreadable'])[0]}") from None
    known = {"recipe", "settings", "conditions", "position", "network", "skipped"}
    if not isinstance(state, dict) or not known <= state.keys():
        raise CheckpointError(f"{path}: not the state of a run")
    return state


def check_new(folder: Path, *, locked: bool = False) -> None:
    """Refuse a folder in which a new run would replace something.

    Args:
        folder: of the run; need not exist.
        locked: whether the caller holds its lock; without it, that somebody trains there is said first.

    Raises:
        OptionError: what is there.
    """
    found = next((name for name in FILES if os.path.lexists(folder / name)), None)
    if found is None:
        return
    if not locked and (folder / LOCK).exists():
        with suppress(OSError):
            FolderLock(folder).close()
    if (folder / STATE).exists():
        raise OptionError(f"{folder}: holds a run already; resume it, or choose another folder")
    raise OptionError(
        f"{folder}: holds {found}, which a run would replace, but no {STATE} to resume from: "
        "remove it, or choose another folder"
    )


class Engine:
    """One process of a run."""

    def __init__(
        self,
        recipe: Recipe,
        settings: Settings,
        fabric: Fabric,
        network: WavePaint,
        losses: Mapping[str, Loss],
        sources: tuple[PhotographSource, PhotographSource, PhotographSource],
        watchers: Sequence[Watcher],
    ) -> None:
        self.source, self.kept, self.held_out = sources
        self.recipe, self.settings, self.fabric = recipe, settings, fabric
        self.position = Position()
        self.resumed = False
        self.watchers = list(watchers) if fabric.is_global_zero else []
        self.steps_per_epoch = max(
            1,
            len(self.kept) * recipe.data.crops_per_photo // (recipe.batch * recipe.accumulate * fabric.world_size),
        )

        self.average = copy.deepcopy(network).eval().requires_grad_(False).to(fabric.device)
        network = network.to(memory_format=memory_format(fabric.device))  # type: ignore[call-overload]
        if recipe.compile and fabric.device.type == "cuda":
            network.compile()
        if recipe.batch_norm == "sync" and fabric.world_size > 1:
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        self.network = network
        self.training = FillTraining(
            network, WeightedLosses(losses, recipe.losses), freeze_batch_norm=recipe.batch_norm == "frozen"
        )
        self.metrics = {name: losses[name].to(fabric.device) for name in (ALWAYS_REPORTED, recipe.validation.metric)}
        self.module = fabric.setup_module(self.training)
        self._begin_phase()

        workers = _suggested_workers(fabric) if recipe.data.workers is None else recipe.data.workers
        self.stream = CropStream(
            self._dataset(self.kept), recipe.batch, recipe.seed, workers, fabric.device.type == "cuda"
        )
        self.broken: dict[str, Skipped] = {}
        self.crops: ValidationSet | None = None
        self.lock: FolderLock | None = None
        self.requests = StopRequests()
        self.stop_signal: int | None = None
        self.elapsed = 0.0
        self.saved = 0.0
        self.started = time.monotonic()
        self._reset_window()

    def _dataset(self, source: PhotographSource) -> Any:
        data, fabric = self.recipe.data, self.fabric

        def dataset(side: int, seed: int) -> CropDataset:
            return CropDataset(
                source,
                crop=side,
                masks=data.masks,
                seed=seed,
                crops_per_photo=data.crops_per_photo,
                pool_size=data.pool_size,
                max_pixels=data.max_pixels,
                max_scale=data.max_scale,
                rank=fabric.global_rank,
                world_size=fabric.world_size,
            )

        return dataset

    def run(self) -> Outcome:
        """Train to the end, or until asked to stop."""
        try:
            with self.requests:
                self._open()
                if self.position.validated < 0:
                    self._validate()
                    self._save()
                self._train()
                self._finish()
        except MemoryError as error:
            raise self._out_of_memory(error) from None
        except RuntimeError as error:
            if _is_out_of_memory(error):
                raise self._out_of_memory(error) from None
            if _is_worker_death(error):
                raise WavepaintError(
                    "a process that loads photographs has died, perhaps for want of memory: lower data.workers; "
                    f"{self._last_good()} ({_first_line(error)})"
                ) from None
            if _is_peer_death(error):
                raise WavepaintError(
                    f"process {self.fabric.global_rank} of {self.fabric.world_size} ends because another one has"
                ) from None
            raise
        except OSError as error:
            if error.errno == errno.ENOMEM:
                raise self._out_of_memory(error) from None
            raise WavepaintError(
                f"{error.filename or self.settings.folder}: cannot be written: {error.strerror or error}; "
                f"{self._last_good()}"
            ) from None
        finally:
            for watcher in self.watchers:
                # All they had to write was flushed before: a disk that is full by now must not hide what ended the run.
                with suppress(OSError):
                    watcher.close()
            self.stream.close()
            if self.lock is not None:
                self.lock.close()
        return Outcome(self.position.step, self.stop_signal, tuple(self.broken.values()))

    def _open(self) -> None:
        """What the first process keeps: the validation crops, the folder, the journal."""
        fabric, folder, validation = self.fabric, self.settings.folder, self.recipe.validation
        if fabric.is_global_zero:
            self.crops = ValidationSet(
                self.held_out, validation.masks, validation.photographs, validation.crop, self.recipe.data.max_pixels
            )
        scored = fabric.broadcast(0 if self.crops is None else len(self.crops))
        if scored == 0 and any(phase.patience is not None for phase in self.recipe.phases):
            raise OptionError(
                f"{self.settings.photographs}: patience needs validation, but none of the {len(self.held_out)} "
                "photographs held out for it can be read: raise validation.share"
            )
        if fabric.is_global_zero:
            folder.mkdir(parents=True, exist_ok=True)
            self.lock = FolderLock(folder)
            # Nothing seen before the lock was held need be true now.
            if not self.resumed:
                check_new(folder, locked=True)
            elif read_state(folder)["position"] != asdict(self.position):
                raise OptionError(f"{folder}: another process has just trained in this folder; resume it again")
            else:
                _remove_unfinished(folder)
            with atomic_write(folder / RECIPE) as unfinished:
                unfinished.write_text(self.recipe.to_yaml())
            step = self.position.step
            self.watchers.append(Journal(folder, step))
            if self.settings.tensorboard:
                self.watchers.append(TensorBoard(folder, step, self._note))
            if scored == 0:
                self._note(
                    f"no photograph to validate with ({validation.share:.0%} are held out): {BEST} will be the "
                    "last weights; raise validation.share"
                )
            self._introduce(scored)
        self.elapsed = self.position.seconds
        self.started = time.monotonic() - self.position.seconds
        self.saved = time.monotonic()
        self.start_fraction = self._fraction() or 0.0
        self.start_seconds = self.position.seconds

    def _introduce(self, scored: int) -> None:
        """The recipe in full, and what it meets here."""
        fabric = self.fabric
        parameters = sum(value.numel() for value in self.network.parameters())
        self._note(self.recipe.to_yaml())
        self._note(
            f"{parameters / 1e6:.3f} M parameters on {fabric.world_size} x {fabric.device}, "
            f"{len(self.kept)} photographs to train on, {len(self.held_out)} held out, {scored} of these scored; "
            f"{self.steps_per_epoch} steps an epoch"
        )

    def _train(self) -> None:
        recipe, position = self.recipe, self.position
        every = recipe.validation.every or self.steps_per_epoch
        self._reset_window()
        while not self._over():
            self._step()
            if position.step % recipe.log_every == 0:
                self._report_progress()
            if position.step % every == 0:
                self._validate()
            if time.monotonic() - self.saved >= recipe.save_seconds:
                self._save()

    def _over(self) -> bool:
        """Whether the loop ends here; all processes decide the same."""
        position = self.position
        if self.fabric.world_size == 1:
            self.elapsed, self.stop_signal = time.monotonic() - self.started, self.requests.received
        elif position.step % _AGREE_EVERY == 0:
            own = torch.tensor([time.monotonic() - self.started, float(self.requests.received or 0)])
            elapsed, stop_signal = self._agreed(own.to(self.fabric.device), "max").tolist()
            self.elapsed, self.stop_signal = elapsed, int(stop_signal) or None
        position.seconds = self.elapsed
        done = position.phase == len(self.recipe.phases) or (self._fraction() or 0.0) >= 1
        if done:
            self.stop_signal = None
        return done or self.stop_signal is not None

    def _agreed(self, value: Tensor, how: str) -> Tensor:
        """The mean or maximum over all processes."""
        agreed = self.fabric.all_reduce(value, reduce_op=how)
        assert isinstance(agreed, Tensor)
        return agreed

    def _fraction(self) -> float | None:
        """Share of the run that is done, 0 to 1; None when only patience ends it."""
        shares = []
        if self.recipe.steps is not None:
            shares.append(self.position.step / self.recipe.steps)
        if self.settings.max_seconds is not None:
            shares.append(self.position.seconds / self.settings.max_seconds)
        return min(1.0, max(shares)) if shares else None

    def _side(self) -> int:
        return crop_side(self._fraction() or 0.0, *self.recipe.crops)

    def _step(self) -> None:
        """One optimiser step."""
        recipe, fabric, position = self.recipe, self.fabric, self.position
        seeds = rng_for(recipe.seed, f"step {position.step} of process {fabric.global_rank}")
        torch.manual_seed(int(seeds.integers(2**63)))
        # The same for all processes: the coarse start costs time, and they wait for each other.
        start = rng_for(recipe.seed, f"start of step {position.step}")
        coarse = start.random() < recipe.self_condition
        side = self._side()
        octaves = int(start.integers(1, most_octaves(self.network.config, side) + 1)) if coarse else 0
        self.learning_rate = self._rate()
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate

        self.training.train()
        for part in range(1, recipe.accumulate + 1):
            batch = self._next_batch(side)
            image = batch["image"].to(fabric.device, non_blocking=True)
            mask = batch["mask"].to(fabric.device, non_blocking=True)
            with fabric.no_backward_sync(self.module, enabled=part < recipe.accumulate):
                losses: dict[str, Tensor] = self.module(image, mask, octaves)
                fabric.backward(torch.stack(list(losses.values())).sum() / recipe.accumulate)
            for name, value in losses.items():
                self.sums[name] = self.sums.get(name, 0.0) + value.detach() / recipe.accumulate
            self.images += len(image) * fabric.world_size
        if recipe.clip is not None:
            fabric.clip_gradients(self.training, self.optimizer, max_norm=recipe.clip, error_if_nonfinite=False)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        position.step += 1
        update_average(self.average.state_dict(), self.network.state_dict(), average_decay(recipe.ema, position.step))

    def _next_batch(self, side: int) -> Batch:
        asked = time.monotonic()
        try:
            batch = self.stream.next(side)
        except RuntimeError as error:
            if self.requests.received is None or not _is_worker_death(error):
                raise
            # Whoever asked this process to stop has ended its workers, too; others finish the step at hand.
            self.stream.close()
            batch = self.stream.next(side)
        self.waited += time.monotonic() - asked
        return batch

    def _rate(self) -> float:
        phase, position = self.recipe.phases[self.position.phase], self.position
        rate = phase.learning_rate * warmup(position.step - position.phase_began, phase.warmup)
        return rate * (cosine(self._fraction() or 0.0) if phase.schedule == "cosine" else 1.0)

    def _begin_phase(self) -> None:
        self.raw_optimizer = _make_optimizer(
            self.recipe.phases[min(self.position.phase, len(self.recipe.phases) - 1)], self.network
        )
        optimizer = self.fabric.setup_optimizers(self.raw_optimizer)
        assert isinstance(optimizer, _FabricOptimizer)
        self.optimizer = optimizer

    def _reset_window(self) -> None:
        self.sums: dict[str, Any] = {}
        self.images, self.waited = 0, 0.0
        self.window_began, self.window_step = time.monotonic(), self.position.step

    def _report_progress(self) -> None:
        position = self.position
        steps = position.step - self.window_step
        means = {name: self._agreed(value / steps, "mean").item() for name, value in self.sums.items()}
        if not all(math.isfinite(value) for value in means.values()):
            raise self._not_finite(", ".join(f"{name} {value}" for name, value in means.items()))
        seconds = time.monotonic() - self.window_began
        fraction = self._fraction()
        left = None
        if fraction is not None and fraction > self.start_fraction:
            pace = (position.seconds - self.start_seconds) / (fraction - self.start_fraction)
            left = pace * (1 - fraction)
        progress = Progress(
            step=position.step,
            seconds=position.seconds,
            phase=position.phase,
            side=self._side(),
            loss=sum(means.values()),
            losses=means,
            learning_rate=self.learning_rate,
            images_per_second=self.images / seconds,
            waiting=self.waited / seconds,
            fraction=fraction,
            seconds_left=left,
        )
        for watcher in self.watchers:
            watcher.progressed(progress)
        self._reset_window()

    def _validate(self) -> None:
        """Score the average; keep the best; end a phase that has lost its patience."""
        fabric, position = self.fabric, self.position
        began = time.monotonic()
        position.validated = position.step
        scores = None
        if self.crops is not None and len(self.crops) > 0:
            scores = validate(self.average, self.crops, self.metrics, self.recipe.validation.metric)
        metric = fabric.broadcast(None if scores is None else scores.metric)
        best = metric is None or metric < position.best
        if best:
            position.best, position.stale = math.inf if metric is None else metric, 0
        else:
            position.stale += 1
        if fabric.is_global_zero:
            if best:
                self._write_network(BEST, scores)
            if scores is not None and self.crops is not None:
                validated = Validated(position.step, position.seconds, scores, best)
                grid = sample_grid(self.average, self.crops)
                for watcher in self.watchers:
                    watcher.validated(validated, grid)
        patience = self.recipe.phases[position.phase].patience
        if patience is not None and position.stale >= patience:
            self._next_phase()
        self.window_began += time.monotonic() - began

    def _next_phase(self) -> None:
        """The best weights, and a fresh optimiser."""
        position = self.position
        position.phase += 1
        position.phase_began, position.stale = position.step, 0
        if position.phase == len(self.recipe.phases):
            return
        # The other machines need not see this one's folder.
        best = load_checkpoint(self.settings.folder / BEST).state_dict() if self.fabric.is_global_zero else {}
        best = self.fabric.broadcast(best)
        self.network.load_state_dict(best)
        self.average.load_state_dict(best)
        self._begin_phase()
        optimizer = self.recipe.phases[position.phase].optimizer
        self._note(f"step {position.step}: phase {position.phase + 1} begins, {optimizer} from the best weights")

    def _finish(self) -> None:
        position = self.position
        validated = position.validated == position.step or position.phase == len(self.recipe.phases)
        if self.stop_signal is None and not validated:
            self._validate()
        self._gather_broken()
        self._save()
        skipped = list(self.broken.values())
        if skipped:
            names = "".join(f"\n  {each.name}: {each.reason}" for each in skipped[:_NAMED_AT_MOST])
            self._note(f"{len(skipped)} photographs could not be read and were left out:{names}")
        if self.fabric.is_global_zero:
            grid = None if not self.crops else sample_grid(self.average, self.crops)
            write_report(self.settings.folder / REPORT, self.settings.folder, self.recipe, grid, skipped)

    def _collect_broken(self) -> None:
        """What this process has found, beside what it knows from other processes and earlier sittings."""
        self.broken.update((each.name, each) for each in (*self.source.skipped, *self.stream.skipped))

    def _gather_broken(self) -> None:
        self._collect_broken()
        if self.fabric.world_size > 1:
            found: list[dict[str, Skipped]] = [{}] * self.fabric.world_size
            torch.distributed.all_gather_object(found, self.broken)
            for one in found:
                self.broken.update(one)

    def _save(self) -> None:
        """Write the state and the averaged weights, in the first process."""
        self.saved = time.monotonic()
        if not self.fabric.is_global_zero:
            return
        if not is_finite(self.network):
            raise self._not_finite("the weights")
        self._write_network(LAST, None)
        self._collect_broken()
        buffer = io.BytesIO()
        torch.save(self._state(), buffer)
        with atomic_write(self.settings.folder / STATE, durable=True) as unfinished:
            unfinished.write_bytes(buffer.getbuffer())

    def _write_network(self, name: str, scores: Scores | None) -> None:
        if not is_finite(self.average):
            raise self._not_finite("the averaged weights")
        note = {
            "recipe": self.recipe.to_yaml(),
            "step": str(self.position.step),
            "seconds": f"{self.position.seconds:.0f}",
        }
        if scores is not None:
            note["validation"] = str({kind: dict(values) for kind, values in scores.by_kind.items()})
        save_checkpoint(self.average, self.settings.folder / name, extra=note)

    def _state(self) -> dict[str, Any]:
        settings = self.settings
        precision = self.fabric.strategy.precision
        return {
            "recipe": self.recipe.to_yaml(),
            "settings": {
                "photographs": _absolute(settings.photographs),
                "max_seconds": settings.max_seconds,
                "weights": {name: str(path.resolve()) for name, path in settings.weights.items()},
                "tensorboard": settings.tensorboard,
            },
            "conditions": self._conditions(),
            "config": self.network.config.to_dict(),
            "position": asdict(self.position),
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.raw_optimizer.state_dict(),
            "precision": precision.state_dict() if isinstance(precision, MixedPrecision) else {},
            "stream": self.stream.state_dict(),
            "skipped": {each.name: each.reason for each in self.broken.values()},
        }

    def _conditions(self) -> dict[str, str]:
        """What decides the steps beside recipe and position, as `load` compares it."""
        return {
            "photographs": f"{len(self.source)} with names of SHA-256 {self.source.digest()[:16]}",
            "precision": str(self.fabric.strategy.precision.precision),
        }

    def load(self, state: dict[str, Any], differences: Sequence[str] = ()) -> None:
        """Go on from what `_state` returned; say what is not as it was, beginning with `differences` of the recipe."""
        self.resumed = True
        self.position = Position(**state["position"])
        self.broken = {name: Skipped(name, reason) for name, reason in state["skipped"].items()}
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self._begin_phase()
        self.raw_optimizer.load_state_dict(state["optimizer"])
        precision = self.fabric.strategy.precision
        if isinstance(precision, MixedPrecision) and state["precision"]:
            precision.load_state_dict(state["precision"])
        if not self.stream.load_state_dict(state["stream"]):
            self._note("other workers, processes or batches than before: the crops go on in a new order")
        for difference in differences:
            self._note(difference)
        for what, now in self._conditions().items():
            if (before := state["conditions"][what]) != now:
                self._note(f"{what}: {before} before, {now} from now on; the steps are not those of one whole run")

    def _note(self, message: str) -> None:
        for watcher in self.watchers:
            watcher.note(message)

    def _not_finite(self, what: str) -> WavepaintError:
        return WavepaintError(
            f"not finite by step {self.position.step}: {what}; lower the learning rate or clip; {self._last_good()}"
        )

    def _out_of_memory(self, error: BaseException) -> WavepaintError:
        side = self._side()
        return WavepaintError(
            f"out of memory on {self.fabric.device} in step {self.position.step + 1}, {self.recipe.batch} crops of "
            f"{side}x{side}: lower batch, and raise accumulate instead; {self._last_good()} ({_first_line(error)})"
        )

    def _last_good(self) -> str:
        path = self.settings.folder / STATE
        return f"{path} holds the last good state" if path.exists() else "nothing was written yet"


def _make_optimizer(phase: Phase, network: nn.Module) -> torch.optim.Optimizer:
    parameters, rate, decay = network.parameters(), phase.learning_rate, phase.weight_decay
    if phase.optimizer == "adamw":
        return torch.optim.AdamW(parameters, lr=rate, weight_decay=decay)
    return torch.optim.SGD(parameters, lr=rate, weight_decay=decay, momentum=phase.momentum)


def _suggested_workers(fabric: Fabric) -> int:
    """Enough to keep an accelerator busy; beside training on a small CPU they would only take its time."""
    cores = os.cpu_count() or 1
    if fabric.device.type == "cpu":
        return 0 if cores <= 2 else 1
    local = int(os.environ.get("LOCAL_WORLD_SIZE", torch.cuda.device_count() or 1))
    return max(1, min(_MAX_WORKERS, cores // local))


def _remove_unfinished(folder: Path) -> None:
    """Remove what a killed sitting was about to write."""
    for path in folder.iterdir():
        if _UNFINISHED.fullmatch(path.name):
            path.unlink()


def _is_out_of_memory(error: RuntimeError) -> bool:
    """Whether memory was wanting, as devices and PyTorch's allocator on CPUs, which has no error of its own, say it."""
    text = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in text or "can't allocate memory" in text


def _is_worker_death(error: RuntimeError) -> bool:
    return str(error).startswith("DataLoader worker")


def _is_peer_death(error: RuntimeError) -> bool:
    """Whether another process of the run is gone, as Gloo and NCCL say it."""
    return isinstance(error, torch.distributed.DistError) or "by peer" in str(error)


def _absolute(photographs: str) -> str:
    """Photographs as a resumed run finds them, wherever it is started."""
    return photographs if "://" in photographs else os.path.abspath(os.path.expanduser(photographs))


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
