from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tracemalloc
from typing import Any

import numpy as np
import pytest

from images import noise
from wavepaint.cancellation import Cancelled
from wavepaint.errors import OptionError
from wavepaint.fill.complete import complete, thin_parts
from wavepaint.fill.exemplar import solve
from wavepaint.fill.options import ExemplarOptions
from wavepaint.fill.patches import (
    LENGTH,
    Quantiser,
    box_maximum,
    box_sums,
    describe,
    describe_patches,
    dilate,
    label,
)
from wavepaint.fill.search import AllPairs, squared_distances
from wavepaint.fill.solution import carry_over

COLOURS = [
    (0, 0, 0),
    (255, 255, 255),
    (20, 200, 37),
    (200, 20, 37),
    (1, 2, 254),
    (128, 128, 128),
    (240, 230, 20),
    (77, 0, 99),
]


def box_hole(shape: tuple[int, int], top: int, left: int, height: int, width: int) -> np.ndarray:
    hole = np.zeros(shape, np.bool_)
    hole[top : top + height, left : left + width] = True
    return hole


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Rough grains in two colours, (height, width, 3) uint8."""
    rng = np.random.default_rng(seed)
    fine = rng.normal(0, 1, (height, width, 1))
    coarse = rng.normal(0, 1, (height // 4 + 1, width // 4 + 1, 3)).repeat(4, 0).repeat(4, 1)[:height, :width]
    return np.rint((128 + 25 * fine + 20 * coarse).clip(0, 255)).astype(np.uint8)


def mean_guide(samples: np.ndarray, hole: np.ndarray) -> np.ndarray:
    unit = samples[..., : 3 if samples.shape[2] >= 3 else 1].astype(np.float32) / np.iinfo(samples.dtype).max
    return np.where(hole[..., None], unit[~hole].mean(axis=0), unit).astype(np.float32)


def hidden(samples: np.ndarray, hole: np.ndarray, value: int = 0) -> np.ndarray:
    return np.where(hole[..., None], np.array(value, samples.dtype), samples)


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("at", [(40, 40), (0, 0), (0, 60)])
def test_one_colour_stays_exactly_that_colour(colour: tuple[int, ...], depth: Any, at: tuple[int, int]) -> None:
    scale = np.iinfo(depth).max // 255
    image = np.full((380, 400, 3), np.array(colour) * scale, depth)
    hole = box_hole((380, 400), *at, 300, 300)
    wrong = np.full(image.shape, 0.31, np.float32)
    filled, solution = complete(hidden(image, hole, 99), hole, wrong)
    assert np.array_equal(filled, image)
    assert solution is None


def test_one_colour_with_a_texture_far_away_stays_exact() -> None:
    image = texture(160, 300)
    image[:, :150] = (20, 200, 37)
    hole = box_hole((160, 300), 50, 30, 60, 60)
    hole |= box_hole((160, 300), 60, 220, 40, 40)
    filled, solution = complete(hidden(image, hole), hole, mean_guide(image, hole))
    assert (filled[:, :150] == (20, 200, 37)).all()
    assert solution is not None
    assert not solution.searched[:, :150].any()


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_a_gradient_plane_is_continued_within_a_step(depth: Any) -> None:
    row, column = np.mgrid[:256, :300]
    plane = np.stack([column / 320, row / 280, (row + 2 * column) / 900], axis=2)
    image = np.rint(plane * np.iinfo(depth).max).astype(depth)
    hole = box_hole((256, 300), 60, 80, 120, 140)
    filled, _ = complete(hidden(image, hole), hole, mean_guide(image, hole))
    assert np.abs(filled / np.iinfo(depth).max - plane).max() * 255 < 1


def high_energy(samples: np.ndarray, hole: np.ndarray) -> float:
    """Root of the mean square of differences between neighbours in the hole."""
    row, column = np.diff(samples.astype(np.float64), axis=0)[:, 1:], np.diff(samples.astype(np.float64), axis=1)[1:]
    return float(np.sqrt((row[hole[1:, 1:]] ** 2).mean() + (column[hole[1:, 1:]] ** 2).mean()))


def two_colours(slope: float, grain: int) -> tuple[np.ndarray, np.ndarray]:
    """An image with a straight edge, without grain one that repeats exactly; the distance of its samples from it."""
    row, column = np.mgrid[:192, :192]
    distance = (column - 96 - slope * (row - 96)) / np.hypot(1, slope)
    image = np.where((distance > 0)[..., None], (200, 60, 40), (40, 90, 160))
    return (image + np.random.default_rng(0).integers(0, 1 + grain, image.shape)).astype(np.uint8), distance


@pytest.mark.parametrize("turn", [0, 1, 2, 3])
@pytest.mark.parametrize("slope", [0.0, 1.0])
@pytest.mark.parametrize("grain", [0, 1])
def test_a_straight_edge_is_continued_across_60_pixels(slope: float, turn: int, grain: int) -> None:
    image, distance = (np.rot90(each, turn) for each in two_colours(slope, grain))
    hole = box_hole((192, 192), 66, 66, 60, 60)
    # As blurred as a network's fill.
    guide = image.astype(np.float32) / 255
    for axis in (0, 1):
        guide = np.mean([np.roll(guide, step, axis) for step in range(-6, 7)], axis=0, dtype=np.float32)
    filled, _ = complete(hidden(image, hole), hole, guide)
    off = np.abs(filled.astype(int) - image).max(axis=2) > 8
    assert not (off & (np.abs(distance) > 1)).any()


@pytest.mark.parametrize(("down", "right"), [(12, 12), (31, 20), (7, 40)])
@pytest.mark.parametrize("side", [24, 90])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_what_repeats_exactly_is_continued_exactly(down: int, right: int, side: int, depth: Any) -> None:
    tile = noise(down, right, 3, depth, seed=4)
    image = np.tile(tile, (300 // down + 1, 310 // right + 1, 1))[:300, :310]
    # A texture of its own elsewhere, and what may not be copied, do not matter.
    image[:, :60] = noise(300, 60, 3, depth)
    hole = box_hole((300, 310), 105, 110, side, side)
    exclude = box_hole((300, 310), 0, 60, 80, 250)
    filled, _ = complete(hidden(image, hole), hole, mean_guide(image, hole), exclude=exclude)
    assert np.array_equal(filled, image)


@pytest.mark.parametrize("side", [40, 300])
def test_a_halftone_in_a_large_window_is_continued_exactly(side: int) -> None:
    row, column = np.mgrid[:900, :900] % 8 - 4
    image = np.where((row**2 + column**2 < 6)[..., None], 0, 255).astype(np.uint8)
    hole = box_hole((900, 900), 300, 430, side, side)
    solution = solve(image, hole, None, ExemplarOptions())
    assert (solution.weights == 1).all()
    assert np.array_equal(image.take(solution.matches), image.take(solution.targets))


def test_one_odd_sample_beside_a_hole_is_no_repetition() -> None:
    image = np.tile(noise(12, 12, 3, seed=4), (13, 13, 1))
    hole = box_hole(image.shape[:2], 60, 60, 24, 24)
    plain = solve(image, hole, None, ExemplarOptions())
    image[84, 62] ^= 255
    other = solve(image, hole, None, ExemplarOptions())
    assert (plain.weights == 1).all()
    assert not (other.weights == 1).all()


@pytest.mark.parametrize(
    ("hole", "exclude"),
    [
        (box_hole((120, 120), 48, 48, 24, 24), box_hole((120, 120), 30, 60, 60, 40)),
        (box_hole((120, 120), 0, 0, 1, 1), box_hole((120, 120), 0, 0, 0, 0)),
    ],
)
def test_too_little_that_is_known_around_a_hole_is_no_repetition(hole: np.ndarray, exclude: np.ndarray) -> None:
    image = noise(120, 120, 3)
    image[:, :60] = 255
    assert not (solve(image, hole, None, ExemplarOptions(), exclude).weights == 1).all()


def test_texture_keeps_its_energy_and_stays_outside_the_hole() -> None:
    image = texture(128, 140)
    hole = box_hole((128, 140), 40, 50, 45, 40)
    filled, _ = complete(hidden(image, hole), hole, mean_guide(image, hole))
    assert np.array_equal(filled[~hole], image[~hole])
    assert 0.85 < high_energy(filled, hole) / high_energy(image, hole) < 1.1


def test_what_the_hole_holds_has_no_influence() -> None:
    image = texture(96, 96)
    hole = box_hole((96, 96), 30, 30, 30, 34)
    guide = mean_guide(image, hole)
    first, _ = complete(hidden(image, hole, 0), hole, guide)
    second, _ = complete(hidden(image, hole, 255), hole, guide)
    assert np.array_equal(first, second)


def test_arguments_are_not_changed() -> None:
    image = texture(96, 96)
    hole = box_hole((96, 96), 30, 30, 30, 34)
    guide = mean_guide(image, hole)
    copies = image.copy(), hole.copy(), guide.copy()
    complete(image, hole, guide)
    assert all(np.array_equal(a, b) for a, b in zip(copies, (image, hole, guide), strict=True))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sixteen_bits_and_any_channels_are_carried_over(channels: int) -> None:
    rough = texture(96, 100).astype(np.uint16) * 257
    image = np.concatenate((rough, rough[::-1, :, :1]), axis=2)[..., :channels] + np.uint16(100)
    hole = box_hole((96, 100), 30, 30, 30, 34)
    filled, solution = complete(hidden(image, hole), hole, mean_guide(image, hole))
    assert filled.shape == image.shape
    assert filled.dtype == np.uint16
    assert solution is not None
    # As fine as the image's own samples: rounding to 8 bits on the way would show.
    assert len(np.unique(filled[hole])) > 256
    assert high_energy(filled, hole) > 0.3 * high_energy(image, hole)


def test_a_solution_leads_to_known_samples_only() -> None:
    image = texture(128, 128)
    hole = box_hole((128, 128), 40, 40, 40, 50)
    exclude = box_hole((128, 128), 0, 0, 128, 30)
    solution = solve(image, hole, None, ExemplarOptions(), exclude)
    rows, columns = np.nonzero(hole)
    moved = solution.offsets()[hole]
    landed = rows + moved[:, 0], columns + moved[:, 1]
    assert not hole[landed].any()
    assert not exclude[landed].any()
    assert (landed[1] >= 33).all()


def test_nothing_is_copied_from_excluded_places() -> None:
    image = texture(128, 128)
    image[:, :60] //= 4
    image[:, :60, 0] += 150
    hole = box_hole((128, 128), 40, 48, 40, 30)
    guide = mean_guide(image, hole)
    exclude = box_hole((128, 128), 0, 0, 128, 60)
    free, _ = complete(hidden(image, hole), hole, guide)
    filled, solution = complete(hidden(image, hole), hole, guide, exclude=exclude)
    assert solution is not None
    landed = (np.mgrid[:128, :128] + np.moveaxis(solution.offsets(), 2, 0))[:, hole]
    assert not exclude[tuple(landed)].any()
    assert not np.array_equal(free, filled)


def test_seeds_give_other_results_and_the_same_seed_the_same() -> None:
    image = texture(128, 128)
    hole = box_hole((128, 128), 40, 40, 40, 40)
    guide = mean_guide(image, hole)
    results = [complete(hidden(image, hole), hole, guide, ExemplarOptions(seed=seed))[0] for seed in (0, 1, 1, 2)]
    assert np.array_equal(results[1], results[2])
    assert not np.array_equal(results[0], results[1])
    assert not np.array_equal(results[1], results[3])
    assert all(0.65 < high_energy(result, hole) / high_energy(image, hole) < 1.1 for result in results)


FINGERPRINT = """
import hashlib, sys
sys.path[:0] = ["tests/fill", "tests"]
from test_exemplar import fingerprint
print(fingerprint())
"""


def fingerprint() -> str:
    image = texture(200, 220, seed=3)
    image[:, 100:] = image[:, 100:] // 2 + 90
    hole = box_hole((200, 220), 60, 70, 80, 90)
    filled, _ = complete(hidden(image, hole), hole, mean_guide(image, hole))
    return hashlib.sha256(filled.tobytes()).hexdigest()


def test_every_number_of_threads_gives_the_same_bytes() -> None:
    prints = set()
    for threads in ("1", "2", "4"):
        names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
        environment = os.environ | dict.fromkeys(names, threads)
        run = subprocess.run(
            [sys.executable, "-c", FINGERPRINT], env=environment, capture_output=True, text=True, check=True
        )
        prints.add(run.stdout.strip())
    assert prints == {fingerprint()}


def test_distances_by_matrix_product_are_exact() -> None:
    rng = np.random.default_rng(0)
    raw = rng.integers(-(2**27), 2**27, (LENGTH, 2000)).astype(np.int32)
    quantise, small = Quantiser.fitting(raw)
    assert np.array_equal(small, quantise(raw))
    assert np.array_equal(small, np.rint(small))
    assert 1000 < np.sqrt((small.astype(np.float64) ** 2).sum(axis=1)).max() <= 1300
    queries = small[::7] + 1
    exact = ((queries[:, None].astype(np.int64) - small[None].astype(np.int64)) ** 2).sum(axis=2)
    pairs = AllPairs(small, np.zeros(len(small), np.float32), len(queries))
    assert np.array_equal(pairs(queries), exact.argmin(axis=1))
    assert np.array_equal(squared_distances(queries, small[: len(queries)]), np.diagonal(exact[:, : len(queries)]))


@pytest.mark.parametrize("most", [0, 16000])
def test_repeated_comparisons_of_all_pairs_find_the_first_of_the_best(most: int) -> None:
    rng = np.random.default_rng(most)
    # Coarse numbers, so that sources are equally near.
    sources = 20 * rng.integers(-6, 7, (300, LENGTH)).astype(np.float32)
    sources[150:] = sources[:150]
    bias = rng.integers(0, most + 1, len(sources)).astype(np.float32)
    queries = 20 * rng.integers(-6, 7, (200, LENGTH)).astype(np.float32)
    pairs = AllPairs(sources, bias, len(queries))
    for step in (0, 2, 400, 1, 40, 3, 0, 10, 10):
        queries = queries + rng.integers(-step, step + 1, queries.shape) * (rng.random((len(queries), 1)) < 0.7)
        queries = queries.clip(-600, 600).astype(np.float32)
        exact = ((queries[:, None].astype(np.float64) - sources) ** 2).sum(axis=2) + bias
        assert np.array_equal(pairs(queries), exact.argmin(axis=1))


def test_descriptions_too_long_are_shortened() -> None:
    raw = np.random.default_rng(0).integers(-(2**27), 2**27, (LENGTH, 500)).astype(np.int32)
    quantise, _ = Quantiser.fitting(raw)
    far = quantise(raw * 40.0)
    assert np.array_equal(far, np.rint(far))
    length = np.sqrt((far.astype(np.float64) ** 2).sum(axis=1))
    assert 2500 < length.max() <= 2600


def test_a_description_is_linear_and_sees_its_patch_only() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 2000, (2, 3, 20, 24)).astype(np.int32)
    texture = np.zeros((2, 20, 24), np.int32)
    assert np.array_equal(describe(a + b, texture), describe(a, texture) + describe(b, texture))
    changed = a.copy()
    changed[:, 10, 12] += 50
    moved = (describe(changed, texture) != describe(a, texture)).any(axis=0).reshape(20, 24)
    assert np.array_equal(np.argwhere(moved).min(axis=0), [7, 9])
    assert np.array_equal(np.argwhere(moved).max(axis=0), [13, 15])


def test_single_patches_are_described_as_all_of_them_are() -> None:
    planes = np.random.default_rng(0).integers(0, 4081, (3, 60, 50)).astype(np.int32)
    windows = np.lib.stride_tricks.sliding_window_view(np.arange(3000).reshape(60, 50), (7, 7)).reshape(-1, 49)
    all_of_them = describe(planes, np.zeros((2, 60, 50), np.int32))[:-2]
    assert np.array_equal(describe_patches(planes.reshape(3, -1), windows.T), all_of_them[:, windows[:, 24]])
    beyond = np.full((49, 1), 3000)
    assert not describe_patches(planes.reshape(3, -1), beyond).any()


def test_the_square_around_a_sample_is_searched_and_summed() -> None:
    values = np.random.default_rng(0).integers(0, 100, (20, 31)).astype(np.int32)
    for radius in (0, 1, 2, 5, 12):
        padded = np.pad(values, radius)
        windows = np.lib.stride_tricks.sliding_window_view(padded, (2 * radius + 1, 2 * radius + 1))
        assert np.array_equal(box_maximum(values, radius), windows.max(axis=(2, 3)))
        assert np.array_equal(box_sums(values, radius), windows.sum(axis=(2, 3)))
        assert np.array_equal(dilate(values > 97, radius), windows.max(axis=(2, 3)) > 97)


def test_pieces_are_labelled_whatever_their_shape() -> None:
    rows = ["#.###", "#.#.#", "#.#.#", "###.#", ".....", "#####"]
    mask = np.array([[sample == "#" for sample in row] for row in rows])
    labels = label(mask)
    assert np.array_equal(labels > 0, mask)
    assert len(np.unique(labels[mask])) == 2
    assert len(np.unique(labels[:4][mask[:4]])) == 1


def test_a_full_mask_is_one_piece_and_takes_no_more_memory_than_its_labels() -> None:
    mask = np.ones((300, 400), np.bool_)
    tracemalloc.start()
    try:
        labels = label(mask)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert labels.shape == mask.shape
    assert (labels == mask.size).all()
    assert peak < 1.1 * labels.nbytes


def test_very_large_holes_inherit_offsets() -> None:
    image = np.tile(texture(32, 32), (8, 9, 1))
    hole = box_hole((256, 288), 80, 90, 90, 100)
    options = ExemplarOptions(searched=1000)
    filled, solution = complete(hidden(image, hole), hole, mean_guide(image, hole), options)
    assert solution is not None
    assert solution.halvings == 2
    assert np.array_equal(filled[~hole], image[~hole])
    assert 0.8 < high_energy(filled, hole) / high_energy(image, hole) < 1.1
    deep = carry_over(solution, hidden(image, hole).astype(np.uint16) * 257)
    assert np.abs(deep.astype(int) - filled.astype(int) * 257).max() <= 257


def test_noise_masks_come_from_the_guide() -> None:
    image = texture(200, 200)
    hole = np.random.default_rng(0).random((200, 200)) < 0.3
    guide = np.full(image.shape, 0.25, np.float32)
    filled, _ = complete(hidden(image, hole), hole, guide)
    assert np.array_equal(filled[~hole], image[~hole])
    assert np.mean(filled[hole] == 64) > 0.98


def test_thin_parts_are_those_that_no_square_covers() -> None:
    line, block = box_hole((40, 40), 5, 5, 4, 30), box_hole((40, 40), 15, 10, 9, 9)
    assert np.array_equal(thin_parts(line | block), line)
    # What lies outside the image counts as hole.
    assert not thin_parts(box_hole((40, 40), 0, 0, 3, 40)).any()


def test_progress_grows_to_one_and_can_cancel() -> None:
    image = texture(128, 128)
    hole = box_hole((128, 128), 40, 40, 40, 40)
    shares: list[float] = []
    complete(hidden(image, hole), hole, None, progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert len(shares) > 2
    with pytest.raises(Cancelled):
        complete(hidden(image, hole), hole, None, progress=lambda share: False)


@pytest.mark.parametrize("value", [True, False])
def test_a_hole_without_samples_or_without_surroundings_is_refused(value: bool) -> None:
    image = texture(40, 40)
    with pytest.raises(OptionError, match="known"):
        solve(image, np.full((40, 40), value), None, ExemplarOptions())


@pytest.mark.parametrize(
    "hole", [box_hole((30, 30), 1, 1, 28, 28), box_hole((64, 9), 20, 0, 20, 9), box_hole((7, 7), 3, 3, 1, 1)]
)
def test_few_known_samples_are_enough(hole: np.ndarray) -> None:
    image = texture(*hole.shape)
    filled, _ = complete(hidden(image, hole), hole, mean_guide(image, hole))
    assert np.array_equal(filled[~hole], image[~hole])
    assert filled[hole].min() > 0
    assert filled[hole].max() < 255
