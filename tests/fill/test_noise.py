"""The hash noise: its statistics, and the numbers that the browser draws too (web/tests/noise.test.ts)."""

from __future__ import annotations

import json

import numpy as np
import pytest

from vectors.noise.make import FILE, vectors
from wavepaint.fill.noise import hashes, normals

SIDE = 256
NOISE = normals((3, 5), 3, SIDE, SIDE)
"""Three planes; the deviations of the statistics below are given by their number of samples."""


def test_it_is_what_the_vectors_say() -> None:
    assert json.loads(FILE.read_text(encoding="utf-8")) == vectors(), "run python tests/vectors/noise/make.py"


def test_it_has_mean_0_and_variance_1_and_is_nearly_normal() -> None:
    assert NOISE.dtype == np.float32
    assert abs(NOISE.mean(dtype=np.float64)) < 4 / NOISE.size**0.5
    assert abs(NOISE.var(dtype=np.float64) - 1) < 4 * (2 / NOISE.size) ** 0.5
    within = [float((np.abs(NOISE) < limit).mean()) for limit in (1, 2, 3)]
    assert np.allclose(within, [0.6827, 0.9545, 0.9973], atol=0.016)


@pytest.mark.parametrize("step", [(0, 1, 0), (0, 0, 1), (0, 1, 1), (0, 1, -1), (0, 0, 2), (0, 16, 0), (1, 0, 0)])
def test_neighbours_do_not_correlate(step: tuple[int, int, int]) -> None:
    correlation = (NOISE * np.roll(NOISE, step, (0, 1, 2))).mean(dtype=np.float64)
    assert abs(correlation) < 4 / NOISE.size**0.5


@pytest.mark.parametrize("seed", [(3, 6), (4, 5), (5, 3), (3,), (3, 5, 0)])
def test_other_seeds_draw_other_noise(seed: tuple[int, ...]) -> None:
    assert abs((NOISE * normals(seed, 3, SIDE, SIDE)).mean(dtype=np.float64)) < 4 / NOISE.size**0.5


def test_no_lattice_can_be_seen() -> None:
    """A pattern that repeats would stand out in the spectrum, whose powers are exponentially distributed."""
    for plane in NOISE:
        power = np.abs(np.fft.rfft2(plane)[1:, 1:-1]) ** 2 / plane.size
        assert power.max() < np.log(power.size) + 8
        assert abs(power.mean() - 1) < 0.03


def test_hashes_are_even() -> None:
    values = hashes((9,), 2**16)
    counts = np.bincount(values >> 26, minlength=64)
    # Chi squared with 63 degrees of freedom: mean 63, standard deviation 11.
    assert ((counts - 1024.0) ** 2 / 1024).sum() < 63 + 4 * 11
    assert len(np.unique(values)) > 2**16 - 10
