"""What scores of difference hardly see of a fill: lattices that a network leaves, too little or too much texture."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wavepaint.data.mask_kinds import opencv
from wavepaint.evaluation.metrics import BoolMask, FloatArray, Image

PERIODS = (4, 8, 16)
RING = 16
_FLOOR = 1e-5  # added to energies; about the square of one level of 256: less is no texture


def artefact_scores(truth: Image, composites: NDArray[np.uint8], mask: BoolMask) -> dict[str, FloatArray]:
    """See `protocol.Scorer`.

    Returns:
        `lattice_4`, `lattice_8`, `lattice_16`: `lattice_energy` of the composite less that of the truth, in squares of
        8-bit levels; 0 = no lattice that the truth has not. `texture_ratio`: see there.
    """
    known = truth / 255.0
    scores: dict[str, list[float]] = {}
    natural = {period: lattice_energy(known, mask, period) for period in PERIODS}
    for composite in composites:
        samples = composite / 255.0
        for period in PERIODS:
            excess = lattice_energy(samples, mask, period) - natural[period]
            scores.setdefault(f"lattice_{period}", []).append(255**2 * excess)
        scores.setdefault("texture_ratio", []).append(texture_ratio(samples, mask))
    return {name: np.array(values) for name, values in scores.items()}


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
    """Binary logarithm of the high-frequency energy in a hole relative to that in a ring of `RING` samples around it.

    0 = as much texture as around, -1 = half of its energy, 1 = twice. The energy is the mean square of the three Haar
    details of all windows of 2x2 samples that lie within the hole, or within the ring; of those that touch the hole
    where none lies within, and of all known windows where the ring holds none. 0 where neither helps.

    Args:
        image: `(H, W, 3)` in [0, 1].
        mask: `(H, W)`, True = hole.
    """
    a, b, c, d = image[:-1, :-1], image[:-1, 1:], image[1:, :-1], image[1:, 1:]
    details = ((a + b - c - d) / 2, (a - b + c - d) / 2, (a - b - c + d) / 2)
    energy = np.mean([detail**2 for detail in details], axis=(0, -1))
    size = 2 * RING + 1
    grown = opencv().dilate(mask.astype(np.uint8), np.ones((size, size), np.uint8)).astype(bool)
    inside = _whole_windows(mask)
    if not inside.any():
        inside = ~_whole_windows(~mask)
    outside = _whole_windows(grown & ~mask)
    if not outside.any():
        outside = _whole_windows(~mask)
    if not (inside.any() and outside.any()):
        return 0.0
    return float(np.log2((energy[inside].mean() + _FLOOR) / (energy[outside].mean() + _FLOOR)))


def _whole_windows(mask: BoolMask) -> BoolMask:
    """`(H - 1, W - 1)`: whether all four samples of a 2x2 window are marked."""
    return mask[:-1, :-1] & mask[:-1, 1:] & mask[1:, :-1] & mask[1:, 1:]
