"""The effective receptive field of a network (arXiv 1701.04128): what one filled pixel depends on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from wavepaint.data.seeding import rng_for
from wavepaint.evaluation.metrics import FloatArray
from wavepaint.evaluation.protocol import Item, centre_crop
from wavepaint.network import WavePaint

DISC_RADIUS = 32
"""Of the hole in whose middle the pixel lies."""
JITTER = 16
"""The pixel is moved inside a square of this side: a strided network does not treat all positions alike."""


@dataclass(frozen=True, eq=False)
class ReceptiveField:
    """Where the gradient of a filled pixel lies.

    Attributes:
        energy: (side, side) float64, squared gradient by position, the pixel at (side // 2, side // 2), of sum 1; the
            pixel itself is left out.
    """

    energy: FloatArray

    @property
    def radii(self) -> dict[str, float]:
        """Pixels around the filled one that hold 50, 90 and 99 % of the energy."""
        return {f"{share:.0%}": self.radius(share) for share in (0.5, 0.9, 0.99)}

    def radius(self, share: float) -> float:
        """Of the smallest disc around the pixel that holds this share of the energy, in pixels."""
        distance = self._distance().ravel()
        order = np.argsort(distance, kind="stable")
        reached = np.cumsum(self.energy.ravel()[order])
        return float(distance[order][min(int(np.searchsorted(reached, share)), len(order) - 1)])

    def share_within(self, radius: float) -> float:
        """Share of the energy in a disc around the pixel, 0 to 1."""
        return float(self.energy[self._distance() <= radius].sum())

    def _distance(self) -> FloatArray:
        side = self.energy.shape[0]
        rows, columns = np.mgrid[:side, :side] - side // 2
        distances: FloatArray = np.hypot(rows, columns)
        return distances


def disc(side: int, radius: float) -> NDArray[np.bool_]:
    """(side, side) mask, True inside a disc around the middle."""
    rows, columns = np.mgrid[:side, :side] - (side - 1) / 2
    inside: NDArray[np.bool_] = rows**2 + columns**2 <= radius**2
    return inside


def receptive_field(model: WavePaint, items: Sequence[Item], seed: int = 0) -> ReceptiveField:
    """Measure on images with a disc missing in the middle.

    What is differentiated is what the network adds to its prefill, by what its first module reads:
    the prefill itself depends on the whole image in every network, and the sum of both would hide the rest.

    Args:
        model: in evaluation mode.
        items: at least one; their masks are not used.
        seed: of the pixels' positions.

    Raises:
        ValueError: a network that adds nothing to its prefill.
    """
    multiple = model.config.multiple
    side = min(min(item.truth.shape[:2]) for item in items) // multiple * multiple
    mask = torch.from_numpy(disc(side, DISC_RADIUS)).float()[None, None]
    rng = rng_for(seed, "receptive-field")
    total = np.zeros((side, side))
    for item in items:
        image = torch.from_numpy(centre_crop(item.truth, side)).permute(2, 0, 1).float()[None] / 255
        guess = model.prefilled(image, mask).detach().requires_grad_()
        image.requires_grad_()
        row, column = (side - JITTER) // 2 + rng.integers(0, JITTER, 2)
        added = (model(image, mask, guess) - guess)[0, :, row, column].sum()
        # Outside the hole the first module reads the image, inside it the guess: together, its whole input.
        gradient = torch.add(*torch.autograd.grad(added, (image, guess)))
        energy = gradient.double().pow(2).sum(1)[0].numpy()
        energy[row, column] = 0  # what a network makes of the pixel's own guess says nothing of its surroundings
        if energy.sum() > 0:
            total += np.roll(energy / energy.sum(), (side // 2 - row, side // 2 - column), (0, 1))
    if not total.sum() > 0:
        raise ValueError("the network adds nothing to its prefill")
    return ReceptiveField(total / total.sum())
