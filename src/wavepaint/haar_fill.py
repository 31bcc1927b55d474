"""The masked Haar prefill in NumPy: fills a plane smoothly from what surrounds its hole.

The same mathematics as `wavepaint.network.prefill`, for the plane that the network does not see (alpha)
and for machines without PyTorch; a test holds the two together.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

PYRAMID_LEVELS = 10
SWEEPS = 10
_TINY = np.float32(1e-6)


def haar_fill(plane: Floats, hole: NDArray[np.bool_], sweeps: int = SWEEPS) -> Floats:
    """Fill the hole of one plane, coarse to fine.

    Args:
        plane: (H, W) float32; what it holds inside the hole is ignored.
        hole: (H, W) bool, True = hole.
        sweeps: Jacobi sweeps per scale; more of them come closer to Laplace's equation.

    Returns:
        (H, W) float32: `plane` where it is known, a smooth guess in the hole; 0.5 where nothing is known.
    """
    weight = np.where(hole, np.float32(0), np.float32(1))
    weighted = np.where(hole, np.float32(0), plane.astype(np.float32, copy=False))
    scales = [(weighted, weight)]
    while len(scales) <= PYRAMID_LEVELS and max(weight.shape) > 1:
        weighted, weight = halve(weighted), halve(weight)
        scales.append((weighted, weight))

    weighted, weight = scales[-1]
    average = (weighted.sum() + _TINY / 2) / (weight.sum() + _TINY)
    guess = np.full_like(weighted, average)
    for scale, (weighted, weight) in enumerate(reversed(scales)):
        if scale > 0:
            guess = double(guess)[: weight.shape[0], : weight.shape[1]]
        unknown = 1 - weight
        guess = weighted + unknown * guess
        for _ in range(sweeps):
            guess = weighted + unknown * _neighbour_mean(guess)
    return guess


def halve(x: Floats) -> Floats:
    """2x2 averages; an odd last row or column is averaged with itself."""
    x = np.pad(x, ((0, x.shape[0] % 2), (0, x.shape[1] % 2)), mode="edge")
    return 0.25 * (x[::2, ::2] + x[1::2, ::2] + x[::2, 1::2] + x[1::2, 1::2])


def double(x: Floats) -> Floats:
    """Bilinear up-sampling by two, sample centres aligned."""
    return _double_rows(_double_rows(x).T).T


def _double_rows(x: Floats) -> Floats:
    padded = np.pad(x, ((1, 1), (0, 0)), mode="edge")
    doubled = np.empty((2 * x.shape[0], x.shape[1]), np.float32)
    doubled[::2] = 0.25 * padded[:-2] + 0.75 * x
    doubled[1::2] = 0.75 * x + 0.25 * padded[2:]
    return doubled


def _neighbour_mean(x: Floats) -> Floats:
    """Mean of the four neighbours, the border repeated outwards."""
    padded = np.pad(x, 1, mode="edge")
    vertical = padded[:-2, 1:-1] + padded[2:, 1:-1]
    return 0.25 * (vertical + padded[1:-1, :-2] + padded[1:-1, 2:])
