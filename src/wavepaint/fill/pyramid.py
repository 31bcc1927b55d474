"""Normalised image pyramids in NumPy: the masked Haar prefill, and one level down and up for coarse to fine.

The same mathematics as `wavepaint.network.prefill`, for planes that the network does not see (alpha) and for machines
without PyTorch; tests compare the two. The steps are those of the pyramids of Burt and Adelson (1983).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wavepaint.box import Box
from wavepaint.fill.patches import Floats, Mask
from wavepaint.fill.units import to_unit

PYRAMID_LEVELS = 10
SWEEPS = 10
_TINY = np.float32(1e-6)


def haar_fill(plane: Floats, hole: Mask, sweeps: int = SWEEPS) -> Floats:
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


def halve_known(samples: NDArray[Any], hole: Mask, band_rows: int = 256) -> tuple[Floats, Mask]:
    """The image at half resolution, from its known samples alone.

    Args:
        samples: (H, W, channels) uint8, uint16 or float in [0, 1]; what it holds inside the hole is ignored.
        hole: (H, W) bool, True = hole.
        band_rows: that become floats together, which bounds the memory needed beside the result; even.

    Returns:
        (ceil(H/2), ceil(W/2), channels) float32 in [0, 1], the means of the known samples of every 2x2 cell (0 where
        there is none), and a mask of the cells of which less than half is known. Where that would leave nothing
        known, a single known sample is enough.
    """
    height, width, channels = samples.shape
    halved = np.empty((-(-height // 2), -(-width // 2), channels), np.float32)
    weights = np.empty(halved.shape[:2], np.float32)
    for top in range(0, height, band_rows):
        rows = slice(top, top + band_rows)
        cells = slice(top // 2, (top + band_rows) // 2)
        known = np.where(hole[rows], np.float32(0), np.float32(1))
        weights[cells] = halve(known)
        weighted = halve(to_unit(samples[rows]) * known[..., None])
        halved[cells] = (weighted / np.maximum(weights[cells], _TINY)[..., None]).clip(0, 1)
    unknown = weights < 0.5
    return halved, weights == 0 if unknown.all() else unknown


def enlarge(samples: Floats, box: Box) -> Floats:
    """A part of the image at twice the resolution: bilinear, sample centres aligned, the border repeated outwards.

    Args:
        samples: (h, w, channels) float32.
        box: the part to return, in pixels of the enlarged image; inside its 2h x 2w pixels.

    Returns:
        (box.height, box.width, channels) float32.
    """
    # One cell more on every side: a sample is interpolated from its own cell and the nearest others.
    cells = Box.from_edges(box.left // 2 - 1, box.top // 2 - 1, (box.right + 1) // 2 + 1, (box.bottom + 1) // 2 + 1)
    cells = cells.clip(samples.shape[1], samples.shape[0])
    part = box.relative_to(Box(2 * cells.left, 2 * cells.top, 0, 0)).slices
    return np.ascontiguousarray(double(samples[cells.slices])[part])


def halve(x: Floats) -> Floats:
    """2x2 averages of (H, W, ...); an odd last row or column is averaged with itself."""
    x = np.pad(x, [(0, x.shape[0] % 2), (0, x.shape[1] % 2)] + [(0, 0)] * (x.ndim - 2), mode="edge")
    return 0.25 * (x[::2, ::2] + x[1::2, ::2] + x[::2, 1::2] + x[1::2, 1::2])


def double(x: Floats) -> Floats:
    """Bilinear up-sampling of (H, W, ...) by two, sample centres aligned."""
    return _double_rows(_double_rows(x).swapaxes(0, 1)).swapaxes(0, 1)


def _double_rows(x: Floats) -> Floats:
    padded = np.concatenate((x[:1], x, x[-1:]))
    doubled = np.empty((2 * x.shape[0], *x.shape[1:]), np.float32)
    doubled[::2] = 0.25 * padded[:-2] + 0.75 * x
    doubled[1::2] = 0.75 * x + 0.25 * padded[2:]
    return doubled


def _neighbour_mean(x: Floats) -> Floats:
    """Mean of the four neighbours, the border repeated outwards."""
    padded = np.pad(x, 1, mode="edge")
    vertical = padded[:-2, 1:-1] + padded[2:, 1:-1]
    return 0.25 * (vertical + padded[1:-1, :-2] + padded[1:-1, 2:])
