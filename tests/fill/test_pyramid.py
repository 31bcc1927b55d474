from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from wavepaint.box import Box
from wavepaint.fill.pyramid import enlarge, haar_fill, halve_known
from wavepaint.network.prefill import halve_known as halve_known_torch


@pytest.mark.parametrize("size", [(64, 48), (33, 21), (1, 7), (2, 1), (1, 1)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_halving_is_that_of_the_network(size: tuple[int, int], dtype: type) -> None:
    rng = np.random.default_rng(1)
    unit = rng.random((*size, 3), np.float32)
    full = 1 if dtype is np.float32 else np.iinfo(dtype).max
    samples = (unit * full).astype(dtype)
    hole = rng.random(size) < 0.6
    hole[0, 0] = False
    image = torch.from_numpy((samples / full).astype(np.float32).transpose(2, 0, 1))[None]
    expected, mask = halve_known_torch(image, torch.from_numpy(hole.astype(np.float32))[None, None])
    halved, unknown = halve_known(samples, hole, band_rows=16)
    assert halved.dtype == np.float32
    assert np.abs(halved - expected[0].numpy().transpose(1, 2, 0)).max() < 1e-6
    assert np.array_equal(unknown, mask[0, 0].numpy() > 0)


def test_one_known_sample_is_not_lost() -> None:
    hole = np.ones((40, 40), np.bool_)
    hole[13, 6] = False
    halved, unknown = halve_known(np.full((40, 40, 1), 51, np.uint8), hole)
    assert np.flatnonzero(~unknown.ravel()).tolist() == [6 * 20 + 3]
    assert halved[6, 3, 0] == np.float32(0.2)


def test_hole_samples_do_not_count() -> None:
    rng = np.random.default_rng(2)
    samples, hole = rng.random((30, 30, 3), np.float32), rng.random((30, 30)) < 0.5
    other = samples.copy()
    other[hole] = 1
    assert np.array_equal(halve_known(samples, hole)[0], halve_known(other, hole)[0])


def test_every_part_of_an_enlargement_is_bilinear() -> None:
    samples = np.random.default_rng(3).random((9, 7, 2), np.float32)
    planes = torch.from_numpy(samples.transpose(2, 0, 1))[None]
    whole = F.interpolate(planes, scale_factor=2, mode="bilinear", align_corners=False)[0].numpy().transpose(1, 2, 0)
    assert np.abs(enlarge(samples, Box(0, 0, 14, 18)) - whole).max() < 1e-6
    for top in range(18):
        for left in range(14):
            for side in (1, 2, 5):
                box = Box(left, top, min(side, 14 - left), min(side, 18 - top))
                assert np.abs(enlarge(samples, box) - whole[box.slices]).max() < 1e-6


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 9), (5, 7), (32, 48), (61, 33), (1100, 3)])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.95, 1.0])
def test_equals_the_network_s_prefill(height: int, width: int, share: float) -> None:
    torch = pytest.importorskip("torch")
    from wavepaint.network.prefill import haar_prefill

    rng = np.random.default_rng(height * width)
    plane = rng.random((height, width), np.float32)
    hole = rng.random((height, width)) < share
    expected = haar_prefill(torch.from_numpy(plane)[None, None], torch.from_numpy(hole)[None, None].float(), 10)
    assert np.abs(haar_fill(plane, hole, 10) - expected[0, 0].numpy()).max() < 1e-6


def test_known_samples_stay_and_the_input_too() -> None:
    rng = np.random.default_rng(0)
    plane, hole = rng.random((40, 30), np.float32), rng.random((40, 30)) < 0.5
    before = plane.copy()
    filled = haar_fill(plane, hole)
    assert np.array_equal(filled[~hole], plane[~hole])
    assert np.array_equal(plane, before)


def test_a_constant_continues_and_nothing_known_is_grey() -> None:
    hole = np.zeros((33, 20), np.bool_)
    hole[4:30, 3:18] = True
    assert np.allclose(haar_fill(np.full((33, 20), 0.25, np.float32), hole), 0.25, atol=1e-6)
    assert np.array_equal(haar_fill(np.zeros((4, 4), np.float32), np.ones((4, 4), np.bool_)), np.full((4, 4), 0.5))


def test_what_the_hole_holds_does_not_matter() -> None:
    plane, hole = np.full((20, 20), 0.5, np.float32), np.zeros((20, 20), np.bool_)
    hole[5:9, 5:9] = True
    other = plane.copy()
    other[hole] = np.nan
    assert np.array_equal(haar_fill(other, hole), haar_fill(plane, hole))
