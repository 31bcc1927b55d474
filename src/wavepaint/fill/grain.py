"""Grain: what a network smooths away in a hole, the image's own noise, is put back.

A network trained to be close to the truth leaves noise out, as nobody can guess it; beside film grain or sensor
noise the hole then looks like a smear. So the noise around the hole is measured, and where the filled samples have
less of it, what is missing is drawn at random.

Noise is described by its standard deviation in the diagonal Haar band, at two scales and in three colour components
(luminance and two opponent colours). The diagonal band holds least of an image's structure; the median of its
absolute values ignores the few coefficients at edges (Donoho and Johnstone, "Ideal spatial adaptation by wavelet
shrinkage", 1994); two scales tell fine noise from the coarser grain of film and of demosaiced sensors; the
components tell grey grain from coloured noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from wavepaint.fill.noise import normals
from wavepaint.fill.patches import Floats, Mask

T = TypeVar("T", bound=np.generic)

SCALES = 2
MIN_BLOCKS = 64
"""Blocks of 2x2 (4x4 at the second scale) needed for a measurement: fewer are taken for no grain."""
FAINTEST = 1 / 255
"""Standard deviation below which grain is left out: one step of 8 bits cannot be seen."""
STRONGEST = 12 / 255
"""Standard deviation at which grain is capped: beyond it the diagonal band holds texture rather than noise."""
_MEDIAN_OF_NORMAL = 0.6745
_OPPONENT = np.array(
    [[1 / 3**0.5] * 3, [1 / 2**0.5, 0, -1 / 2**0.5], [1 / 6**0.5, -2 / 6**0.5, 1 / 6**0.5]], np.float32
)
"""Orthonormal: luminance, red against blue, green against both."""


def grain_of(planes: Floats, where: Mask) -> Floats:
    """Measure the noise of a part of an image.

    Args:
        planes: (C, H, W) float32 in [0, 1], C = 1 or 3.
        where: (H, W) bool, the samples to look at; only blocks that lie in it as a whole count.

    Returns:
        (C, `SCALES`) float32 standard deviations: of each component, at each scale.
    """
    deviations = np.zeros((len(planes), SCALES), np.float32)
    components = _to_components(planes)
    for scale in range(SCALES):
        where = np.logical_and.reduce(_quarters(where[None]))[0]
        a, b, c, d = _quarters(components)
        components = 0.5 * (a + b + c + d)
        if np.count_nonzero(where) < MIN_BLOCKS:
            break
        diagonal = 0.5 * (a - b - c + d)[:, where]
        deviations[:, scale] = np.median(np.abs(diagonal), axis=1) / _MEDIAN_OF_NORMAL
    return deviations


def missing_grain(around: Floats, inside: Floats) -> Floats:
    """What has to be added to samples with the grain `inside` to make it that of `around` (both of `grain_of`).

    All zero where the grain around is too faint to be seen; standard deviations that add up in squares.
    """
    around = np.minimum(around, np.float32(STRONGEST))
    if around.max() < FAINTEST:
        return np.zeros_like(around)
    missing: Floats = np.sqrt(np.maximum(around**2 - inside**2, 0))
    return missing


def draw_grain(deviations: Floats, height: int, width: int, seed: Sequence[int]) -> Floats:
    """Draw noise.

    Args:
        deviations: (C, `SCALES`) as `grain_of` returns it.
        height: rows.
        width: columns.
        seed: the same numbers draw the same noise.

    Returns:
        (C, height, width) float32 with mean zero: C = 1 or 3.
    """
    if not deviations.any():
        return np.zeros((len(deviations), height, width), np.float32)
    rows, columns = (-(-side // 2**SCALES) for side in (height, width))
    coarse = np.zeros((len(deviations), rows, columns), np.float32)
    for scale in reversed(range(SCALES)):
        bands = (normals((*seed, scale, band), *coarse.shape) for band in range(3))
        details = [noise * deviations[:, scale, None, None] for noise in bands]
        coarse = _inverse_haar(coarse, *details)
    return _to_components(coarse[:, :height, :width], inverse=True)


def _to_components(planes: Floats, inverse: bool = False) -> Floats:
    if len(planes) == 1:
        return planes
    matrix = _OPPONENT.T if inverse else _OPPONENT
    components: Floats = np.tensordot(matrix, planes, axes=1)
    return components


def _quarters(planes: NDArray[T]) -> NDArray[T]:
    """(4, C, h, w): upper left, upper right, lower left and lower right samples of every whole 2x2 block."""
    height, width = (side // 2 * 2 for side in planes.shape[1:])
    planes = planes[:, :height, :width]
    return np.stack([planes[:, row::2, column::2] for row in (0, 1) for column in (0, 1)])


def _inverse_haar(ll: Floats, lh: Floats, hl: Floats, hh: Floats) -> Floats:
    channels, rows, columns = ll.shape
    planes = np.empty((channels, 2 * rows, 2 * columns), np.float32)
    for row, vertical in ((0, 1), (1, -1)):
        for column, horizontal in ((0, 1), (1, -1)):
            block = ll + vertical * lh + horizontal * hl + vertical * horizontal * hh
            planes[:, row::2, column::2] = 0.5 * block
    return planes
