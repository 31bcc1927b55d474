"""What training minimises: functions of the network's image, the truth and the mask, by the names that recipes use.

Every loss returns one number for the batch; smaller is better. It takes

* `filled`: (B, 3, H, W) float32, the network's image, not clipped; equal to `truth` outside the hole.
* `truth`: (B, 3, H, W) float32 RGB in [0, 1].
* `mask`: (B, 1, H, W) float32, 1 = hole, 0 = keep, with at least one hole sample in the batch.

Those of a damage detector (`DETECTOR_LOSSES`) take its logits as `filled` and the true damage, (B, 3, H, W), as `mask`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavepaint.errors import check_known
from wavepaint.evaluation.perceptual import LPIPS, Net, load_lpips

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""One that looks through a trained network is a module, which decides for itself what it computes in half precision."""

WEIGHTS = ("vgg16", "alexnet", "lpips-alex", "lpips-vgg")
"""Names of the weight files that losses may need; what is not given is in the package or downloaded once."""

_SSIM_SIGMA, _SSIM_RADIUS = 1.5, 5
_SSIM_C1, _SSIM_C2 = 0.01**2, 0.03**2
_FEW = 50
"""Samples that are added on both sides of `dice`, so that a batch without damage does not decide it."""


def l1(filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute error of the whole image."""
    return (filled - truth).abs().mean()


def l2(filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Mean squared error of the whole image."""
    return ((filled - truth) ** 2).mean()


def hole_l1(filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute error of the hole samples: large and small holes count by their area alone."""
    return (filled - truth).abs().sum() / (mask.sum() * 3)


def gradient(filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Absolute error of the horizontal and vertical differences, per hole sample: edges where they belong."""
    error = filled - truth
    across, down = error.diff(dim=-1).abs().sum(), error.diff(dim=-2).abs().sum()
    return (across + down) / (2 * (mask.sum() * 3))


def hole_ssim(filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """1 - SSIM of the hole samples (Wang et al., 2004; as a loss, Zhao et al., 2017): contrast where it belongs.

    Gaussian window of 11x11 with sigma 1.5, per RGB channel, as the score; borders are repeated outwards. Sides of at
    least 11.
    """
    rows, columns = (_blur_matrix(size, filled.device) for size in filled.shape[-2:])
    moments = rows @ torch.cat((filled, truth, filled * filled, truth * truth, filled * truth), dim=1) @ columns.T
    mean_a, mean_b, aa, bb, ab = moments.chunk(5, dim=1)
    luminance = (2 * mean_a * mean_b + _SSIM_C1) / (mean_a**2 + mean_b**2 + _SSIM_C1)
    variances = (aa - mean_a**2) + (bb - mean_b**2)
    structure = (2 * (ab - mean_a * mean_b) + _SSIM_C2) / (variances + _SSIM_C2)
    return 1 - (luminance * structure * mask).sum() / (mask.sum() * 3)


def _blur_matrix(size: int, device: torch.device) -> Tensor:
    """The blur of a line of samples, (size, size): on a CPU much faster than a convolution of single planes."""
    taps = torch.arange(-_SSIM_RADIUS, _SSIM_RADIUS + 1, device=device)
    window = torch.exp(-(taps**2) / (2 * _SSIM_SIGMA**2))
    source = (torch.arange(size, device=device)[:, None] + taps).clamp(0, size - 1)
    return torch.zeros(size, size, device=device).scatter_add(1, source, (window / window.sum()).expand(size, -1))


def bce(filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Binary cross-entropy of a damage detector's logits and the true damage."""
    return F.binary_cross_entropy_with_logits(filled, mask)


def dice(filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """1 - soft Dice of a damage detector's logits and the true damage, mean over kinds (Milletari et al., 2016)."""
    probabilities = filled.sigmoid()
    both, either = ((each.sum((0, 2, 3)) + _FEW) for each in (2 * probabilities * mask, probabilities + mask))
    return 1 - (both / either).mean()


class LPIPSLoss(nn.Module):
    """LPIPS of the whole image, averaged over the batch; sides of at least 32."""

    def __init__(self, lpips: LPIPS) -> None:
        super().__init__()
        self.lpips = lpips

    def forward(self, filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        """See the module's text."""
        distances: Tensor = self.lpips(filled, truth)
        return distances.mean()


_PLAIN: Mapping[str, Loss] = MappingProxyType(
    {loss.__name__.replace("_", "-"): loss for loss in (l1, l2, hole_l1, gradient, hole_ssim, bce, dice)}
)
_THROUGH: Mapping[str, tuple[Net, str]] = MappingProxyType(
    {"lpips-alex": ("alex", "alexnet"), "lpips-vgg": ("vgg", "vgg16")}
)
"""Networks that losses look through, and the names of their weights."""
LOSSES = (*_PLAIN, *_THROUGH)
DETECTOR_LOSSES = ("bce", "dice")
"""Losses of a damage detector; all others are of a network that fills."""


def load_losses(names: Iterable[str], weights: Mapping[str, Path]) -> dict[str, Loss]:
    """The losses of these names, each loaded once.

    Raises:
        OptionError: a name that is not in `LOSSES`, or a weight file for a name that is not in `WEIGHTS`.
        WavepaintError: weights that cannot be read or downloaded.
    """
    check_known("weights", weights, WEIGHTS)
    names = tuple(dict.fromkeys(names))
    check_known("loss", names, LOSSES)
    losses: dict[str, Loss] = {}
    for name in names:
        net, backbone = _THROUGH.get(name, (None, ""))
        losses[name] = LPIPSLoss(load_lpips(net, weights.get(backbone), weights.get(name))) if net else _PLAIN[name]
    return losses


class WeightedLosses(nn.Module):
    """Several losses, each with its weight."""

    def __init__(self, losses: Mapping[str, Loss], weights: Mapping[str, float]) -> None:
        super().__init__()
        self.terms = {name: (weight, losses[name]) for name, weight in weights.items()}
        self.networks = nn.ModuleList(loss for _, loss in self.terms.values() if isinstance(loss, nn.Module))

    def forward(self, filled: Tensor, truth: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Weighted scalars by name; their sum is what training minimises.

        Only losses through a network follow an autocast: differences of nearly equal numbers, as in a variance, mean
        nothing in half precision.
        """
        weighted = {}
        for name, (weight, loss) in self.terms.items():
            if isinstance(loss, nn.Module):
                weighted[name] = weight * loss(filled, truth, mask)
            else:
                with torch.autocast(filled.device.type, enabled=False):
                    weighted[name] = weight * loss(filled.float(), truth.float(), mask.float())
        return weighted
