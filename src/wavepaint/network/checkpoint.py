"""Checkpoints: our safetensors files, and the published PyTorch ones recognised from keys and shapes alone."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialize
from torch import Tensor

from wavepaint.errors import CheckpointError, OptionError
from wavepaint.files import atomic_write
from wavepaint.network.config import WavePaintConfig
from wavepaint.network.damage import DamageNetwork
from wavepaint.network.model import WavePaint

Network = WavePaint | DamageNetwork

CONFIG_KEY = "wavepaint_config"
DEFAULT_NAME = "default"
DAMAGE_NAME = "damage"


def build_network(config: WavePaintConfig) -> Network:
    """A network of that configuration with random weights."""
    return DamageNetwork(config) if config.output == "damage" else WavePaint(config)


def load_checkpoint(path: str | Path) -> WavePaint:
    """Read a network that fills holes, ready for inference; arguments and result as those of `load_network`.

    Raises:
        CheckpointError: see `load_network`; or the network finds damage.
    """
    network = load_network(path)
    if not isinstance(network, WavePaint):
        raise CheckpointError(f"{path}: this network finds damage; it cannot fill")
    return network


def load_network(path: str | Path) -> Network:
    """Read a network of any kind, ready for inference.

    Args:
        path: a safetensors file of ours, a published `.pth` state dict (also wrapped in `state_dict` or
            `model`, also with a `module.` prefix), or "default" or "damage" for the packaged networks.

    Returns:
        The network in evaluation mode, float32, on the CPU.

    Raises:
        CheckpointError: no such file, a folder, not a checkpoint, or keys missing or left over.
    """
    if str(path) in (DEFAULT_NAME, DAMAGE_NAME):
        with packaged(str(path)) as file:
            return load_network(file)
    path = Path(path)
    if path.is_dir():
        raise CheckpointError(f"{path}: is a folder")
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    state, config = read_tensors(path) if is_safetensors(path) else (_read_pickle(path), None)
    try:
        config = config or infer_config(state)
        with torch.device("meta"):
            _check_state(build_network(config).state_dict(), state)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    model = build_network(config)
    model.load_state_dict(state)
    return model.eval()


def packaged(name: str = DEFAULT_NAME) -> AbstractContextManager[Path]:
    """A packaged network's checkpoint as a file."""
    return as_file(files("wavepaint") / "weights" / f"{name}.safetensors")


def save_checkpoint(
    model: Network,
    path: str | Path,
    *,
    half: bool = False,
    extra: Mapping[str, str] | None = None,
) -> None:
    """Write a network and its configuration; the file appears whole or not at all.

    Args:
        model: what to write.
        path: target, conventionally `.safetensors`.
        half: store convolution kernels as float16.
        extra: more metadata (recipe, step, scores), strings only.
    """
    tensors = {}
    for name, value in model.state_dict().items():
        value = value.detach().to("cpu").contiguous()
        # Only kernels: biases and statistics are small, and statistics may exceed what float16 holds.
        tensors[name] = value.half() if half and value.is_floating_point() and value.ndim > 1 else value
    metadata = {**(extra or {}), CONFIG_KEY: json.dumps(model.config.to_dict())}
    with atomic_write(path) as unfinished:
        unfinished.write_bytes(serialize(tensors, metadata))


def read_metadata(path: str | Path) -> dict[str, str]:
    """The string metadata of a safetensors checkpoint, without its tensors; {} for other files."""
    path = Path(path)
    if not is_safetensors(path):
        return {}
    with safe_open(path, "pt") as file:
        return dict(file.metadata() or {})


def infer_config(state: Mapping[str, Tensor]) -> WavePaintConfig:
    """The configuration of a published network from its keys and shapes.

    Raises:
        CheckpointError: a key or shape that every published network has is missing.
    """

    def shape(key: str) -> torch.Size:
        if key not in state:
            raise CheckpointError(f"not a WavePaint checkpoint: no {key}")
        if state[key].ndim != 4:
            raise CheckpointError(f"not a WavePaint checkpoint: {key} is no convolution kernel")
        return state[key].shape

    first = "wavemodules.0."
    stem = shape(first + "conv.0.weight")
    final_dim, level = shape(first + "conv.1.weight")[0], _level(state)
    ff = first + "layers.0.feedforward" + ("" if level == 1 else "1")
    hidden, ff_channel = shape(ff + ".0.weight")[0], shape(ff + ".3.weight")[0]
    try:
        return WavePaintConfig(
            num_modules=_count(state, r"wavemodules\.(\d+)\."),
            blocks_per_module=_count(state, r"wavemodules\.0\.layers\.(\d+)\."),
            final_dim=final_dim,
            ff_channel=ff_channel,
            mult=hidden // max(final_dim, 1),
            level=level,
            input_channels=stem[1],
        )
    except OptionError as error:
        raise CheckpointError(f"not a WavePaint checkpoint: {error}") from None


def _level(state: Mapping[str, Tensor]) -> int:
    matches = [re.match(r"wavemodules\.0\.layers\.0\.feedforward(\d)\.", key) for key in state]
    return max((int(match[1]) for match in matches if match), default=1)


def _count(state: Mapping[str, Tensor], pattern: str) -> int:
    return len({match[1] for match in (re.match(pattern, key) for key in state) if match})


def is_safetensors(path: Path) -> bool:
    """Whether the file is safetensors, by content: eight bytes of header length, then JSON."""
    with path.open("rb") as file:
        return file.read(9)[8:] == b"{"


def read_tensors(path: Path) -> tuple[dict[str, Tensor], WavePaintConfig | None]:
    """The tensors of a safetensors file as float32, and the configuration that stands in it, if any.

    Raises:
        CheckpointError: a damaged file.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            state = {name: _single(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: damaged checkpoint: {error}") from None
    return state, parse_config(path, metadata[CONFIG_KEY]) if CONFIG_KEY in metadata else None


def parse_config(path: Path, text: str) -> WavePaintConfig:
    """The configuration that stands in a file as JSON; `CheckpointError` for any other text."""
    try:
        return WavePaintConfig.from_dict(json.loads(text))
    except (OptionError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: damaged description of the network: {error}") from None


def _read_pickle(path: Path) -> dict[str, Tensor]:
    try:
        loaded: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # damaged files make the unpickler fail in every way there is
        # PyTorch's own words advise against safety.
        raise CheckpointError(f"{path}: not a checkpoint (safetensors or a PyTorch state dict)") from None
    for wrapper in ("state_dict", "model"):
        if isinstance(loaded, Mapping) and isinstance(loaded.get(wrapper), Mapping):
            loaded = loaded[wrapper]
    if not isinstance(loaded, Mapping) or not all(isinstance(value, Tensor) for value in loaded.values()):
        raise CheckpointError(f"{path}: not a WavePaint checkpoint: holds no state dict")
    return {str(name).removeprefix("module."): _single(value) for name, value in loaded.items()}


def _single(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else value


def _check_state(expected: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
    missing = sorted(set(expected) - set(state))
    left_over = sorted(set(state) - set(expected))
    misshapen = sorted(
        f"{name} is {tuple(state[name].shape)}, not {tuple(value.shape)}"
        for name, value in expected.items()
        if name in state and state[name].shape != value.shape
    )
    problems = [
        f"{what}: {', '.join(names[:3])}" + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        for what, names in (("missing", missing), ("left over", left_over), ("wrong shape", misshapen))
        if names
    ]
    if problems:
        raise CheckpointError(f"not a WavePaint checkpoint: {'; '.join(problems)}")
