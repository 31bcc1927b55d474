from __future__ import annotations

import io
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from wavepaint.box import Box
from wavepaint.errors import MaskError, OptionError
from wavepaint.fill.dilation import dilate
from wavepaint.image.formats.palette import label_base
from wavepaint.image.formats.tiff import LAYERS
from wavepaint.image.mask import find_hole
from wavepaint.image.orientation import to_stored
from wavepaint.image.sources import open_image
from wavepaint.options import Options, as_boxes

HOLE = np.zeros((40, 60), np.bool_)
HOLE[10:20, 30:45] = True
IMAGE_SAMPLES = np.full((40, 60, 3), 90, np.uint8)
IMAGE = open_image(IMAGE_SAMPLES)


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
        "(1, H, W)": grey[None],
        "float 0 to 255": grey.astype(np.float32),
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
    hole = find_hole(IMAGE, spellings()[kind], Options())
    assert hole.dtype == np.bool_
    assert np.array_equal(hole, HOLE)


def test_a_mask_file_by_path(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    path.write_bytes(png(Image.fromarray(HOLE)))
    assert np.array_equal(find_hole(IMAGE, path, Options()), HOLE)
    assert np.array_equal(find_hole(IMAGE, str(path), Options()), HOLE)


def test_finding_a_hole_takes_a_byte_a_pixel(tmp_path: Path) -> None:
    """Above that, some strips: tracemalloc sees the arrays, though not what libvips holds."""
    path = tmp_path / "mask.png"
    samples = np.zeros((4000, 1000), np.uint8)
    samples[:1000] = 255
    path.write_bytes(png(Image.fromarray(samples)))
    image = open_image(np.zeros_like(samples))
    find_hole(image, path, Options())
    tracemalloc.start()
    try:
        assert find_hole(image, path, Options()).sum() == 1000 * 1000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1.4 * samples.size


def test_the_threshold_is_a_share_of_the_range() -> None:
    levels = np.array([[0, 50, 51, 52, 127, 128, 255]], np.uint8)
    image = open_image(np.zeros((1, 7), np.uint8))
    assert np.array_equal(find_hole(image, levels, Options()), [[0, 0, 0, 0, 0, 1, 1]])
    assert np.array_equal(find_hole(image, levels, Options(threshold=0.2)), [[0, 0, 0, 1, 1, 1, 1]])


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
        find_hole(IMAGE, mask, Options())


def test_boxes_are_clipped_to_the_image() -> None:
    hole = find_hole(IMAGE, None, Options(boxes=as_boxes([(30, 10, 15, 10), Box(55, -5, 50, 7)])))
    expected = HOLE.copy()
    expected[:2, 55:] = True
    assert np.array_equal(hole, expected)


def test_alpha_is_the_mask_where_asked() -> None:
    samples = np.full((40, 60, 4), 255, np.uint8)
    samples[..., 3][HOLE] = 0
    samples[0, 0, 3] = 1
    assert np.array_equal(find_hole(open_image(samples), None, Options(alpha=True)), HOLE)
    with pytest.raises(MaskError, match="no transparency"):
        find_hole(IMAGE, None, Options(alpha=True))


def test_inverting_comes_before_growing() -> None:
    hole = find_hole(IMAGE, ~HOLE, Options(invert_mask=True, dilate=1))
    assert np.array_equal(hole, dilate(HOLE, 1))


@pytest.mark.parametrize(
    ("mask", "options", "error", "reason"),
    [
        (np.zeros((60, 40), np.bool_), {}, MaskError, "the mask is 40x60 pixels, but image is 60x40"),
        (np.ones((40, 60), np.bool_), {}, MaskError, "covers the whole image"),
        (np.zeros((40, 60), np.bool_), {"invert_mask": True}, MaskError, "covers the whole image"),
        (None, {}, OptionError, "either a mask, boxes or alpha"),
        (HOLE, {"alpha": True}, OptionError, "either a mask, boxes or alpha"),
        (HOLE, {"boxes": as_boxes([(0, 0, 1, 1)])}, OptionError, "either a mask, boxes or alpha"),
        (None, {"boxes": as_boxes([(60, 0, 5, 5)])}, MaskError, "60,0,5,5 lies outside the image of 60x40"),
    ],
)
def test_what_leaves_nothing_to_do_says_why(
    mask: object, options: dict[str, object], error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        find_hole(IMAGE, mask, Options(**options))


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


def warned(image: object, mask: object, **options: object) -> tuple[np.ndarray, list[str]]:
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        hole = find_hole(open_image(image), mask, Options(**options))
    return hole, [str(warning.message) for warning in heard]


def test_an_array_that_marks_nothing_is_pointed_out() -> None:
    for mask in (np.zeros((40, 60), np.uint8), np.where(HOLE, 100, 0).astype(np.uint8)):
        hole, (line,) = warned(np.zeros((40, 60, 3), np.uint8), mask)
        assert not hole.any()
        assert line.startswith(f"mask: marks nothing: its largest value is {mask.max()}")


def test_swapped_arrays_are_pointed_out() -> None:
    image = np.random.default_rng(0).integers(0, 200, (40, 60, 3), np.uint8)
    _, lines = warned(HOLE.astype(np.uint8) * 255, image)
    assert any("are image and mask swapped?" in line for line in lines)
    assert warned(image, HOLE)[1] == []


def turned(samples: np.ndarray, orientation: int) -> Image.Image:
    """A PIL image stored with an orientation tag: upright it is `samples`."""
    exif = Image.Exif()
    exif[274] = orientation
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(to_stored(samples, orientation))).save(stream, "PNG", exif=exif.tobytes())
    return Image.open(stream)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_of_pil_images_is_applied(orientation: int) -> None:
    samples = np.random.default_rng(0).integers(0, 200, (40, 60, 3), np.uint8)
    image = turned(samples, orientation)
    hole, lines = warned(image, HOLE)
    assert np.array_equal(hole, HOLE)
    assert lines == [] if orientation == 1 else "EXIF orientation is applied" in lines[0]
    opened = open_image(image)
    assert np.array_equal(opened.read_boxes([Box(0, 0, 60, 40)])[0], samples)
    assert np.array_equal(find_hole(IMAGE, turned(HOLE.astype(np.uint8) * 255, orientation), Options()), HOLE)
    # The result is stored as the image was, with the same tag.
    result = opened.finish([(Box(3, 4, 1, 2), np.full((2, 1, 3), 255, np.uint8))], Options())
    samples[4:6, 3] = 255
    assert result.size == image.size
    assert result.getexif().get(274, 1) == orientation
    assert np.array_equal(np.asarray(ImageOps.exif_transpose(result)), samples)


def test_a_mask_drawn_on_the_stored_layout_names_the_remedy() -> None:
    image = turned(np.zeros((40, 60, 3), np.uint8), 6)
    stored = np.ascontiguousarray(to_stored(HOLE, 6))
    with pytest.raises(MaskError, match=r"40x60 pixels, but image is 60x40; it fits .* EXIF .*--resize-mask turns"):
        warned(image, stored)
    assert np.array_equal(warned(image, stored, resize_mask=True)[0], HOLE)


def test_whole_multiples_are_named() -> None:
    with pytest.raises(MaskError, match=r"the image is 2 times larger: --resize-mask"):
        warned(IMAGE_SAMPLES, HOLE[::2, ::2])
    with pytest.raises(MaskError, match=r"the image is 3 times smaller: --resize-mask"):
        warned(IMAGE_SAMPLES, np.repeat(np.repeat(HOLE, 3, 0), 3, 1))
    with pytest.raises(MaskError, match=r"--resize-mask stretches it"):
        warned(IMAGE_SAMPLES, HOLE[:, :-1])


def test_a_tiff_with_a_colour_map_is_a_label_map() -> None:
    labels = np.zeros((40, 60), np.uint8)
    labels[HOLE] = 3
    colours = np.zeros((3, 256), np.uint16)
    colours[0, 3] = 64 << 8
    stream = io.BytesIO()
    tifffile.imwrite(stream, labels, photometric="palette", colormap=colours)
    hole, (line,) = warned(IMAGE_SAMPLES, stream.getvalue())
    assert np.array_equal(hole, HOLE)
    assert "is read as a label map" in line


def test_layers_of_a_tiff_are_not_read_for_its_palette() -> None:
    class Counted(io.BytesIO):
        count = 0

        def read(self, size: int | None = -1) -> bytes:
            data = super().read(size)
            self.count += len(data)
            return data

    labels, colours = np.zeros((40, 60), np.uint8), np.zeros((3, 256), np.uint16)
    colours[0] = 64 << 8
    stream, layers = Counted(), bytes(2**20)
    tifffile.imwrite(
        stream, labels, photometric="palette", colormap=colours, extratags=[(LAYERS, 7, len(layers), layers, True)]
    )
    stream.count = 0
    assert label_base(stream, "tiff") == (64, 0, 0, 255)
    assert stream.count < 2**12


def test_a_bool_array_may_hold_other_bytes_than_one() -> None:
    assert np.array_equal(find_hole(IMAGE, (HOLE.astype(np.uint8) * 255).view(np.bool_), Options()), HOLE)


def test_a_marked_copy_has_to_have_the_size_of_the_image() -> None:
    with pytest.raises(MaskError, match="only a mask of the size of its image"):
        warned(IMAGE_SAMPLES, HOLE[::2, ::2], resize_mask=True, marked=True)


@pytest.mark.parametrize(
    "values", [{"mask_from": "hue"}, {"marked": 2}, {"resize_mask": None}, {"marked": True, "mask_from": "alpha"}]
)
def test_mask_options_that_make_no_sense(values: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        Options(**values)
