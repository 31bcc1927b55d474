from __future__ import annotations

import numpy as np
import pytest

from wavepaint.fill.grain import FAINTEST, SCALES, STRONGEST, draw_grain, grain_of, missing_grain


def everywhere(size: int) -> np.ndarray:
    return np.ones((size, size), np.bool_)


def waves(size: int) -> np.ndarray:
    """An image of slow waves and one hard edge, (3, size, size)."""
    rows, columns = np.mgrid[:size, :size] / 40
    plane = 0.5 + 0.2 * np.sin(rows) * np.cos(columns) + 0.2 * (rows + columns > size / 50)
    return np.stack([plane, plane[::-1], plane.T]).astype(np.float32)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("deviation", [2 / 255, 8 / 255])
def test_white_noise_is_measured_as_it_is_under_an_image(channels: int, deviation: float) -> None:
    noise = np.random.default_rng(0).standard_normal((channels, 256, 256), np.float32) * np.float32(deviation)
    grain = grain_of(waves(256)[:channels] + noise, everywhere(256))
    assert grain.shape == (channels, SCALES)
    assert np.abs(grain / deviation - 1).max() < 0.1


def test_grey_grain_is_found_in_luminance_only() -> None:
    noise = np.random.default_rng(0).standard_normal((256, 256)).astype(np.float32) * np.float32(0.02)
    grain = grain_of(np.stack([noise] * 3), everywhere(256))
    assert np.abs(grain[0] / (0.02 * 3**0.5) - 1).max() < 0.1
    assert grain[1:].max() < 1e-6


def test_what_lies_elsewhere_is_not_measured() -> None:
    planes, where = waves(128), everywhere(128)
    where[:, 50:] = False
    noisy = planes.copy()
    noisy[:, :, 50:] += np.random.default_rng(0).standard_normal((3, 128, 78)).astype(np.float32)
    assert np.array_equal(grain_of(noisy, where), grain_of(planes, where))
    assert grain_of(planes, where).max() < FAINTEST / 2
    assert (grain_of(noisy, np.zeros_like(where)) == 0).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_drawn_grain_has_the_measure_it_was_drawn_with(channels: int) -> None:
    deviations = np.array([[0.04, 0.02], [0.01, 0.03], [0.0, 0.02]], np.float32)[:channels]
    drawn = draw_grain(deviations, 301, 259, (5, 6))
    assert drawn.shape == (channels, 301, 259)
    assert drawn.dtype == np.float32
    assert np.abs(grain_of(drawn, np.ones((301, 259), np.bool_)) - deviations).max() < 0.002
    assert abs(float(drawn.mean())) < 1e-3


def test_grain_is_the_same_for_the_same_seed_only() -> None:
    deviations = np.full((3, SCALES), 0.02, np.float32)
    assert np.array_equal(draw_grain(deviations, 20, 30, (1, 2)), draw_grain(deviations, 20, 30, (1, 2)))
    assert not np.array_equal(draw_grain(deviations, 20, 30, (1, 2)), draw_grain(deviations, 20, 30, (2, 1)))


def test_only_what_is_missing_is_added() -> None:
    around = np.full((3, SCALES), 0.03, np.float32)
    assert np.allclose(missing_grain(around, around * np.float32(0.6)), 0.024)
    assert (missing_grain(around, around * 2) == 0).all()
    assert (missing_grain(around * 0 + np.float32(FAINTEST) / 2, around * 0) == 0).all()
    assert np.allclose(missing_grain(around * 10, around * 0), STRONGEST)
