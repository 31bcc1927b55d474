"""What a checkpoint or an exported model is, in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from wavepaint.errors import CheckpointError
from wavepaint.network.checkpoint import (
    CONFIG_KEY,
    DAMAGE_NAME,
    DEFAULT_NAME,
    Network,
    build_network,
    is_safetensors,
    load_network,
    packaged,
    parse_config,
    read_metadata,
)
from wavepaint.network.config import PRESETS, WavePaintConfig


@dataclass(frozen=True)
class CheckpointInfo:
    """A checkpoint's description.

    Attributes:
        path: the file.
        bytes: its size on disk.
        format: "safetensors", "pytorch" or "onnx".
        config: the network.
        preset: name of the preset with that configuration, if there is one.
        parameters: trained numbers, BatchNorm's included.
        macs: multiply-accumulates of the convolutions for one 256x256 crop.
        metadata: what else the file says of itself (recipe, steps, ...).
    """

    path: Path
    bytes: int
    format: str
    config: WavePaintConfig
    preset: str | None
    parameters: int
    macs: int
    metadata: dict[str, str]


def describe(path: str | Path) -> CheckpointInfo:
    """Describe a checkpoint of any supported kind, or an ONNX file that this package exported.

    Raises:
        CheckpointError: the file is none of them.
    """
    if str(path) in (DEFAULT_NAME, DAMAGE_NAME):
        with packaged(str(path)) as file:
            return describe(file)
    path = Path(path)
    if path.suffix.lower() == ".onnx":
        metadata = _onnx_metadata(path)
        model, kind = build_network(parse_config(path, metadata[CONFIG_KEY])), "onnx"
    else:
        model = load_network(path)
        metadata = read_metadata(path)
        kind = "safetensors" if is_safetensors(path) else "pytorch"
    metadata.pop(CONFIG_KEY, None)
    return CheckpointInfo(
        path=path,
        bytes=path.stat().st_size,
        format=kind,
        config=model.config,
        preset=next((name for name, config in PRESETS.items() if config == model.config), None),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        macs=count_macs(model),
        metadata=metadata,
    )


def count_macs(model: Network, side: int = 256) -> int:
    """Multiply-accumulates of all the modules' convolutions for one crop of `side` x `side`; computes nothing."""
    meta = build_network(model.config).eval().to("meta")
    image, mask = torch.empty(1, 3, side, side, device="meta"), torch.empty(1, 1, side, side, device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        meta(image, mask, guess=image)
    return int(counter.get_total_flops()) // 2


def _onnx_metadata(path: Path) -> dict[str, str]:
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:
        raise CheckpointError(f"{path}: not an ONNX model: {str(error).splitlines()[0]}") from None
    metadata = dict(session.get_modelmeta().custom_metadata_map)
    if CONFIG_KEY not in metadata:
        raise CheckpointError(f"{path}: an ONNX model, but not one exported by wavepaint")
    return metadata
