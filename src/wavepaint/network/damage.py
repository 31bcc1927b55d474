"""The damage detector: which samples of an image are scratches, dust or stamps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from torch import Tensor, nn

from wavepaint.network.blocks import WaveMixBlock
from wavepaint.network.config import WavePaintConfig
from wavepaint.options import DAMAGE_KINDS

_RARE = -4.0
"""Logit of an untrained network: damage is rare."""


class DamageNetwork(nn.Module):
    """WaveMix blocks at a quarter of the resolution between convolutions at half of it.

    Fine damage is as wide as a sample, and computing at full resolution costs most and learns least: the first layer
    reads 6 x 6 samples at every second, the last writes 2 x 2 samples at once (sub-pixel convolution, Shi et al.,
    2016), and skip connections carry the fine layers around the blocks, which see what is around (U-Net, Ronneberger
    et al., 2015). The block in the middle has one DWT level more than the others: large letters are wide.

    Users choose the kinds that they want found, so that each has an output channel (`options.DAMAGE_KINDS`): scratches
    (long, thin things: scratches, hairs, fibres, cracks, folds, torn edges), dust (specks, spots, stains) and stamps
    (printed dates, captions, watermarks). A sample can be of several kinds.
    """

    inputs: Mapping[str, int] = MappingProxyType({"image": 3})
    """Names and channels of what an exported graph takes."""
    output = "damage"
    """Name of what it gives."""

    def __init__(self, config: WavePaintConfig) -> None:
        super().__init__()
        self.config = config
        fine, channels = config.stem_channels, config.final_dim
        self.down = nn.ModuleList([_conv(3, fine, 6, 2), _conv(fine, fine, 3), _conv(fine, channels, 4, 2)])
        blocks, shallow = config.blocks_per_module, replace(config, level=max(1, config.level - 1))
        self.layers = nn.Sequential(
            *(WaveMixBlock(config if index == blocks // 2 else shallow) for index in range(blocks))
        )
        self.up = nn.ModuleList([_conv(channels, 4 * fine, 1), _conv(fine, fine, 3)])
        self.last = nn.Conv2d(fine, 4 * len(DAMAGE_KINDS), 3, padding=1)
        assert self.last.bias is not None
        nn.init.constant_(self.last.bias, _RARE)

    def forward(self, image: Tensor, mask: Tensor | None = None, guess: Tensor | None = None) -> Tensor:
        """Logits of damage.

        Args:
            image: (B, 3, H, W) float RGB in [0, 1]; a grey image three times. H and W are multiples of
                `config.multiple`.
            mask: not used; here so that every network can be called alike.
            guess: likewise.

        Returns:
            (B, 3, H, W) logits of scratches, dust and stamps, in this order.

        Raises:
            ValueError: a shape that does not fit.
        """
        multiple = self.config.multiple
        if image.ndim != 4 or image.shape[1] != 3 or any(side % multiple for side in image.shape[2:]):
            raise ValueError(f"image must be (B, 3, H, W) with sides that {multiple} divides, got {tuple(image.shape)}")
        fine = self.down[0](image - 0.5)  # (B, F, H/2, W/2)
        fine = fine + self.down[1](fine)
        h = self.layers(self.down[2](fine))  # (B, C, H/4, W/4)
        fine = fine + nn.functional.pixel_shuffle(self.up[0](h), 2)
        fine = fine + self.up[1](fine)
        return nn.functional.pixel_shuffle(self.last(fine), 2)

    def scored(self, image: Tensor, mask: Tensor) -> Tensor:
        """What a validation scores, (B, 3, H, W): the logits."""
        logits: Tensor = self(image)
        return logits

    def shown(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What people look at, each (B, 3, H, W) in [0, 1]: the image, its damage as found and as it is (`mask`)."""
        return image, self.scored(image, mask).sigmoid(), mask


def _conv(fan_in: int, fan_out: int, size: int, stride: int = 1) -> nn.Sequential:
    padding = (size - stride) // 2
    return nn.Sequential(
        nn.Conv2d(fan_in, fan_out, size, stride=stride, padding=padding, bias=False),
        nn.BatchNorm2d(fan_out),
        nn.ReLU(),
    )
