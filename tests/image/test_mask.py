from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wavepaint.box import Box
from wavepaint.errors import MaskError, OptionError
from wavepaint.fill.dilation import dilate
from wavepaint.image.mask import find_hole, hole_of
from wavepaint.image.sources import open_image
from wavepaint.options import Options, as_boxes

HOLE = np.zeros((40, 60), np.bool_)
HOLE[10:20, 30:45] = True
PICTURE = open_image(np.zeros((40, 60, 3), np.uint8))


def png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def spellings() -> dict[str, object]:
    grey = HOLE.astype(np.uint8) * 255
    return {
        "bool": HOLE,
        "uint8": grey,
        "uint8 0/1": HOLE.astype(np.uint8),
        "int64 0/255": grey.astype(np.int64),
        "uint16": HOLE.astype(np.uint16) * 65535,
        "float32": HOLE.astype(np.float32),
        "float64": HOLE * 0.51,
        "(H, W, 1)": grey[..., None],
        "(H, W, 3)": np.dstack([grey] * 3),
        "PIL 1": Image.fromarray(HOLE),
        "PIL L": Image.fromarray(grey),
        "PIL P": Image.fromarray(grey).convert("P"),
        "PIL I;16": Image.fromarray(HOLE.astype(np.uint16) * 65535),
        "bytes": png(Image.fromarray(grey)),
        "1-bit bytes": png(Image.fromarray(HOLE)),
        "bytearray": bytearray(png(Image.fromarray(grey))),
    }


@pytest.mark.parametrize("kind", spellings())
def test_every_spelling_of_a_mask_means_the_same(kind: str) -> None:
    hole = hole_of(spellings()[kind])
    assert hole.dtype == np.bool_
    assert np.array_equal(hole, HOLE)


def test_a_mask_file_by_path(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    path.write_bytes(png(Image.fromarray(HOLE)))
    assert np.array_equal(hole_of(path), HOLE)
    assert np.array_equal(hole_of(str(path)), HOLE)


def test_the_threshold_is_a_share_of_the_range() -> None:
    levels = np.array([[0, 50, 51, 52, 127, 128, 255]], np.uint8)
    assert np.array_equal(hole_of(levels), [[0, 0, 0, 0, 0, 1, 1]])
    assert np.array_equal(hole_of(levels, 0.2), [[0, 0, 0, 1, 1, 1, 1]])


@pytest.mark.parametrize(
    ("mask", "reason"),
    [
        (np.array([[0, np.nan]]), "NaN"),
        (np.array([[0, np.inf]]), "outside 0 to 1"),
        (np.array([[0.0, 1.5]]), "outside 0 to 1"),
        (np.array([[-1, 0]]), "outside 0 to 255"),
        (np.zeros((2, 2), np.complex64), "complex64"),
        (np.zeros((2, 2), object), "object"),
        (np.zeros((2, 2, 5), np.uint8), r"\(2, 2, 5\)"),
        (np.zeros(4, np.bool_), r"\(4,\)"),
        (np.zeros((0, 4), np.bool_), "empty"),
        ([[0, 1]], "list"),
    ],
)
def test_what_is_not_a_mask_says_why(mask: object, reason: str) -> None:
    with pytest.raises(MaskError, match=f"^mask: .*{reason}"):
        hole_of(mask)


def test_boxes_are_clipped_to_the_picture() -> None:
    hole = find_hole(PICTURE, None, Options(boxes=as_boxes([(30, 10, 15, 10), Box(55, -5, 50, 7)])))
    expected = HOLE.copy()
    expected[:2, 55:] = True
    assert np.array_equal(hole, expected)


def test_alpha_is_the_mask_where_asked() -> None:
    samples = np.full((40, 60, 4), 255, np.uint8)
    samples[..., 3][HOLE] = 0
    samples[0, 0, 3] = 1
    assert np.array_equal(find_hole(open_image(samples), None, Options(alpha=True)), HOLE)
    with pytest.raises(MaskError, match="no transparency"):
        find_hole(PICTURE, None, Options(alpha=True))


def test_inverting_comes_before_growing() -> None:
    hole = find_hole(PICTURE, ~HOLE, Options(invert_mask=True, dilate=1))
    assert np.array_equal(hole, dilate(HOLE, 1))


@pytest.mark.parametrize(
    ("mask", "options", "error", "reason"),
    [
        (np.zeros((60, 40), np.bool_), {}, MaskError, "the mask is 40x60 pixels, but image is 60x40"),
        (np.ones((40, 60), np.bool_), {}, MaskError, "covers the whole picture"),
        (np.zeros((40, 60), np.bool_), {"invert_mask": True}, MaskError, "covers the whole picture"),
        (None, {}, OptionError, "either a mask, boxes or alpha"),
        (HOLE, {"alpha": True}, OptionError, "either a mask, boxes or alpha"),
        (HOLE, {"boxes": as_boxes([(0, 0, 1, 1)])}, OptionError, "either a mask, boxes or alpha"),
        (None, {"boxes": as_boxes([(60, 0, 5, 5)])}, MaskError, "60,0,5,5 lies outside the picture of 60x40"),
    ],
)
def test_what_leaves_nothing_to_do_says_why(
    mask: object, options: dict[str, object], error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        find_hole(PICTURE, mask, Options(**options))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"dilate": -1}, "dilate must be 0 to"),
        ({"threshold": 255}, "threshold must be"),
        ({"threshold": float("nan")}, "threshold must be"),
        ({"quality": 0}, "quality must be 1 to 100"),
        ({"boxes": as_boxes([(0, 0, 1, 1)]), "alpha": True}, "boxes and alpha"),
    ],
)
def test_options_out_of_range_are_refused(values: dict[str, object], reason: str) -> None:
    with pytest.raises(OptionError, match=reason):
        Options(**values)


@pytest.mark.parametrize("box", [(1, 2, 3), (0, 0, 0, 5), (0, 0, 5, -1), (0.5, 0, 1, 1)])
def test_malformed_boxes_are_refused(box: tuple[float, ...]) -> None:
    with pytest.raises(OptionError, match="a box"):
        as_boxes([box])
