"""The masked Haar prefill: a parameter-free first guess of what a hole holds.

A normalised Haar pyramid carries averages of the known samples into the hole, and a few smoothing sweeps
per scale turn it into a multigrid solution of Laplace's equation (Burt and Adelson's pyramids; pull-push of
Gortler et al., "The Lumigraph", SIGGRAPH 1996). Differentiable, and a handful of ONNX operations.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

PYRAMID_LEVELS = 10
"""Halvings at most: 2**10 samples reduce to one."""

TINY = 1e-6
"""What a weight of zero divides by."""


def haar_prefill(image: Tensor, mask: Tensor, sweeps: int = 10, levels: int | None = None) -> Tensor:
    """Fill the hole from its surroundings, coarse to fine.

    Args:
        image: (B, C, H, W) float; what it holds inside the hole is ignored.
        mask: (B, 1, H, W) float, 1 = hole, 0 = keep.
        sweeps: Jacobi sweeps per scale.
        levels: halvings; None for as many as change anything, `PYRAMID_LEVELS` at most. More change nothing,
            so that a graph of fixed depth gives the same result at every size.

    Returns:
        (B, C, H, W): `image` where it is known, a smooth guess in the hole; 0.5 where nothing is known.
    """
    weight = 1 - mask
    weighted = image * weight
    scales = [(weighted, weight)]
    if levels is None:
        levels = min(PYRAMID_LEVELS, (max(weight.shape[-2:]) - 1).bit_length())
    for _ in range(levels):
        weighted, weight = _halve(weighted), _halve(weight)
        scales.append((weighted, weight))

    known = weight.sum((-2, -1), keepdim=True)
    guess = (weighted.sum((-2, -1), keepdim=True) + 0.5 * TINY) / (known + TINY)
    for scale, (weighted, weight) in enumerate(reversed(scales)):
        # weighted = weight * average of the known samples: the known part of this scale's guess as it is.
        unknown = 1 - weight
        if scale > 0:
            guess = F.interpolate(guess, scale_factor=2, mode="bilinear", align_corners=False)
            guess = guess[..., : weight.shape[-2], : weight.shape[-1]]
        guess = weighted + unknown * guess
        for _ in range(sweeps):
            guess = weighted + unknown * _neighbour_mean(guess)
    return guess


def halve_known(image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """The image at half resolution, from its known samples alone: one coarse level.

    Args:
        image: (B, C, H, W) float; its hole samples are ignored.
        mask: (B, 1, H, W) float, 1 = hole, 0 = keep.

    Returns:
        The means of the known samples of every 2x2 cell (B, C, ceil(H/2), ceil(W/2)), and a mask of the cells
        of which less than half is known.
    """
    weight = 1 - mask
    weighted, weight = _halve(image * weight), _halve(weight)
    return weighted / weight.clamp_min(TINY), (weight < 0.5).to(mask.dtype)


def _halve(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 2, ceil_mode=True, count_include_pad=False)


def _neighbour_mean(x: Tensor) -> Tensor:
    """Mean of the four neighbours, the border repeated outwards."""
    padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
    vertical = padded[..., :-2, 1:-1] + padded[..., 2:, 1:-1]
    return 0.25 * (vertical + padded[..., 1:-1, :-2] + padded[..., 1:-1, 2:])
