"""Recipes: everything that decides what a training run computes, in one validated YAML file.

`PACKAGED` come with the package. A recipe of one's own may begin with `base: NAME` and then needs only what
differs: keys of `data` and `validation` one by one, every other key as a whole. Where to run (devices,
precision) and how long at most is not part of a recipe.
"""

from __future__ import annotations

import math
import re
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from wavepaint.data.masks import MIN_SIDE, find_preset
from wavepaint.errors import OptionError
from wavepaint.network.config import WavePaintConfig, preset
from wavepaint.training.losses import check_loss_names
from wavepaint.training.schedule import CROP_STEP

PACKAGED = ("default", "finetune", "film", "stamps", "faces", "published")
OPTIMIZERS = ("adamw", "sgd")
SCHEDULES = ("constant", "cosine")
BATCH_NORMS = ("local", "sync", "frozen")
RESUMED_WITH = ("batch", "accumulate", "clip", "data.workers", "phases.N.learning_rate")
"""What a resumed run may change, because it may be what ended it: memory, and steps too large."""
_TOO_LARGE = 2**63
"""For whole numbers: generators and tensors take no larger ones."""


@dataclass(frozen=True)
class Data:
    """Which crops the network sees; see `wavepaint.data.crops.CropDataset`.

    Attributes:
        masks: mask preset.
        crops_per_photo: crops from every photograph in an epoch.
        pool_size: decoded photographs held at once.
        max_pixels: larger photographs are reduced to about this many pixels.
        max_scale: crops show up to this times their side, reduced.
        workers: processes per training process that decode and crop; null for what the machine suggests.
    """

    masks: str
    crops_per_photo: int
    pool_size: int
    max_pixels: int
    max_scale: float
    workers: int | None

    def __post_init__(self) -> None:
        find_preset(self.masks)
        _at_least(1, crops_per_photo=self.crops_per_photo, pool_size=self.pool_size, max_pixels=self.max_pixels)
        _at_least(1, max_scale=self.max_scale)
        _at_least(0, workers=self.workers or 0)


@dataclass(frozen=True)
class Validation:
    """How a run is judged.

    Attributes:
        share: part of the photographs kept for this, chosen by the hash of their names.
        every: steps between validations; null for once an epoch.
        metric: the loss, of `losses.LOSSES`, by which the best weights are chosen.
        masks: mask presets, each photograph once with each.
        photographs: photographs at most.
        crop: side of the crops in pixels.
    """

    share: float
    every: int | None
    metric: str
    masks: tuple[str, ...]
    photographs: int
    crop: int

    def __post_init__(self) -> None:
        check_loss_names([self.metric])
        for name in self.masks:
            find_preset(name)
        _require(0 <= self.share < 1, f"share must be at least 0 and below 1, got {self.share}")
        _require(len(self.masks) > 0, "masks must name at least one mask preset")
        _at_least(1, every=1 if self.every is None else self.every, photographs=self.photographs)
        _at_least(MIN_SIDE, crop=self.crop)


@dataclass(frozen=True)
class Phase:
    """A part of the run with one optimiser; a later phase starts from the best weights so far.

    Attributes:
        optimizer: "adamw" or "sgd".
        learning_rate: its peak.
        weight_decay: of the optimiser.
        momentum: of "sgd"; 0 for "adamw".
        schedule: "constant", or "cosine" over the whole run.
        warmup: steps over which the rate rises to its peak.
        patience: validations without a better score that end the phase; null for none.
    """

    optimizer: str
    learning_rate: float
    weight_decay: float
    momentum: float
    schedule: str
    warmup: int
    patience: int | None

    def __post_init__(self) -> None:
        _one_of(OPTIMIZERS, optimizer=self.optimizer)
        _one_of(SCHEDULES, schedule=self.schedule)
        _require(self.learning_rate > 0, f"learning_rate must be above 0, got {self.learning_rate}")
        _at_least(0, weight_decay=self.weight_decay, momentum=self.momentum, warmup=self.warmup)
        _require(self.optimizer == "sgd" or self.momentum == 0, "momentum is for sgd")
        _at_least(1, patience=1 if self.patience is None else self.patience)


@dataclass(frozen=True)
class Recipe:
    """A whole recipe.

    Attributes:
        network: `preset`, and any field of `WavePaintConfig` in place of the preset's; null with `init`.
        init: checkpoint to start from, or "default" for the packaged network; null for random weights.
        seed: of everything random.
        steps: optimiser steps of the run; null to go on until the last phase ends.
        batch: crops in a step of one process.
        accumulate: batches whose gradients are added up in a step.
        crops: side of the crops in pixels at the start and at the end.
        losses: weights of losses by name.
        self_condition: probability that a step starts from the network's own result at half resolution.
        ema: decay of the weight average that is validated and kept; 0 keeps the weights themselves.
        clip: largest norm of the gradient; null for any.
        batch_norm: "local" (statistics of each process's batch), "sync" (of all; CUDA), or "frozen".
        compile: use torch.compile on CUDA devices.
        data: see `Data`.
        validation: see `Validation`.
        phases: see `Phase`, in order.
        log_every: steps between entries of the log.
        save_seconds: seconds between checkpoints.
    """

    network: Mapping[str, Any] | None
    init: str | None
    seed: int
    steps: int | None
    batch: int
    accumulate: int
    crops: tuple[int, int]
    losses: Mapping[str, float]
    self_condition: float
    ema: float
    clip: float | None
    batch_norm: str
    compile: bool
    data: Data
    validation: Validation
    phases: tuple[Phase, ...]
    log_every: int
    save_seconds: float

    def __post_init__(self) -> None:
        _require((self.network is None) != (self.init is None), "give either network or init")
        if self.network is not None:
            self.network_config()
        check_loss_names(self.losses)
        _require(any(weight > 0 for weight in self.losses.values()), "losses must have at least one above 0")
        _at_least(0, **{f"losses.{name}": weight for name, weight in self.losses.items()})
        _at_least(1, batch=self.batch, accumulate=self.accumulate, log_every=self.log_every)
        _at_least(1, steps=1 if self.steps is None else self.steps)
        _at_least(0, save_seconds=self.save_seconds, seed=self.seed)
        _one_of(BATCH_NORMS, batch_norm=self.batch_norm)
        _require(0 <= self.self_condition <= 1, f"self_condition must be 0 to 1, got {self.self_condition}")
        _require(0 <= self.ema < 1, f"ema must be at least 0 and below 1, got {self.ema}")
        _require(self.clip is None or self.clip > 0, f"clip must be above 0, got {self.clip}")
        smallest, largest = self.crops
        _at_least(MIN_SIDE, **{"crops[0]": smallest})
        _require(
            smallest <= largest and (largest - smallest) % CROP_STEP == 0,
            f"crops must grow by a multiple of {CROP_STEP}, got {smallest} to {largest}",
        )
        _require(len(self.phases) > 0, "phases must have at least one")

    def network_config(self) -> WavePaintConfig:
        """The network that `network` describes."""
        changes = dict(self.network or {})
        name = changes.pop("preset", None)
        _require(isinstance(name, str), "network needs a preset")
        return WavePaintConfig.from_dict({**preset(str(name)).to_dict(), **changes})

    def to_yaml(self) -> str:
        """The recipe as a file that `load_recipe` reads back to an equal one."""
        return str(yaml.safe_dump(_plain(asdict(self)), sort_keys=False, default_flow_style=None))


def load_recipe(name: str | Path, changes: Sequence[str] = (), init: str | None = None) -> Recipe:
    """Read a recipe.

    Args:
        name: one of `PACKAGED`, or a YAML file.
        changes: `key=value`, for instance `batch=8`, `data.workers=2` or `phases.0.learning_rate=0.001`.
        init: start from this checkpoint, or "default", whatever the recipe says.

    Raises:
        OptionError: naming the file and the key: no such recipe, not YAML, an unknown or missing key, a value
            of another type or one that makes no sense.
    """
    values = _read(name)
    label = str(name)
    for change in changes:
        _change(values, change)
        label = f"{name} with --set"
    if init is not None:
        values.update(network=None, init=init)
    return _recipe(values, label)


def change_recipe(recipe: Recipe, changes: Sequence[str]) -> tuple[Recipe, list[str]]:
    """A run's recipe with changes among `RESUMED_WITH`, and a line for each that makes a difference.

    Raises:
        OptionError: another key, or a value as in `load_recipe`.
    """
    before = _plain(asdict(recipe))
    after = _plain(asdict(recipe))
    keys = []
    for change in changes:
        key = change.partition("=")[0]
        if re.sub(r"^phases\.\d+\.", "phases.N.", key) not in RESUMED_WITH:
            raise OptionError(f"--set {change}: a run that goes on can change {', '.join(RESUMED_WITH)} only")
        _change(after, change)
        keys.append(key)
    changed = _recipe(after, "with --set")
    after = _plain(asdict(changed))
    values = [(key, _value(before, key), _value(after, key)) for key in dict.fromkeys(keys)]
    return changed, [f"{key}: {old} before, {new} from now on" for key, old, new in values if old != new]


def parse_recipe(text: str, label: str) -> Recipe:
    """A complete recipe from its YAML; `label` names it in errors, which are those of `load_recipe`."""
    return _recipe(_mapping(text, label), label)


def _recipe(values: Mapping[str, Any], label: str) -> Recipe:
    recipe = _build(Recipe, values, f"recipe {label}", "")
    assert isinstance(recipe, Recipe)
    return recipe


def _read(name: str | Path) -> dict[str, Any]:
    if str(name) in PACKAGED:
        text = (files("wavepaint.training") / "recipes" / f"{name}.yaml").read_text()
    else:
        try:
            text = Path(name).read_text()
        except FileNotFoundError:
            raise OptionError(f"{name}: neither a file nor a recipe; known: {', '.join(PACKAGED)}") from None
        except (OSError, UnicodeDecodeError) as error:
            raise OptionError(f"{name}: cannot read a recipe: {error}") from None
    values = _mapping(text, str(name))
    base = values.pop("base", None)
    if base is None:
        return values
    if base not in PACKAGED:
        raise OptionError(f"recipe {name}: base: unknown recipe {base!r}; known: {', '.join(PACKAGED)}")
    merged = _read(base)
    for key, value in values.items():
        section = key in ("data", "validation") and isinstance(value, Mapping)
        merged[key] = {**merged[key], **value} if section else value
    return merged


def _mapping(text: str, label: str) -> dict[str, Any]:
    try:
        values = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:  # the latter from dates that do not exist
        raise OptionError(f"recipe {label}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise OptionError(f"recipe {label}: must be a mapping of keys to values")
    return values


def _change(values: dict[str, Any], change: str) -> None:
    """Set one value; a key that no recipe knows is found by the validation that follows."""
    key, found, text = change.partition("=")
    if not found:
        raise OptionError(f"--set {change}: must be KEY=VALUE")
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        raise OptionError(f"--set {change}: {text!r} is not a YAML value") from None
    *path, last = key.split(".")
    inside: Any = values
    try:
        for part in path:
            inside = inside[int(part)] if isinstance(inside, list) else inside[part]
        inside[int(last) if isinstance(inside, list) else last] = value
    except (KeyError, IndexError, ValueError, TypeError):
        raise OptionError(f"--set {change}: the recipe has no {key}") from None


def _value(values: Any, key: str) -> Any:
    for part in key.split("."):
        values = values[int(part) if isinstance(values, list) else part]
    return values


def _build(kind: type, values: Any, label: str, where: str) -> Any:
    """A dataclass from plain values; `where` is the path of keys so far, ending in a dot unless empty."""
    if not isinstance(values, Mapping):
        raise OptionError(f"{label}: {where.rstrip('.')} must be a mapping of keys to values")
    known = [field.name for field in fields(kind)]
    if unknown := [str(key) for key in values if key not in known]:
        raise OptionError(f"{label}: unknown key {where}{unknown[0]}; known: {', '.join(known)}")
    if missing := [name for name in known if name not in values]:
        raise OptionError(f"{label}: missing key {where}{missing[0]}")
    hints = typing.get_type_hints(kind)
    arguments = {name: _typed(hints[name], values[name], label, where + name) for name in known}
    try:
        return kind(**arguments)
    except OptionError as error:
        raise OptionError(f"{label}: {where}{error}") from None


def _typed(hint: Any, value: Any, label: str, where: str) -> Any:
    """`value` as the type that a field declares."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType:
        return None if value is None else _typed(inner[0], value, label, where)
    if is_dataclass(hint):
        return _build(typing.cast(type, hint), value, label, where + ".")
    if origin is tuple and isinstance(value, list | tuple):
        if inner[-1] is not Ellipsis and len(value) != len(inner):
            raise OptionError(f"{label}: {where} must have {len(inner)} values, got {len(value)}")
        return tuple(_typed(inner[0], each, label, f"{where}.{i}") for i, each in enumerate(value))
    if issubclass(origin or hint, Mapping) and isinstance(value, Mapping):
        return {str(key): _typed(inner[1], each, label, f"{where}.{key}") for key, each in value.items()}
    if hint is typing.Any:
        return value
    if hint is float:
        return _number(value, label, where)
    if hint is int and type(value) is int and value >= _TOO_LARGE:
        raise OptionError(f"{label}: {where} must be below 2**63, got {value}")
    if hint in (int, str, bool) and type(value) is hint:
        return value
    raise OptionError(f"{label}: {where} must be {_named(hint, origin)}, got {value!r}")


def _number(value: Any, label: str, where: str) -> float:
    # YAML 1.1 takes 1e-3, without a point, for text.
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise OptionError(f"{label}: {where} must be a finite number, got {value!r}")
    return number


def _named(hint: Any, origin: Any) -> str:
    names = {int: "a whole number", str: "text", bool: "true or false", tuple: "a list"}
    return names.get(origin or hint, "a mapping of keys to values")


def _plain(value: Any) -> Any:
    """Tuples as lists, all the way down."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise OptionError(message)


def _at_least(lowest: float, **values: float) -> None:
    for name, value in values.items():
        _require(value >= lowest, f"{name} must be at least {lowest}, got {value}")


def _one_of(known: Sequence[str], **values: str) -> None:
    for name, value in values.items():
        _require(value in known, f"unknown {name} {value!r}; known: {', '.join(known)}")
