from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wavepaint.box import Box
from wavepaint.fill import regions
from wavepaint.fill.depth import DEEP, SMALLEST, coarse_levels_of
from wavepaint.fill.padding import Padding
from wavepaint.fill.regions import Region, batches, find_regions, in_groups
from wavepaint.fill.wide import WideSizes, find_wide


def mask_of(height: int, width: int, *boxes: tuple[int, int, int, int]) -> np.ndarray:
    mask = np.zeros((height, width), np.bool_)
    for left, top, box_width, box_height in boxes:
        mask[top : top + box_height, left : left + box_width] = True
    return mask


def flat(stages: list[list[Region]]) -> list[Region]:
    return [region for stage in stages for region in stage]


def check(mask: np.ndarray) -> list[Region]:
    """Everything that must hold for every mask."""
    height, width = mask.shape
    stages = find_regions(mask)
    covered = np.zeros(mask.shape, np.int64)
    finished: set[Box] = set()
    for stage in stages:
        for region in stage:
            covered[region.holes.slices] += 1
            assert region.crop.clip(width, height) == region.crop
            assert region.crop.intersection(region.holes) == region.holes
            assert mask[region.holes.slices].any(axis=1)[[0, -1]].all()
            assert mask[region.holes.slices].any(axis=0)[[0, -1]].all()
            assert max(region.crop.width, region.crop.height) <= regions.MAX_HOLE + 2 * regions.MAX_CONTEXT + 64
            assert set(region.known) <= finished
            unknown = mask[region.crop.slices].copy()
            for box in region.known:
                unknown[box.intersection(region.crop).relative_to(region.crop).slices] = False
            assert mask.all() or not unknown.all(), "a region that sees nothing known"
        finished |= {region.holes for region in stage}
    assert covered.max(initial=0) <= 1
    assert not (mask & (covered == 0)).any()
    return flat(stages)


def test_empty_mask_needs_nothing() -> None:
    assert find_regions(np.zeros((70, 50), np.bool_)) == []


def test_one_hole_gets_one_crop_with_context() -> None:
    (region,) = check(mask_of(1000, 1000, (400, 500, 60, 40)))
    assert region.holes == Box(400, 500, 60, 40)
    assert region.holes.left - region.crop.left >= regions.MIN_CONTEXT
    assert region.crop.bottom - region.holes.bottom >= regions.MIN_CONTEXT
    assert region.crop.width % regions.SIZE_STEP == 0
    assert region.known == ()


def test_context_grows_with_the_thickness_of_a_hole_not_its_length() -> None:
    (thick,) = check(mask_of(2000, 2000, (700, 700, 300, 300)))
    (thin,) = check(mask_of(2000, 2000, (700, 700, 300, 5)))
    assert thick.holes.left - thick.crop.left >= 150
    assert thin.crop.height < 200


@pytest.mark.parametrize("second", [(460, 500, 20, 20), (480, 580, 20, 20), (400, 600, 20, 20)])
def test_holes_whose_contexts_overlap_share_a_crop(second: tuple[int, int, int, int]) -> None:
    assert len(check(mask_of(1000, 1000, (400, 500, 20, 20), second))) == 1


@pytest.mark.parametrize("second", [(600, 500, 20, 20), (400, 700, 20, 20), (600, 700, 20, 20)])
def test_holes_whose_contexts_stay_apart_get_a_crop_each(second: tuple[int, int, int, int]) -> None:
    stages = find_regions(mask_of(1000, 1000, (400, 500, 20, 20), second))
    assert [len(stage) for stage in stages] == [2]


def test_many_scratches_become_neither_one_crop_nor_one_each() -> None:
    rng = np.random.default_rng(0)
    mask = np.zeros((2000, 3000), np.bool_)
    for _ in range(300):
        top, left = rng.integers(0, 1900), rng.integers(0, 2900)
        length = rng.integers(10, 100)
        mask[top : top + 3, left : left + length] = True
    planned = check(mask)
    assert 4 <= len(planned) <= 100
    assert sum(region.crop.width * region.crop.height for region in planned) < 3 * mask.size
    assert len({(region.crop.height, region.crop.width) for region in planned}) < len(planned)


def test_a_scratch_across_the_image_costs_its_length_not_its_square() -> None:
    mask = np.zeros((3000, 3000), np.bool_)
    for step in range(50, 2950):
        mask[step : step + 4, step : step + 4] = True
    planned = check(mask)
    assert sum(region.crop.width * region.crop.height for region in planned) < mask.size / 3


def test_a_hole_of_the_largest_size_stays_whole() -> None:
    assert len(check(mask_of(1500, 1500, (403, 405, regions.MAX_HOLE, regions.MAX_HOLE)))) == 1


def test_a_huge_hole_is_filled_from_the_outside_in() -> None:
    mask = mask_of(3000, 3000, (300, 300, 2400, 2400))
    planned = check(mask)
    unknown = [mask[region.crop.slices].mean() for region in planned]
    assert len(planned) == 16
    assert planned[0].known == ()
    assert unknown[0] == min(unknown)
    inner = [region for region, share in zip(planned, unknown, strict=True) if share == 1]
    assert inner
    assert all(region.known for region in inner)


def test_pieces_that_see_nothing_known_wait_for_a_neighbour() -> None:
    mask = np.ones((2600, 2600), np.bool_)
    mask[0, 0] = False
    stages = find_regions(mask)
    check(mask)
    assert len(stages[0]) == 1
    assert len(stages) > 4


def test_a_full_mask_still_ends() -> None:
    assert len(check(np.ones((900, 900), np.bool_))) == 4


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 900),
    width=st.integers(1, 900),
    boxes=st.lists(st.tuples(*[st.integers(0, 900)] * 2, *[st.integers(1, 300)] * 2), max_size=12),
    noise=st.sampled_from([0, 0, 1e-4, 1e-2]),
    seed=st.integers(0, 99),
)
def test_every_mask_is_covered_once(
    height: int, width: int, boxes: list[tuple[int, int, int, int]], noise: float, seed: int
) -> None:
    mask = mask_of(height, width, *boxes)
    mask |= np.random.default_rng(seed).random(mask.shape) < noise
    check(mask)


def check_wide(mask: np.ndarray, sizes: WideSizes = WideSizes()) -> np.ndarray:
    """Everything that must hold for the wide holes of every mask; returns where their interiors lie."""
    height, width = mask.shape
    known = ~mask
    deep = np.zeros_like(mask)
    for piece in find_wide(mask, sizes):
        assert piece.box.clip(width, height) == piece.box
        assert piece.crop.clip(width, height) == piece.crop
        assert piece.crop.intersection(piece.box) == piece.box
        assert max(piece.box.width, piece.box.height) <= sizes.longest
        assert piece.share.shape == (piece.box.height, piece.box.width)
        assert piece.share.min() >= 0
        assert mask[piece.box.slices][piece.share > 0].all()
        assert mask[piece.box.slices][piece.share == 1].all()
        assert not deep[piece.box.slices].any(), "two pieces share a sample"
        assert not known.any() or known[piece.crop.slices].any(), "a window without a known sample"
        deep[piece.box.slices] = piece.share == 1
        known[piece.box.slices] |= piece.share == 1
    return deep


@pytest.mark.parametrize("side", [WideSizes.wide - 1, 200, 20])
def test_a_hole_into_which_no_large_square_fits_is_not_wide(side: int) -> None:
    mask = mask_of(1500, 1500, (300, 300, 900, side), (300, 300, side, 900))
    assert find_wide(mask) == []


@pytest.mark.parametrize(("height", "width"), [(200, 900), (900, 200)])
def test_an_image_into_which_no_large_square_fits_has_no_wide_hole(height: int, width: int) -> None:
    assert find_wide(np.ones((height, width), np.bool_)) == []


def test_the_border_band_of_a_wide_hole_is_left() -> None:
    deep = check_wide(mask_of(1000, 1200, (320, 336, 496, 400)))
    border = WideSizes.border
    expected = mask_of(1000, 1200, (320 + border, 336 + border, 496 - 2 * border, 400 - 2 * border))
    assert np.array_equal(deep, expected)


def test_the_share_of_the_reduced_copy_grows_across_the_inner_rim() -> None:
    (piece,) = find_wide(mask_of(1000, 1200, (320, 336, 496, 400)))
    row = piece.share[200, : WideSizes.border + 2]
    assert (np.diff(row) >= 0).all()
    assert np.diff(row).max() <= 2 / WideSizes.feather
    assert (row[: WideSizes.border - WideSizes.feather] == 0).all()
    assert row[-1] == 1


@pytest.mark.parametrize("side", [800, 805])
def test_a_wide_hole_at_the_border_has_no_rim_there(side: int) -> None:
    deep = check_wide(mask_of(side, side, (0, 0, 400, side)))
    assert np.array_equal(deep, mask_of(side, side, (0, 0, 400 - WideSizes.border, side)))
    deep = check_wide(mask_of(side, side, (0, 400, side, side - 400)))
    assert np.array_equal(deep, mask_of(side, side, (0, 400 + WideSizes.border, side, side - 400 - WideSizes.border)))


def test_wide_holes_apart_are_pieces_apart() -> None:
    assert len(find_wide(mask_of(1200, 3000, (100, 100, 400, 400), (2000, 300, 500, 600)))) == 2
    check_wide(mask_of(1200, 3000, (100, 100, 400, 400), (2000, 300, 500, 600)))


def test_huge_holes_are_several_pieces() -> None:
    sizes = WideSizes(longest=512)
    huge = mask_of(1400, 1600, (100, 100, 1400, 1200))
    assert len(find_wide(huge, sizes)) >= 9
    assert check_wide(huge, sizes).sum() > 0.8 * huge.sum()


@settings(max_examples=30, deadline=None)
@given(
    height=st.integers(200, 900),
    width=st.integers(200, 900),
    boxes=st.lists(st.tuples(*[st.integers(0, 500)] * 2, *[st.integers(1, 600)] * 2), max_size=6),
    limit=st.sampled_from([320, 2048]),
)
def test_wide_holes_of_every_mask(height: int, width: int, boxes: list[tuple[int, int, int, int]], limit: int) -> None:
    mask = mask_of(height, width, *boxes)
    deep = check_wide(mask, WideSizes(longest=limit))
    check(mask & ~deep)


def test_batches_hold_equal_crops_within_the_limit() -> None:
    mask = np.random.default_rng(0).random((1500, 2000)) < 2e-5
    planned = flat(find_regions(mask))
    batched = list(batches(planned))
    for batch in batched:
        assert len({(region.crop.height, region.crop.width) for region in batch}) == 1
        assert sum(region.crop.width * region.crop.height for region in batch) <= regions.BATCH_PIXELS
    assert sorted(planned, key=hash) == sorted((region for batch in batched for region in batch), key=hash)
    assert len(batched) < len(planned)


def test_groups_keep_the_order_and_the_limit() -> None:
    regions = [Region(Box(0, 0, side, side), Box(0, 0, 1, 1)) for side in (3, 4, 10, 2, 2)]
    assert list(in_groups(regions, 25)) == [regions[:2], regions[2:3], regions[3:]]
    assert list(in_groups([], 25)) == []


@given(height=st.integers(1, 40), width=st.integers(1, 40), multiple=st.sampled_from([1, 2, 4, 16, 32]))
def test_padding_is_undone_exactly(height: int, width: int, multiple: int) -> None:
    planes = np.random.default_rng(0).random((2, 3, height, width), np.float32)
    padding = Padding.to_multiple(height, width, multiple)
    padded = padding.apply(planes)
    assert padded.shape[2] % multiple == padded.shape[3] % multiple == 0
    assert padded.shape[2] - height < multiple
    assert padded.shape[3] - width < multiple
    assert np.array_equal(padding.crop(padded), planes)


def test_padding_reflects_and_repeats_the_edge_where_it_cannot() -> None:
    row = np.arange(6.0).reshape(1, 6)
    padded = Padding.to_multiple(1, 6, 8).apply(row)
    assert padded.shape == (8, 8)
    assert np.array_equal(padded, np.tile([0, 1, 2, 3, 4, 5, 4, 3], (8, 1)))
    assert np.array_equal(Padding.to_multiple(1, 3, 8).apply(row[:, :3])[0], [0, 1, 2, 2, 2, 2, 2, 2])


def test_coarse_levels_grow_with_the_distance_to_the_nearest_known_sample() -> None:
    def levels(height: int, width: int, most: int = 3) -> int:
        mask = np.zeros((400, 500), np.bool_)
        mask[30 : 30 + height, 40 : 40 + width] = True
        return coarse_levels_of(mask, most)

    sides = [2 * (DEEP << level) - 1 for level in range(3)]
    for level, side in enumerate(sides):
        assert levels(side, side) == level + 1
        assert levels(side - 1, 450) == level
        assert levels(350, side - 1) == level
    assert [levels(360, 450, most) for most in range(4)] == [0, 1, 2, 3]


def test_where_the_image_ends_nothing_is_known() -> None:
    strip = np.zeros((300, 200), np.bool_)
    strip[:, :DEEP] = True  # its outermost column is that far from a known sample
    assert coarse_levels_of(strip, 3) == 1
    strip[:, DEEP - 1] = False
    assert coarse_levels_of(strip, 3) == 0


def test_tiny_crops_are_not_halved() -> None:
    for side, levels in ((2 * SMALLEST - 1, 0), (2 * SMALLEST, 1), (4 * SMALLEST, 2), (8 * SMALLEST, 3)):
        assert coarse_levels_of(np.ones((side, 300), np.bool_), 3) == levels
