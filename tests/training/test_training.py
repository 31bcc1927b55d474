from __future__ import annotations

import errno
import io
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.fabric import Fabric
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from typer.testing import CliRunner

from images import pillow, png, soft
from networks import random_network, random_sample, small_config
from trainings import TINY, tiny_recipe, write_alexnet, write_images
from wavepaint.cli import app
from wavepaint.data.crops import CropDataset, CropOptions
from wavepaint.data.held_out import ValidationSet
from wavepaint.data.images import find_images, name_share
from wavepaint.data.stream import CropStream
from wavepaint.errors import CheckpointError, OptionError, WavepaintError
from wavepaint.network import load_checkpoint, preset, save_checkpoint
from wavepaint.network.checkpoint import read_metadata
from wavepaint.network.coarse import coarse_guess, most_coarse_levels
from wavepaint.training import loop
from wavepaint.training.callbacks import Callback, Metrics, Row, read_metrics
from wavepaint.training.folder import BEST, LAST, LOCK, METRICS, RECIPE, SAMPLES, STATE, locked, read_state
from wavepaint.training.learner import FillTraining, Learner, has_bfloat16, memory_format, update_average
from wavepaint.training.loop import Outcome, Settings
from wavepaint.training.losses import WeightedLosses, load_losses
from wavepaint.training.recipes import Recipe, load_recipe, parse_recipe
from wavepaint.training.run import Hardware, _precision, resume, train
from wavepaint.training.validation import sample_grid, validate

CPU = Hardware("cpu", "1", "32-true")


@pytest.fixture(name="images", scope="module")
def _images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_images(tmp_path_factory.mktemp("data") / "images")


@pytest.fixture(name="start")
def _start(images: Path, tmp_path: Path) -> Callable[..., Outcome]:
    """Train into a folder of that name."""

    def start(name: str, recipe: Recipe, *callbacks: Callback, **settings: Any) -> Outcome:
        chosen = {"images": str(images), "folder": tmp_path / name, "loggers": (), **settings}
        return train(recipe, Settings(**chosen), CPU, callbacks)

    return start


class AtStep(Callback):
    """Does something once a step is reached, and remembers the notes."""

    def __init__(self, step: int, action: Callable[[], object]) -> None:
        self.step, self.action = step, action
        self.notes: list[str] = []

    def on_note(self, message: str) -> None:
        self.notes.append(message)

    def on_row(self, step: int, row: Row, grid: object = None) -> None:
        if step == self.step and "loss/total" in row:
            self.action()


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def steps_of(folder: Path) -> list[int]:
    return [int(row["step"]) for row in read_metrics(folder) if "loss/total" in row]


def losses_of(folder: Path) -> list[float]:
    return [row["loss/total"] for row in read_metrics(folder) if "loss/total" in row]


def validations_of(folder: Path) -> list[dict[str, float]]:
    return [row for row in read_metrics(folder) if "validation/metric" in row]


def assert_same_run(first: Path, second: Path, load: Callable[[Path], torch.nn.Module] = load_checkpoint) -> None:
    """Every tensor of the two states is equal to the last bit, and so is all else but the clock."""
    states = []
    for folder in (first, second):
        state = read_state(folder)
        for clock in ("seconds", "validation_seconds"):
            state["position"].pop(clock)
        states.append(state)

    def compare(a: Any, b: Any, where: str) -> None:
        assert type(a) is type(b), where
        if isinstance(a, torch.Tensor):
            assert torch.equal(a, b), where
        elif isinstance(a, dict):
            assert a.keys() == b.keys(), where
            for key in a:
                compare(a[key], b[key], f"{where}/{key}")
        elif isinstance(a, list):
            for index, (one, other) in enumerate(zip(a, b, strict=True)):
                compare(one, other, f"{where}/{index}")
        else:
            assert a == b, where

    compare(*states, "state")
    for name in (LAST, BEST):
        one, other = (load(folder / name).state_dict() for folder in (first, second))
        assert all(torch.equal(one[key], other[key]) for key in one), name


def test_a_run_leaves_networks_metrics_and_samples(start: Callable[..., Outcome], tmp_path: Path) -> None:
    outcome = start("run", tiny_recipe())
    folder = tmp_path / "run"
    assert (outcome.step, outcome.signal, outcome.skipped) == (8, None, ())
    assert sorted(path.name for path in folder.iterdir()) == sorted([BEST, LAST, STATE, RECIPE, SAMPLES, LOCK, METRICS])
    assert parse_recipe((folder / RECIPE).read_text(), "file") == tiny_recipe()
    note = read_metadata(folder / LAST)
    assert parse_recipe(note["recipe"], "checkpoint") == tiny_recipe()
    assert note["step"] == "8"
    state, weights = read_state(folder), load_checkpoint(folder / LAST).state_dict()
    assert all(torch.equal(state["learner"]["average"][name], value) for name, value in weights.items())
    assert steps_of(folder) == list(range(1, 9))
    validations = validations_of(folder)
    assert [row["step"] for row in validations] == [0, 4, 8]
    assert min(row["validation/metric"] for row in validations[1:]) == state["position"]["best"]
    assert (note["seed"], "torch " in note["versions"], note["precision"]) == ("0", True, "32-true")
    with Image.open(folder / SAMPLES) as samples:
        assert samples.size == (3 * 48, 2 * 48)


def test_the_loss_falls(start: Callable[..., Outcome], tmp_path: Path) -> None:
    changes = ("steps=60", "batch=8", "network.dropout=0", "validation.every=60", "log_every=60", "self_condition=0")
    start("run", tiny_recipe(*changes))
    first, last = validations_of(tmp_path / "run")
    assert last["validation/best"]
    assert last["validation/metric"] < 0.9 * first["validation/metric"]


@pytest.mark.parametrize("stop", [1, 3, 4, 7])
def test_a_stopped_run_resumes_as_if_it_had_not(stop: int, start: Callable[..., Outcome], tmp_path: Path) -> None:
    recipe = tiny_recipe("crops=[48, 80]", "steps=8", "accumulate=2")
    start("whole", recipe)
    outcome = start("parts", recipe, AtStep(stop, interrupt))
    assert (outcome.step, outcome.signal) == (stop, signal.SIGINT)
    assert resume(tmp_path / "parts", CPU).step == 8
    assert_same_run(tmp_path / "whole", tmp_path / "parts")
    assert steps_of(tmp_path / "parts") == list(range(1, 9))


KILLED_WHILE_SAVING = """
import os, signal, sys
from pathlib import Path
from wavepaint.training.folder import STATE
from wavepaint.training.loop import Settings
from wavepaint.training.recipes import parse_recipe
from wavepaint.training.run import Hardware, train

replace, saves = os.replace, []

def replace_or_die(source, target):
    saves.extend([target] * (Path(target).name == STATE))
    if len(saves) == 6:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)

os.replace = replace_or_die
recipe = parse_recipe(Path(sys.argv[1]).read_text(), "test")
train(recipe, Settings(sys.argv[2], Path(sys.argv[3]), loggers=()), Hardware("cpu", "1", "32-true"))
"""


KILLED_IN_A_STEP = """
import os, signal, sys
from wavepaint.cli import main
from wavepaint.training.loop import TrainingLoop

step = TrainingLoop._step

def step_or_die(loop):
    step(loop)
    if loop.position.step == KILLED_AFTER:
        os.kill(os.getpid(), signal.SIGKILL)

TrainingLoop._step = step_or_die
sys.exit(main())
"""


@pytest.mark.parametrize("source", ["memory", "stream"])
def test_three_kills_end_with_the_weights_of_an_undisturbed_run(
    source: str, start: Callable[..., Outcome], images: Path, tmp_path: Path
) -> None:
    changes = (f"data.source={source}", "save_seconds=0", "crops=[48, 80]", "steps=10", "validation.at_least=4")
    (tmp_path / "recipe.yaml").write_text(tiny_recipe(*changes).to_yaml())
    killed = tmp_path / "killed"
    common = ["--accelerator", "cpu", "--precision", "32-true"]
    new = [str(images), "-o", str(killed), "--recipe", str(tmp_path / "recipe.yaml"), "--logger", "none"]
    for number, arguments in ((3, new), (5, ["--resume", str(killed)]), (8, ["--resume", str(killed)])):
        code = KILLED_IN_A_STEP.replace("KILLED_AFTER", str(number))
        command = [sys.executable, "-c", code, "train", *arguments, *common]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == -signal.SIGKILL, done.stderr
        assert read_state(killed)["position"]["step"] == number - 1
    assert resume(killed, CPU).step == 10
    start("whole", load_recipe(tmp_path / "recipe.yaml"))
    assert_same_run(tmp_path / "whole", killed)
    assert steps_of(killed) == list(range(1, 11))


def test_a_killed_run_resumes_as_if_it_had_not(start: Callable[..., Outcome], images: Path, tmp_path: Path) -> None:
    """SIGKILL in the middle of an epoch and of writing the checkpoint of step 5."""
    recipe, killed = tiny_recipe("save_seconds=0"), tmp_path / "killed"
    (tmp_path / "recipe.yaml").write_text(recipe.to_yaml())
    command = [sys.executable, "-c", KILLED_WHILE_SAVING, tmp_path / "recipe.yaml", images, killed]
    assert subprocess.run(command, capture_output=True, timeout=300, check=False).returncode == -signal.SIGKILL
    assert read_state(killed)["position"]["step"] == 4
    assert steps_of(killed) == [1, 2, 3, 4, 5]
    assert len(list(killed.glob(".*.part"))) == 1

    start("whole", recipe)
    assert resume(killed, CPU).step == 8
    assert_same_run(tmp_path / "whole", killed)
    assert steps_of(killed) == list(range(1, 9))
    assert not list(killed.glob(".*.part"))


def test_a_signal_to_the_whole_group_ends_with_a_checkpoint(images: Path, tmp_path: Path) -> None:
    """Ctrl-C on a terminal reaches the loader's worker, too, here in the middle of a step of eight batches."""
    run, log = tmp_path / "run", tmp_path / "stderr"
    changes = (*TINY, "steps=100000", "data.workers=1", "accumulate=8", "validation.every=100000")
    command = [sys.executable, "-m", "wavepaint", "train", str(images), "-o", str(run), "--accelerator", "cpu"]
    command += ["--logger", "none", *(part for change in changes for part in ("--set", change))]
    with log.open("w") as stderr, subprocess.Popen(command, stderr=stderr, start_new_session=True) as process:
        try:
            while "step 2" not in log.read_text() and process.poll() is None:
                time.sleep(0.2)
            os.killpg(process.pid, signal.SIGINT)
            assert process.wait(timeout=300) == 128 + signal.SIGINT
        finally:
            process.kill()
    assert "Traceback" not in log.read_text()
    step = int(re.findall(r"stopped at step (\d+); no best.safetensors yet", log.read_text())[0])
    assert not (run / BEST).exists()
    assert read_state(run)["position"]["step"] == step >= 2


def test_a_worker_that_is_stopped_too_is_replaced_for_the_step_at_hand(
    start: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, next_batch, calls = tiny_recipe("accumulate=2"), CropStream.next, []
    start("whole", recipe)

    def die(stream: CropStream, side: int) -> object:
        calls.append(side)
        if len(calls) == 6:
            interrupt()
            raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Terminated. ")
        return next_batch(stream, side)

    with monkeypatch.context() as patch:
        patch.setattr(CropStream, "next", die)
        outcome = start("parts", recipe)
    assert (outcome.step, outcome.signal) == (3, signal.SIGINT)
    resume(tmp_path / "parts", CPU)
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


def test_a_worker_that_dies_ends_the_run_with_a_line(
    start: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(stream: CropStream, side: int) -> None:
        raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. ")

    monkeypatch.setattr(CropStream, "next", die)
    with pytest.raises(WavepaintError, match=r"has died.*lower data\.workers; .*holds the last good state"):
        start("run", tiny_recipe())


def test_several_processes_resume_with_the_time_that_was_saved(
    start: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They agree on whether to stop in every tenth step, and the saved step is none of these."""

    class Crash(Exception):
        pass

    def crash() -> None:
        raise Crash

    monkeypatch.setattr(Fabric, "world_size", property(lambda fabric: 2))
    monkeypatch.setattr(torch.distributed, "all_gather_object", lambda gathered, own: None)
    recipe = tiny_recipe("steps=15", "save_seconds=0", "validation.every=100")
    with pytest.raises(Crash):
        start("run", recipe, AtStep(13, crash))
    position = read_state(tmp_path / "run")["position"]
    assert (position["step"], position["seconds"] > 0) == (12, True)
    resume(tmp_path / "run", CPU)
    seconds = {row["step"]: row["run/seconds"] for row in read_metrics(tmp_path / "run")}
    assert seconds[13] >= position["seconds"]


def test_two_processes_learn_what_one_with_twice_the_batch_does(
    start: Callable[..., Outcome], images: Path, tmp_path: Path
) -> None:
    """Gloo through torchrun; loss and normalisation that do not couple the samples of a batch."""
    changes = (
        *TINY,
        "network.dropout=0",
        "batch_norm=frozen",
        "losses={l1: 1}",
        "validation.share=0",
        "phases.0={optimizer: sgd, learning_rate: 0.3, weight_decay: 0, momentum: 0.9, schedule: cosine, warmup: 0, "
        "patience: null}",
    )
    arguments = [part for change in changes for part in ("--set", change)]
    two = tmp_path / "two"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "wavepaint", "train", images, "-o", two, "--accelerator", "cpu", "--logger", "none"]
    command += ["--precision", "32-true"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert "2 x cpu" in done.stderr

    start("one", load_recipe("default", [*changes, "batch=4"]))
    assert losses_of(two) == pytest.approx(losses_of(tmp_path / "one"), rel=1e-4)
    assert losses_of(two)[-1] != pytest.approx(losses_of(two)[0], rel=1e-2)
    one, other = (load_checkpoint(folder / LAST).state_dict() for folder in (tmp_path / "one", two))
    for name, value in one.items():
        torch.testing.assert_close(other[name], value, rtol=1e-3, atol=1e-4, msg=name)


def test_the_published_recipe_switches_to_sgd_from_the_best(
    start: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = [change for change in TINY if not change.startswith(("steps", "phases", "validation", "self", "crops"))]
    changes += ["crops=[64, 64]", "phases.0.patience=2", "phases.1.patience=2"]
    changes += [
        "validation={share: 0.3, at_least: 0, every: 2, metric: lpips-alex, masks: [box], images: 1, crop: 64, top: 1}"
    ]
    script = iter([5.0, 4.0, 6.0, 6.0, 3.0, 7.0, 7.0])
    begun: list[tuple[str, dict[str, torch.Tensor]]] = []
    best: dict[str, torch.Tensor] = {}

    def scripted(*arguments: Any) -> dict[str, float]:
        scores = validate(*arguments)
        assert scores["validation/metric"] == scores["validation/lpips-alex/box"] > 0
        return {**scores, "validation/metric": next(script)}

    begin_phase = Learner.begin_phase

    def recorded(learner: Learner, phase: Any) -> None:
        begun.append((phase.optimizer, {name: value.clone() for name, value in learner.network.state_dict().items()}))
        begin_phase(learner, phase)

    class Keeper(Callback):
        def on_row(self, step: int, row: Row, grid: object = None) -> None:
            if step == 2 and grid is not None:
                best.update(load_checkpoint(tmp_path / "run" / BEST).state_dict())

    monkeypatch.setattr(loop, "validate", scripted)
    monkeypatch.setattr(Learner, "begin_phase", recorded)
    notes = AtStep(-1, interrupt)
    outcome = start("run", load_recipe("published", changes), Keeper(), notes, weights=write_alexnet(tmp_path))
    assert outcome.step == 12
    assert [name for name, _ in begun] == ["adamw", "sgd"]
    assert all(torch.equal(value, best[name]) for name, value in begun[1][1].items())
    assert any(note.startswith("step 6: phase 2 begins, sgd from the best weights") for note in notes.notes)
    assert "momentum_buffer" in read_state(tmp_path / "run")["learner"]["optimizer"]["state"][0]
    losses = {name for row in read_metrics(tmp_path / "run") for name in row if name.startswith("loss/")}
    assert losses == {"loss/lpips-alex", "loss/l1", "loss/l2", "loss/total"}


def test_patience_survives_a_resume(start: Callable[..., Outcome], tmp_path: Path) -> None:
    """A learning rate so high that no validation is better for long."""
    changes = ("steps=40", "ema=0", "validation.every=2", "phases.0.patience=3", "phases.0.learning_rate=0.5")
    start("whole", tiny_recipe(*changes))
    start("parts", tiny_recipe(*changes), AtStep(3, interrupt))
    resume(tmp_path / "parts", CPU)
    assert_same_run(tmp_path / "whole", tmp_path / "parts")
    position = read_state(tmp_path / "parts")["position"]
    assert position["phase"] == 1
    assert position["step"] < 40


def test_unreachable_weights_end_the_published_recipe_before_it_begins(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(url: str, *arguments: object) -> Path:
        raise ConnectionError("no route to host")

    monkeypatch.setattr("pooch.retrieve", unreachable)
    run = tmp_path / "run"
    result = CliRunner().invoke(app, ["train", str(images), "-o", str(run), "--recipe", "published"])
    assert result.exit_code == 2
    hint = "with a local copy: --weights alexnet=FILE"
    assert re.fullmatch(rf"wavepaint: https://\S+: cannot download: no route to host; {hint}\n", result.stderr)
    assert not run.exists()


@pytest.mark.parametrize("log_every", [1, 1000])
def test_a_loss_that_is_not_finite_leaves_a_usable_checkpoint(
    log_every: int, start: Callable[..., Outcome], tmp_path: Path
) -> None:
    changes = ("phases.0.learning_rate=1e30", "validation.every=1000", f"log_every={log_every}")
    with pytest.raises(WavepaintError, match=r"not finite by step \d: .*; .*last\.ckpt holds the last good state$"):
        start("run", tiny_recipe(*changes))
    # No untrained network, either.
    assert not (tmp_path / "run" / BEST).exists()
    assert not (tmp_path / "run" / LAST).exists()
    state = read_state(tmp_path / "run")
    assert state["position"]["step"] == 0
    assert all(value.isfinite().all() for value in state["learner"]["average"].values())


def test_a_full_disk_leaves_a_usable_checkpoint(start: Callable[..., Outcome], tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill_disk() -> None:
        size = (tmp_path / "run" / STATE).stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, limits[1]))

    try:
        with pytest.raises(WavepaintError, match=r"cannot be written: .*; .*last\.ckpt holds the last good state$"):
            start("run", tiny_recipe("save_seconds=0"), AtStep(3, fill_disk))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert read_state(tmp_path / "run")["position"]["step"] == 2
    start("whole", tiny_recipe("save_seconds=0"))
    resume(tmp_path / "run", CPU)
    assert_same_run(tmp_path / "whole", tmp_path / "run")


def test_a_full_disk_that_the_metrics_meet_first(start: Callable[..., Outcome], tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill_disk() -> None:
        size = (tmp_path / "run" / METRICS).stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, limits[1]))

    try:
        with pytest.raises(WavepaintError, match=r"cannot be written: .*; .*holds the last good state$"):
            start("run", tiny_recipe(), AtStep(3, fill_disk))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert read_state(tmp_path / "run")["position"]["step"] == 0
    assert resume(tmp_path / "run", CPU).step == 8
    assert steps_of(tmp_path / "run") == list(range(1, 9))


def test_a_run_continues_without_tensorboard_when_that_cannot_be_written(
    start: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("lightning.fabric.loggers.tensorboard.TensorBoardLogger.log_metrics", full)
    callback = AtStep(-1, interrupt)
    assert start("run", tiny_recipe(), callback, loggers=("tensorboard",)).step == 8
    reported = [note for note in callback.notes if note.startswith("tensorboard: cannot be written: No space left")]
    assert len(reported) == 1


def test_tensorboard_and_metrics_show_every_step_of_a_resumed_run_once(
    start: Callable[..., Outcome], tmp_path: Path
) -> None:
    class Crash(Exception):
        pass

    class CrashAfter(AtStep):
        def on_row(self, step: int, row: Row, grid: object = None) -> None:
            if step == 4 and grid is not None:
                raise Crash

    with pytest.raises(Crash):
        start("run", tiny_recipe(), CrashAfter(-1, interrupt), loggers=("tensorboard",))
    resume(tmp_path / "run", CPU)
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    losses = {row["step"]: row["loss/total"] for row in read_metrics(tmp_path / "run") if "loss/total" in row}
    assert {event.step: event.value for event in events.Scalars("loss/total")} == pytest.approx(losses)
    assert [event.step for event in events.Scalars("loss/total")] == list(range(1, 9))
    assert [event.step for event in events.Scalars("validation/l1/box")] == [0, 4, 8]
    image = Image.open(io.BytesIO(events.Images("hole, filled, true")[0].encoded_image_string))
    assert image.size == (3 * 48, 2 * 48)


def test_wandb_gets_rows_and_samples(
    start: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through a stand-in for Lightning's logger, which needs a package that is not installed here."""
    rows: dict[int, dict[str, float]] = {}
    grids, ends = [], []

    class Recorder:
        def __init__(self, project: str, name: str, save_dir: Path) -> None:
            assert (project, name, save_dir) == ("wavepaint", "run", tmp_path / "run")

        def log_metrics(self, metrics: dict[str, float], step: int) -> None:
            rows.setdefault(step, {}).update(metrics)

        def log_image(self, key: str, images: list[Any], step: int) -> None:
            grids.append((key, step, [image.shape for image in images]))

        def save(self) -> None:
            pass

        def finalize(self, status: str) -> None:
            ends.append(status)

    monkeypatch.setattr("lightning.pytorch.loggers.WandbLogger", Recorder)
    start("run", tiny_recipe(), loggers=("wandb",))
    losses = {row["step"]: row["loss/total"] for row in read_metrics(tmp_path / "run") if "loss/total" in row}
    assert {step: row["loss/total"] for step, row in rows.items() if "loss/total" in row} == pytest.approx(losses)
    assert grids == [("hole, filled, true", step, [(2 * 48, 3 * 48, 3)]) for step in (0, 4, 8)]
    assert ends == ["success"]


def test_wandb_without_its_package_is_one_line_and_leaves_the_folder_free(
    start: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(**settings: Any) -> None:
        raise ModuleNotFoundError("No module named 'wandb'")

    monkeypatch.setattr("lightning.pytorch.loggers.WandbLogger", missing)
    with pytest.raises(OptionError, match=r"^the logger wandb needs a package: pip install wandb$"):
        start("run", tiny_recipe(), loggers=("wandb",))
    assert start("run", tiny_recipe()).step == 8


def allocate_too_much() -> None:
    torch.empty(2**50, dtype=torch.uint8)


def fail_with(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("allocate", "reason"),
    [
        (
            fail_with(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nSee documentation.")),
            r"CUDA out of memory. Tried to allocate 20.00 GiB.",
        ),
        (allocate_too_much, r".*DefaultCPUAllocator: can't allocate memory: you tried to allocate 1125899906842624 .*"),
        (fail_with(RuntimeError("MPS backend out of memory (MPS allocated: 9 GiB)")), r"MPS backend out of memory .*"),
        (fail_with(MemoryError()), "MemoryError"),
        (fail_with(OSError(errno.ENOMEM, "Cannot allocate memory")), r".*Cannot allocate memory"),
    ],
)
def test_too_little_memory_says_what_to_change(
    allocate: Callable[[], None], reason: str, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, step = tmp_path / "run", loop.TrainingLoop._step

    def step_or_fail(self: loop.TrainingLoop) -> None:
        if self.position.step == 3:
            allocate()
        step(self)

    monkeypatch.setattr(loop.TrainingLoop, "_step", step_or_fail)
    command = ["train", str(images), "-o", str(run), "--accelerator", "cpu", "--logger", "none"]
    result = CliRunner().invoke(
        app, [*command, *(part for change in (*TINY, "save_seconds=0") for part in ("--set", change))]
    )
    assert result.exit_code == 2
    assert re.fullmatch(
        r"wavepaint: out of memory on cpu in step 4, 2 crops of 48x48: lower batch, and raise accumulate instead; "
        rf".*last\.ckpt holds the last good state \({reason}\)",
        result.stderr.splitlines()[-1],
    )
    monkeypatch.undo()
    assert resume(run, CPU).step == 8


def test_a_time_budget_is_planned_and_kept(start: Callable[..., Outcome], tmp_path: Path) -> None:
    began = time.monotonic()
    recipe = tiny_recipe("steps=null", "least_steps=1", "crops=[48, 80]", "validation.share=0")
    callback = AtStep(-1, interrupt)
    outcome = start("run", recipe, callback, seconds=8)
    assert outcome.step > 8
    assert 4 < time.monotonic() - began < 20
    assert any(re.match(r"planned for 0:00:08: \d+ steps, crops of 48 to 80 pixels", note) for note in callback.notes)
    planned = parse_recipe((tmp_path / "run" / RECIPE).read_text(), "file")
    assert planned.steps == outcome.step
    rows = [row for row in read_metrics(tmp_path / "run") if "loss/total" in row]
    assert rows[-1]["run/side"] == 80
    assert rows[-1]["run/learning_rate"] < 0.1 * max(row["run/learning_rate"] for row in rows)


def test_a_folder_with_every_kind_of_bad_file_trains_to_the_end(start: Callable[..., Outcome], tmp_path: Path) -> None:
    folder = write_images(tmp_path / "mixed", 19)
    whole = pillow(soft(60, 70), "JPEG")
    (folder / "empty.png").write_bytes(b"")
    (folder / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "text.jpg").write_bytes(b"not an image")
    (folder / "one-pixel.png").write_bytes(pillow(soft(1, 1), "PNG"))
    (folder / "cmyk.jpg").write_bytes(pillow(Image.new("CMYK", (60, 50), (0, 99, 99, 0)), "JPEG"))
    (folder / "deep.png").write_bytes(png(np.full((50, 60, 3), 40000, np.uint16)))
    frames = [Image.fromarray(soft(50, 50 + 0 * index)) for index in range(3)]
    animated = io.BytesIO()
    frames[0].save(animated, "GIF", save_all=True, append_images=frames[1:])
    (folder / "animated.gif").write_bytes(animated.getvalue())

    observer = AtStep(-1, interrupt)
    recipe = tiny_recipe("validation.share=0", "batch=4", "steps=14")
    outcome = start("run", recipe, observer, images=str(folder))
    assert outcome.step == 14
    assert {each.name for each in outcome.skipped} == {"empty.png", "truncated.jpg", "text.jpg"}
    (skipped,) = [note for note in observer.notes if note.startswith("3 images could not be read and were left out:")]
    assert "\n  text.jpg: " in skipped
    # What an earlier run has found is not forgotten.
    assert set(resume(tmp_path / "run", CPU).skipped) == set(outcome.skipped)


def test_without_validation_the_best_is_the_last(start: Callable[..., Outcome], tmp_path: Path) -> None:
    observer = AtStep(-1, interrupt)
    start("run", tiny_recipe("validation.share=0"), observer)
    best, last = (load_checkpoint(tmp_path / "run" / name).state_dict() for name in (BEST, LAST))
    assert all(torch.equal(best[name], last[name]) for name in best)
    assert any("raise validation.share" in note for note in observer.notes)


def test_the_best_networks_are_left_and_the_untrained_one_is_none(
    start: Callable[..., Outcome], tmp_path: Path
) -> None:
    outcome = start("run", tiny_recipe("validation.every=2", "validation.top=2"))
    rows = validations_of(tmp_path / "run")
    scores = {int(row["step"]): row["validation/metric"] for row in rows if row["step"] > 0}
    best = sorted(scores, key=scores.__getitem__)
    assert rows[0]["validation/best"] == 0
    assert outcome.best_step == best[0]
    names = {int(path.stem.rpartition("-")[2]) for path in (tmp_path / "run" / "top").iterdir()}
    assert names == set(best[:2])
    assert read_metadata(tmp_path / "run" / BEST)["step"] == str(best[0])


def test_a_stopped_run_says_how_old_its_best_network_is(start: Callable[..., Outcome]) -> None:
    early = start("early", tiny_recipe(), AtStep(3, interrupt))
    assert early.summary == "stopped at step 3; no best.safetensors yet, for no trained weights were validated"
    late = start("late", tiny_recipe(), AtStep(6, interrupt))
    assert late.summary == "stopped at step 6; best.safetensors is older, of step 4"


def test_the_time_left_counts_larger_crops(start: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock by which a step takes the square of its crops' side."""
    ticks = [0.0]

    def step(self: Learner, next_batch: object, rate: float, levels: int, number: int) -> dict[str, torch.Tensor]:
        ticks[0] += (48 if number < 30 else 80) ** 2
        return {"l1": torch.zeros(())}

    class Left(Callback):
        def __init__(self) -> None:
            self.left: dict[int, float | None] = {}
            self.fractions: list[float | None] = []

        def on_step(self, step: int, fraction: float | None, seconds_left: float | None) -> None:
            self.left[step] = seconds_left
            self.fractions.append(fraction)

    monkeypatch.setattr(Learner, "step", step)
    monkeypatch.setattr("wavepaint.training.pace.time.monotonic", lambda: ticks[0])
    left = Left()
    start("run", tiny_recipe("steps=60", "crops=[48, 80]", "validation.share=0", "save_seconds=1e9"), left)
    assert left.fractions == [number / 60 for number in range(61)]
    assert left.left[0] is None
    for number in (1, 15, 30, 45):
        expected = max(0, 30 - number) * 48**2 + min(30, 60 - number) * 80**2
        assert left.left[number] == pytest.approx(expected, rel=0.01)


def test_weights_that_are_not_finite_are_no_best(start: Callable[..., Outcome], tmp_path: Path) -> None:
    """Without validation every look takes the weights for the best."""
    changes = ("validation.share=0", "validation.every=1", "phases.0.learning_rate=1e30", "log_every=1000")
    with pytest.raises(WavepaintError, match="not finite by step"):
        start("run", tiny_recipe(*changes))
    assert all(value.isfinite().all() for value in load_checkpoint(tmp_path / "run" / BEST).state_dict().values())


def test_patience_needs_a_held_out_image_that_can_be_read(start: Callable[..., Outcome], tmp_path: Path) -> None:
    folder = write_images(tmp_path / "images")
    held_out = [path for path in folder.iterdir() if name_share(path.name) < 0.3]
    assert held_out
    for path in held_out:
        path.write_bytes(b"")
    with pytest.raises(OptionError, match="but no image is held out for it that can be read"):
        start("run", tiny_recipe("phases.0.patience=2"), images=str(folder))
    assert not (tmp_path / "run").exists()


def test_without_an_average_the_weights_themselves_are_kept(start: Callable[..., Outcome], tmp_path: Path) -> None:
    start("run", tiny_recipe("ema=0"))
    state = read_state(tmp_path / "run")["learner"]
    assert all(torch.equal(value, state["average"][name]) for name, value in state["network"].items())


def _finetuning(init: str) -> Recipe:
    changes = [change for change in TINY if not change.startswith(("network", "steps"))]
    return load_recipe("finetune", [*changes, "steps=2", f"init={init}"])


def test_finetuning_moves_weights_and_keeps_statistics(start: Callable[..., Outcome], tmp_path: Path) -> None:
    save_checkpoint(random_network(small_config(dropout=0.5)), tmp_path / "init.safetensors")
    start("run", _finetuning(str(tmp_path / "init.safetensors")))
    before, after = (load_checkpoint(tmp_path / name).state_dict() for name in ("init.safetensors", "run/" + LAST))
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved
    assert not any("running" in name for name in moved)
    assert all(bool((before[name] - after[name]).abs().max() < 0.01) for name in moved)


def test_the_packaged_network_can_be_finetuned(start: Callable[..., Outcome]) -> None:
    assert start("run", _finetuning("default")).step == 2


def test_a_start_that_is_not_finite_is_refused(start: Callable[..., Outcome], tmp_path: Path) -> None:
    network = random_network(small_config())
    network.get_buffer("wavemodules.0.depthconv.2.running_var")[0] = torch.inf
    save_checkpoint(network, tmp_path / "init.safetensors")
    with pytest.raises(CheckpointError, match=r"init\.safetensors: holds values that are not finite"):
        start("run", _finetuning(str(tmp_path / "init.safetensors")))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (("steps=null",), "need a length"),
        (("steps=null", "phases.0.schedule=constant"), "the run would never end"),
        (("validation.share=0", "phases.0.patience=2"), "patience needs validation"),
        (("crops=[49, 49]", "self_condition=0"), "crops of 49 pixels: this network needs multiples of 2"),
        (("crops=[50, 50]",), "crops of 50 pixels: this network needs multiples of 4"),
    ],
)
def test_what_does_not_go_together_is_reported_before_anything_is_written(
    changes: tuple[str, ...], message: str, start: Callable[..., Outcome], tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match=message):
        start("run", tiny_recipe(*changes))
    assert not (tmp_path / "run").exists()


def test_folders_of_runs_are_neither_overwritten_nor_invented(start: Callable[..., Outcome], tmp_path: Path) -> None:
    start("run", tiny_recipe("steps=1"))
    with pytest.raises(OptionError, match="holds a run already"):
        start("run", tiny_recipe())
    with pytest.raises(CheckpointError, match=r"no run to resume: no last\.ckpt"):
        resume(tmp_path, CPU)
    (tmp_path / "run" / STATE).write_bytes((tmp_path / "run" / STATE).read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"last\.ckpt: damaged"):
        resume(tmp_path / "run", CPU)


def test_files_that_no_run_wrote_are_left_alone(start: Callable[..., Outcome], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / BEST).write_bytes(b"somebody's network")
    with pytest.raises(
        OptionError, match=r"run: holds best\.safetensors, which a run would replace, but no last\.ckpt"
    ):
        start("run", tiny_recipe())
    assert (folder / BEST).read_bytes() == b"somebody's network"
    (folder / BEST).unlink()

    others = [folder / ".download.part", folder / ".0123456789abcdef.part"]
    for path in others:
        path.write_bytes(b"somebody's download")
    start("run", tiny_recipe("steps=2"), AtStep(1, interrupt))
    assert all(path.exists() for path in others)
    resume(folder, CPU)
    assert [path.exists() for path in others] == [True, False]


HOLDING = """
import sys, time
from pathlib import Path
from wavepaint.training.folder import locked

lock = locked(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(600)
"""


def test_one_process_at_a_time_trains_in_a_folder(start: Callable[..., Outcome], tmp_path: Path, images: Path) -> None:
    """A killed process holds nothing."""
    start("run", tiny_recipe(), AtStep(3, interrupt))
    run, begun, empty = (tmp_path / name for name in ("run", "begun", "empty"))
    begun.mkdir()
    (begun / RECIPE).touch()
    empty.mkdir()
    unfinished = run / ".0123456789abcdef.part"
    unfinished.touch()
    holders = []
    try:
        for folder in (run, begun, empty):
            command = [sys.executable, "-c", HOLDING, folder]
            holder = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
            holders.append(holder)
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"held\n"
        before = {path: path.stat().st_mtime_ns for path in run.iterdir()}
        new = ["train", str(images), "--accelerator", "cpu", *(p for each in TINY for p in ("--set", each)), "-o"]
        for folder, command in ((run, ["train", "--resume"]), (run, new), (begun, new), (empty, new)):
            result = CliRunner().invoke(app, [*command, str(folder)])
            assert result.exit_code == 2
            assert result.stderr == f"wavepaint: {folder}: another process trains in this folder\n"
        assert {path: path.stat().st_mtime_ns for path in run.iterdir()} == before
        assert [path.name for path in empty.iterdir()] == [LOCK]

        for holder in holders:
            holder.kill()
            holder.wait()
        assert resume(run, CPU).step == 8
        assert not unfinished.exists()
        start("empty", tiny_recipe("steps=1"))
    finally:
        for holder in holders:
            holder.kill()
            holder.communicate()


def test_what_another_process_did_before_the_lock_is_seen(
    start: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run begins, or resumes, while another one is looking for its images."""
    meanwhile: list[Callable[[], object]] = []

    def find(images: str) -> Any:
        while meanwhile:
            meanwhile.pop()()
        return find_images(images)

    monkeypatch.setattr("wavepaint.training.run.find_images", find)
    meanwhile.append(lambda: start("run", tiny_recipe("steps=4"), AtStep(2, interrupt)))
    with pytest.raises(OptionError, match="holds a run already"):
        start("run", tiny_recipe())
    meanwhile.append(lambda: resume(tmp_path / "run", CPU))
    with pytest.raises(OptionError, match="another process has just trained in this folder"):
        resume(tmp_path / "run", CPU)
    assert resume(tmp_path / "run", CPU).step == 4


def test_a_second_run_in_one_process_is_refused_and_leaves_the_first_its_lock(tmp_path: Path) -> None:
    first = locked(tmp_path)
    with pytest.raises(OptionError, match="another process trains in this folder"):
        locked(tmp_path / ".." / tmp_path.name)
    code = (
        "import sys; from pathlib import Path; from wavepaint.training.folder import locked; locked(Path(sys.argv[1]))"
    )
    refused = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=False)
    assert "another process trains in this folder" in refused.stderr
    first.release()
    locked(tmp_path).release()


def test_a_file_system_without_locks_trains_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*arguments: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", unsupported)
    locked(tmp_path).release()


def test_a_run_resumes_with_less_and_elsewhere_and_says_so(
    start: Callable[..., Outcome], tmp_path: Path, images: Path
) -> None:
    start("run", tiny_recipe(), AtStep(3, interrupt))
    run, moved = tmp_path / "run", write_images(tmp_path / "moved", 21)
    changes = ["batch=1", "accumulate=2", "clip=0.5", "phases.0.learning_rate=0.001", "data.workers=0"]
    command = ["train", str(moved), "--resume", str(run), "--accelerator", "cpu", "--precision", "bf16-mixed"]
    result = CliRunner().invoke(app, [*command, *(part for change in changes for part in ("--set", change))])
    assert result.exit_code == 0, result.stderr
    for line in (
        "batch: 2 before, 1 from now on",
        "accumulate: 1 before, 2 from now on",
        "clip: 1.0 before, 0.5 from now on",
        "phases.0.learning_rate: 0.0025 before, 0.001 from now on",
        "the crops continue in a new order",
        "precision: 32-true before, bf16-mixed from now on",
    ):
        assert line in result.stderr
    assert re.search(r"images: 20 with names .* before, 21 with names .* from now on", result.stderr)
    state = read_state(run)
    recipe = parse_recipe(state["recipe"], "state")
    assert (recipe.batch, recipe.accumulate, recipe.clip, recipe.phases[0].learning_rate) == (1, 2, 0.5, 0.001)
    assert recipe == parse_recipe((run / RECIPE).read_text(), "file")
    assert state["settings"]["images"] == str(moved)
    assert state["position"]["step"] == 8
    assert not (run / "tensorboard").exists()

    result = CliRunner().invoke(app, ["train", "--resume", str(run), "--set", "steps=9"])
    assert result.exit_code == 2
    assert result.stderr.startswith("wavepaint: --set steps=9: a resumed run can change batch, accumulate, clip, ")


def test_what_the_machine_suggests_is_no_part_of_a_run(start: Callable[..., Outcome], tmp_path: Path) -> None:
    observer = AtStep(-1, interrupt)
    start("run", tiny_recipe("data.workers=null", "steps=1"), observer)
    assert parse_recipe(read_state(tmp_path / "run")["recipe"], "state").data.workers is None
    assert any("20 images, 2 of those held out scored; " in note for note in observer.notes)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--accelerator", "tpu"],
            "Invalid value for '--accelerator': 'tpu' is not one of .*",
        ),
        (["--accelerator", "cpu", "--precision", "16-mixed"], "precision 16-mixed needs a CUDA or MPS device; .*"),
        (["--accelerator", "cpu", "--devices", "none"], "cannot use this hardware: .*"),
    ],
)
def test_hardware_that_is_not_there_is_a_line(arguments: list[str], message: str, images: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["train", str(images), "-o", str(tmp_path / "run"), *arguments])
    assert result.exit_code == 2
    assert re.fullmatch(f"wavepaint: {message}\n", result.stderr)
    assert not (tmp_path / "run").exists()


def test_the_command_trains_shows_and_leaves_a_network_for_inpaint(images: Path, tmp_path: Path) -> None:
    run, image, mask, filled = (tmp_path / name for name in ("run", "a.png", "mask.png", "filled.png"))
    arguments = [part for change in TINY for part in ("--set", change)]
    runner = CliRunner()
    result = runner.invoke(app, ["train", str(images), "-o", str(run), "--accelerator", "cpu", *arguments])
    assert result.exit_code == 0, result.stderr
    assert result.stdout == ""
    assert "learning_rate: 0.0025" in result.stderr
    assert re.search(r"^step 8  loss 0\.\d+  [\d.]+ images/s  0:00:00 left$", result.stderr, re.MULTILINE)
    events = list((run / "tensorboard").iterdir())
    assert b"validation/hole-psnr/box" in events[0].read_bytes()

    image.write_bytes(pillow(soft(64, 64), "PNG"))
    hole = np.zeros((64, 64, 1), np.uint8)
    hole[20:30, 20:30] = 255
    mask.write_bytes(pillow(hole, "PNG"))
    result = runner.invoke(app, ["inpaint", str(image), str(mask), "--model", str(run / BEST), "-o", str(filled)])
    assert result.exit_code == 0, result.stderr
    before, after = (np.asarray(Image.open(path)) for path in (image, filled))
    assert np.array_equal(before[hole[..., 0] == 0], after[hole[..., 0] == 0])


@pytest.mark.parametrize(
    "arguments",
    [["train"], ["train", "images"], ["train", "images", "--resume", "run"], ["train", "--resume", "none"]],
)
def test_the_command_explains_what_is_missing(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert re.match(r"wavepaint: .+\n$", result.stderr)


def test_a_stream_resumes_exactly_and_says_when_it_cannot(images: Path) -> None:
    source = find_images(images)

    def stream(batch: int = 2, workers: int = 0) -> CropStream:
        def dataset(side: int, seed: int) -> CropDataset:
            return CropDataset(source, CropOptions("box", pool_size=4), crop=side, seed=seed)

        return CropStream(dataset, batch, seed=3, workers=workers)

    sides = [48] * 4 + [80] * 4
    whole = stream()
    expected = [whole.next(side) for side in sides]
    assert [batch["image"].shape[-1] for batch in expected] == sides
    for stop in (0, 2, 4, 6):
        first, second = stream(), stream()
        for side in sides[:stop]:
            first.next(side)
        assert second.load_state_dict(json.loads(json.dumps(first.state_dict())))
        for side, following in zip(sides[stop:], expected[stop:], strict=True):
            batch = second.next(side)
            assert batch["name"] == following["name"]
            assert torch.equal(batch["image"], following["image"])
            assert torch.equal(batch["mask"], following["mask"])

    other = stream(batch=4)
    assert not other.load_state_dict(whole.state_dict())
    seen = [mask for batch in expected for mask in batch["mask"] if mask.shape[-1] == 80]
    assert not any(torch.equal(new, old) for new in other.next(80)["mask"] for old in seen)


def test_validation_depends_on_the_images_names_alone(images: Path) -> None:
    source = find_images(images)
    few, many = (ValidationSet(source, ["box", "thin"], count, 64, 2**20) for count in (2, 5))
    assert many.names[:2] == few.names
    for kind in few.kinds:
        for one, other in zip(
            few.batch(kind, 0, 2, torch.device("cpu")), many.batch(kind, 0, 2, torch.device("cpu")), strict=True
        ):
            assert torch.equal(one, other)


def test_validation_scores_the_composite(images: Path) -> None:
    crops = ValidationSet(find_images(images), ["box"], 1, 48, 2**20)
    network = random_network(small_config())
    metrics = load_losses(["hole-l1", "l2"], {})
    scores = validate(network, crops, metrics, "l2")
    image, mask = crops.batch("box", 0, 1, torch.device("cpu"))
    with torch.no_grad():
        filled = network(image, mask).clamp(0, 1)
    error = (filled - image)[mask.expand_as(image) > 0]
    assert scores["validation/hole-l1/box"] == pytest.approx(error.abs().mean().item(), rel=1e-5)
    assert scores["validation/hole-psnr/box"] == pytest.approx(-10 * (error**2).mean().log10().item(), rel=1e-5)
    assert scores["validation/metric"] == scores["validation/l2/box"]
    grid = sample_grid(network, crops)
    assert grid.shape == (48, 3 * 48, 3)
    assert np.array_equal(grid[:, 96:], (image[0] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy())


def test_metrics_forget_what_the_checkpoint_does_not_know(tmp_path: Path) -> None:
    metrics = Metrics(tmp_path, 0, (), print)
    for step in range(1, 6):
        metrics.on_row(step, {"loss/l1": 0.5, "loss/total": 0.5, "run/seconds": 1.0})
    metrics.close()
    with (tmp_path / METRICS).open("a") as file:
        file.write("0.5,0.")
    Metrics(tmp_path, 3, (), print).close()
    assert steps_of(tmp_path) == [1, 2, 3]
    assert losses_of(tmp_path) == [0.5] * 3


def test_coarse_start_leaves_modes_and_gradients_alone() -> None:
    network = random_network(small_config(dropout=0.5)).train()
    network.wavemodules[0].depthconv.eval()  # type: ignore[union-attr]
    modes = [module.training for module in network.modules()]
    image, mask = random_sample(2, 32, 32)
    guess = coarse_guess(network, image, mask)
    further = coarse_guess(network, image, mask, 2)
    assert further.shape == image.shape
    assert not torch.equal(guess, further)
    assert guess.shape == image.shape
    assert not guess.requires_grad
    assert [module.training for module in network.modules()] == modes
    assert torch.equal(guess, coarse_guess(network, image, mask))


def test_bfloat16_is_for_devices_that_compute_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    device = torch.device("cpu")
    for capabilities, native in (({"amx_bf16": True}, True), ({"avx512_bf16": True}, True), ({"avx2": True}, False)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda names=capabilities: names)
        assert has_bfloat16(device) == native
        assert memory_format(device) == (torch.channels_last if native else torch.contiguous_format)
        assert _precision(Hardware("cpu")) == ("bf16-mixed" if native else "32-true")
        assert _precision(Hardware("cpu", precision="32-true")) == "32-true"
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    for kind, precision in (("cuda", "16-mixed"), ("mps", "32-true")):
        monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda name=kind: torch.device(name))
        assert _precision(Hardware()) == precision


def test_self_conditioning_begins_as_low_as_the_network_and_the_crop_allow() -> None:
    config = preset("default")  # stride 4, three coarse levels
    assert [most_coarse_levels(config, side) for side in (40, 48, 96, 128, 256)] == [1, 2, 3, 3, 3]
    assert most_coarse_levels(small_config(), 128) == 1


@pytest.mark.parametrize("frozen", [False, True])
def test_frozen_statistics_stay(frozen: bool) -> None:
    network = random_network(small_config())
    before = {name: value.clone() for name, value in network.state_dict().items() if "running" in name}
    training = FillTraining(network, WeightedLosses(load_losses(["l1"], {}), {"l1": 1.0}), frozen).train()
    image, mask = random_sample(2, 32, 32)
    training((255 * image).to(torch.uint8), mask > 0, False)
    same = [torch.equal(value, before[name]) for name, value in network.state_dict().items() if name in before]
    assert all(same) if frozen else not any(same)


def test_the_average_moves_towards_the_weights() -> None:
    average = {"w": torch.tensor([0.0, 4.0]), "count": torch.tensor(1)}
    update_average(average, {"w": torch.tensor([1.0, 0.0]), "count": torch.tensor(7)}, 0.75)
    assert average["w"].tolist() == [0.25, 3.0]
    assert int(average["count"]) == 7
