from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from wavepaint import octaves
from wavepaint.box import Box
from wavepaint.network.prefill import halve_known as halve_known_torch
from wavepaint.octaves import enlarge, halve_known


@pytest.mark.parametrize("size", [(64, 48), (33, 21), (1, 7), (2, 1), (1, 1)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_halving_is_that_of_the_network(monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], dtype: type) -> None:
    monkeypatch.setattr(octaves, "BAND_ROWS", 16)
    rng = np.random.default_rng(1)
    unit = rng.random((*size, 3), np.float32)
    full = 1 if dtype is np.float32 else np.iinfo(dtype).max
    samples = (unit * full).astype(dtype)
    hole = rng.random(size) < 0.6
    hole[0, 0] = False
    image = torch.from_numpy((samples / full).astype(np.float32).transpose(2, 0, 1))[None]
    expected, mask = halve_known_torch(image, torch.from_numpy(hole.astype(np.float32))[None, None])
    halved, unknown = halve_known(samples, hole)
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
