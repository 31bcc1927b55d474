"""WavePaint (arXiv 2307.00407): a stack of WaveMix modules that refine an image around and in its hole."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

from wavepaint.network.blocks import HaarModule, WaveMixModule
from wavepaint.network.config import WavePaintConfig
from wavepaint.network.prefill import haar_prefill


class WavePaint(nn.Module):
    """The network. Fixed-size maths: choosing and padding crops is the caller's part.

    With a Haar prefill the layers that write into the image start at zero: the untrained network
    returns its prefill, and training can only improve on it.
    """

    inputs: Mapping[str, int] = MappingProxyType({"image": 3, "mask": 1})
    """Names and channels of what an exported graph takes."""
    output = "filled"
    """Name of what it gives."""

    def __init__(self, config: WavePaintConfig) -> None:
        super().__init__()
        self.config = config
        kind = WaveMixModule if config.stem == "conv" else HaarModule
        modules = [kind(config) for _ in range(config.num_modules)]
        if config.prefill == "haar":
            for module in modules:
                for parameter in module.last.parameters():
                    nn.init.zeros_(parameter)
        self.wavemodules = nn.ModuleList(modules)

    def forward(self, image: Tensor, mask: Tensor, guess: Tensor | None = None) -> Tensor:
        """Fill the hole.

        Args:
            image: (B, 3, H, W) float RGB in [0, 1]; its hole samples are ignored. H and W are multiples of
                `config.stride`; multiples of `config.multiple` keep every wavelet level even.
            mask: (B, 1, H, W) float, 1 = hole, 0 = keep.
            guess: (B, 3, H, W), used inside the hole instead of the prefill (coarse to fine).

        Returns:
            (B, 3, H, W): `image` where the mask is 0, the network's image where it is 1, not clipped.

        Raises:
            ValueError: shapes that do not fit each other or the stride.
        """
        self._check(image, mask, guess)
        known = image * (1 - mask)
        x = known + self.prefilled(image, mask, guess) * mask
        for module in self.wavemodules:
            x = module(x, mask) + x
        return x * mask + known

    def prefilled(self, image: Tensor, mask: Tensor, guess: Tensor | None = None) -> Tensor:
        """What the hole holds before the first module, (B, 3, H, W)."""
        if guess is not None:
            return guess
        if self.config.prefill == "haar":
            with torch.autocast(image.device.type, enabled=False):
                return haar_prefill(image.float(), mask.float(), self.config.sweeps)
        return torch.zeros_like(image)

    def scored(self, image: Tensor, mask: Tensor) -> Tensor:
        """What a validation scores, (B, 3, H, W): the filled image, clipped to [0, 1]."""
        filled: Tensor = self(image, mask)
        return filled.clamp(0, 1)

    def shown(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What people look at, each (B, 3, H, W) in [0, 1]: the image with a grey hole, filled, and as it is."""
        return image * (1 - mask) + 0.5 * mask, self.scored(image, mask), image

    def _check(self, image: Tensor, mask: Tensor, guess: Tensor | None) -> None:
        if image.ndim != 4 or image.shape[1] != 3:
            raise ValueError(f"image must be (B, 3, H, W), got {tuple(image.shape)}")
        if mask.shape != (image.shape[0], 1, *image.shape[2:]):
            raise ValueError(f"mask must be (B, 1, H, W) like the image, got {tuple(mask.shape)}")
        if guess is not None and guess.shape != image.shape:
            raise ValueError(f"guess must have the image's shape, got {tuple(guess.shape)}")
        if any(side % self.config.stride for side in image.shape[2:]):
            raise ValueError(
                f"height and width must be multiples of {self.config.stride}, got {tuple(image.shape[2:])}"
            )
