"""Coarse to fine: the network's result at half the resolution, enlarged, is where it starts from."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from wavepaint.network.model import WavePaint
from wavepaint.network.prefill import halve_known


def fill_coarse_to_fine(network: WavePaint, image: Tensor, mask: Tensor, octaves: int) -> Tensor:
    """Fill the halved picture first, and its result, enlarged, is the guess for the next.

    Args:
        network: in evaluation mode.
        image: (B, 3, H, W) float in [0, 1]; H and W are multiples of `config.multiple * 2**octaves`.
        mask: (B, 1, H, W) float, 1 = hole.
        octaves: halvings; 0 is the network alone.

    Returns:
        (B, 3, H, W), as the network's.
    """
    guess = None
    if octaves:
        guess = double(fill_coarse_to_fine(network, *halve_known(image, mask), octaves - 1))
    filled: Tensor = network(image, mask, guess)
    return filled


def double(picture: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C, 2H, 2W), bilinear."""
    return F.interpolate(picture, scale_factor=2, mode="bilinear", align_corners=False)
