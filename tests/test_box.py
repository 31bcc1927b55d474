import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavepaint.box import Box

boxes = st.builds(Box, st.integers(-9, 9), st.integers(-9, 9), st.integers(0, 9), st.integers(0, 9))


def pixels(box: Box) -> set[tuple[int, int]]:
    return {(row, column) for row in range(box.top, box.bottom) for column in range(box.left, box.right)}


@given(boxes, boxes)
def test_boxes_are_sets_of_pixels(a: Box, b: Box) -> None:
    assert pixels(a.intersection(b)) == pixels(a) & pixels(b)
    assert a.is_empty == (not pixels(a))


@given(boxes, st.integers(1, 9), st.integers(1, 9))
def test_clip_keeps_what_is_inside(box: Box, width: int, height: int) -> None:
    assert pixels(box.clip(width, height)) == pixels(box) & pixels(Box(0, 0, width, height))


def test_slices_and_relative_position() -> None:
    box = Box(left=3, top=5, width=2, height=4)
    assert (box.right, box.bottom) == (5, 9)
    assert box.slices == (slice(5, 9), slice(3, 5))
    assert box.relative_to(Box(1, 2, 50, 50)) == Box(2, 3, 2, 4)
    assert Box.from_edges(4, 4, 2, 9) == Box(4, 4, 0, 5)


def test_negative_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="-1 x 2"):
        Box(0, 0, -1, 2)
