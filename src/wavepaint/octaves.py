"""Coarse to fine: down an octave with what is known, and up again with what was filled there.

The steps are those of the pyramids of Burt and Adelson; `halve_known` is `wavepaint.network.prefill.halve_known`
in NumPy, and a test holds the two together.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wavepaint.box import Box
from wavepaint.haar_fill import double, halve
from wavepaint.regions import Padding
from wavepaint.runtime.base import GUESSED, Runtime
from wavepaint.units import to_unit

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

BAND_ROWS = 256
"""Rows that become floats together; even. It bounds the memory of `halve_known` beside its result."""
_TINY = np.float32(1e-6)


def halve_known(samples: NDArray[Any], hole: Mask) -> tuple[Floats, Mask]:
    """The picture at half resolution, from its known samples alone.

    Args:
        samples: (H, W, channels) uint8, uint16 or float in [0, 1]; what it holds inside the hole is ignored.
        hole: (H, W) bool, True = hole.

    Returns:
        (ceil(H/2), ceil(W/2), channels) float32 in [0, 1], the means of the known samples of every 2x2 cell (0 where
        there is none), and a mask of the cells of which less than half is known. Where that would leave nothing
        known, a single known sample is enough.
    """
    height, width, channels = samples.shape
    halved = np.empty((-(-height // 2), -(-width // 2), channels), np.float32)
    weights = np.empty(halved.shape[:2], np.float32)
    for top in range(0, height, BAND_ROWS):
        rows = slice(top, top + BAND_ROWS)
        cells = slice(top // 2, (top + BAND_ROWS) // 2)
        known = np.where(hole[rows], np.float32(0), np.float32(1))
        weights[cells] = halve(known)
        for channel in range(channels):
            weighted = halve(to_unit(samples[rows, :, channel]) * known)
            halved[cells, :, channel] = (weighted / np.maximum(weights[cells], _TINY)).clip(0, 1)
    unknown = weights < 0.5
    return halved, weights == 0 if unknown.all() else unknown


def fill_planes(runtime: Runtime, image: Floats, hole: Mask, octaves: int) -> Floats:
    """Run a network on crops, at lower resolutions first.

    Args:
        runtime: any network.
        image: (N, 3, h, w) float32 in [0, 1]; what it holds inside the holes is ignored.
        hole: (N, h, w) bool, True = hole.
        octaves: halvings; see `regions.octaves_of`.

    Returns:
        (N, 3, h, w) float32, not clipped.
    """
    mask = hole[:, None].astype(np.float32)
    if octaves:
        halved = [halve_known(np.moveaxis(planes, 0, 2), each) for planes, each in zip(image, hole, strict=True)]
        reduced = np.stack([np.moveaxis(samples, 2, 0) for samples, _ in halved])
        coarse = fill_planes(runtime, reduced, np.stack([each for _, each in halved]), octaves - 1)
        whole = Box(0, 0, hole.shape[2], hole.shape[1])
        guess = np.stack([np.moveaxis(enlarge(np.moveaxis(planes, 0, 2), whole), 2, 0) for planes in coarse])
        image = np.where(hole[:, None], guess, image)
        mask = mask * GUESSED
    padding = Padding.to_multiple(hole.shape[1], hole.shape[2], runtime.multiple)
    return padding.crop(runtime(padding.apply(image), padding.apply(mask)))


def enlarge(samples: Floats, box: Box) -> Floats:
    """A part of the picture at twice the resolution: bilinear, sample centres aligned, the border repeated outwards.

    Args:
        samples: (h, w, channels) float32.
        box: the part to return, in pixels of the enlarged picture; inside its 2h x 2w pixels.

    Returns:
        (box.height, box.width, channels) float32.
    """
    # One cell more on every side: a sample is interpolated from its own cell and the nearest others.
    cells = Box.from_edges(box.left // 2 - 1, box.top // 2 - 1, (box.right + 1) // 2 + 1, (box.bottom + 1) // 2 + 1)
    cells = cells.clip(samples.shape[1], samples.shape[0])
    part = box.relative_to(Box(2 * cells.left, 2 * cells.top, 0, 0)).slices
    planes = (double(plane)[part] for plane in samples[cells.slices].transpose(2, 0, 1))
    return np.stack(list(planes), axis=2)
