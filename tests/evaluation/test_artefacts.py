import numpy as np
import pytest

pytest.importorskip("cv2")

from wavepaint.evaluation.artefacts import artefact_scores, lattice_energy, texture_ratio


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def hole(height=96, width=96):
    mask = np.zeros((height, width), bool)
    mask[16:80, 20:84] = True
    return mask


@pytest.mark.parametrize("period", [4, 8, 16])
def test_a_lattice_has_the_energy_that_was_put_in(period):
    pattern = np.random.default_rng(1).normal(size=(period, period))
    pattern = 0.05 * (pattern - pattern.mean()) / pattern.std()
    image = 0.5 + np.tile(pattern, (96 // period, 96 // period))[..., None].repeat(3, -1)
    # The blur by which the mean is taken away looks over the hole's border with part of a period only.
    assert lattice_energy(image, hole(), period) == pytest.approx(0.05**2, rel=0.15)


def test_noise_is_no_lattice(rng):
    energies = [lattice_energy(rng.normal(0.5, 0.05, (96, 96, 3)), hole(), 8) for _ in range(20)]
    assert abs(np.mean(energies)) < 0.02 * 0.05**2


def test_a_lattice_that_the_truth_has_does_not_count(rng):
    tiles = np.tile(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8), (12, 12, 1))
    flat = np.where(hole()[..., None], np.uint8(128), tiles)
    scores = artefact_scores(tiles, np.stack([tiles, flat]), hole())
    assert scores["lattice_8"][0] == 0
    assert scores["lattice_8"][1] < -1000


@pytest.mark.parametrize(("gain", "expected"), [(1.0, 1.0), (0.0, 0.0), (0.5, 0.25), (2.0, 4.0)])
def test_texture_is_energy_in_the_hole_over_that_of_the_ring(rng, gain, expected):
    noise = rng.normal(0, 0.05, (96, 96, 3))
    image = 0.5 + noise * np.where(hole(), gain, 1.0)[..., None]
    assert texture_ratio(image, hole()) == pytest.approx(expected, rel=0.1, abs=0.001)


def test_texture_far_from_the_hole_does_not_count(rng):
    image = np.full((96, 96, 3), 0.5)
    image[:, 90:] = rng.random((96, 6, 3))
    mask = np.zeros((96, 96), bool)
    mask[40:60, 10:30] = True
    assert texture_ratio(image, mask) == pytest.approx(1)


def test_a_hole_of_single_samples_and_one_without_a_ring_have_a_texture(rng):
    image = rng.random((32, 32, 3))
    dots = np.zeros((32, 32), bool)
    dots[::8, ::8] = True
    assert 0.5 < texture_ratio(image, dots) < 2
    nearly_all = np.ones((32, 32), bool)
    nearly_all[0, 0] = False
    assert texture_ratio(image, nearly_all) == 1
