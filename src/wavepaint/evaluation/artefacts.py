"""What scores of difference hardly see of a fill: lattices that a network leaves, too little or too much texture."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wavepaint.data.mask_kinds import opencv
from wavepaint.evaluation.metrics import BoolMask, FloatArray, Image

PERIODS = (4, 8, 16)
RING = 16
_ROUNDING = 1 / (12 * 255**2)  # energy of what is rounded to 8 bits: less is no texture


def artefact_scores(truth: Image, composites: NDArray[np.uint8], mask: BoolMask) -> dict[str, FloatArray]:
    """See `protocol.Scorer`.

    Returns:
        `lattice_4`, `lattice_8`, `lattice_16`: `lattice_energy` of the composite less that of the truth, in squares of
        8-bit levels; 0 = no lattice that the truth has not. `texture_ratio`: see there.
    """
    known, filled = truth / 255.0, composites / 255.0
    scores = {"texture_ratio": np.array([texture_ratio(each, mask) for each in filled])}
    for period in PERIODS:
        energies = np.array([lattice_energy(each, mask, period) for each in filled])
        scores[f"lattice_{period}"] = 255**2 * (energies - lattice_energy(known, mask, period))
    return scores


def lattice_energy(image: NDArray[np.floating[Any]], mask: BoolMask, period: int) -> float:
    """Mean square of what repeats every `period` samples within a hole.

    Estimated without the part that chance brings (products of samples of different periods only): 0 on average where
    nothing repeats, and below 0 by chance.

    Args:
        image: `(H, W, 3)` in [0, 1].
        mask: `(H, W)`, True = hole.
        period: in samples, along rows and columns.
    """
    cv2 = opencv()
    weight = cv2.blur(mask.astype(np.float64), (period, period))[..., None] + 1e-6
    blurred = cv2.blur(np.where(mask[..., None], image, 0), (period, period)) / weight
    detail = np.where(mask[..., None], image - blurred, 0)
    total, count = 0.0, 0
    for row in range(period):
        for column in range(period):
            samples = detail[row::period, column::period][mask[row::period, column::period]]
            if len(samples) > 1:
                # The mean of the products of all pairs of different samples: the square of their common part.
                pairs = (samples.sum(0) ** 2 - (samples**2).sum(0)) / (len(samples) - 1)
                total += float(pairs.mean())
            count += len(samples)
    return total / count


def texture_ratio(image: NDArray[np.floating[Any]], mask: BoolMask) -> float:
    """High-frequency energy in a hole over that in a ring of `RING` known samples around it.

    1 = as much texture as around, 0 = none. The energy is the mean square of the three Haar details of all windows of
    2x2 samples that lie within the hole, or within the ring; of those that touch the hole where none lies within, and
    of all known windows where the ring holds none. 1 where neither helps.

    Args:
        image: `(H, W, 3)` in [0, 1].
        mask: `(H, W)`, True = hole.
    """
    a, b, c, d = image[:-1, :-1], image[:-1, 1:], image[1:, :-1], image[1:, 1:]
    details = ((a + b - c - d) / 2, (a - b + c - d) / 2, (a - b - c + d) / 2)
    energy = np.mean([detail**2 for detail in details], axis=(0, -1)) + _ROUNDING
    size = 2 * RING + 1
    grown = opencv().dilate(mask.astype(np.uint8), np.ones((size, size), np.uint8)).astype(bool)
    inside, ring, known = _whole_windows(mask), _whole_windows(grown & ~mask), _whole_windows(~mask)
    inside, ring = inside if inside.any() else ~known, ring if ring.any() else known
    return float(energy[inside].mean() / energy[ring].mean()) if inside.any() and ring.any() else 1.0


def _whole_windows(mask: BoolMask) -> BoolMask:
    """`(H - 1, W - 1)`: whether all four samples of a 2x2 window are marked."""
    return mask[:-1, :-1] & mask[:-1, 1:] & mask[1:, :-1] & mask[1:, 1:]
