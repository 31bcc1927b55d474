"""What training minimises: one small class per loss, all in one table.

Every loss takes the network's image, the truth and the mask, and returns one number for the batch:

* `filled`: (B, 3, H, W) float32, the network's image, not clipped; equal to `truth` outside the hole.
* `truth`: (B, 3, H, W) float32 RGB in [0, 1].
* `mask`: (B, 1, H, W) float32, 1 = hole, 0 = keep, with at least one hole sample in the batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavepaint.errors import OptionError
from wavepaint.evaluation.features import DISTANCE_LAYERS, VGG16Features, feature_distance
from wavepaint.evaluation.perceptual import LPIPS, Net, load_lpips, load_vgg16

WEIGHTS = ("vgg16", "alexnet", "lpips-alex", "lpips-vgg")
"""Names of the weight files that losses may need; what is not given is downloaded once and cached."""

RING = 16
"""Width in samples of the known ring around the hole whose texture counts with the hole's own."""

_SSIM_SIGMA, _SSIM_RADIUS = 1.5, 5
_SSIM_C1, _SSIM_C2 = 0.01**2, 0.03**2
_TINY = 1e-6
_FEW = 50
"""Samples that are added on both sides of `Dice`, so that a batch without damage does not decide it."""


class Loss(nn.Module):
    """A number to make small. Subclasses implement `forward(filled, truth, mask)`; see the module's text."""

    @classmethod
    def load(cls, weights: Mapping[str, Path]) -> Self:
        """The loss, with whatever trained network it looks through.

        Args:
            weights: local files for names among `WEIGHTS`.

        Raises:
            WavepaintError: weights that cannot be read or downloaded.
        """
        return cls()


class L1(Loss):
    """Mean absolute error of the whole image."""

    def forward(self, filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        """See the module's text."""
        return (filled - truth).abs().mean()


class L2(Loss):
    """Mean squared error of the whole image."""

    def forward(self, filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        """See the module's text."""
        return ((filled - truth) ** 2).mean()


class HoleL1(Loss):
    """Mean absolute error of the hole samples: large and small holes count by their area alone."""

    def forward(self, filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        """See the module's text."""
        return (filled - truth).abs().sum() / (mask.sum() * 3)


class Gradient(Loss):
    """Absolute error of the horizontal and vertical differences, per hole sample: edges where they belong."""

    def forward(self, filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        """See the module's text."""
        error = filled - truth
        across, down = error.diff(dim=-1).abs().sum(), error.diff(dim=-2).abs().sum()
        return (across + down) / (2 * (mask.sum() * 3))


class CrossEntropy(Loss):
    """Binary cross-entropy of a damage detector's logits, `filled`, and the true damage, `mask` (B, 3, H, W)."""

    def forward(self, filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        """See the class's text."""
        return F.binary_cross_entropy_with_logits(filled, mask)


class Dice(Loss):
    """1 - soft Dice of a damage detector's logits and the true damage, mean over kinds (Milletari et al., 2016)."""

    def forward(self, filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        """See `CrossEntropy`."""
        found = filled.sigmoid()
        both, either = ((each.sum((0, 2, 3)) + _FEW) for each in (2 * found * mask, found + mask))
        return 1 - (both / either).mean()


class LPIPSLoss(Loss):
    """LPIPS of the whole image, averaged over the batch."""

    net: ClassVar[Net]

    def __init__(self, lpips: LPIPS) -> None:
        super().__init__()
        self.lpips = lpips

    def forward(self, filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        """See the module's text; sides of at least 32."""
        with torch.no_grad():
            wanted = self.lpips.features(truth)
        found = self.lpips.features(filled)
        # Squares of half-precision activations overflow.
        return self.lpips.distance([a.float() for a in found], [b.float() for b in wanted]).mean()


class LPIPSAlex(LPIPSLoss):
    """LPIPS through AlexNet, the usual one."""

    net = "alex"

    @classmethod
    def load(cls, weights: Mapping[str, Path]) -> Self:
        """See `Loss.load`."""
        return cls(load_lpips(cls.net, weights.get("alexnet"), weights.get("lpips-alex")))


class LPIPSVGG(LPIPSLoss):
    """LPIPS through VGG16."""

    net = "vgg"

    @classmethod
    def load(cls, weights: Mapping[str, Path]) -> Self:
        """See `Loss.load`."""
        return cls(load_lpips(cls.net, weights.get("vgg16"), weights.get("lpips-vgg")))


class HoleSSIM(Loss):
    """1 - SSIM of the hole samples (Wang et al., 2004; as a loss, Zhao et al., 2017): contrast where it belongs.

    Gaussian window of 11x11 with sigma 1.5, per RGB channel, as the score; borders are repeated outwards.
    """

    def __init__(self) -> None:
        super().__init__()
        distance = torch.arange(-_SSIM_RADIUS, _SSIM_RADIUS + 1)
        window = torch.exp(-(distance**2) / (2 * _SSIM_SIGMA**2))
        self.register_buffer("window", window / window.sum())
        self.window: Tensor

    def forward(self, filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        """See the module's text; sides of at least 11."""
        a, b = filled, truth
        moments = self._blur(torch.cat((a, b, a * a, b * b, a * b), dim=1))
        mean_a, mean_b, aa, bb, ab = moments.chunk(5, dim=1)
        luminance = (2 * mean_a * mean_b + _SSIM_C1) / (mean_a**2 + mean_b**2 + _SSIM_C1)
        variances = (aa - mean_a**2) + (bb - mean_b**2)
        structure = (2 * (ab - mean_a * mean_b) + _SSIM_C2) / (variances + _SSIM_C2)
        return 1 - (luminance * structure * mask).sum() / (mask.sum() * 3)

    def _blur(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        return self._matrix(height) @ x @ self._matrix(width).T

    def _matrix(self, size: int) -> Tensor:
        """The blur of a line of samples, (size, size): on a CPU much faster than a convolution of single planes."""
        device = self.window.device
        place = torch.arange(size, device=device)
        taps = torch.arange(-_SSIM_RADIUS, _SSIM_RADIUS + 1, device=device)
        source = (place[:, None] + taps).clamp(0, size - 1)
        matrix = torch.zeros(size, size, device=device)
        return matrix.scatter_add(1, source, self.window.expand(size, -1))


class VGGLoss(Loss, ABC):
    """What compares two images by their VGG16 activations; subclasses implement `compare`."""

    def __init__(self, features: VGG16Features) -> None:
        super().__init__()
        self.features = features

    @classmethod
    def load(cls, weights: Mapping[str, Path]) -> Self:
        """See `Loss.load`."""
        return cls(load_vgg16(weights.get("vgg16"), DISTANCE_LAYERS))

    @abstractmethod
    def compare(self, found: Sequence[Tensor], wanted: Sequence[Tensor], mask: Tensor) -> Tensor:
        """One number from the activations (B, C_l, H_l, W_l) of the fill and of the truth."""

    def forward(self, filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        """See the module's text."""
        return self.compare(*vgg_activations(self.features, filled, truth), mask)


class VGGFeatureLoss(VGGLoss):
    """Relative distance of VGG16 activations, averaged over the batch; needs no LPIPS weights."""

    def compare(self, found: Sequence[Tensor], wanted: Sequence[Tensor], mask: Tensor) -> Tensor:
        """See `VGGLoss`."""
        return feature_distance(found, wanted).mean()


class StyleLoss(VGGLoss):
    """Relative distance of the Gram matrices of VGG16 activations over hole and ring (Gatys et al., 2016).

    A Gram matrix holds which channels occur together, not where: the texture without its place.
    """

    def compare(self, found: Sequence[Tensor], wanted: Sequence[Tensor], mask: Tensor) -> Tensor:
        """See `VGGLoss`."""
        around, terms = _with_ring(mask), []
        for a, b in zip(found, wanted, strict=True):
            weight = F.adaptive_max_pool2d(around, a.shape[-2:])
            gram_a, gram_b = _gram(a, weight), _gram(b, weight)
            terms.append((gram_a - gram_b).abs().mean((1, 2)) / (gram_b.abs().mean((1, 2)) + _TINY))
        return torch.stack(terms).mean()


def vgg_activations(features: VGG16Features, filled: Tensor, truth: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Activations of the fill, with a gradient, and of the truth, without one."""
    with torch.no_grad():
        wanted = features(truth)
    return features(filled.contiguous(memory_format=torch.channels_last)), wanted


def _with_ring(mask: Tensor) -> Tensor:
    return F.max_pool2d(mask, 2 * RING + 1, stride=1, padding=RING)


def _gram(x: Tensor, weight: Tensor) -> Tensor:
    """(B, C, H, W), (B, 1, H, W) -> (B, C, C), per sample with weight 1."""
    flat = (x * weight).flatten(2)
    return flat @ flat.transpose(1, 2) / weight.sum((1, 2, 3)).clamp_min(1).view(-1, 1, 1)


LOSSES: Mapping[str, type[Loss]] = MappingProxyType(
    {
        "l1": L1,
        "l2": L2,
        "hole-l1": HoleL1,
        "gradient": Gradient,
        "hole-ssim": HoleSSIM,
        "bce": CrossEntropy,
        "dice": Dice,
        "lpips-alex": LPIPSAlex,
        "lpips-vgg": LPIPSVGG,
        "vgg-features": VGGFeatureLoss,
        "vgg-style": StyleLoss,
    }
)
"""Every loss by the name that recipes use; smaller is better for all of them."""


class WeightedLosses(nn.Module):
    """Several losses, each with its weight."""

    def __init__(self, losses: Mapping[str, Loss], weights: Mapping[str, float]) -> None:
        super().__init__()
        # Names of modules must not look like attribute paths or clash with methods, so they are kept apart.
        self.names = tuple(weights)
        self.weights = tuple(weights.values())
        self.terms = nn.ModuleList(losses[name] for name in self.names)

    def forward(self, filled: Tensor, truth: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Weighted scalars by name; their sum is what training minimises.

        Shared VGG16 features run once. Only they, and LPIPS, follow an autocast: differences of nearly equal numbers,
        as in a variance, mean nothing in half precision.
        """
        activations: dict[int, tuple[list[Tensor], list[Tensor]]] = {}
        found = {}
        for name, weight, term in zip(self.names, self.weights, self.terms, strict=True):
            if isinstance(term, VGGLoss):
                shared = id(term.features)
                if shared not in activations:
                    activations[shared] = vgg_activations(term.features, filled, truth)
                found_layers, wanted_layers = (_as_float(part) for part in activations[shared])
                with torch.autocast(filled.device.type, enabled=False):
                    found[name] = weight * term.compare(found_layers, wanted_layers, mask)
            elif isinstance(term, LPIPSLoss):
                found[name] = weight * term(filled, truth, mask)
            else:
                with torch.autocast(filled.device.type, enabled=False):
                    found[name] = weight * term(filled.float(), truth.float(), mask.float())
        return found


def _as_float(activations: Sequence[Tensor]) -> list[Tensor]:
    return [layer.float() for layer in activations]


DETECTOR_LOSSES = ("bce", "dice")
"""Losses of a damage detector; all others are of a network that fills."""


def check_loss_names(names: Iterable[str]) -> None:
    """Raise `OptionError`, listing the known ones, for a name that is not in `LOSSES`."""
    for name in names:
        if name not in LOSSES:
            raise OptionError(f"unknown loss {name!r}; known: {', '.join(LOSSES)}")


def load_losses(names: Iterable[str], weights: Mapping[str, Path]) -> dict[str, Loss]:
    """The losses of these names, each loaded once; see `Loss.load`.

    Raises:
        OptionError: a name that is not in `LOSSES`, or a weight file for a name that is not in `WEIGHTS`.
        WavepaintError: weights that cannot be read or downloaded.
    """
    for name in weights:
        if name not in WEIGHTS:
            raise OptionError(f"unknown weights {name!r}; known: {', '.join(WEIGHTS)}")
    names = dict.fromkeys(names)
    check_loss_names(names)
    losses: dict[str, Loss] = {}
    features: VGG16Features | None = None
    for name in names:
        kind = LOSSES[name]
        if features is not None and issubclass(kind, VGGLoss):
            losses[name] = kind(features)
            continue
        loss = losses[name] = kind.load(weights)
        if isinstance(loss, VGGLoss):
            features = loss.features
    return losses
