from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

import wavepaint
from images import decoded, noise, pillow, png, soft, tiff
from standin import Recorder, write_standin
from wavepaint import Inpainter, inpainter
from wavepaint.box import Box
from wavepaint.cancellation import Cancelled
from wavepaint.errors import CheckpointError, ImageError, ImageWarning, MaskError, OptionError
from wavepaint.fill import regions
from wavepaint.fill.guide import Plan
from wavepaint.fill.pyramid import haar_fill
from wavepaint.fill.units import to_unit
from wavepaint.fill.wide import WideSizes
from wavepaint.image import pages as pages_module
from wavepaint.image.file import ImageFile
from wavepaint.image.limits import changed_limits
from wavepaint.image.sources import open_image
from wavepaint.inpainter import fill_planned
from wavepaint.options import Options
from wavepaint.runtime import GUESSED

KINDS = [np.uint8, np.uint16, np.float32, np.float64]


@pytest.fixture(scope="module")
def fill(tmp_path_factory: pytest.TempPathFactory) -> Inpainter:
    """An inpainter that fills with the mean of what is known in the crop."""
    return Inpainter(write_standin(tmp_path_factory.mktemp("standin") / "mean.onnx"), "onnxruntime", threads=1)


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    runtime = Recorder()
    monkeypatch.setattr(inpainter, "load_runtime", lambda *_: runtime)
    return runtime


def random_image(height: int, width: int, channels: int, dtype: type, seed: int = 0) -> np.ndarray:
    """Random samples, all values of the dtype (or of [0, 1]) alike; (H, W) for 0 channels."""
    rng = np.random.default_rng(seed)
    shape = (height, width, channels) if channels else (height, width)
    if np.issubdtype(dtype, np.floating):
        return rng.random(shape).astype(dtype)
    return rng.integers(0, np.iinfo(dtype).max + 1, shape, dtype=dtype)


def block(height: int, width: int) -> np.ndarray:
    mask = np.zeros((height, width), np.bool_)
    mask[height // 4 : height // 2, width // 3 : width // 2 + 1] = True
    return mask


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    height=st.integers(1, 150),
    width=st.integers(2, 150),
    channels=st.integers(0, 4),
    dtype=st.sampled_from(KINDS),
    share=st.sampled_from([0.001, 0.05, 0.7]),
    dilate=st.sampled_from([0, 0, 3]),
    seed=st.integers(0, 999),
)
def test_outside_the_hole_nothing_changes(
    fill: Inpainter, height: int, width: int, channels: int, dtype: type, share: float, dilate: int, seed: int
) -> None:
    image = random_image(height, width, channels, dtype, seed)
    mask = np.random.default_rng(seed).random((height, width)) < share
    mask[0, 0] = False
    before, mask_before = image.copy(), mask.copy()
    try:
        result = fill(image, mask, dilate=dilate)
    except MaskError:
        assert dilate
        return
    assert result.shape == image.shape
    assert result.dtype == image.dtype
    assert result is not image
    assert np.array_equal(image, before)
    assert np.array_equal(mask, mask_before)
    if not dilate:
        assert np.array_equal(result[~mask], image[~mask])
    if np.issubdtype(dtype, np.floating):
        assert 0 <= result.min() <= result.max() <= 1


def encoded(kind: str, samples: np.ndarray) -> bytes:
    if kind == "png":
        return png(samples)
    if kind == "webp":
        return pillow(samples, "WEBP", lossless=True, exact=True)
    return tiff(samples, **({"tile": (32, 32), "compression": "zlib"} if kind == "tiled" else {}))


FILE_KINDS = [
    (kind, channels, dtype) for kind in ("png", "tiff", "tiled") for channels in (1, 2, 3, 4) for dtype in KINDS[:2]
]
FILE_KINDS += [("webp", channels, np.uint8) for channels in (3, 4)]


def filled_as_planned(fill: Inpainter, image: bytes, plan: Plan, options: Options, streamed: bool) -> bytes:
    with changed_limits(held_bytes=0 if streamed else 2**28):
        opened = open_image(image)
    return opened.finish(fill_planned(fill.load(), opened, plan, options), options)


def test_outside_the_hole_nothing_changes_in_files_however_wide_it_is(fill: Inpainter) -> None:
    sizes = WideSizes(wide=48, border=8, feather=4, longest=96, context=32)
    wide_pieces = []

    @settings(max_examples=30, deadline=None)
    @given(
        kind=st.sampled_from(FILE_KINDS),
        streamed=st.booleans(),
        size=st.tuples(*[st.integers(60, 200)] * 2),
        seed=st.integers(0, 9999),
    )
    @example(kind=("tiff", 3, np.uint16), streamed=False, size=(200, 200), seed=7)
    @example(kind=("tiled", 4, np.uint8), streamed=True, size=(200, 200), seed=7)
    def check(kind: tuple[str, int, type], streamed: bool, size: tuple[int, int], seed: int) -> None:
        name, channels, dtype = kind
        samples = noise(*size, channels, dtype, seed)
        mask = np.zeros(size, np.bool_)
        for left, top, width, height in np.random.default_rng(seed).integers(
            [0, 0, 1, 1], [100, 100, 180, 180], (2, 4)
        ):
            mask[top : top + height, left : left + width] = True
        mask[0, 0] = False
        plan = Plan.of(mask, sizes, read_pixels=2**14)
        after = decoded(filled_as_planned(fill, encoded(name, samples), plan, Options(), streamed))
        assert after.dtype == dtype
        assert np.array_equal(after[~mask], samples[~mask])
        wide_pieces.append(len(plan.wide))

    check()
    assert max(wide_pieces) > 1
    assert np.count_nonzero(wide_pieces) >= 2


def test_memory_layout_and_byte_order_do_not_matter(fill: Inpainter, tmp_path: Path) -> None:
    image, mask = random_image(60, 40, 3, np.uint16), block(60, 40)
    expected = fill(image, mask)
    swapped = fill(image.astype(">u2"), mask, output=tmp_path / "out.tif")
    assert swapped.dtype == np.dtype(">u2")
    assert np.array_equal(swapped, expected)
    assert np.array_equal(wavepaint.image.file.ImageFile.open(tmp_path / "out.tif").read_all(), expected)
    image.flags.writeable = mask.flags.writeable = False
    assert np.array_equal(fill(np.asfortranarray(image), np.asfortranarray(mask)), expected)
    assert np.array_equal(fill(image[::-1], mask[::-1])[~mask[::-1]], image[::-1][~mask[::-1]])


@pytest.mark.parametrize("channels", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("dtype", KINDS)
def test_a_constant_image_is_continued_exactly(fill: Inpainter, channels: int, dtype: type) -> None:
    image = np.broadcast_to(random_image(1, 1, channels, dtype, seed=3), (50, 70, channels) if channels else (50, 70))
    mask = block(50, 70)
    damaged = image.copy()
    damaged[mask] = 0
    result = fill(damaged, mask)
    if np.issubdtype(dtype, np.floating):
        assert np.abs(result - image).max() < 1e-5  # the stand-in sums in float32
    else:
        assert np.array_equal(result, image)


@pytest.mark.parametrize("scale", [np.uint8(1), np.uint16(257)])
@pytest.mark.parametrize(
    "hole", [Box(100, 110, 40, 25), Box(0, 50, 60, 150), Box(60, 60, 300, 300), Box(0, 0, 300, 300)], ids=str
)
def test_the_packaged_network_alone_continues_a_constant_exactly(hole: Box, scale: np.integer[Any]) -> None:
    mask = np.zeros((420, 430), np.bool_)
    mask[hole.slices] = True
    fill = Inpainter()
    for colour in ((0, 0, 0), (255, 255, 255), (0, 255, 0), (200, 30, 30), (13, 120, 201), (128, 128, 128), (1, 2, 3)):
        image = np.broadcast_to(np.array(colour, scale.dtype) * scale, (*mask.shape, 3))
        damaged = np.where(mask[..., None], np.uint8(77), image)
        assert np.array_equal(fill(damaged, mask, detail="network"), image), colour


def test_the_network_alone_continues_a_gradient_plane(fill: Inpainter) -> None:
    row, column = np.mgrid[:150, :200]
    planes = 40 + 0.6 * column, 200 - 0.4 * row, 90 + 0.3 * row + 0.2 * column
    image = np.stack(planes, axis=2).round().astype(np.uint8)
    mask = block(150, 200)
    damaged = np.where(mask[..., None], np.uint8(0), image)
    assert np.abs(fill(damaged, mask, detail="network").astype(int) - image).max() <= 1


def test_the_network_sees_unit_samples_and_a_mask_of_ones(recorder: Recorder) -> None:
    image, mask = random_image(33, 41, 3, np.uint16), block(33, 41)
    Inpainter()(image, mask)
    ((samples, marks),) = recorder.runs
    assert samples.dtype == marks.dtype == np.float32
    assert samples.shape == (1, 3, 48, 48)
    assert marks.shape == (1, 1, 48, 48)
    assert np.allclose(samples[0, :, :33, :41], image.transpose(2, 0, 1) / 65535, atol=1e-7)
    assert np.array_equal(samples[0, :, 33:, :41], samples[0, :, 31:16:-1, :41])
    assert np.array_equal(marks[0, 0, :33, :41], mask)


def test_grey_is_seen_as_three_equal_planes_and_alpha_is_not_seen(recorder: Recorder) -> None:
    image = random_image(32, 32, 2, np.uint8)
    result = Inpainter()(image, block(32, 32))
    ((samples, _),) = recorder.runs
    assert np.array_equal(samples[0, 0], samples[0, 2])
    assert np.allclose(samples[0, 0], image[..., 0] / 255)
    assert result.shape == (32, 32, 2)


def test_alpha_in_the_hole_is_continued_from_around_it(fill: Inpainter) -> None:
    image = random_image(60, 60, 4, np.uint8)
    image[..., 3] = 255
    mask = block(60, 60)
    image[mask, 3] = 0
    assert (fill(image, mask)[..., 3] == 255).all()
    assert np.array_equal(fill(image, alpha=True), fill(image, mask))


def test_values_are_rounded_and_clipped(monkeypatch: pytest.MonkeyPatch) -> None:
    class Constant(Recorder):
        def __call__(self, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
            planes = np.array([-0.5, 1.5, 100.5 / 255], np.float32).reshape(1, 3, 1, 1)
            return np.broadcast_to(planes, image.shape).astype(np.float32)

    monkeypatch.setattr(inpainter, "load_runtime", lambda *_: Constant())
    image, mask = random_image(20, 20, 3, np.uint8), block(20, 20)
    assert np.array_equal(np.unique(Inpainter()(image, mask, detail="network")[mask], axis=0), [[0, 255, 101]])
    assert np.allclose(Inpainter()(image / 255, mask, detail="network")[mask], [0, 1, 100.5 / 255])


def test_equal_crops_share_a_run_and_far_holes_do_not_meet(recorder: Recorder) -> None:
    image = np.zeros((600, 900, 3), np.uint8)
    image[:, 450:] = 200
    mask = np.zeros((600, 900), np.bool_)
    mask[300:320, 200:220] = mask[300:320, 700:720] = True
    result = Inpainter()(image, mask)
    assert [samples.shape[0] for samples, _ in recorder.runs] == [2]
    assert (result[300:320, 200:220] == 0).all()
    assert (result[300:320, 700:720] == 200).all()


def test_later_pieces_of_a_long_hole_see_earlier_ones_as_known(recorder: Recorder) -> None:
    image = np.full((900, 2000, 1), 77, np.uint8)
    mask = np.zeros((900, 2000), np.bool_)
    mask[300:500, 200:1800] = True
    image[mask] = 0
    result = Inpainter()(image, mask)
    # A piece is 100 deep: two coarse levels, then itself.
    heights = [samples.shape[2] for samples, _ in recorder.runs]
    assert len(heights) == 6
    assert [-(-heights[2] // 2**level) for level in (2, 1, 0)] == pytest.approx(heights[:3], abs=16)
    assert (result == 77).all()
    last_samples, last_mask = recorder.runs[-1]
    earlier = (last_samples[0, 0] == np.float32(77 / 255)) & (last_mask[0, 0] == 0)
    assert earlier.sum() > (last_mask == 0).sum() * 0.99


def test_a_deep_hole_starts_from_the_result_at_half_the_resolution(recorder: Recorder) -> None:
    image = random_image(300, 280, 3, np.uint8)
    mask = np.zeros(image.shape[:2], np.bool_)
    mask[100:164, 100:170] = True
    result = Inpainter()(image, mask, grain="off")
    assert np.array_equal(result[~mask], image[~mask])
    (_, coarse), (samples, fine) = recorder.runs
    assert set(np.unique(coarse)) == {0, 1}
    assert set(np.unique(fine)) == {0, GUESSED}
    assert coarse.sum() == pytest.approx(32 * 35, rel=0.1)  # whole cells only
    assert (fine > 0).sum() == mask.sum()
    known = image[~mask] / 255
    guess = samples[0][:, fine[0, 0] > 0]
    assert ((guess > known.min()) & (guess < known.max())).all()
    # The stand-in's mean, enlarged; at the edge a coarse cell is half known.
    assert (np.abs(guess - np.median(guess, axis=1, keepdims=True)) < 0.01).mean() > 0.8


def test_a_shallow_hole_is_looked_at_once(recorder: Recorder) -> None:
    image = random_image(300, 280, 3, np.uint8)
    mask = np.zeros(image.shape[:2], np.bool_)
    mask[100:150, 20:260] = True
    Inpainter()(image, mask)
    ((_, marks),) = recorder.runs
    assert set(np.unique(marks)) == {0, 1}


def test_the_depth_of_a_wide_hole_comes_from_reduced_copies(recorder: Recorder) -> None:
    image = random_image(1400, 1300, 4, np.uint8)
    mask = np.zeros(image.shape[:2], np.bool_)
    mask[200:1100, 150:1000] = True
    result = Inpainter()(image, mask, grain="off")
    assert np.array_equal(result[~mask], image[~mask])
    # Three coarse levels: 900 -> 450 -> 225, then the border bands of 450 and 900.
    assert recorder.runs[0][0].shape[2] < 900 / 4 + 2 * 192 + 64
    looked_at = sum(marks.size for _, marks in recorder.runs)
    assert looked_at < 2 * mask.sum()
    finest = recorder.runs[-1][1]
    assert 0 < finest.mean() < 0.5


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float64])
def test_a_wide_hole_in_an_even_image_is_filled_without_a_trace(fill: Inpainter, dtype: type, channels: int) -> None:
    full = 1.0 if dtype is np.float64 else np.iinfo(dtype).max
    image = np.full((700, 900, channels), 0.25 * full).astype(dtype)
    damaged = image.copy()
    mask = np.zeros((700, 900), np.bool_)
    rows, columns = np.mgrid[:700, :900]
    mask[(rows - 350) ** 2 + (columns - 400) ** 2 < 300**2] = True
    mask[340:350] = True
    damaged[mask] = 0
    result = fill(damaged, mask)
    # The stand-in sums in float32.
    assert np.abs(result.astype(np.float64) - image).max() <= {1.0: 1e-5, 255: 0, 65535: 1}[full]
    assert np.array_equal(result[~mask], damaged[~mask])


def test_an_image_that_is_nearly_all_hole_still_gets_filled(recorder: Recorder) -> None:
    image = np.full((1500, 2500, 1), 99, np.uint8)
    mask = np.ones((1500, 2500), np.bool_)
    mask[:9, :9] = False
    image[mask] = 0
    assert (Inpainter()(image, mask, mask_from="brightness") == 99).all()


def test_a_wide_hole_of_a_streamed_file_is_the_same(fill: Inpainter, tmp_path: Path) -> None:
    image = soft(600, 700)
    mask = np.zeros((600, 700), np.bool_)
    mask[100:500, 90:520] = True
    path = tmp_path / "image.tif"
    path.write_bytes(tiff(image))
    expected = fill(image, mask)
    with changed_limits(held_bytes=1000):
        result = fill(path, mask)
    assert np.array_equal(wavepaint.image.file.ImageFile.open(result).read_all(), expected)


def test_crops_of_all_stages_are_read_in_one_pass_over_a_streamed_file(
    fill: Inpainter, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples, mask = noise(150, 1900, 1), np.zeros((150, 1900), np.bool_)
    mask[60:70, 20:1860] = True
    stages = regions.find_regions(mask)
    assert len(stages) > 1
    expected = fill(samples, mask, detail="network")
    passes: list[int] = []
    read_boxes = wavepaint.image.file.ImageFile.read_boxes

    def counted(self: wavepaint.image.file.ImageFile, boxes: list[Box]) -> list[np.ndarray]:
        passes.append(len(boxes))
        return read_boxes(self, boxes)

    monkeypatch.setattr(wavepaint.image.file.ImageFile, "read_boxes", counted)
    with changed_limits(held_bytes=0):
        assert np.array_equal(decoded(fill(png(samples), mask, detail="network")), expected)
    assert [count for count in passes if count] == [sum(map(len, stages))]
    passes.clear()
    plan = Plan.of(mask, read_pixels=1)
    result = filled_as_planned(fill, png(samples), plan, Options(detail="network"), streamed=True)
    assert np.array_equal(decoded(result), expected)
    assert len([count for count in passes if count]) == sum(map(len, stages))


def test_grain_is_continued_unless_it_is_turned_off(fill: Inpainter) -> None:
    rng = np.random.default_rng(0)
    for side in (60, 330):
        image = (128 + 6 * rng.standard_normal((500, 600, 3))).clip(0, 255).astype(np.uint8)
        mask = np.zeros(image.shape[:2], np.bool_)
        mask[80 : 80 + side, 90 : 90 + side] = True
        smooth, grained = fill(image, mask, detail="network"), fill(image, mask, detail="grain")
        assert smooth[mask].std() < 1
        assert 4.5 < grained[mask].std() < 7.5
        assert np.array_equal(grained[~mask], image[~mask])
        assert np.array_equal(grained, fill(image, mask, detail="grain"))
    with pytest.raises(OptionError, match="detail must be one of image, grain, network"):
        fill(image, mask, detail="on")


@pytest.mark.parametrize("channels", [1, 3])
def test_grain_is_as_strong_where_rim_and_depth_meet(fill: Inpainter, channels: int) -> None:
    rng = np.random.default_rng(0)
    image = (0.5 + 0.03 * rng.standard_normal((700, 700, channels))).astype(np.float32)
    mask = np.zeros((700, 700), np.bool_)
    mask[112:592, 112:592] = True
    result = fill(image, mask)
    rows, columns = np.mgrid[:480, :480]
    distance = np.minimum(np.minimum(rows, columns), np.minimum(479 - rows, 479 - columns))
    hole = result[112:592, 112:592]
    deviations = [hole[(distance >= start) & (distance < start + 2)].std() for start in range(0, 64, 2)]
    assert np.abs(np.array(deviations) / 0.03 - 1).max() < 0.12


@pytest.mark.parametrize("size", [(1, 2), (2, 1), (3, 5), (15, 16), (1, 400)])
def test_images_smaller_than_the_network_s_multiple(fill: Inpainter, size: tuple[int, int]) -> None:
    image = np.full((*size, 3), 9, np.uint8)
    mask = np.zeros(size, np.bool_)
    mask[-1, -1] = True
    image[-1, -1] = 200
    assert (fill(image, mask) == 9).all()


def test_an_empty_mask_returns_the_input_and_loads_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[object] = []
    monkeypatch.setattr(inpainter, "load_runtime", lambda *_: loaded.append(_))
    keep = Inpainter(runtime="onnxruntime")
    image, mask = random_image(5, 4, 3, np.uint8), np.zeros((5, 4), np.bool_)
    result = keep(image, mask)
    assert np.array_equal(result, image)
    assert not np.shares_memory(result, image)
    one = np.zeros((1, 1), np.uint8)
    assert np.array_equal(keep(one, one), one)

    data = pillow(image, "PNG", compress_level=0)
    assert keep(data, mask) == data
    shown = Image.open(io.BytesIO(data)).convert("P")
    assert keep(shown, mask).mode == "P"
    path = tmp_path / "image.png"
    path.write_bytes(data)
    assert np.array_equal(np.array(Image.open(keep(path, mask, output=tmp_path / "copy.tif"))), image)
    with pytest.raises(MaskError, match="the mask is 9x9 pixels"):
        keep(data, pillow(np.zeros((9, 9), np.uint8), "PNG"))
    assert loaded == []


@pytest.mark.parametrize("pages", [1, 2])
def test_the_hole_is_gone_when_the_result_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fill: Inpainter, pages: int
) -> None:
    """It takes a byte for each pixel, beside what encoding takes."""
    holes: list[weakref.ref[Any]] = []
    alive: list[bool] = []

    def watched(function: Any) -> Any:
        def recorded(*values: Any, **options: Any) -> Any:
            hole = function(*values, **options)
            holes.append(weakref.ref(hole))
            return hole

        return recorded

    def save(self: ImageFile, *values: Any) -> None:
        alive.append(any(hole() is not None for hole in holes))
        write(self, *values)

    write = ImageFile.save
    for module in (inpainter, pages_module):
        monkeypatch.setattr(module, "find_hole", watched(module.find_hole))
    monkeypatch.setattr(ImageFile, "save", save)
    image, hole = random_image(40, 50, 3, np.uint8), np.zeros((40, 50), np.uint8)
    hole[10:20, 10:20] = 255
    source, mask = tmp_path / "image.tif", tmp_path / "mask.tif"
    for path, page in ((source, Image.fromarray(image)), (mask, Image.fromarray(hole))):
        page.save(path, save_all=True, append_images=[page] * (pages - 1))
    fill(source, mask, output=tmp_path / "filled.tif")
    assert holes
    assert alive == [False] * pages


# -- kinds of images ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16"])
def test_pil_images_come_back_in_their_mode(fill: Inpainter, mode: str) -> None:
    channels = {"L": 0, "LA": 2, "RGB": 3, "RGBA": 4, "I;16": 0}[mode]
    samples = random_image(40, 50, channels, np.uint16 if mode == "I;16" else np.uint8)
    image = Image.fromarray(samples)
    image.info["dpi"] = (300, 300)
    assert image.mode == mode
    result = fill(image, block(40, 50))
    assert result.mode == mode
    assert result.info["dpi"] == (300, 300)
    assert np.array_equal(np.array(result), fill(samples, block(40, 50)))
    assert np.array_equal(np.array(image), samples)


@pytest.mark.parametrize(("mode", "becomes"), [("1", "L"), ("P", "RGB"), ("PA", "RGBA")])
def test_pil_images_without_room_for_new_values_become_wider(fill: Inpainter, mode: str, becomes: str) -> None:
    source = Image.fromarray(soft(40, 50))
    image = source.convert("P").convert("PA") if mode == "PA" else source.convert(mode)
    result = fill(image, block(40, 50))
    assert result.mode == becomes
    keep = ~block(40, 50)
    assert np.array_equal(np.array(result)[keep], np.array(image.convert(becomes))[keep])


@pytest.mark.parametrize("mode", ["HSV", "LAB", "RGBX"])
def test_other_pil_modes_are_refused(fill: Inpainter, mode: str) -> None:
    with pytest.raises(ImageError, match=f"PIL mode {mode} is not supported"):
        fill(Image.new(mode, (9, 9)), block(9, 9))


@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
def test_bytes_come_back_as_bytes_of_the_same_format(fill: Inpainter, format: str) -> None:
    samples, mask = noise(60, 80, 3), block(60, 80)
    data = pillow(samples, format, **({"lossless": True, "exact": True} if format == "WEBP" else {}))
    result = Image.open(io.BytesIO(fill(data, mask)))
    assert result.format == format
    assert np.array_equal(np.array(result), fill(samples, mask))
    assert fill(bytearray(data), mask) == fill(data, mask)


def test_16_bit_files_stay_16_bit(fill: Inpainter) -> None:
    samples, mask = noise(30, 40, 3, np.uint16), block(30, 40)
    import tifffile

    result = tifffile.imread(io.BytesIO(fill(tiff(samples), mask)))
    assert result.dtype == np.uint16
    assert np.array_equal(result, fill(samples, mask))


def test_a_path_gives_a_file_beside_it_and_never_replaces_one(fill: Inpainter, tmp_path: Path) -> None:
    samples, mask = noise(30, 40, 3), block(30, 40)
    path = tmp_path / "image.png"
    path.write_bytes(pillow(samples, "PNG"))
    result = fill(path, mask)
    assert result == tmp_path / "image-filled.png"
    assert np.array_equal(np.array(Image.open(result)), fill(samples, mask))
    with pytest.raises(ImageError, match=r"image-filled\.png: exists already"):
        fill(str(path), mask)
    assert fill(str(path), mask, output=str(path)) == path
    assert np.array_equal(np.array(Image.open(path)), fill(samples, mask))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["image-filled.png", "image.png"]


def test_a_gif_becomes_a_png(fill: Inpainter, tmp_path: Path) -> None:
    path = tmp_path / "image.gif"
    path.write_bytes(pillow(soft(30, 40), "GIF"))
    assert fill(path, block(30, 40)).name == "image-filled.png"


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("channels", [0, 2, 3, 4])
def test_arrays_can_be_written_too(fill: Inpainter, tmp_path: Path, dtype: type, channels: int) -> None:
    image, mask, target = random_image(30, 40, channels, dtype), block(30, 40), tmp_path / "out.tif"
    result = fill(image, mask, output=target)
    written = wavepaint.image.file.ImageFile.open(target).read_all()
    if np.issubdtype(dtype, np.floating):
        assert written.dtype == np.uint16
        assert np.abs(written.squeeze() / 65535 - result.squeeze()).max() < 1 / 65535
    else:
        assert np.array_equal(written.squeeze(), result.squeeze())


def test_what_a_file_cannot_keep_is_a_warning(fill: Inpainter, tmp_path: Path) -> None:
    with pytest.warns(ImageWarning, match="16-bit samples become 8-bit"):
        fill(noise(30, 40, 3, np.uint16), block(30, 40), output=tmp_path / "out.jpg")


@pytest.mark.parametrize("image", ["path", "bytes", "array", "pil"])
@pytest.mark.parametrize("mask", ["path", "bytes", "array", "pil"])
def test_image_and_mask_mix_freely(fill: Inpainter, tmp_path: Path, image: str, mask: str) -> None:
    samples, hole = noise(24, 32, 3), block(24, 32)

    def spell(kind: str, values: np.ndarray, name: str) -> object:
        if kind == "array":
            return values
        if kind == "pil":
            return Image.fromarray(values)
        data = pillow(values, "PNG")
        if kind == "bytes":
            return data
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    result = fill(spell(image, samples, "image.png"), spell(mask, hole.astype(np.uint8) * 255, "mask.png"))
    if isinstance(result, bytes):
        result = io.BytesIO(result)
    actual = result if isinstance(result, np.ndarray) else np.array(result if image == "pil" else Image.open(result))
    assert np.array_equal(actual, fill(samples, hole))


# -- errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (np.full((4, 4), np.nan), "holds NaN"),
        (np.full((4, 4, 3), -np.inf), "infinite"),
        (np.full((4, 4), 1.01), r"must be in \[0, 1\], got 1.01 to 1.01"),
        (np.full((4, 4), -0.1), r"must be in \[0, 1\]"),
        (np.zeros((4, 4), np.int32), "not int32"),
        (np.zeros((4, 4), np.bool_), "not bool"),
        (np.zeros((4, 4, 5), np.uint8), r"got \(4, 4, 5\)"),
        (np.zeros(4, np.uint8), r"got \(4,\)"),
        (np.zeros((0, 4, 3), np.uint8), "is empty"),
        ([[1, 2]], "not list"),
        (b"", "is empty"),
        (b"not an image at all", "is not a PNG"),
    ],
)
def test_what_is_not_an_image_says_why(fill: Inpainter, image: object, reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        fill(image, np.eye(4))


def test_a_mask_of_another_size_names_both_sizes_and_files(fill: Inpainter, tmp_path: Path) -> None:
    image, mask = tmp_path / "image.png", tmp_path / "mask.png"
    image.write_bytes(pillow(noise(30, 40, 3), "PNG"))
    mask.write_bytes(pillow(noise(40, 30, 1), "PNG"))
    with pytest.raises(MaskError, match=r"mask\.png: the mask is 30x40 pixels, but .*image\.png is 40x30"):
        fill(image, mask)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("nowhere/out.png", "no directory"), ("out.svg", r"cannot write \.svg"), (".", "is a directory")],
)
@pytest.mark.parametrize("kind", ["path", "bytes", "array"])
def test_an_impossible_output_fails_before_the_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, reason: str, kind: str
) -> None:
    monkeypatch.setattr(inpainter, "load_runtime", lambda *_: pytest.fail("loaded a network"))
    samples = noise(30, 40, 3)
    data = pillow(samples, "PNG")
    (tmp_path / "image.png").write_bytes(data)
    image = {"path": tmp_path / "image.png", "bytes": data, "array": samples}[kind]
    with pytest.raises(ImageError, match=reason):
        Inpainter()(image, block(30, 40), output=tmp_path / name)


def test_options_and_models_are_checked(fill: Inpainter, tmp_path: Path) -> None:
    image, mask = noise(30, 40, 3), block(30, 40)
    with pytest.raises(OptionError, match="either a mask, boxes or alpha"):
        fill(image)
    with pytest.raises(OptionError, match="quality must be 1 to 100"):
        fill(image, mask, quality=101)
    with pytest.raises(OptionError, match="runtime must be one of auto"):
        wavepaint.inpaint(image, mask, runtime="cuda")
    with pytest.raises(CheckpointError, match=r"none\.onnx: no such file"):
        wavepaint.inpaint(image, mask, model=tmp_path / "none.onnx")


# -- the interface --------------------------------------------------------------------------------------------------


def test_inpaint_is_an_inpainter_used_once(fill: Inpainter, tmp_path: Path) -> None:
    model = write_standin(tmp_path / "mean.onnx")
    image = noise(40, 50, 3)
    result = wavepaint.inpaint(image, boxes=[(10, 10, 8, 9)], dilate=2, model=model, runtime="onnxruntime")
    assert np.array_equal(result, fill(image, boxes=[(10, 10, 8, 9)], dilate=2))


def test_the_network_is_loaded_once_for_many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[Recorder] = []

    def load(*_: object) -> Recorder:
        loads.append(Recorder())
        return loads[-1]

    monkeypatch.setattr(inpainter, "load_runtime", load)
    shared, image, mask = Inpainter(), noise(60, 60, 3), block(60, 60)
    results: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: results.append(shared(image, mask))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loads) == 1
    assert len(results) == 6
    assert all(np.array_equal(result, results[0]) for result in results)


@pytest.mark.parametrize(("cores", "threads"), [({5}, 1), ({2, 3, 7}, 3), (set(range(64)), inpainter.MAX_THREADS)])
def test_threads_are_one_for_each_core_that_may_be_used(
    cores: set[int], threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: cores, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    assert inpainter.thread_count(None) == threads


def test_the_packaged_network_continues_an_edge_that_its_prefill_blurs() -> None:
    rows, columns = np.mgrid[:200, :260]
    image = np.where(rows + 0.4 * columns > 110, 210, 50)[..., None] * np.array([1, 0.8, 0.6])
    image, mask = image.astype(np.uint8), block(200, 260)
    damaged = image.copy()
    damaged[mask] = 0
    result = wavepaint.inpaint(damaged, mask, threads=1)
    assert np.array_equal(result[~mask], image[~mask])
    prefill = np.dstack([haar_fill(to_unit(damaged[..., colour]), mask) for colour in range(3)])

    def error(guess: np.ndarray) -> float:
        return float(np.abs(guess[mask] - to_unit(image)[mask]).mean())

    assert error(to_unit(result)) < 0.9 * error(prefill)


def test_no_seam_shows_where_the_depth_of_a_wide_hole_begins() -> None:
    rows, columns = np.mgrid[:560, :640] / 640
    border = WideSizes.border
    planes = [60 + 120 * rows, 200 - 100 * columns, 90 + 60 * rows + 60 * columns]
    image = (np.stack(planes, axis=2) / 255).astype(np.float32)
    mask = np.zeros(image.shape[:2], np.bool_)
    mask[96:464, 112:528] = True
    result = wavepaint.inpaint(np.where(mask[..., None], np.float32(0), image), mask, threads=1)
    error = (result - image)[96:464, 112:528]
    for axis in (0, 1):
        steps = np.abs(np.diff(error, axis=axis)).mean(axis=(1 - axis, 2))
        around_the_depth = np.concatenate((steps[border - 4 : border + 4], steps[-border - 4 : -border + 4]))
        assert around_the_depth.max() < 0.7 / 255


@pytest.mark.parametrize("statement", ["import wavepaint", "import wavepaint; wavepaint.Inpainter"])
def test_importing_loads_nothing_heavy(statement: str) -> None:
    check = f"{statement}\nimport sys\nprint(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True).stdout.split()
    assert "wavepaint" in loaded
    assert not {"torch", "pyvips", "onnxruntime", "cv2", "PIL", "openvino", "scipy"} & set(loaded)


@pytest.fixture(scope="module")
def textured() -> tuple[np.ndarray, np.ndarray]:
    """An image with texture to copy, and a hole in it."""
    image = noise(120, 140, 3)
    for axis in (0, 1):
        image = (image // 2 + np.roll(image, 1, axis) // 2).astype(np.uint8)
    hole = np.zeros((120, 140), np.bool_)
    hole[40:75, 50:90] = True
    return image, hole


def test_detail_is_copied_added_or_left_out(fill: Inpainter, textured: tuple[np.ndarray, np.ndarray]) -> None:
    image, hole = textured
    results = {detail: fill(image, hole, detail=detail) for detail in ("image", "grain", "network")}
    for result in results.values():
        assert np.array_equal(result[~hole], image[~hole])
    spread = {detail: result[hole].std(axis=0).mean() for detail, result in results.items()}
    around = image[~hole].std(axis=0).mean()
    # The network here fills with one colour.
    assert spread["network"] < 1 < spread["grain"]
    assert 0.7 * around < spread["image"] < 1.3 * around
    assert np.array_equal(fill(image, hole), results["image"])


def test_seeds_give_other_results_and_each_the_same_again(
    fill: Inpainter, textured: tuple[np.ndarray, np.ndarray]
) -> None:
    image, hole = textured
    first, second = fill(image, hole, seed=1), fill(image, hole, seed=2)
    assert not np.array_equal(first, second)
    assert np.array_equal(first, fill(image, hole, seed=1))


def test_what_is_excluded_is_not_copied(fill: Inpainter, textured: tuple[np.ndarray, np.ndarray]) -> None:
    image, hole = textured
    image = image.copy()
    image[:, 95:] = (255, 0, 255)
    exclude = np.zeros(hole.shape, np.bool_)
    exclude[:, 92:] = True
    filled = fill(image, hole, exclude=exclude)
    assert not (filled[hole] == (255, 0, 255)).all(axis=1).any()
    with pytest.raises(MaskError, match=r"not to copy from is 8x9 pixels, but .* is 140x120"):
        fill(image, hole, exclude=np.ones((9, 8), np.bool_))


def test_progress_is_reported_and_can_stop_the_work(fill: Inpainter, textured: tuple[np.ndarray, np.ndarray]) -> None:
    image, hole = textured
    shares: list[float] = []
    fill(image, hole, progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)
    with pytest.raises(Cancelled):
        fill(image, hole, progress=lambda share: False)


def test_grain_is_a_deprecated_name(fill: Inpainter, textured: tuple[np.ndarray, np.ndarray]) -> None:
    image, hole = textured
    with pytest.warns(DeprecationWarning, match="use detail="):
        smooth = fill(image, hole, grain="off")
    assert np.array_equal(smooth, fill(image, hole, detail="network"))
