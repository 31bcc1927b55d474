"""Learned distances of images and their scores: LPIPS 0.1 (Zhang et al., 2018) and DISTS (Ding et al., 2020).

A backbone trained on ImageNet (AlexNet or VGG16), which is no part of this package, and weights that people's
judgements taught, which are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from wavepaint.errors import CheckpointError, check_known
from wavepaint.evaluation.features import ALEX_WIDTHS, AlexNetFeatures, VGG16Features
from wavepaint.evaluation.metrics import BoolMask, FloatArray, Image
from wavepaint.evaluation.protocol import Scorer
from wavepaint.evaluation.weights import packaged_weights, read_state

Net = Literal["alex", "vgg"]

VGG_LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")
VGG_WIDTHS = (64, 128, 256, 512, 512)
_EPSILON = 1e-10


class LPIPS(nn.Module):
    """The distance of two images as people see it: 0 for equal ones, growing with difference.

    At every layer the activations are scaled to unit length over channels, their squared differences weighted
    per channel and averaged over positions; the layers are summed. The paper scales images to [-1, 1] and
    then shifts and scales every channel; together that is ImageNet's usual normalisation of [0, 1], which the
    backbones do.

    Args:
        features: frozen backbone, image -> activations of L layers.
        heads: L vectors of channel weights, not negative.
    """

    def __init__(self, features: nn.Module, heads: Sequence[Tensor]) -> None:
        super().__init__()
        self.features = features
        self.heads = nn.ParameterList(
            nn.Parameter(head.float().reshape(1, -1, 1, 1), requires_grad=False) for head in heads
        )
        self.requires_grad_(False).eval()

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """(B, 3, H, W) RGB in [0, 1], twice -> (B,). Differentiable with respect to both."""
        return self.distance(self.features(a), self.features(b))

    def distance(self, a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
        """Like `forward`, from what `features` gave for both images."""
        return torch.stack([layer.mean((1, 2, 3)) for layer in self._layers(a, b)]).sum(0)

    def distance_map(self, a: Sequence[Tensor], b: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """Like `distance` but for every pixel: (B, 1, *size), each layer's map enlarged bilinearly."""
        enlarged = [F.interpolate(layer, size, mode="bilinear", align_corners=False) for layer in self._layers(a, b)]
        return torch.stack(enlarged).sum(0)

    def _layers(self, a: Sequence[Tensor], b: Sequence[Tensor]) -> list[Tensor]:
        layers = zip(a, b, self.heads, strict=True)
        # Squares of half-precision activations overflow.
        pairs = ((_unit(x.float()) - _unit(y.float()), head) for x, y, head in layers)
        return [(difference**2 * head).sum(1, keepdim=True) for difference, head in pairs]


class DISTS(nn.Module):
    """Structure and texture of two images compared: 0 for equal ones, and tolerant of resampled texture.

    Of the image itself and five layers of VGG16 with L2 pooling, the means (texture) and the correlations
    (structure) over all positions are compared per channel and summed with learned weights.

    Args:
        features: VGG16 with `VGG_LAYERS` and `l2_pool`.
        alpha, beta: `(1, 1475, 1, 1)` weights of means and of correlations; 1475 = 3 + 64 + 128 + 256 + 512 + 512.
    """

    def __init__(self, features: VGG16Features, alpha: Tensor, beta: Tensor) -> None:
        super().__init__()
        self.features = features
        total = alpha.sum() + beta.sum()
        channels = [3, *VGG_WIDTHS]
        self.alpha = [part.flatten() for part in torch.split(alpha / total, channels, dim=1)]
        self.beta = [part.flatten() for part in torch.split(beta / total, channels, dim=1)]

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """(B, 3, H, W) RGB in [0, 1], twice -> (B,)."""
        return self.distance(self.layers(a), self.layers(b))

    def layers(self, image: Tensor) -> list[Tensor]:
        """The image itself and its five activations."""
        return [image, *self.features(image)]

    def distance(self, a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
        """Like `forward`, from what `layers` gave for both images."""
        constant = 1e-6
        similarity = torch.zeros(len(a[0]))
        for x, y, alpha, beta in zip(a, b, self.alpha, self.beta, strict=True):
            x_mean, y_mean = x.mean((2, 3)), y.mean((2, 3))
            texture = (2 * x_mean * y_mean + constant) / (x_mean**2 + y_mean**2 + constant)
            x_variance, y_variance = (
                ((z - mean[..., None, None]) ** 2).mean((2, 3)) for z, mean in ((x, x_mean), (y, y_mean))
            )
            covariance = (x * y).mean((2, 3)) - x_mean * y_mean
            structure = (2 * covariance + constant) / (x_variance + y_variance + constant)
            similarity = similarity + (alpha * texture + beta * structure).sum(1)
        return 1 - similarity


def l2_pool(x: Tensor) -> Tensor:
    """`(B, C, H, W)` -> half the size: root of the squares averaged by a 3x3 Hann window, zeros around."""
    window = torch.tensor((0.5, 1.0, 0.5), dtype=x.dtype, device=x.device)
    kernel = (window[:, None] * window / 4).expand(x.shape[1], 1, 3, 3)
    return (F.conv2d(x**2, kernel, stride=2, padding=1, groups=x.shape[1]) + 1e-12).sqrt()


def load_lpips(net: Net, backbone: str | Path | None = None, heads: str | Path | None = None) -> LPIPS:
    """LPIPS with its published weights.

    Args:
        net: "alex" or "vgg".
        backbone: torchvision's ImageNet weights, `.pth` or `.safetensors` with keys `features.N.*`; downloaded
            and cached by default.
        heads: channel weights in the layout of the authors' files; those of version 0.1 by default.

    Raises:
        OptionError: another net.
        CheckpointError: a file that is not what it should be.
        WavepaintError: a download that fails.
    """
    check_known("LPIPS network", (net,), get_args(Net))
    weights = _heads(net, None if heads is None else Path(heads))
    return LPIPS(VGG16Features(backbone, VGG_LAYERS) if net == "vgg" else AlexNetFeatures(backbone), weights)


def load_dists(backbone: str | Path | None = None) -> DISTS:
    """DISTS with its published weights; `backbone` and errors as those of `load_lpips`."""
    weights = packaged_weights("dists")
    return DISTS(VGG16Features(backbone, VGG_LAYERS, l2_pool), weights["alpha"], weights["beta"])


def _heads(net: Net, path: Path | None) -> list[Tensor]:
    widths = ALEX_WIDTHS if net == "alex" else VGG_WIDTHS
    state = packaged_weights(f"lpips_{net}") if path is None else read_state(path)
    heads = [state.get(f"lin{layer}.model.1.weight", torch.empty(0)) for layer in range(len(widths))]
    channels = tuple(head.numel() for head in heads)
    if channels != widths:
        raise CheckpointError(f"{path}: not LPIPS weights for {net}: channels {channels}, expected {widths}")
    return heads


def _unit(x: Tensor) -> Tensor:
    """Scale to unit length over channels; kept differentiable where all channels are zero."""
    length = (x * x).sum(1, keepdim=True).clamp_min(_EPSILON**2).sqrt()
    return x / (length + _EPSILON)


def distance_scorer(
    name: str,
    features: Callable[[Tensor], list[Tensor]],
    distance: Callable[[Sequence[Tensor], Sequence[Tensor]], Tensor],
) -> Scorer:
    """A distance of whole composites from the truth through features.

    Args:
        name: of the score.
        features: `(1, 3, H, W)` in [0, 1] -> activations.
        distance: composite's and truth's activations -> `(1,)`.
    """

    @torch.inference_mode()
    def score(truth: Image, composites: NDArray[np.uint8], mask: BoolMask) -> dict[str, FloatArray]:
        reference = features(tensor_of(truth))
        return {name: np.array([float(distance(features(tensor_of(c)), reference)) for c in composites])}

    return score


def lpips_scorer(net: Net, model: LPIPS) -> Scorer:
    """LPIPS of whole composites, `lpips_NET`, and the mean of its map over the hole's samples, `hole_lpips_NET`."""

    @torch.inference_mode()
    def score(truth: Image, composites: NDArray[np.uint8], mask: BoolMask) -> dict[str, FloatArray]:
        hole, a = torch.from_numpy(mask), model.features(tensor_of(truth))
        whole, inside = [], []
        for composite in composites:
            b = model.features(tensor_of(composite))
            whole.append(float(model.distance(a, b)))
            inside.append(float(model.distance_map(a, b, mask.shape)[0, 0][hole].mean()))
        return {f"lpips_{net}": np.array(whole), f"hole_lpips_{net}": np.array(inside)}

    return score


def tensor_of(image: NDArray[np.uint8]) -> Tensor:
    """`(H, W, 3)` uint8 -> `(1, 3, H, W)` float32 in [0, 1]."""
    return torch.from_numpy(image[None]).permute(0, 3, 1, 2).float() / 255
