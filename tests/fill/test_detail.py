from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from wavepaint.box import Box
from wavepaint.cancellation import Cancelled
from wavepaint.fill.detail import add_detail
from wavepaint.fill.options import ExemplarOptions
from wavepaint.fill.pieces import THIN, find_pieces

COLOURS = [
    (0, 0, 0),
    (255, 255, 255),
    (0, 255, 0),
    (200, 30, 30),
    (13, 120, 201),
    (128, 128, 128),
    (250, 240, 10),
    (1, 2, 3),
]


class Window:
    """An array, read in boxes."""

    def __init__(self, samples: np.ndarray) -> None:
        self.samples = samples

    def read_boxes(self, boxes: Sequence[Box]) -> list[np.ndarray]:
        return [self.samples[box.slices].copy() for box in boxes]


def complete(
    samples: np.ndarray,
    hole: np.ndarray,
    guide: np.ndarray | None = None,
    options: ExemplarOptions | None = None,
    **more: Any,
) -> np.ndarray:
    """Fill a hole, guided by an image (by noise if there is none) that is pasted over the hole's box."""
    if guide is None:
        full = np.iinfo(samples.dtype).max
        guide = np.random.default_rng(0).integers(0, full, samples.shape, samples.dtype, endpoint=True)
    guided = np.where(hole[..., None], guide, samples)
    whole = Box(0, 0, hole.shape[1], hole.shape[0])
    destroyed = np.where(hole[..., None], np.iinfo(samples.dtype).max // 3, samples).astype(samples.dtype)
    result = guided.copy()
    for box, patch in add_detail(Window(destroyed), hole, [(whole, guided)], options or ExemplarOptions(), **more):
        result[box.slices] = patch
    assert np.array_equal(result[~hole], samples[~hole])
    return result


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Random blobs of a few pixels."""
    noise = np.random.default_rng(seed).random((height, width, 3))
    for axis in (0, 1):
        noise = sum(np.roll(noise, step, axis) for step in (-1, 0, 1)) / 3
    return ((noise - 0.2) / 0.6 * 255).clip(0, 255).astype(np.uint8)


def square(size: tuple[int, int], box: Box) -> np.ndarray:
    hole = np.zeros(size, np.bool_)
    hole[box.slices] = True
    return hole


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("box", [Box(20, 20, 300, 300), Box(0, 0, 300, 40), Box(150, 330, 60, 30)])
def test_one_colour_stays_exactly_that_colour(colour: tuple[int, int, int], dtype: type, box: Box) -> None:
    scale = np.iinfo(dtype).max // 255
    samples = np.broadcast_to(np.array(colour, dtype) * dtype(scale), (360, 340, 3))
    assert np.array_equal(complete(samples, square((360, 340), box)), samples)


def test_an_even_gradient_stays_one_within_a_step() -> None:
    rows, columns = np.mgrid[:200, :220]
    planes = [0.4 * rows + 0.5 * columns, 200 - 0.7 * rows, 30 + 0.25 * columns]
    exact = np.stack(planes, axis=2)
    samples = np.rint(exact).astype(np.uint8)
    filled = complete(samples, square((200, 220), Box(60, 50, 90, 80)))
    assert np.abs(filled - exact).max() < 1


@pytest.mark.parametrize(("slope", "off"), [(0.0, 0), (0.35, 0.05), (-1.0, 0.01)])
def test_a_straight_edge_goes_on_through_the_hole(slope: float, off: float) -> None:
    """`off`: share of samples further than a pixel from the edge that may miss its side; slanted ones are not exact."""
    rows, columns = np.mgrid[:256, :256]
    distance = (columns - 128 - slope * (rows - 128)) / np.hypot(1, slope)
    samples = np.where(distance[..., None] < 0, np.array([200, 60, 40]), np.array([30, 90, 180])).astype(np.uint8)
    hole = square((256, 256), Box(98, 98, 60, 60))
    blurred = samples.astype(np.float64)
    for axis in (0, 1):
        blurred = sum(np.roll(blurred, step, axis) for step in range(-6, 7)) / 13
    filled = complete(samples, hole, blurred.astype(np.uint8))
    far = np.abs(distance) > 1
    assert (np.abs(filled.astype(int) - samples)[far & hole].max(axis=1) > 8).mean() <= off


def test_depth_grey_and_alpha_are_copied_from_the_same_sources() -> None:
    colour = texture(160, 160)
    hole = square((160, 160), Box(60, 60, 40, 40))
    alpha = colour[..., :1] // 2 + 100
    filled = complete(np.concatenate((colour, alpha), axis=2), hole)
    # The alpha of every sample follows its red, as it does everywhere in the image; votes mix a few samples.
    expected = filled[..., 0][hole].astype(int) // 2 + 100
    assert np.abs(filled[..., 3][hole].astype(int) - expected).max() <= 2
    deep = colour.astype(np.uint16) * 257
    assert (
        np.abs(
            complete(deep, hole, colour.astype(np.uint16) * 257)[hole] / 257 - complete(colour, hole, colour)[hole]
        ).max()
        < 1
    )


def test_holes_no_wider_than_a_few_samples_are_left_to_the_guide() -> None:
    samples = texture(120, 150)
    hole = np.random.default_rng(1).random((120, 150)) < 0.3
    wide = hole.copy()
    wide[50:70, 60:90] = True
    assert find_pieces(square((120, 150), Box(10, 10, 100, 2 * THIN))) == []
    assert sum(piece.crop.area for piece in find_pieces(hole)) == 0
    (piece,) = find_pieces(wide)
    assert piece.hole.sum() < 900
    guide = texture(120, 150, seed=5)
    assert np.array_equal(complete(samples, hole, guide)[hole], guide[hole])


def test_pieces_cover_what_is_deep_once_and_a_large_hole_is_one() -> None:
    hole = square((1500, 1500), Box(300, 200, 1000, 900))
    hole |= square((1500, 1500), Box(20, 1300, 1400, 12))
    covered = np.zeros(hole.shape, np.int64)
    pieces = find_pieces(hole)
    for piece in pieces:
        covered[piece.box.slices] += piece.hole
        assert piece.crop.intersection(piece.box) == piece.box
    assert np.array_equal(covered == 1, hole)
    assert covered.max() == 1
    assert sorted(int(piece.hole.sum()) for piece in pieces)[-1] == 900_000


def test_excluded_places_are_not_copied_from() -> None:
    samples = texture(180, 180)
    samples[:, :80] //= 4
    samples[:, 80:, 0] = 255
    hole = square((180, 180), Box(90, 70, 40, 40))
    exclude = np.zeros(hole.shape, np.bool_)
    exclude[:, 80:] = True
    exclude &= ~hole
    assert (complete(samples, hole, samples)[hole][:, 0] > 250).mean() > 0.9
    avoided = complete(samples, hole, samples, exclude=exclude)
    assert not np.array_equal(avoided, complete(samples, hole, samples))


def test_a_large_hole_is_matched_on_a_reduced_copy() -> None:
    samples = texture(260, 300)
    hole = square((260, 300), Box(100, 80, 70, 80))
    filled = complete(samples, hole, np.full_like(samples, 128), ExemplarOptions(searched=500))
    inside, outside = (
        np.diff(filled[hole.any(axis=1)][:, 100:170].astype(float), axis=1),
        np.diff(samples.astype(float), axis=1),
    )
    assert 0.8 < np.abs(inside).mean() / np.abs(outside).mean() < 1.2
    assert abs(filled[hole].mean() - samples.mean()) < 8


def test_progress_rises_to_one_and_can_stop() -> None:
    samples = texture(200, 300)
    hole = square((200, 300), Box(30, 30, 40, 40)) | square((200, 300), Box(200, 100, 50, 40))
    shares: list[float] = []
    complete(samples, hole, progress=lambda share: shares.append(share))
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)
    with pytest.raises(Cancelled):
        complete(samples, hole, progress=lambda share: False)
