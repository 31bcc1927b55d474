"""Losses through VGG16 that the study `texture` asks about, and no recipe uses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lab.vgg import DISTANCE_LAYERS, feature_distance
from wavepaint.evaluation.features import VGG16Features
from wavepaint.training.losses import Loss, load_losses

RING = 16
"""Width in samples of the known ring around the hole whose texture counts with the hole's own."""
_TINY = 1e-6

Activations = tuple[list[Tensor], list[Tensor]]


class Comparison(nn.Module):
    """VGG16's activations of a fill, with a gradient, and of the truth, without one.

    Losses that share it run it once: those of the last two images are remembered.
    """

    def __init__(self, features: VGG16Features) -> None:
        super().__init__()
        self.features = features
        self._last: tuple[Tensor, Tensor, Activations] | None = None

    def forward(self, filled: Tensor, truth: Tensor) -> Activations:
        if self._last is None or self._last[0] is not filled or self._last[1] is not truth:
            with torch.no_grad():
                true_features = self.features(truth)
            filled_features = self.features(filled.contiguous(memory_format=torch.channels_last))
            self._last = (
                filled,
                truth,
                ([layer.float() for layer in filled_features], [layer.float() for layer in true_features]),
            )
        return self._last[2]


class VGGLoss(nn.Module, ABC):
    """What compares two images by their VGG16 activations, which alone follow an autocast."""

    def __init__(self, activations: Comparison) -> None:
        super().__init__()
        self.activations = activations

    @abstractmethod
    def compare(self, filled_features: Sequence[Tensor], true_features: Sequence[Tensor], mask: Tensor) -> Tensor:
        """One number from the activations (B, C_l, H_l, W_l) of the fill and of the truth."""

    def forward(self, filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        filled_features, true_features = self.activations(filled, truth)
        with torch.autocast(filled.device.type, enabled=False):
            return self.compare(filled_features, true_features, mask)


class VGGFeatureLoss(VGGLoss):
    """Relative distance of VGG16 activations, averaged over the batch; needs no LPIPS weights."""

    def compare(self, filled_features: Sequence[Tensor], true_features: Sequence[Tensor], mask: Tensor) -> Tensor:
        return feature_distance(filled_features, true_features).mean()


class StyleLoss(VGGLoss):
    """Relative distance of the Gram matrices of VGG16 activations over hole and ring (Gatys et al., 2016).

    A Gram matrix holds which channels occur together, not where: the texture without its place.
    """

    def compare(self, filled_features: Sequence[Tensor], true_features: Sequence[Tensor], mask: Tensor) -> Tensor:
        around, terms = F.max_pool2d(mask, 2 * RING + 1, stride=1, padding=RING), []
        for a, b in zip(filled_features, true_features, strict=True):
            weight = F.adaptive_max_pool2d(around, a.shape[-2:])
            gram_a, gram_b = _gram(a, weight), _gram(b, weight)
            terms.append((gram_a - gram_b).abs().mean((1, 2)) / (gram_b.abs().mean((1, 2)) + _TINY))
        return torch.stack(terms).mean()


def _gram(x: Tensor, weight: Tensor) -> Tensor:
    """(B, C, H, W), (B, 1, H, W) -> (B, C, C), per sample with weight 1."""
    flat = (x * weight).flatten(2)
    return flat @ flat.transpose(1, 2) / weight.sum((1, 2, 3)).clamp_min(1).view(-1, 1, 1)


THROUGH_VGG: Mapping[str, type[VGGLoss]] = MappingProxyType({"vgg-features": VGGFeatureLoss, "vgg-style": StyleLoss})


def load_all_losses(names: Iterable[str], vgg_weights: Path | None) -> dict[str, Loss]:
    """The losses of these names, of `THROUGH_VGG` and of the product's; see `training.losses.load_losses`.

    Args:
        names: of losses.
        vgg_weights: file of VGG16 weights; None for the official ones, downloaded once.
    """
    names = tuple(names)
    losses = load_losses([name for name in names if name not in THROUGH_VGG], {})
    own = [name for name in names if name in THROUGH_VGG]
    if own:
        shared = Comparison(VGG16Features(vgg_weights, DISTANCE_LAYERS))
        losses |= {name: THROUGH_VGG[name](shared) for name in own}
    return losses
