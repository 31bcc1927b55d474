"""Samples of every kind to a hole; `test_mask_vectors` has what the browser must read alike."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from images import noise, pillow, png, tiff
from wavepaint.errors import MaskError
from wavepaint.image.mask import open_mask
from wavepaint.image.mask_reading import read_samples


def hole_in(mask: object, threshold: float = 0.5) -> np.ndarray:
    return read_samples(open_mask(mask), threshold).hole


def holes_of(*values: float, dtype: object = np.uint8, threshold: float = 0.5) -> list[bool]:
    return hole_in(np.array([values], dtype), threshold)[0].tolist()


def test_upper_half_of_the_range_is_hole() -> None:
    assert holes_of(0, 127, 128, 255) == [False, False, True, True]
    assert holes_of(0, 32767, 32768, 65535, dtype=np.uint16) == [False, False, True, True]
    assert holes_of(0, 127, 128, 255, dtype=np.int64) == [False, False, True, True]
    assert holes_of(0, 128, 32767, 32768, dtype=np.int32) == [False, False, False, True]
    assert holes_of(0, 0.5, 0.51, 1, dtype=np.float32) == [False, False, True, True]
    assert holes_of(0, 1, dtype=bool) == [False, True]


def test_integer_masks_with_no_value_above_one_are_boolean() -> None:
    for dtype in (np.uint8, np.uint16, np.int64):
        assert holes_of(0, 1, dtype=dtype) == [False, True]
        assert holes_of(0, 1, 2, dtype=dtype) == [False, False, False]
    assert holes_of(0, 0) == [False, False]


def test_threshold_is_a_share_of_the_range() -> None:
    assert holes_of(0, 1, 25, 26, dtype=np.uint8, threshold=0.1) == [False, False, False, True]
    assert holes_of(0, 2, threshold=0) == [False, True]
    assert holes_of(0, 0.75, 0.76, dtype=float, threshold=0.75) == [False, False, True]


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros((2, 2, 5), np.uint8),
        np.zeros(4, np.uint8),
        np.full((2, 2), np.nan),
        np.full((2, 2), 1.5),
        np.full((2, 2), -1),
        np.full((2, 2), 65536),
        np.zeros((2, 2), complex),
    ],
)
def test_arrays_that_are_no_masks(samples: np.ndarray) -> None:
    with pytest.raises(MaskError, match="mask"):
        hole_in(samples)


def test_a_hole_may_have_any_bright_colour() -> None:
    colours = np.array([[[255, 0, 0], [0, 0, 200], [0, 255, 255], [100, 120, 90], [0, 0, 0]]], np.uint8)
    assert hole_in(colours)[0].tolist() == [True, True, True, False, False]


def test_masks_with_alpha() -> None:
    opaque = np.array([[[255, 0, 0, 255], [0, 0, 0, 255]]], np.uint8)
    assert hole_in(opaque)[0].tolist() == [True, False]
    drawn_in_alpha = np.array([[[0, 0, 0, 255], [9, 9, 9, 0], [0, 0, 0, 130], [0, 0, 0, 90]]], np.uint8)
    assert hole_in(drawn_in_alpha)[0].tolist() == [True, False, True, False]
    layered = np.array([[[255, 255, 255, 255], [0, 0, 0, 255], [255, 255, 255, 0], [250, 250, 250, 80]]], np.uint8)
    assert hole_in(layered)[0].tolist() == [True, False, False, False]


def test_what_a_mask_means_may_show_in_its_last_rows_only() -> None:
    grey = np.zeros((200, 3, 1), np.uint8)
    grey[:100] = 1
    assert hole_in(grey)[:100].all()
    np.testing.assert_array_equal(hole_in(png(grey)), hole_in(grey))
    grey[-1] = 255
    assert hole_in(grey).sum() == 3
    np.testing.assert_array_equal(hole_in(png(grey)), hole_in(grey))

    alpha = np.full((200, 3, 4), 255, np.uint8)
    alpha[-1, :, 3] = 0
    assert hole_in(alpha).sum() == 597  # one visible colour: the drawing is in the alpha channel
    np.testing.assert_array_equal(hole_in(png(alpha)), hole_in(alpha))
    alpha[150, 0] = [9, 9, 9, 200]
    np.testing.assert_array_equal(
        hole_in(alpha)[148:], [[True] * 3] * 2 + [[False, True, True]] + [[True] * 3] * 48 + [[False] * 3]
    )
    np.testing.assert_array_equal(hole_in(png(alpha)), hole_in(alpha))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_mask_files_are_read_like_arrays(channels: int, dtype: type) -> None:
    for seed, lowest in enumerate((0, 200)):
        samples = noise(150, 40, channels, dtype, seed=seed)
        samples[samples < lowest] = 0
        np.testing.assert_array_equal(hole_in(png(samples)), hole_in(samples))


def test_reading_a_mask_takes_a_byte_a_pixel(tmp_path: Path) -> None:
    """Above that, some strips: tracemalloc sees the arrays, though not what libvips holds."""
    path = tmp_path / "mask.png"
    path.write_bytes(png(np.full((2000, 1000, 1), 255, np.uint8)))
    hole_in(path)
    tracemalloc.start()
    try:
        assert hole_in(path).all()
        assert tracemalloc.get_traced_memory()[1] < 1.4 * 2000 * 1000
    finally:
        tracemalloc.stop()


def test_mask_files_of_every_depth(tmp_path: Path) -> None:
    holes = noise(21, 34, 1)[..., 0] > 140
    files = {
        "1": png(holes[..., None].astype(np.uint8), 1),
        "2": png(holes[..., None].astype(np.uint8) * 3, 2),
        "4": png(holes[..., None].astype(np.uint8) * 9, 4),
        "8": png(holes[..., None].astype(np.uint8) * 200),
        "8, boolean": png(holes[..., None].astype(np.uint8)),
        "16": png(holes[..., None].astype(np.uint16) * 40000),
        "RGB": png(holes[..., None].astype(np.uint8) * np.array([0, 0, 255], np.uint8)),
        "RGBA": png(np.stack([np.full(holes.shape, 7, np.uint8)] * 3 + [holes * np.uint8(255)], axis=2)),
        "palette": pillow(Image.fromarray(holes).convert("P"), "PNG"),
        "TIFF": tiff(holes[..., None].astype(np.uint8) * 255, compression="zlib"),
        "GIF": pillow(holes, "GIF"),
        "WebP": pillow(holes.astype(np.uint8) * 255, "WEBP", lossless=True),
    }
    for case, data in files.items():
        np.testing.assert_array_equal(hole_in(data), holes, err_msg=case)
    path = tmp_path / "mask.png"
    path.write_bytes(files["8"])
    assert np.array_equal(hole_in(path), holes)
    assert not hole_in(path, threshold=0.9).any()


def test_the_orientation_of_the_mask_file_itself_is_applied() -> None:
    holes = np.zeros((20, 30), np.uint8)
    holes[:4, :9] = 255
    exif = Image.Exif()
    exif[274] = 6
    np.testing.assert_array_equal(hole_in(pillow(holes, "PNG", exif=exif.tobytes())), np.rot90(holes > 0, -1))
