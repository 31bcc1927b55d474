"""Activations of networks trained on ImageNet, for perceptual losses and for scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavepaint.errors import CheckpointError
from wavepaint.evaluation.weights import read_state

_WIDTHS = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512)
"""Convolution widths in order; 0 is a pooling by 2."""

RELU_NAMES = tuple(
    f"relu{stage}_{layer}" for stage, layers in enumerate((2, 2, 3, 3, 3), start=1) for layer in range(1, layers + 1)
)
ALEX_WIDTHS = (64, 192, 384, 256, 256)

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class ImageNetFeatures(nn.Module):
    """What both backbones share: frozen convolutions with torchvision's weights, and ImageNet's normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList()
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(_STD).view(1, 3, 1, 1))
        self.mean: Tensor
        self.std: Tensor

    def _add(self, conv: nn.Conv2d, position: int, state: Mapping[str, Tensor]) -> None:
        """Append a convolution with the weights `features.POSITION.*`; `CheckpointError` when they do not fit."""
        try:
            conv.load_state_dict({k: state[f"features.{position}.{k}"].float() for k in ("weight", "bias")})
        except (KeyError, RuntimeError) as error:
            raise CheckpointError(f"features.{position}: {error}") from None
        self.convs.append(conv)

    def _normalised(self, image: Tensor) -> Tensor:
        return (image - self.mean) / self.std


def max_pool(x: Tensor) -> Tensor:
    """`(B, C, H, W)` -> `(B, C, H // 2, W // 2)`: VGG16's own pooling."""
    return F.max_pool2d(x, 2)


class VGG16Features(ImageNetFeatures):
    """Activations of VGG16 after chosen ReLUs, frozen (Simonyan and Zisserman, 2015).

    Args:
        weights: file with torchvision's key layout (`features.N.weight`, `features.N.bias`), safetensors or `.pth`.
        layers: names among `RELU_NAMES`, in order; nothing behind the last one is computed.
        pool: halves the activations between the stages.

    Raises:
        CheckpointError: the file is not readable or lacks a layer.
    """

    def __init__(
        self,
        weights: str | Path,
        layers: Sequence[str],
        pool: Callable[[Tensor], Tensor] = max_pool,
    ) -> None:
        super().__init__()
        unknown = [name for name in layers if name not in RELU_NAMES]
        if unknown:
            raise ValueError(f"unknown layer {', '.join(unknown)}; known: {', '.join(RELU_NAMES)}")
        self.layers = tuple(layers)
        self.pool = pool
        self.pools: list[bool] = []
        depth = 1 + max(RELU_NAMES.index(name) for name in layers)
        state = read_state(Path(weights))
        position, pooled, fan_in = 0, False, 3
        for width in _WIDTHS:
            if width == 0:
                pooled, position = True, position + 1
                continue
            if len(self.convs) == depth:
                break
            try:
                self._add(nn.Conv2d(fan_in, width, 3, padding=1), position, state)
            except CheckpointError as error:
                raise CheckpointError(f"{weights}: not VGG16 features: {error}") from None
            self.pools.append(pooled)
            pooled, position, fan_in = False, position + 2, width
        self.requires_grad_(False).eval()

    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, 3, H, W) RGB in [0, 1] -> one (B, C_l, H_l, W_l) per chosen layer."""
        x = self._normalised(image)
        activations = {}
        for name, conv, pooled in zip(RELU_NAMES, self.convs, self.pools, strict=False):
            x = F.relu(conv(self.pool(x) if pooled else x))
            activations[name] = x
        return [activations[name] for name in self.layers]


class AlexNetFeatures(ImageNetFeatures):
    """Activations of AlexNet after each of its five ReLUs, frozen (Krizhevsky, 2014).

    Args:
        state: torchvision's `features.N.weight` and `features.N.bias`; other keys are ignored.

    Raises:
        CheckpointError: a key is missing or of another shape.
    """

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        super().__init__()
        widths = (3, *ALEX_WIDTHS)
        shapes = ((11, 4, 2), (5, 1, 2), (3, 1, 1), (3, 1, 1), (3, 1, 1))
        for index, position in enumerate((0, 3, 6, 8, 10)):
            try:
                self._add(nn.Conv2d(widths[index], widths[index + 1], *shapes[index]), position, state)
            except CheckpointError as error:
                raise CheckpointError(f"not AlexNet features: {error}") from None
        self.requires_grad_(False).eval()

    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, 3, H, W) RGB in [0, 1], sides at least 32 -> five (B, C_l, H_l, W_l)."""
        x = self._normalised(image)
        activations = []
        for index, conv in enumerate(self.convs):
            x = F.relu(conv(F.max_pool2d(x, 3, 2) if index in (1, 2) else x))
            activations.append(x)
        return activations
