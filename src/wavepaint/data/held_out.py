"""Crops of images that nobody trains on: always the same ones with the same holes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from wavepaint.data.crops import random_crop
from wavepaint.data.images import RGB, ImageSource
from wavepaint.data.masks import random_mask
from wavepaint.data.seeding import rng_for

_SEED = 0


class ValidationSet:
    """Crops held in memory as bytes, and a hole of every kind for each.

    What an image gives depends on its name alone, not on a run's seed: runs can be compared.

    Args:
        source: images; broken ones are left out.
        kinds: mask presets.
        count: images at most.
        crop: side in pixels.
        max_pixels: larger images are reduced to about this many pixels.
    """

    def __init__(self, source: ImageSource, kinds: Sequence[str], count: int, crop: int, max_pixels: int) -> None:
        self.kinds = tuple(kinds)
        self.names: list[str] = []
        self._crops: list[RGB] = []
        for name, image in islice(source.readable(max_pixels), count):
            self.names.append(name)
            self._crops.append(random_crop(image, crop, 2.0, rng_for(_SEED, f"validation/{name}")))
        self._size = (crop, crop)

    def __len__(self) -> int:
        return len(self._crops)

    def batch(self, kind: str, start: int, stop: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Crops `start` to `stop`: (B, 3, H, W) float32 in [0, 1], and masks (B, 1, H, W) float32, 1 = hole."""
        names = self.names[start:stop]
        masks = [random_mask(kind, self._size, rng_for(_SEED, f"validation/{kind}/{name}")) for name in names]
        image = torch.from_numpy(np.stack(self._crops[start:stop])).to(device).permute(0, 3, 1, 2).float() / 255
        return image, torch.from_numpy(np.stack(masks))[:, None].to(device).float()
