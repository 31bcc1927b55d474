"""The damage detector: which samples of an image are scratches, dust or stamps."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from wavepaint.network.blocks import HaarModule
from wavepaint.network.config import WavePaintConfig

_RARE = -4.0
"""Logit of an untrained network: damage is rare."""


class DamageNetwork(nn.Module):
    """One wavelet-domain module of WavePaint whose three output channels are the logits of three kinds of damage.

    Users choose the kinds that they want found, so that each has a channel (`config.DAMAGE_KINDS`): scratches (long,
    thin things: scratches, hairs, fibres, cracks, folds, torn edges), dust (specks, spots, stains) and stamps (printed
    dates, captions, watermarks). A sample can be of several kinds.
    """

    def __init__(self, config: WavePaintConfig) -> None:
        super().__init__()
        self.config = config
        self.module = HaarModule(config)
        last = self.module.last
        nn.init.zeros_(last.weight)
        assert last.bias is not None
        with torch.no_grad():
            last.bias.zero_()
            # The first band of every channel is its mean times the stride.
            last.bias[:: config.stride**2] = _RARE * config.stride

    def forward(self, image: Tensor) -> Tensor:
        """Logits of damage.

        Args:
            image: (B, 3, H, W) float RGB in [0, 1]; a grey image three times. H and W are multiples of
                `config.multiple`.

        Returns:
            (B, 3, H, W) logits of scratches, dust and stamps, in this order.

        Raises:
            ValueError: a shape that does not fit.
        """
        multiple = self.config.multiple
        if image.ndim != 4 or image.shape[1] != 3 or any(side % multiple for side in image.shape[2:]):
            raise ValueError(f"image must be (B, 3, H, W) with sides that {multiple} divides, got {tuple(image.shape)}")
        return self.module.refine(image - 0.5)
