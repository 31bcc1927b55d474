"""Coarse to fine: the network's result at half the resolution, enlarged, is where it starts from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavepaint.network.checkpoint import Network
from wavepaint.network.config import WavePaintConfig
from wavepaint.network.prefill import halve_known


def fill_coarse_to_fine(network: Network, image: Tensor, mask: Tensor, levels: int) -> Tensor:
    """Fill the halved image first, and its result, enlarged, is the guess for the next.

    Args:
        network: in evaluation mode.
        image: (B, 3, H, W) float in [0, 1]; H and W are multiples of `config.multiple * 2**levels`.
        mask: (B, 1, H, W) float, 1 = hole.
        levels: halvings; 0 is the network alone.

    Returns:
        (B, 3, H, W), as the network's.
    """
    guess = double(fill_coarse_to_fine(network, *halve_known(image, mask), levels - 1)) if levels else None
    filled: Tensor = network(image, mask, guess)
    return filled


def double(image: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C, 2H, 2W), bilinear."""
    return F.interpolate(image, scale_factor=2, mode="bilinear", align_corners=False)


def most_coarse_levels(config: WavePaintConfig, side: int) -> int:
    """Halvings, at most, that self-conditioning begins with in crops of `side` pixels.

    Those of the network's use, as far as the side can be halved, and one at least.
    """
    fitting = [levels for levels in range(2, config.octaves + 1) if side % (config.stride * 2**levels) == 0]
    return max(fitting, default=1)


def coarse_guess(network: Network, image: Tensor, mask: Tensor, levels: int = 1) -> Tensor:
    """The network's result at a lower resolution, enlarged: a better start than the prefill. No gradient through it.

    Args:
        network: left in the mode that it is in.
        image: (B, 3, H, W) float in [0, 1]; H and W are multiples of the network's stride times `2**levels`.
        mask: (B, 1, H, W) float, 1 = hole.
        levels: halvings, at least 1; each resolution starts from the enlarged result of the one before.

    Returns:
        (B, 3, H, W) float32.
    """
    with torch.no_grad(), evaluating(network):
        coarse = fill_coarse_to_fine(network, *halve_known(image, mask), levels - 1)
    return double(coarse.float())


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Evaluation mode for a while; then every module gets its own mode back."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
