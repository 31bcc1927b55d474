"""VGG16 convolutional features, for perceptual losses and for scores (Simonyan and Zisserman, 2015)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavepaint.errors import CheckpointError

_WIDTHS = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512)
"""Convolution widths in order; 0 is a 2x2 max pooling."""

RELU_NAMES = tuple(
    f"relu{stage}_{layer}" for stage, layers in enumerate((2, 2, 3, 3, 3), start=1) for layer in range(1, layers + 1)
)
DISTANCE_LAYERS = ("relu1_2", "relu2_2", "relu3_3")


class VGG16Features(nn.Module):
    """Activations of VGG16 after chosen ReLUs, frozen.

    Args:
        weights: safetensors file with torchvision's key layout (`features.N.weight`, `features.N.bias`).
        layers: names among `RELU_NAMES`, in order; nothing behind the last one is computed.

    Raises:
        CheckpointError: the file is not readable or lacks a layer.
    """

    def __init__(self, weights: str | Path, layers: Sequence[str] = DISTANCE_LAYERS) -> None:
        super().__init__()
        unknown = [name for name in layers if name not in RELU_NAMES]
        if unknown:
            raise ValueError(f"unknown layer {', '.join(unknown)}; known: {', '.join(RELU_NAMES)}")
        self.layers = tuple(layers)
        depth = 1 + max(RELU_NAMES.index(name) for name in layers)
        self.convs = nn.ModuleList()
        self.pools: list[bool] = []
        state = _load(weights)
        position, pool, fan_in = 0, False, 3
        for width in _WIDTHS:
            if width == 0:
                pool, position = True, position + 1
                continue
            if len(self.convs) == depth:
                break
            conv = nn.Conv2d(fan_in, width, 3, padding=1)
            try:
                conv.load_state_dict({k: state[f"features.{position}.{k}"].float() for k in ("weight", "bias")})
            except (KeyError, RuntimeError) as error:
                raise CheckpointError(f"{weights}: not VGG16 features: features.{position}: {error}") from None
            self.convs.append(conv)
            self.pools.append(pool)
            pool, position, fan_in = False, position + 2, width
        self.register_buffer("mean", torch.tensor((0.485, 0.456, 0.406)).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor((0.229, 0.224, 0.225)).view(1, 3, 1, 1))
        self.mean: Tensor
        self.std: Tensor
        self.requires_grad_(False).eval()

    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, 3, H, W) RGB in [0, 1] -> one (B, C_l, H_l, W_l) per chosen layer."""
        x = (image - self.mean) / self.std
        found = {}
        for name, conv, pool in zip(RELU_NAMES, self.convs, self.pools, strict=False):
            x = F.relu(conv(F.max_pool2d(x, 2) if pool else x))
            found[name] = x
        return [found[name] for name in self.layers]


def feature_distance(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    """Mean absolute difference of activations relative to their mean size in `b`, averaged over layers.

    Returns:
        (B,) one distance per picture; 0 for equal pictures. `b` is the reference.
    """
    dims = (1, 2, 3)
    terms = [(x - y).abs().mean(dims) / (y.abs().mean(dims) + 1e-6) for x, y in zip(a, b, strict=True)]
    return torch.stack(terms).mean(0)


def _load(path: str | Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: cannot read VGG16 features: {error}") from None
