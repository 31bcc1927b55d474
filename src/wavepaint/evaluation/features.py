"""Activations of networks trained on ImageNet, for perceptual losses and for scores."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavepaint.errors import CheckpointError, check_known
from wavepaint.evaluation.weights import fetch, read_state

RELU_NAMES = tuple(
    f"relu{stage}_{layer}" for stage, layers in enumerate((2, 2, 3, 3, 3), start=1) for layer in range(1, layers + 1)
)
ALEX_WIDTHS = (64, 192, 384, 256, 256)

_VGG_WIDTHS = {0: 64, 2: 64, 5: 128, 7: 128, 10: 256, 12: 256, 14: 256}
_VGG_WIDTHS |= dict.fromkeys((17, 19, 21, 24, 26, 28), 512)
"""Convolution widths by their place among torchvision's `features`."""
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

Pool = Callable[[Tensor], Tensor]
MAX_POOL: Pool = partial(F.max_pool2d, kernel_size=2)


class ImageNetFeatures(nn.Module):
    """What both backbones share: frozen convolutions with torchvision's weights, and ImageNet's normalisation.

    Args:
        name: of the network; its weights are downloaded and cached by default.
        weights: file with torchvision's key layout (`features.N.weight`, `features.N.bias`), safetensors or `.pth`.
        convolutions: by their number N.
        pooled: numbers of those before which the activations are pooled.
        pool: does that.

    Raises:
        CheckpointError: the file is not readable or lacks a layer.
        WavepaintError: a download that fails.
    """

    def __init__(
        self,
        name: str,
        weights: str | Path | None,
        convolutions: Mapping[int, nn.Conv2d],
        pooled: Collection[int],
        pool: Pool,
    ) -> None:
        super().__init__()
        path = Path(weights or fetch(name.lower()))
        state = read_state(path)
        for number, conv in convolutions.items():
            try:
                conv.load_state_dict({k: state[f"features.{number}.{k}"].float() for k in ("weight", "bias")})
            except (KeyError, RuntimeError) as error:
                raise CheckpointError(f"{path}: not {name} features: features.{number}: {error}") from None
        self.convs = nn.ModuleList(convolutions.values())
        self.pool, self._pooled = pool, [number in pooled for number in convolutions]
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(_STD).view(1, 3, 1, 1))
        self.mean: Tensor
        self.std: Tensor
        self.requires_grad_(False).eval()

    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, 3, H, W) RGB in [0, 1] -> one (B, C_l, H_l, W_l) after the ReLU of each convolution."""
        x = (image - self.mean) / self.std
        activations = []
        for conv, pooled in zip(self.convs, self._pooled, strict=True):
            x = F.relu(conv(self.pool(x) if pooled else x))
            activations.append(x)
        return activations


class VGG16Features(ImageNetFeatures):
    """Activations of VGG16 after chosen ReLUs, frozen (Simonyan and Zisserman, 2015).

    Args:
        weights: see `ImageNetFeatures`, which says also what is raised.
        layers: names among `RELU_NAMES` (`OptionError` for others), in order; nothing behind the last one is computed.
        pool: halves the activations between the stages; VGG16's own pooling by default.
    """

    def __init__(self, weights: str | Path | None, layers: Sequence[str], pool: Pool = MAX_POOL) -> None:
        check_known("layer", layers, RELU_NAMES)
        chosen, fan_in = [RELU_NAMES.index(name) for name in layers], 3
        convolutions: dict[int, nn.Conv2d] = {}
        for number, width in islice(_VGG_WIDTHS.items(), max(chosen) + 1):
            convolutions[number], fan_in = nn.Conv2d(fan_in, width, 3, padding=1), width
        super().__init__("VGG16", weights, convolutions, (5, 10, 17, 24), pool)
        self._chosen = chosen

    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, 3, H, W) RGB in [0, 1] -> one (B, C_l, H_l, W_l) per chosen layer."""
        activations = super().forward(image)
        return [activations[index] for index in self._chosen]


class AlexNetFeatures(ImageNetFeatures):
    """Activations of AlexNet after each of its five ReLUs, frozen (Krizhevsky, 2014); sides of at least 32.

    Args:
        weights: see `ImageNetFeatures`, which says also what is raised.
    """

    def __init__(self, weights: str | Path | None) -> None:
        fans = zip((3, *ALEX_WIDTHS), ALEX_WIDTHS, strict=False)
        shapes = {0: (11, 4, 2), 3: (5, 1, 2), 6: (3, 1, 1), 8: (3, 1, 1), 10: (3, 1, 1)}
        convolutions = {number: nn.Conv2d(*next(fans), *shape) for number, shape in shapes.items()}
        super().__init__("AlexNet", weights, convolutions, (3, 6), lambda x: F.max_pool2d(x, 3, 2))
