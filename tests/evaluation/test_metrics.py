import math

import numpy as np
import pytest

from lab.frechet import frechet_distance, gaussian_frechet_distance
from wavepaint.errors import OptionError
from wavepaint.evaluation.metrics import (
    METRICS,
    PSNR_CEILING,
    area_bin,
    pixel_scores,
    pooled_psnr,
    summarise_columns,
    to_uint8,
    zero_padded_ssim,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def summarise(values, seed=0):
    return summarise_columns(np.reshape(values, (-1, 1)), seed)[0]


def random_image(rng, height=40, width=48):
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def scores_of(truth, composite, mask):
    return {name: values[0] for name, values in pixel_scores(truth, composite[None], mask).items()}


def test_a_constant_error_in_the_hole_gives_the_scores_of_its_definition(rng):
    truth = rng.integers(0, 200, (40, 50, 3), dtype=np.uint8)
    mask = np.zeros((40, 50), bool)
    mask[10:20, 5:30] = True
    composite = truth + mask[..., None] * np.uint8(20)
    scores = scores_of(truth, composite, mask)
    error, area = 20 / 255, 250 / 2000
    assert scores["hole_l1"] == pytest.approx(error)
    assert scores["hole_mse"] == pytest.approx(error**2)
    assert scores["hole_psnr"] == pytest.approx(-20 * math.log10(error))
    assert scores["l1"] == pytest.approx(error * area)
    assert scores["psnr"] == pytest.approx(-10 * math.log10(error**2 * area))
    assert set(scores) < set(METRICS)


def test_a_perfect_fill_has_finite_and_ideal_scores(rng):
    truth = random_image(rng)
    mask = rng.random(truth.shape[:2]) < 0.3
    scores = scores_of(truth, truth, mask)
    assert scores["psnr"] == scores["hole_psnr"] == PSNR_CEILING
    assert scores["ssim"] == pytest.approx(1)
    assert scores["hole_ssim"] == pytest.approx(1)
    assert scores["l1"] == scores["hole_l1"] == scores["hole_mse"] == 0


def test_ssim_of_two_flat_images_is_its_luminance_term():
    a, b = np.full((30, 30, 3), 51, np.uint8), np.full((30, 30, 3), 153, np.uint8)
    c1 = 0.01**2
    expected = (2 * 0.2 * 0.6 + c1) / (0.2**2 + 0.6**2 + c1)
    scores = scores_of(a, b, np.ones((30, 30), bool))
    assert scores["ssim"] == pytest.approx(expected)
    assert scores["hole_ssim"] == pytest.approx(expected)


def test_ssim_in_the_hole_sees_only_windows_that_reach_the_hole(rng):
    truth = random_image(rng, 60, 60)
    composite = truth.copy()
    composite[:20, :20] = 0
    near, far = np.zeros((60, 60), bool), np.zeros((60, 60), bool)
    near[5:15, 5:15] = True
    far[40:50, 40:50] = True
    assert scores_of(truth, composite, near)["hole_ssim"] < 0.2
    assert scores_of(truth, composite, far)["hole_ssim"] == pytest.approx(1)


def test_ssim_equals_torchmetrics(rng):
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchmetrics.functional.image")
    truth = random_image(rng)
    composite = np.clip(truth + rng.normal(0, 30, truth.shape), 0, 255).astype(np.uint8)
    tensors = [torch.from_numpy(p / 255.0).permute(2, 0, 1)[None] for p in (composite, truth)]
    _, whole_map = functional.structural_similarity_index_measure(
        *tensors, gaussian_kernel=True, sigma=1.5, kernel_size=11, data_range=1.0, return_full_image=True
    )
    scores = scores_of(truth, composite, np.ones(truth.shape[:2], bool))
    # Ours counts windows that lie inside the image, theirs also those that hang over its border.
    assert scores["ssim"] == pytest.approx(float(whole_map[..., 5:-5, 5:-5].mean()), abs=1e-6)


def test_zero_padded_ssim_equals_the_convolution_of_the_published_evaluators(rng):
    torch = pytest.importorskip("torch")
    truth = random_image(rng)
    composite = np.clip(truth + rng.normal(0, 30, truth.shape), 0, 255).astype(np.uint8)
    a, b = (torch.from_numpy(image / 255.0).permute(2, 0, 1)[:, None] for image in (truth, composite))
    window = torch.exp(-((torch.arange(11.0, dtype=torch.float64) - 5) ** 2) / (2 * 1.5**2))
    window /= window.sum()

    def mean(x):
        return torch.nn.functional.conv2d(x, (window[:, None] * window)[None, None], padding=5)

    mean_a, mean_b = mean(a), mean(b)
    var_a, var_b, cov = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2, mean(a * b) - mean_a * mean_b
    ssim = (2 * mean_a * mean_b + 1e-4) * (2 * cov + 9e-4) / ((mean_a**2 + mean_b**2 + 1e-4) * (var_a + var_b + 9e-4))
    scores = zero_padded_ssim(truth, composite[None], np.ones(truth.shape[:2], bool))
    assert scores["ssim_zero_padded"].tolist() == pytest.approx([float(ssim.mean())], abs=1e-9)
    inside = scores_of(truth, composite, np.ones(truth.shape[:2], bool))["ssim"]
    assert abs(float(ssim.mean()) - inside) > 1e-3


def test_the_best_of_a_score_goes_by_its_direction():
    assert METRICS["psnr"].best([1.0, 3.0, 2.0]) == 3
    assert METRICS["dists"].best([1.0, 3.0, 2.0]) == 1
    assert METRICS["texture_ratio"].best([0.2, 0.9, 1.3]) == 0.9


def test_several_composites_are_scored_like_each_alone(rng):
    truth = random_image(rng)
    mask = rng.random(truth.shape[:2]) < 0.3
    composites = np.stack([random_image(rng) for _ in range(3)])
    together = pixel_scores(truth, composites, mask)
    for index, composite in enumerate(composites):
        alone = scores_of(truth, composite, mask)
        assert {name: values[index] for name, values in together.items()} == alone


def test_to_uint8_rounds_halves_up_and_clips():
    values = np.array([-0.1, 0.0, 0.5 / 255, 1.49 / 255, 1.0, 2.0])
    assert to_uint8(values).tolist() == [0, 0, 1, 1, 255, 255]


def test_pooled_psnr_weighs_images_by_their_holes():
    assert pooled_psnr([0.01, 0.04], [300, 100]) == pytest.approx(-10 * math.log10(0.0175))
    assert pooled_psnr([0.0, 0.0], [1, 1]) == PSNR_CEILING


def test_the_bootstrap_interval_is_the_normal_one_for_many_values(rng):
    values = rng.normal(5, 2, 1500)
    summary = summarise(values)
    half = 1.96 * values.std(ddof=1) / math.sqrt(1500)
    assert summary.mean == pytest.approx(values.mean())
    assert summary.std == pytest.approx(values.std(ddof=1))
    assert summary.count == 1500
    assert summary.low == pytest.approx(values.mean() - half, abs=0.15 * half)
    assert summary.high == pytest.approx(values.mean() + half, abs=0.15 * half)


def test_intervals_depend_on_the_seed_alone_and_columns_are_paired(rng):
    values = rng.normal(size=(50, 1))
    columns = summarise_columns(np.concatenate((values, values + 3, -values), axis=1), seed=1)
    assert summarise(values[:, 0], seed=1) == summarise(values[:, 0], seed=1)
    assert summarise(values[:, 0], seed=1).low == pytest.approx(columns[0].low)
    assert columns[1].low == pytest.approx(columns[0].low + 3)
    assert columns[2].high == pytest.approx(-columns[0].low)
    assert summarise(values[:, 0], seed=2).low != columns[0].low
    constant = summarise([0.5] * 10)
    assert (constant.low, constant.high, constant.std) == pytest.approx((0.5, 0.5, 0))


def test_medians_take_the_place_of_means_where_they_are_asked_for(rng):
    values = rng.normal(1, 0.2, (401, 2))
    values[:40] += 1000
    mean, median = summarise_columns(values, medians=[1])
    assert mean.low == pytest.approx(summarise(values[:, 0]).low)
    assert median.mean == np.median(values[:, 1])
    assert 0.97 < median.low < median.mean < median.high < 1.1


def test_one_value_has_no_spread_and_none_is_an_error():
    summary = summarise([2.0])
    assert (summary.mean, summary.std, summary.low, summary.high) == (2, 0, 2, 2)
    with pytest.raises(OptionError, match="empty"):
        summarise([])


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (0.0999, 0), (0.1, 1), (0.5, 5), (0.999, 9), (1.0, 9)])
def test_area_bins_are_tenths(share, expected):
    assert area_bin(share) == expected


def test_frechet_distance_in_one_dimension_is_closed_form(rng):
    a, b = rng.normal(1, 2, (400, 1)), rng.normal(4, 0.5, (300, 1))
    expected = (a.mean() - b.mean()) ** 2 + (a.std(ddof=1) - b.std(ddof=1)) ** 2
    assert frechet_distance(a, b) == pytest.approx(expected)


def test_frechet_distance_of_commuting_covariances_is_closed_form(rng):
    rotation, _ = np.linalg.qr(rng.normal(size=(5, 5)))
    first, second = rng.uniform(0.1, 3, 5), rng.uniform(0.1, 3, 5)
    means = rng.normal(size=(2, 5))
    expected = ((means[0] - means[1]) ** 2).sum() + ((np.sqrt(first) - np.sqrt(second)) ** 2).sum()
    covariances = [(rotation * values) @ rotation.T for values in (first, second)]
    distance = gaussian_frechet_distance(means[0], covariances[0], means[1], covariances[1])
    assert distance == pytest.approx(expected)


def test_frechet_distance_equals_the_matrix_square_root(rng):
    from scipy.linalg import sqrtm

    a, b = rng.normal(size=(60, 6)) @ rng.normal(size=(6, 6)), rng.normal(size=(60, 6))
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = sqrtm(cov_a @ cov_b).real
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(cov_a + cov_b - 2 * root)
    assert frechet_distance(a, b) == pytest.approx(expected)


def test_frechet_distance_survives_singular_covariances(rng):
    a = rng.normal(size=(8, 30))
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(a, a + 0.5) == pytest.approx(30 * 0.25, abs=1e-5)


def test_frechet_distance_refuses_features_that_do_not_fit(rng):
    with pytest.raises(OptionError, match=r"\(4, 3\) and \(4, 2\)"):
        frechet_distance(rng.normal(size=(4, 3)), rng.normal(size=(4, 2)))
