"""What training minimises: one small class per loss, all in one table.

Every loss takes the network's picture, the truth and the mask, and returns one number for the batch:

* `filled`: (B, 3, H, W) float32, the network's picture, not clipped; equal to `truth` outside the hole.
* `truth`: (B, 3, H, W) float32 RGB in [0, 1].
* `mask`: (B, 1, H, W) float32, 1 = hole, 0 = keep, with at least one hole sample in the batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from wavepaint.errors import OptionError
from wavepaint.features import DISTANCE_LAYERS, VGG16Features, feature_distance
from wavepaint.network.dwt import dwt2
from wavepaint.perceptual import LPIPS, Net, load_lpips, load_vgg16

WEIGHTS = ("vgg16", "alexnet", "lpips-alex", "lpips-vgg")
"""Names of the weight files that losses may need; what is not given is downloaded once and kept."""

_WAVELET_LEVELS = 3


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
    """Mean absolute error of the whole picture."""

    def forward(self, filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        """See the module's text."""
        return (filled - truth).abs().mean()


class L2(Loss):
    """Mean squared error of the whole picture."""

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


class Wavelet(Loss):
    """Absolute error of Haar bands, three levels of details and the last approximation, each per hole area.

    Every level counts the same although a coarser one has fewer samples, so that a wrong average colour or a
    missing coarse structure costs as much as missing grain.
    """

    def forward(self, filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        """See the module's text."""
        # The transform is linear: the bands' error is the error's bands.
        approximation, terms = filled - truth, []
        for _ in range(_WAVELET_LEVELS):
            approximation, details = dwt2(approximation)
            terms.append(details.abs().mean())
        terms.append(approximation.abs().mean())
        return torch.stack(terms).mean() / mask.mean()


class LPIPSLoss(Loss):
    """LPIPS of the whole picture, averaged over the batch."""

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


class VGGFeatureLoss(Loss):
    """Relative distance of VGG16 activations, averaged over the batch; needs no LPIPS weights."""

    def __init__(self, features: VGG16Features) -> None:
        super().__init__()
        self.features = features

    @classmethod
    def load(cls, weights: Mapping[str, Path]) -> Self:
        """See `Loss.load`."""
        return cls(load_vgg16(weights.get("vgg16"), DISTANCE_LAYERS))

    def forward(self, filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        """See the module's text."""
        with torch.no_grad():
            wanted = self.features(truth)
        found = self.features(filled.contiguous(memory_format=torch.channels_last))
        return feature_distance(found, wanted).mean()


LOSSES: Mapping[str, type[Loss]] = MappingProxyType(
    {
        "l1": L1,
        "l2": L2,
        "hole-l1": HoleL1,
        "gradient": Gradient,
        "wavelet": Wavelet,
        "lpips-alex": LPIPSAlex,
        "lpips-vgg": LPIPSVGG,
        "vgg-features": VGGFeatureLoss,
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
        """Weighted scalars by name; their sum is what training minimises."""
        return {
            name: weight * term(filled, truth, mask)
            for name, weight, term in zip(self.names, self.weights, self.terms, strict=True)
        }


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
    return {name: LOSSES[name].load(weights) for name in names}
