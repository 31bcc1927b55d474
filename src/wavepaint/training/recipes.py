"""Recipes: everything that decides what a training run computes, in one validated YAML file.

`options.RECIPES` come with the package. A recipe of one's own may begin with `base: NAME` and then needs only what
differs: keys of `data` and `validation` one by one, every other key as a whole. Where to run (devices,
precision) and how long is not part of a recipe.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, ValidationError, model_validator

from wavepaint.data.masks import MIN_SIDE, mixed_preset
from wavepaint.errors import OptionError, check_known
from wavepaint.network.config import WavePaintConfig, preset
from wavepaint.options import RECIPES
from wavepaint.training.losses import LOSSES

CROP_STEP = 32
"""Crops grow by this many pixels at a time: a multiple of what every network needs."""
RESUMED_WITH = ("batch", "accumulate", "clip", "data.workers", "phases.N.learning_rate")
"""What a resumed run may change, because it may be what ended it: memory, and steps too large."""


def _no_truth_value(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("must be a number")
    return value


Whole = Annotated[int, Field(strict=True, ge=0, lt=2**63)]
Positive = Annotated[int, Field(strict=True, ge=1, lt=2**63)]
# YAML 1.1 takes 1e-3, without a point, for text: numbers are not strict.
Number = Annotated[float, BeforeValidator(_no_truth_value), Field(ge=0, allow_inf_nan=False)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Data(_Section):
    """Which crops the network sees."""

    # "memory" (decoded once; see `data.resident`; streamed if they do not fit) or "stream" (`data.crops`).
    source: Literal["memory", "stream"]
    masks: dict[str, Positive]  # mask presets and how often each is drawn: `{thin: 2, thick: 1}`
    mask_bank: Positive  # masks that are drawn beforehand, and cropped in every step; of source "memory"
    crops_per_image: Positive  # crops from every image in an epoch
    pool_size: Positive  # decoded images held at once, of source "stream"
    max_pixels: Positive  # larger images are reduced to about this many pixels
    max_scale: Annotated[Number, Field(ge=1)]  # crops show up to this times their side, reduced
    # Processes per training process that decode and crop, of source "stream"; null for what the machine suggests.
    workers: Whole | None


class Validation(_Section):
    """How a run is validated."""

    # Part of the images held out for this, chosen by the hash of their names; 0 for no validation.
    share: Annotated[Number, Field(lt=1)]
    at_least: Whole  # images held out in any case, up to a quarter of all
    every: Positive | None  # steps between validations; null for once an epoch
    metric: str  # the loss, of `losses.LOSSES`, by which the best weights are chosen
    masks: Annotated[tuple[str, ...], Field(min_length=1)]  # mask presets, each image once with each
    images: Positive  # images scored at most
    crop: Annotated[Positive, Field(ge=MIN_SIDE)]  # side of the crops in pixels
    top: Positive  # networks of the best validations that are kept, `best.safetensors` included


class Phase(_Section):
    """A part of the run with one optimiser; a later phase starts from the best weights so far."""

    optimizer: Literal["adamw", "sgd"]  # "adamw" or "sgd"
    learning_rate: Annotated[Number, Field(gt=0)]  # its peak
    weight_decay: Number  # of the optimiser
    momentum: Number  # of "sgd"; 0 for "adamw"
    schedule: Literal["constant", "cosine"]  # "constant", or "cosine" over the whole run
    warmup: Whole  # steps over which the rate rises to its peak
    patience: Positive | None  # validations without a better score that end the phase; null for none

    @model_validator(mode="after")
    def _check(self) -> Phase:
        if self.optimizer == "adamw" and self.momentum:
            raise ValueError("momentum is for sgd")
        return self


class Recipe(_Section):
    """A whole recipe."""

    # `preset`, and any field of `WavePaintConfig` in place of the preset's; null with `init`.
    network: dict[str, Any] | None
    init: str | None  # checkpoint to start from, or "default" for the packaged network; null for random weights
    seed: Whole  # random seed
    # Optimiser steps of the run; null to continue until the last phase ends. A time budget replaces it.
    steps: Positive | None
    least_steps: Positive  # with a time budget, the last crops are the largest of `crops` at which so many steps fit
    batch: Positive  # crops in a step of one process
    accumulate: Positive  # batches whose gradients are added up in a step
    crops: tuple[Positive, Positive]  # side of the crops in pixels at the start and at the end
    losses: dict[str, Number]  # weights of losses by name
    # Probability that a step starts from the network's own result at a lower resolution.
    self_condition: Annotated[Number, Field(le=1)]
    # Decay of the weight average that is validated and written; 0 writes the weights themselves.
    ema: Annotated[Number, Field(lt=1)]
    clip: Annotated[Number, Field(gt=0)] | None  # largest norm of the gradient; null for any
    # "local" (statistics of each process's batch), "sync" (of all; CUDA), or "frozen".
    batch_norm: Literal["local", "sync", "frozen"]
    compile: StrictBool  # use torch.compile on CUDA devices
    data: Data
    validation: Validation
    phases: Annotated[tuple[Phase, ...], Field(min_length=1)]
    log_every: Positive  # steps between entries of the log
    save_seconds: Number  # seconds between checkpoints

    @model_validator(mode="after")
    def _check(self) -> Recipe:
        if (self.network is None) == (self.init is None):
            raise ValueError("give either network or init")
        if self.network is not None:
            self.network_config()
        check_known("loss", [*self.losses, self.validation.metric], LOSSES)
        for masks in (self.data.masks, dict.fromkeys(self.validation.masks, 1)):
            mixed_preset(masks)
        if not any(self.losses.values()):
            raise ValueError("losses must have at least one above 0")
        smallest, largest = self.crops
        if smallest < MIN_SIDE:
            raise ValueError(f"crops must be at least {MIN_SIDE}, got {smallest}")
        if smallest > largest or (largest - smallest) % CROP_STEP:
            raise ValueError(f"crops must grow by a multiple of {CROP_STEP}, got {smallest} to {largest}")
        return self

    def network_config(self) -> WavePaintConfig:
        """The network that `network` describes."""
        changes = dict(self.network or {})
        name = changes.pop("preset", None)
        if not isinstance(name, str):
            raise OptionError("network needs a preset")
        return WavePaintConfig.from_dict({**preset(name).to_dict(), **changes})

    def to_yaml(self) -> str:
        """The recipe as a file that `load_recipe` reads back to an equal one."""
        text: str = yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, default_flow_style=None, width=120)
        return text


def load_recipe(name: str | Path, changes: Sequence[str] = (), init: str | None = None) -> Recipe:
    """A packaged recipe, or a YAML file.

    Args:
        name: of `options.RECIPES`, or a path.
        changes: `key=value` to set on top, with dots into sections and lists: `phases.0.learning_rate=1e-3`.
        init: checkpoint to start from, in place of the recipe's own start.

    Raises:
        OptionError: no such recipe, not YAML, or a key or value that makes no sense; one line that names it.
    """
    values = _read(name)
    for change in changes:
        _change(values, change)
    if init is not None:
        values |= {"init": init, "network": None}
    return _recipe(values, str(name))


def change_recipe(recipe: Recipe, changes: Sequence[str]) -> tuple[Recipe, list[str]]:
    """A recipe as a run resumes with it, and what differs, a line each.

    Raises:
        OptionError: a change of anything that is not in `RESUMED_WITH`, or one that makes no sense.
    """
    before, values = (recipe.model_dump(mode="json") for _ in range(2))
    keys = dict.fromkeys(change.partition("=")[0] for change in changes)
    for change in changes:
        if re.sub(r"\.\d+\.", ".N.", change.partition("=")[0]) not in RESUMED_WITH:
            raise OptionError(f"--set {change}: a resumed run can change {', '.join(RESUMED_WITH)}")
        _change(values, change)
    changed = _recipe(values, "of the run")
    after = changed.model_dump(mode="json")
    pairs = {key: [inside[last] for inside, last in (_place(before, key), _place(after, key))] for key in keys}
    return changed, [f"{key}: {old} before, {new} from now on" for key, (old, new) in pairs.items() if old != new]


def parse_recipe(text: str, label: str) -> Recipe:
    """A recipe from the text that `Recipe.to_yaml` wrote; `label` names it in errors, which are `load_recipe`'s."""
    return _recipe(yaml.safe_load(text), label)


def _recipe(values: Mapping[str, Any], label: str) -> Recipe:
    try:
        return Recipe.model_validate(values)
    except (OptionError, ValidationError) as error:
        problem = _first_problem(error) if isinstance(error, ValidationError) else error
        raise OptionError(f"recipe {label}: {problem}") from None


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in problem["loc"])
    kind, value = problem["type"], problem["input"]
    if kind in ("extra_forbidden", "missing"):
        return f"{'missing' if kind == 'missing' else 'unknown'} key {where}"
    message = problem["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if kind == "value_error" and isinstance(value, Mapping):
        return f"{where}: {message}" if where else message
    return f"{where} must be {message.removeprefix('must be ')}, got {value!r}"


def _read(name: str | Path) -> dict[str, Any]:
    path = files("wavepaint.training") / "recipes" / f"{name}.yaml" if str(name) in RECIPES else Path(name)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise OptionError(f"{name}: neither a file nor a recipe; known: {', '.join(RECIPES)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"{name}: cannot read a recipe: {error}") from None
    except (yaml.YAMLError, ValueError) as error:  # the latter from dates that do not exist
        raise OptionError(f"recipe {name}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise OptionError(f"recipe {name}: must be a mapping of keys to values")
    base = values.pop("base", None)
    if base is None:
        return values
    if base not in RECIPES:
        raise OptionError(f"recipe {name}: base: unknown recipe {base!r}; known: {', '.join(RECIPES)}")
    merged = _read(base)
    for key, value in values.items():
        section = key in ("data", "validation") and isinstance(value, Mapping)
        merged[key] = {**merged[key], **value} if section else value
    return merged


def _change(values: dict[str, Any], change: str) -> None:
    """Set one value; the validation that follows finds a key that no recipe knows."""
    key, equals, text = change.partition("=")
    if not equals:
        raise OptionError(f"--set {change}: must be KEY=VALUE")
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        raise OptionError(f"--set {change}: {text!r} is not a YAML value") from None
    try:
        inside, last = _place(values, key)
        inside[last] = value
    except (KeyError, IndexError, ValueError, TypeError):
        raise OptionError(f"--set {change}: the recipe has no {key}") from None


def _place(values: Any, key: str) -> tuple[Any, Any]:
    """The mapping or list that a dotted key points into, and its key or index there."""
    *path, last = key.split(".")
    for part in path:
        values = values[int(part) if isinstance(values, list) else part]
    return values, int(last) if isinstance(values, list) else last
