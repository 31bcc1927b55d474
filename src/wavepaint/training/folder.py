"""The folder of a run: which files it holds (docs/training.md says what for), who may write them, and how to read them.

Networks hold averaged weights. There is no `best.safetensors` before the first validation after a step.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import platform
from collections.abc import Iterable, Mapping
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from lightning.fabric import Fabric
from torch import Tensor

from wavepaint.data.images import ImageSource
from wavepaint.errors import CheckpointError, OptionError, WavepaintError
from wavepaint.files import atomic_write
from wavepaint.network import Network, save_checkpoint
from wavepaint.training.pace import Position
from wavepaint.training.recipes import Recipe

STATE, RECIPE, METRICS, TENSORBOARD, SAMPLES = "last.ckpt", "recipe.yaml", "metrics.csv", "tensorboard", "samples.png"
LAST, BEST, TOP = "last.safetensors", "best.safetensors", "top"
FILES = (STATE, LAST, BEST, TOP, RECIPE, METRICS, TENSORBOARD, SAMPLES)
"""All that a run leaves in its folder, but the lock."""
LOCK = ".lock"
"""Stays in the folder: what counts is whether a living process holds it, and removing it could let two in."""


def write_state(folder: Path, state: Mapping[str, Any], average: Network, record: Mapping[str, str]) -> None:
    """Write `last.ckpt`, flushed to the disk, and what shows the same: `last.safetensors`, `recipe.yaml`."""
    check_finite(folder, average.state_dict().values(), "the averaged weights", record["step"])
    with atomic_write(folder / RECIPE) as unfinished:
        heading = "".join(f"# {name}: {value}\n" for name, value in record.items() if name != "recipe")
        unfinished.write_text(heading + record["recipe"])
    # Never an untrained network.
    if record["step"] != "0":
        save_checkpoint(average, folder / LAST, extra=record)
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    with atomic_write(folder / STATE, durable=True) as unfinished:
        unfinished.write_bytes(buffer.getbuffer())


def write_validated(
    folder: Path, average: Network, record: Mapping[str, str], metric: float, top: int, best: bool
) -> None:
    """Write what a validation has scored: as `best.safetensors`, and into `top/` if it is among that many."""
    check_finite(folder, average.state_dict().values(), "the averaged weights", record["step"])
    if best:
        save_checkpoint(average, folder / BEST, extra=record)
    if top > 1:
        (folder / TOP).mkdir(exist_ok=True)
        save_checkpoint(average, folder / TOP / f"{metric:.6f}-step-{record['step']}.safetensors", extra=record)
        networks = (folder / TOP).glob("*.safetensors")
        for path in sorted(networks, key=lambda path: float(path.name.partition("-step-")[0]))[top:]:
            path.unlink()


def check_finite(folder: Path, values: Iterable[Tensor], what: str, step: int | str) -> None:
    """Raise the error of a run whose numbers have grown beyond all bounds."""
    if not all(bool(value.isfinite().all()) for value in values):
        line = f"not finite by step {step}: {what}; lower the learning rate or clip; {last_good(folder)}"
        raise WavepaintError(line)


def last_good(folder: Path) -> str:
    """What an error says of the state that is left."""
    path = folder / STATE
    return f"{path} holds the last good state" if path.exists() else "nothing was written yet"


def locked(folder: Path) -> FileLock:
    """Make a folder, and keep others from training in it until `release`, or this process is gone, however it ends.

    Where files cannot be locked (some network file systems) nothing is.

    Raises:
        OptionError: another process, or another run of this one, trains there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise OptionError(f"{folder}: another process trains in this folder") from None
    except (NotImplementedError, OSError):
        pass
    return lock


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
    known = {"recipe", "settings", "conditions", "position", "learner", "skipped"}
    if not isinstance(state, dict) or not known <= state.keys():
        raise CheckpointError(f"{path}: not the state of a run")
    return state


def check_new(folder: Path, *, is_ours: bool = False) -> None:
    """Raise `OptionError` for a folder in which a new run would replace something; it need not exist.

    Unless the caller holds its lock (`is_ours`), that another process trains there is reported first.
    """
    existing = next((name for name in FILES if os.path.lexists(folder / name)), None)
    if existing is None:
        return
    if not is_ours and (folder / LOCK).exists():
        locked(folder).release()
    if (folder / STATE).exists():
        raise OptionError(f"{folder}: holds a run already; resume it, or choose another folder")
    raise OptionError(
        f"{folder}: holds {existing}, which a run would replace, but no {STATE} to resume from: "
        "remove it, or choose another folder"
    )


def conditions(images: ImageSource, fabric: Fabric) -> dict[str, str]:
    """What decides the steps beside recipe and position, as a resumed run compares it."""
    named = f"{len(images)} with names of SHA-256 {images.digest()[:16]}"
    return {"images": named, "precision": str(fabric.strategy.precision.precision)}


def record(
    recipe: Recipe, position: Position, images: ImageSource, fabric: Fabric, scores: Mapping[str, float] | None = None
) -> dict[str, str]:
    """What networks and recipes of a run say of where they come from, as metadata of checkpoints."""
    versions = ", ".join(f"{name} {version_of(name)}" for name in ("wavepaint", "torch", "lightning", "numpy"))
    return {
        "step": str(position.step),
        "seconds": f"{position.seconds:.0f}",
        "seed": str(recipe.seed),
        "versions": f"{versions}, Python {platform.python_version()}",
        "device": f"{fabric.world_size} x {fabric.device}, {torch.get_num_threads()} threads each",
        **conditions(images, fabric),
        "recipe": recipe.to_yaml(),
        **({} if scores is None else {"validation": json.dumps(scores)}),
    }
