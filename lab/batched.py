"""Networks as methods of an evaluation that fill several images at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from wavepaint.evaluation.metrics import Image, to_uint8
from wavepaint.evaluation.protocol import Item


@dataclass(frozen=True)
class NetworkMethod:
    """A method that fills batches of images of equal size.

    Attributes:
        name: as shown.
        run: float32 `(B, 3, H, W)` in [0, 1] and `(B, 1, H, W)`, 1 = hole -> `(B, 3, H, W)`.
        multiple: sides that `run` accepts are multiples of it; others are mirrored outwards.
    """

    name: str
    run: Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]
    multiple: int

    def __call__(self, items: Sequence[Item]) -> list[Image]:
        """See `Method`."""
        filled: list[Image] = []
        for _, group in groupby(items, key=lambda item: item.mask.shape):
            filled.extend(self._batch(list(group)))
        return filled

    def _batch(self, items: Sequence[Item]) -> NDArray[np.uint8]:
        height, width = items[0].mask.shape
        gaps = ((0, -height % self.multiple), (0, -width % self.multiple))
        known = np.stack([np.pad(item.known, (*gaps, (0, 0)), mode="symmetric") for item in items])
        mask = np.stack([np.pad(item.mask, gaps, mode="symmetric") for item in items])
        image = np.divide(known.transpose(0, 3, 1, 2), 255, dtype=np.float32)
        out = self.run(image, mask[:, None].astype(np.float32))[..., :height, :width]
        return to_uint8(out).transpose(0, 2, 3, 1)
