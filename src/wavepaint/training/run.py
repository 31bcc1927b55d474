"""Beginning and resuming runs: from a recipe, settings and hardware to an engine in every process."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.fabric import Fabric

from wavepaint.data.photographs import find_photographs
from wavepaint.errors import CheckpointError, OptionError
from wavepaint.network import WavePaint, WavePaintConfig, load_checkpoint
from wavepaint.training.engine import ALWAYS_REPORTED, STATE, Engine, Outcome, Settings, check_new, read_state
from wavepaint.training.losses import load_losses
from wavepaint.training.module import has_bfloat16, is_finite
from wavepaint.training.recipes import Recipe, change_recipe, parse_recipe
from wavepaint.training.watching import Watcher

ACCELERATORS = ("auto", "cpu", "cuda", "gpu", "mps")
Precision = Literal["32-true", "bf16-mixed", "16-mixed"]
PRECISIONS: tuple[Precision, ...] = ("32-true", "bf16-mixed", "16-mixed")


@dataclass(frozen=True)
class Hardware:
    """Where a run computes; names are Lightning's.

    Attributes:
        accelerator: "auto", "cpu", "cuda" ("gpu" is the same) or "mps".
        devices: "auto", a number, or indices such as "0,2". Under `torchrun`, the way to several machines, its own
            numbers count.
        precision: "auto" (bfloat16 or float16 autocast on CUDA devices, bfloat16 on CPUs that compute in it, else
            float32), "32-true", "bf16-mixed" or "16-mixed".
    """

    accelerator: str = "auto"
    devices: str = "auto"
    precision: str = "auto"


def train(
    recipe: Recipe, settings: Settings, hardware: Hardware | None = None, watchers: Sequence[Watcher] = ()
) -> Outcome:
    """Begin a run and go on until it is over or SIGINT or SIGTERM asks it to stop.

    Args:
        recipe: what to compute.
        settings: from and to where; the folder must hold nothing by the name of a run's files.
        hardware: where to compute; by default on all devices of the best kind.
        watchers: told what happens, in the first process only, and closed at the end.

    Raises:
        OptionError: settings that do not go together, or a folder that holds a run or in which another process trains.
        ImageError: no photographs.
        CheckpointError: `recipe.init` is no network.
        WavepaintError: weights of a loss that cannot be had; a loss that is not finite; a full disk; too little
            memory, a device's or the machine's. The last checkpoint is then a usable one.
    """
    check_new(settings.folder)
    return _launch(recipe, settings, hardware or Hardware(), watchers, None)


def resume(
    folder: str | Path,
    hardware: Hardware | None = None,
    watchers: Sequence[Watcher] = (),
    max_seconds: float | None = None,
    changes: Sequence[str] = (),
    photographs: str | None = None,
    tensorboard: bool | None = None,
) -> Outcome:
    """Go on with a run; see `train`. Watchers are told of everything that is not as it was.

    Args:
        folder: of the run.
        hardware: may be other than before; then the order of the crops is not continued exactly.
        watchers: see `train`.
        max_seconds: a new limit for the whole run, earlier sittings included; None keeps the old one.
        changes: `key=value` for keys among `recipes.RESUMED_WITH`.
        photographs: where they lie now; None for where they lay.
        tensorboard: see `Settings`; None as before.

    Raises:
        OptionError: a change that a run cannot go on with, or another process that trains in the folder.
        CheckpointError: there is no run, or its state is damaged.
        WavepaintError: see `train`.
    """
    state = read_state(Path(folder))
    kept = state["settings"]
    settings = Settings(
        photographs=photographs or kept["photographs"],
        folder=Path(folder),
        max_seconds=max_seconds or kept["max_seconds"],
        weights={name: Path(path) for name, path in kept["weights"].items()},
        tensorboard=kept["tensorboard"] if tensorboard is None else tensorboard,
    )
    recipe, differences = change_recipe(parse_recipe(state["recipe"], str(Path(folder) / STATE)), changes)
    return _launch(recipe, settings, hardware or Hardware(), watchers, state, differences)


def _launch(
    recipe: Recipe,
    settings: Settings,
    hardware: Hardware,
    watchers: Sequence[Watcher],
    state: dict[str, Any] | None,
    differences: Sequence[str] = (),
) -> Outcome:
    source = find_photographs(settings.photographs)
    kept, held_out = source.split(recipe.validation.share)
    if len(kept) == 0:
        raise OptionError(f"{settings.photographs}: all photographs belong to the validation part; add some")
    _check_length(recipe, settings, len(held_out) > 0)
    if state is not None:
        network = WavePaint(WavePaintConfig.from_dict(state["config"]))
    elif recipe.init is not None:
        network = load_checkpoint(recipe.init)
        if not is_finite(network):
            raise CheckpointError(f"{recipe.init}: holds values that are not finite")
    else:
        torch.manual_seed(recipe.seed)
        network = WavePaint(recipe.network_config())
    _check_sides(recipe, network.config)
    # Before anything is launched: weights that cannot be had should not cost more than a line.
    losses = load_losses((*recipe.losses, recipe.validation.metric, ALWAYS_REPORTED), settings.weights)
    fabric = _make_fabric(hardware)
    fabric.launch()
    if recipe.batch_norm == "sync" and fabric.world_size > 1 and fabric.device.type != "cuda":
        raise OptionError("batch_norm: sync needs CUDA devices; use local or frozen")
    engine = Engine(recipe, settings, fabric, network, losses, (source, kept, held_out), watchers)
    if state is not None:
        engine.load(state, differences)
    return engine.run()


def _make_fabric(hardware: Hardware) -> Fabric:
    precision = _precision(hardware)
    if hardware.accelerator not in ACCELERATORS:
        raise OptionError(f"unknown accelerator {hardware.accelerator!r}; known: {', '.join(ACCELERATORS)}")
    if precision == "16-mixed" and not _has_float16(hardware):
        raise OptionError("precision 16-mixed needs a CUDA or MPS device; on a CPU use 32-true or bf16-mixed")
    devices: int | str = hardware.devices
    nodes = 1
    if torch.distributed.is_available() and torch.distributed.is_torchelastic_launched():
        devices = int(os.environ["LOCAL_WORLD_SIZE"])
        nodes = int(os.environ["WORLD_SIZE"]) // devices
    try:
        return Fabric(accelerator=hardware.accelerator, devices=devices, num_nodes=nodes, precision=precision)
    except (ValueError, TypeError, RuntimeError) as error:
        raise OptionError(f"cannot use this hardware: {' '.join(str(error).split())}") from None


def _has_float16(hardware: Hardware) -> bool:
    if hardware.accelerator != "auto":
        return hardware.accelerator != "cpu"
    return torch.cuda.is_available() or torch.backends.mps.is_available()


def _check_length(recipe: Recipe, settings: Settings, can_validate: bool) -> None:
    endless = recipe.steps is None and settings.max_seconds is None
    grows = recipe.crops[0] != recipe.crops[1]
    if endless and (grows or any(phase.schedule == "cosine" for phase in recipe.phases)):
        raise OptionError("growing crops and a cosine schedule need a length: steps in the recipe, or a maximum time")
    if endless and any(phase.patience is None for phase in recipe.phases):
        raise OptionError(
            "the run would never end: give steps in the recipe, patience to every phase, or a maximum time"
        )
    if not can_validate and any(phase.patience is not None for phase in recipe.phases):
        raise OptionError(
            f"{settings.photographs}: patience needs validation, but no photograph belongs to that part: "
            f"raise validation.share (now {recipe.validation.share})"
        )


def _check_sides(recipe: Recipe, config: WavePaintConfig) -> None:
    multiple = config.stride * (2 if recipe.self_condition > 0 else 1)
    for side in (*recipe.crops, recipe.validation.crop):
        if side % multiple:
            raise OptionError(f"crops of {side} pixels: this network needs multiples of {multiple}")


def _precision(hardware: Hardware) -> Precision:
    if hardware.precision == "auto":
        if hardware.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
            return "bf16-mixed" if has_bfloat16(torch.device("cuda")) else "16-mixed"
        on_cpu = hardware.accelerator == "cpu" or not torch.backends.mps.is_available()
        return "bf16-mixed" if on_cpu and has_bfloat16(torch.device("cpu")) else "32-true"
    for known in PRECISIONS:
        if hardware.precision == known:
            return known
    raise OptionError(f"unknown precision {hardware.precision!r}; known: auto, {', '.join(PRECISIONS)}")
