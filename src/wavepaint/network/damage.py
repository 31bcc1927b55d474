"""The damage detector: which samples of an image are scratches, dust or stamps."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from torch import Tensor, nn

from wavepaint.network.blocks import WaveMixBlock
from wavepaint.network.config import WavePaintConfig
from wavepaint.options import DAMAGE_KINDS

_RARE = -4.0
"""Logit of an untrained network: damage is rare."""


class DamageNetwork(nn.Module):
    """WaveMix blocks at a quarter of the resolution between few channels at full and half resolution.

    Fine damage is as wide as a sample, so that the first and the last layers are small convolutions of the samples
    themselves (skip connections as in a U-Net, Ronneberger et al., 2015); the blocks see what is around.

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
        fine, middle, channels = config.stem_channels, 3 * config.stem_channels, config.final_dim
        self.down = nn.ModuleList([_conv(3, fine, 1), _conv(fine, middle, 2), _conv(middle, channels, 2)])
        self.layers = nn.Sequential(*(WaveMixBlock(config) for _ in range(config.blocks_per_module)))
        self.up = nn.ModuleList([_conv(channels, 4 * middle, 1), _conv(middle, 4 * fine, 1)])
        self.last = nn.Conv2d(fine, len(DAMAGE_KINDS), 3, padding=1)
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
        fine = self.down[0](image - 0.5)  # (B, F, H, W)
        middle = self.down[1](fine)  # (B, 3F, H/2, W/2)
        h = self.layers(self.down[2](middle))  # (B, C, H/4, W/4)
        middle = middle + nn.functional.pixel_shuffle(self.up[0](h), 2)
        fine = fine + nn.functional.pixel_shuffle(self.up[1](middle), 2)
        return self.last(fine)  # type: ignore[no-any-return]

    def scored(self, image: Tensor, mask: Tensor) -> Tensor:
        """What a validation scores, (B, 3, H, W): the logits."""
        logits: Tensor = self(image)
        return logits

    def shown(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What people look at, each (B, 3, H, W) in [0, 1]: the image, its damage as found and as it is (`mask`)."""
        return image, self.scored(image, mask).sigmoid(), mask


def _conv(fan_in: int, fan_out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(fan_in, fan_out, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(fan_out), nn.ReLU()
    )
