"""Beginning and resuming runs: from a recipe, settings and hardware to a training loop in every process."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric

from wavepaint.cores import available_cores
from wavepaint.data.crops import CropDataset, CropOptions, CropSource
from wavepaint.data.damage import DamagedCrops, DamagedSet
from wavepaint.data.held_out import ValidationSet
from wavepaint.data.images import ImageSource, find_images
from wavepaint.data.resident import ImageBank, MaskBank, ResidentCrops, decoded_images, too_large_for_memory
from wavepaint.data.stream import CropStream
from wavepaint.errors import CheckpointError, OptionError, check_known
from wavepaint.network import Network, WavePaintConfig, build_network, load_network
from wavepaint.training.callbacks import LOGGERS, Callback
from wavepaint.training.folder import STATE, check_new, read_state
from wavepaint.training.learner import Learner, has_bfloat16, is_finite
from wavepaint.training.loop import Outcome, Settings, TrainingLoop
from wavepaint.training.losses import DETECTOR_LOSSES, load_losses
from wavepaint.training.pace import Pace
from wavepaint.training.recipes import CROP_STEP, Recipe, change_recipe, parse_recipe

_MAX_WORKERS = 8


@dataclass(frozen=True)
class Hardware:
    """Where a run computes; names are Lightning's.

    A precision of "auto" is bfloat16 or float16 autocast on CUDA devices, bfloat16 on CPUs that compute in it, else
    float32.
    """

    accelerator: str = "auto"  # or "cpu", "cuda" ("gpu" is the same), "mps"
    devices: str = "auto"  # or a number, or indices such as "0,2"; under `torchrun` its own numbers count
    precision: str = "auto"  # or "32-true", "bf16-mixed", "16-mixed"


def train(
    recipe: Recipe, settings: Settings, hardware: Hardware | None = None, callbacks: Sequence[Callback] = ()
) -> Outcome:
    """Begin a run and continue until it is over or SIGINT or SIGTERM asks it to stop.

    Args:
        recipe: what to compute.
        settings: from and to where; the folder must hold nothing by the name of a run's files.
        hardware: where to compute; by default on all devices of the best kind.
        callbacks: observe it, in the first process only, and are closed at the end.

    Raises:
        OptionError: settings that do not go together, or a folder that holds a run or in which another process trains.
        ImageError: no images.
        CheckpointError: `recipe.init` is no network.
        WavepaintError: weights of a loss that cannot be had; a loss that is not finite; a full disk; too little
            memory, a device's or the machine's. The last checkpoint is then a usable one.
    """
    began = time.monotonic()
    check_new(settings.folder)
    check_known("logger", settings.loggers, LOGGERS)
    return _launch(recipe, settings, hardware or Hardware(), callbacks, began).run()


def resume(
    folder: str | Path,
    hardware: Hardware | None = None,
    callbacks: Sequence[Callback] = (),
    seconds: float | None = None,
    changes: Sequence[str] = (),
    images: str | None = None,
) -> Outcome:
    """Continue the run in a folder; see `train`. Everything that is not as it was is reported to the callbacks.

    Args:
        seconds: a new time budget for the whole run, what was spent before included; None for the old one.
        changes: `key=value` for keys among `recipes.RESUMED_WITH`.
        images: where they lie now; None for where they lay.

    Raises:
        OptionError: a change that a run cannot be resumed with, or another process that trains in the folder.
        CheckpointError: there is no run, or its state is damaged.
    """
    began, folder = time.monotonic(), Path(folder)
    state = read_state(folder)
    before = state["settings"]
    weights = {name: Path(path) for name, path in before["weights"].items()}
    loggers = tuple(before["loggers"])
    settings = Settings(images or before["images"], folder, seconds or before["seconds"], weights, loggers)
    recipe, differences = change_recipe(parse_recipe(state["recipe"], str(folder / STATE)), changes)
    loop = _launch(recipe, settings, hardware or Hardware(), callbacks, began, state)
    loop.load(state, differences)
    return loop.run()


def _launch(
    recipe: Recipe,
    settings: Settings,
    hardware: Hardware,
    callbacks: Sequence[Callback],
    began: float,
    state: Mapping[str, Any] | None = None,
) -> TrainingLoop:
    images = find_images(settings.images)
    parts = images.split(recipe.validation.share, recipe.validation.at_least)
    if len(parts[0]) == 0:
        raise OptionError(f"{settings.images}: all images belong to the validation part; add some")
    if recipe.steps is None and settings.seconds is None:
        if recipe.crops[0] != recipe.crops[1] or any(phase.schedule == "cosine" for phase in recipe.phases):
            raise OptionError("growing crops and a cosine schedule need a length: steps in the recipe, or --hours")
        if any(phase.patience is None for phase in recipe.phases):
            raise OptionError("the run would never end: give steps in the recipe, patience to every phase, or --hours")
    network = _network(recipe, state)
    # Before anything is launched: weights that cannot be had should not cost more than a line.
    losses = load_losses((*recipe.losses, recipe.validation.metric), settings.weights)
    fabric = _make_fabric(hardware)
    fabric.launch()
    if recipe.batch_norm == "sync" and fabric.world_size > 1 and fabric.device.type != "cuda":
        raise OptionError("batch_norm: sync needs CUDA devices; use local or frozen")
    if state is None and recipe.data.source == "memory":
        reason = too_large_for_memory(parts[0], recipe.data.max_pixels)
        if fabric.broadcast(reason) is not None:
            for callback in callbacks if fabric.is_global_zero else ():
                callback.on_note(f"{reason}: they are read while training instead (data.source stream)")
            recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"source": "stream"})})
    crops, scored = _crops(recipe, parts[0], fabric), None
    detects = network.config.output == "damage"
    if detects:
        crops = DamagedCrops(crops, recipe.seed, fabric.global_rank)
    if fabric.is_global_zero:
        limits = (recipe.validation.images, recipe.validation.crop, recipe.data.max_pixels)
        scored = DamagedSet(parts[1], *limits) if detects else ValidationSet(parts[1], recipe.validation.masks, *limits)
    step = recipe.batch * recipe.accumulate * fabric.world_size
    pace = Pace(recipe, settings.seconds, began, max(1, len(parts[0]) * recipe.data.crops_per_image // step))
    learner = Learner(recipe, fabric, network, losses)
    return TrainingLoop(settings, fabric, learner, pace, images, crops, scored, callbacks)


def _network(recipe: Recipe, state: Mapping[str, Any] | None) -> Network:
    if state is not None:
        network = build_network(WavePaintConfig.from_dict(state["config"]))
    elif recipe.init is not None:
        network = load_network(recipe.init)
        if not is_finite(network):
            raise CheckpointError(f"{recipe.init}: holds values that are not finite")
    else:
        torch.manual_seed(recipe.seed)
        network = build_network(recipe.network_config())
    config, detects = network.config, network.config.output == "damage"
    for name in (*recipe.losses, recipe.validation.metric):
        if (name in DETECTOR_LOSSES) != detects:
            raise OptionError(f"loss {name}: not for a network that {'finds damage' if detects else 'fills'}")
    if detects and recipe.self_condition > 0:
        raise OptionError("self_condition: not for a network that finds damage")
    multiple = config.multiple if detects else config.stride * (2 if recipe.self_condition > 0 else 1)
    for side in (*recipe.crops, recipe.validation.crop):
        if side % multiple:
            raise OptionError(f"crops of {side} pixels: this network needs multiples of {multiple}")
    if recipe.crops[0] < recipe.crops[1] and CROP_STEP % multiple:
        raise OptionError(f"crops grow by {CROP_STEP} pixels; this network needs multiples of {multiple}")
    return network


def _crops(recipe: Recipe, images: ImageSource, fabric: Fabric) -> CropSource:
    data = recipe.data
    if data.source == "memory":
        bank = ImageBank(decoded_images(images, data.max_pixels), fabric.device)
        masks = MaskBank(data.masks, data.mask_bank, recipe.seed, fabric.device)
        return ResidentCrops(bank, masks, recipe.batch, recipe.seed, data.max_scale, fabric.global_rank)
    options = CropOptions(data.masks, data.crops_per_image, data.pool_size, data.max_pixels, data.max_scale)
    dataset = partial(CropDataset, images, options, rank=fabric.global_rank, world_size=fabric.world_size)
    workers = data.workers
    if workers is None:
        # Enough to keep an accelerator busy; beside training on a small CPU they would only take its time.
        cores, local = available_cores(), int(os.environ.get("LOCAL_WORLD_SIZE", torch.cuda.device_count() or 1))
        workers = int(cores > 2) if fabric.device.type == "cpu" else max(1, min(_MAX_WORKERS, cores // local))
    return CropStream(dataset, recipe.batch, recipe.seed, workers, fabric.device.type == "cuda")


def _make_fabric(hardware: Hardware) -> Fabric:
    devices: int | str = hardware.devices
    nodes, precision = 1, _precision(hardware)
    if torch.distributed.is_available() and torch.distributed.is_torchelastic_launched():
        devices = int(os.environ["LOCAL_WORLD_SIZE"])
        nodes = int(os.environ["WORLD_SIZE"]) // devices
    try:
        return Fabric(accelerator=hardware.accelerator, devices=devices, num_nodes=nodes, precision=precision)
    except (ValueError, TypeError, RuntimeError) as error:
        raise OptionError(f"cannot use this hardware: {' '.join(str(error).split())}") from None


def _precision(hardware: Hardware) -> Any:
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    is_chosen = accelerator is not None and hardware.accelerator in ("auto", "gpu", accelerator.type)
    device = accelerator if accelerator is not None and is_chosen else torch.device("cpu")
    if hardware.precision == "auto":
        return "bf16-mixed" if has_bfloat16(device) else "16-mixed" if device.type == "cuda" else "32-true"
    if hardware.precision == "16-mixed" and device.type == "cpu":
        raise OptionError("precision 16-mixed needs a CUDA or MPS device; on a CPU use 32-true or bf16-mixed")
    return hardware.precision
