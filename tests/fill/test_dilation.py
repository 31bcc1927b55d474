from __future__ import annotations

import math
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt

from wavepaint.fill.dilation import STRIP_SAMPLES, dilate


def within(mask: np.ndarray, radius: int) -> np.ndarray:
    """What dilation means, by SciPy's exact distance transform; squared distances are whole numbers."""
    if not mask.any():
        return mask
    return np.rint(distance_transform_edt(~mask) ** 2) <= radius**2


def by_rows(mask: np.ndarray, radius: int) -> np.ndarray:
    """What dilation means, by brute force over the offsets of a disk: every row dy away is widened and laid over."""
    height, width = mask.shape
    before = np.zeros((height, width + 1), np.int32)
    np.cumsum(mask, axis=1, out=before[:, 1:])
    columns = np.arange(width)
    grown = np.zeros_like(mask)
    for dy in range(min(radius, height - 1) + 1):
        reach = math.isqrt(radius**2 - dy**2)
        stop, start = np.minimum(columns + reach + 1, width), np.maximum(columns - reach, 0)
        wide = before[:, stop] > before[:, start]
        grown[dy:] |= wide[: height - dy]
        grown[: height - dy] |= wide[dy:]
    return grown


def dots(side: int, count: int) -> np.ndarray:
    """`count` squares of 8 pixels, evenly spread."""
    mask = np.zeros((side, side), np.bool_)
    steps = math.isqrt(count)
    centres = [(2 * step + 1) * side // (2 * steps) for step in range(steps)]
    for row in centres:
        for column in centres:
            mask[row - 4 : row + 4, column - 4 : column + 4] = True
    return mask


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 9999),
    share=st.sampled_from([0.0, 0.001, 0.02, 0.5, 1.0]),
    radius=st.integers(0, 90),
    height=st.integers(1, 70),
    width=st.integers(1, 70),
)
@example(seed=0, share=0.02, radius=500, height=70, width=70)
def test_every_sample_within_the_radius_and_no_other(seed, share, radius, height, width):
    mask = np.random.default_rng(seed).random((height, width)) < share
    before = mask.copy()
    grown = dilate(mask, radius)
    assert grown.dtype == np.bool_
    assert np.array_equal(grown, within(mask, radius))
    assert np.array_equal(grown, by_rows(mask, radius))
    assert np.array_equal(mask, before)
    assert not np.shares_memory(grown, mask)


@pytest.mark.parametrize("radius", range(0, 130, 3))
def test_one_sample_becomes_a_disk(radius):
    mask = np.zeros((261, 261), np.bool_)
    mask[130, 130] = True
    rows, columns = np.mgrid[-130:131, -130:131]
    assert np.array_equal(dilate(mask, radius), rows**2 + columns**2 <= radius**2)


def test_masks_of_several_strips():
    mask = np.random.default_rng(5).random((3 * STRIP_SAMPLES // 400, 400)) < 1e-4
    assert np.array_equal(dilate(mask, 37), within(mask, 37))
    wide = np.zeros((5, STRIP_SAMPLES + 3), np.bool_)
    wide[2, [0, 7, -1]] = True
    assert np.array_equal(dilate(wide, 4), by_rows(wide, 4))


def test_the_radius_costs_nothing_and_neither_does_the_number_of_holes():
    mask = dots(2800, 16)
    start = time.process_time()
    assert dilate(mask, 500).all()
    seconds = time.process_time() - start
    assert seconds < 1, "by rows and holes this takes more than 20"
    crowded = dots(2800, 1600)
    start = time.process_time()
    dilate(crowded, 500)
    assert time.process_time() - start < max(1, 5 * seconds)


def test_memory_is_that_of_the_result_and_a_strip():
    mask = dots(4000, 400)
    tracemalloc.start()
    try:
        dilate(mask, 100)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < mask.nbytes + 40 * STRIP_SAMPLES
