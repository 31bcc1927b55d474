"""Images and masks as callers have them: tensors, batches, lists, open files, arrays of OpenCV, PIL modes."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from images import noise, pillow, soft, tiff
from standin import write_standin
from wavepaint import Inpainter
from wavepaint.errors import ImageError, ImageWarning, MaskError, OptionError
from wavepaint.image.file import ImageFile
from wavepaint.image.mask import find_hole
from wavepaint.image.sources import open_image
from wavepaint.options import Options

IMAGE = noise(24, 32, 3)
HOLE = np.zeros((24, 32), np.bool_)
HOLE[5:12, 8:20] = True
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here"))]


@pytest.fixture(scope="module")
def fill(tmp_path_factory: pytest.TempPathFactory) -> Inpainter:
    return Inpainter(write_standin(tmp_path_factory.mktemp("standin") / "mean.onnx"), "onnxruntime", threads=1)


def hole_of(mask: Any, **options: Any) -> np.ndarray:
    return find_hole(open_image(np.zeros((24, 32), np.uint8)), mask, Options(**options))


# -- tensors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("channels_first", [True, False])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_a_tensor_comes_back_in_its_layout_and_type(
    fill: Inpainter, device: str, channels_first: bool, dtype: torch.dtype
) -> None:
    samples = torch.from_numpy(IMAGE).to(device)
    image = samples if dtype == torch.uint8 else (samples / 255).to(dtype)
    image = image.permute(2, 0, 1) if channels_first else image
    before = image.clone()
    result = fill(image, torch.from_numpy(HOLE).to(device))
    assert (result.dtype, result.device, result.shape) == (image.dtype, image.device, image.shape)
    assert torch.equal(image, before)
    upright = (result.permute(1, 2, 0) if channels_first else result).cpu()
    given = (image.permute(1, 2, 0) if channels_first else image).cpu()
    assert torch.equal(upright[~torch.from_numpy(HOLE)], given[~torch.from_numpy(HOLE)])
    exact = given.float().numpy() if dtype.is_floating_point else IMAGE
    expected = fill(exact.astype(np.float64) if dtype == torch.float64 else exact, HOLE)
    assert torch.equal(upright, torch.from_numpy(expected).to(dtype))


def test_a_tensor_with_a_gradient_and_a_grey_one(fill: Inpainter) -> None:
    image = (torch.from_numpy(IMAGE[..., 0]) / 255).requires_grad_()
    assert np.array_equal(fill(image, HOLE), fill(image.detach().numpy(), HOLE))
    assert np.array_equal(fill(image[None], HOLE)[0], fill(image, HOLE))


def test_pytorch_is_not_imported_for_other_objects() -> None:
    check = (
        "import sys, numpy as np; from wavepaint.image.sources import open_image; from wavepaint.image.mask import *\n"
        "open_image(np.zeros((9, 9), np.uint8)); open_mask(np.zeros((9, 9))); print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True).stdout == "False\n"


# -- several images -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("one_mask", [True, False])
def test_batches_of_arrays_and_tensors(fill: Inpainter, one_mask: bool) -> None:
    images = np.stack([noise(24, 32, 3, seed=seed) for seed in range(3)])
    masks = np.stack([np.roll(HOLE, shift, 0) for shift in range(3)])
    expected = np.stack([fill(image, HOLE if one_mask else mask) for image, mask in zip(images, masks, strict=True)])
    given: Any = HOLE if one_mask else masks
    assert np.array_equal(fill(images, given), expected)
    tensor = torch.from_numpy(images).permute(0, 3, 1, 2)
    result = fill(tensor, torch.from_numpy(given))
    assert torch.equal(result, torch.from_numpy(expected).permute(0, 3, 1, 2))
    if not one_mask:
        assert np.array_equal(fill(images, masks[..., None]), expected)
        assert np.array_equal(fill(list(images), list(masks)), expected)
        assert torch.equal(fill(tensor, torch.from_numpy(masks)[:, None]), result)
    assert np.array_equal(fill(images[:1], HOLE[None]), fill(images[:1], HOLE))


def test_a_list_of_images_of_any_kind(fill: Inpainter, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(pillow(IMAGE, "PNG"))
    results = fill([str(path), IMAGE, Image.fromarray(IMAGE)], HOLE, [tmp_path / "b.png", None, None])
    assert results[0] == tmp_path / "b.png"
    expected = fill(IMAGE, HOLE)
    for result in (Image.open(results[0]), *results[1:]):
        assert np.array_equal(np.array(result), expected)


def test_numbers_that_do_not_fit_and_errors_of_one_image(fill: Inpainter, tmp_path: Path) -> None:
    images = np.stack([IMAGE] * 3)
    with pytest.raises(MaskError, match="there are 3 images, but 2 masks"):
        fill(images, np.stack([HOLE] * 2))
    with pytest.raises(OptionError, match="for 3 images it must be a list of 3 files"):
        fill(images, HOLE, tmp_path / "a.png")
    with pytest.raises(ImageError, match="without images"):
        fill([], HOLE)
    with pytest.raises(ImageError, match=r"^2 of 2: image: holds NaN"):
        fill([IMAGE, np.full((24, 32), np.nan)], HOLE)
    with pytest.raises(MaskError, match=r"^1 of 3: mask: the mask is 31x24 pixels"):
        fill(images, HOLE[:, 1:])


# -- open files -----------------------------------------------------------------------------------------------------


def test_open_files_are_read_and_come_back_as_bytes_in_memory(fill: Inpainter, tmp_path: Path) -> None:
    data, mask = pillow(IMAGE, "PNG"), pillow(HOLE.astype(np.uint8) * 255, "PNG")
    (tmp_path / "a.png").write_bytes(data)
    with open(tmp_path / "a.png", "rb") as file:
        results = [fill(file, io.BytesIO(mask)), fill(io.BytesIO(data), io.BytesIO(mask))]
    assert [type(result) for result in results] == [io.BytesIO] * 2
    assert [result.read() for result in results] == [fill(data, HOLE)] * 2
    assert fill(io.BytesIO(data), HOLE, format="tiff").read(4) == b"II*\0"


def test_pages_of_an_open_file(fill: Inpainter) -> None:
    pages = [Image.fromarray(noise(24, 32, 3, seed=seed)) for seed in range(2)]
    data = pillow(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    masks = [Image.fromarray(HOLE)] * 2
    mask = io.BytesIO(pillow(masks[0], "TIFF", save_all=True, append_images=masks[1:]))
    assert fill(io.BytesIO(data), mask).getvalue() == fill(data, mask.getvalue())


def test_open_files_that_give_nothing(fill: Inpainter, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    stream = io.BytesIO(pillow(IMAGE, "PNG"))
    stream.seek(0, io.SEEK_END)
    with pytest.raises(ImageError, match=r"^the BytesIO: there is nothing left to read: seek\(0\)"):
        fill(stream, HOLE)
    with open(tmp_path / "a.txt") as file, pytest.raises(ImageError, match=r"a\.txt: is open as text: .* binary mode"):
        fill(file, HOLE)
    with pytest.raises(ImageError, match=r"a\.txt: .*closed"):
        fill(IMAGE, file)


# -- masks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(24, 32), (1, 24, 32), (24, 32, 1), (24, 32, 3)])
@pytest.mark.parametrize("kind", ["array", "tensor"])
@pytest.mark.parametrize("values", [np.bool_, np.uint8, np.float32, "0..255"])
def test_shapes_and_ranges_of_masks(shape: tuple[int, ...], kind: str, values: Any) -> None:
    mask = np.broadcast_to(HOLE if len(shape) == 2 else HOLE[None] if shape[0] == 1 else HOLE[..., None], shape)
    mask = mask.astype(np.float32) * 255 if values == "0..255" else mask.astype(values)
    assert np.array_equal(hole_of(torch.from_numpy(mask) if kind == "tensor" else mask), HOLE)


def test_a_float_mask_that_was_resized() -> None:
    soft_edge = HOLE * 254.6
    soft_edge[4, 8:20] = 99.5
    assert np.array_equal(hole_of(soft_edge), HOLE)
    assert hole_of(soft_edge, threshold=0.3).sum() == HOLE.sum() + 12
    with pytest.raises(MaskError, match="outside 0 to 1"):
        hole_of(HOLE * 1.04)  # an overshoot, not the range of 8 bits


# -- OpenCV ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_arrays_of_opencv(fill: Inpainter, tmp_path: Path, channels: int) -> None:
    samples = soft(24, 32, channels)
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[channels]
    expected = fill(samples, HOLE, tmp_path / "rgb.png")
    result = fill(samples[..., order], HOLE, tmp_path / "bgr.png", bgr=True)
    assert np.array_equal(result[..., order], expected)
    assert (tmp_path / "bgr.png").read_bytes() == (tmp_path / "rgb.png").read_bytes()
    assert result.flags.c_contiguous


def test_a_marked_copy_in_opencv_s_order() -> None:
    image = soft(120, 160)
    hole = np.zeros((120, 160), np.bool_)
    hole[40:60, 50:90] = True
    marked = image.copy()
    marked[hole] = (255, 0, 0)
    cv = cv2.cvtColor(marked, cv2.COLOR_RGB2BGR)
    with pytest.warns(ImageWarning, match="is a copy of image"):
        actual = find_hole(open_image(image[..., ::-1], bgr=True), cv, Options(bgr=True))
    assert np.array_equal(actual, hole)


# -- PIL ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "scale"), [("I", 257), ("F", 1), ("F", 1 / 255), ("YCbCr", None)])
def test_pil_modes_keep_every_other_sample(fill: Inpainter, mode: str, scale: float | None) -> None:
    grey = IMAGE[..., 0].astype(np.float64)
    if scale is None:
        image = Image.fromarray(IMAGE, mode)
        expected = np.array(Image.fromarray(fill(np.array(image.convert("RGB")), HOLE)).convert(mode))
    else:
        image = Image.fromarray((grey * scale).astype(np.int32 if mode == "I" else np.float32))
        same = (grey / 255).astype(np.float32) if mode == "F" else (grey * 257).astype(np.uint16)
        expected = fill(same, HOLE) * (255 if scale == 1 else 1)
    before = np.array(image)
    result = fill(image, HOLE)
    assert (image.mode, result.mode) == (mode, mode)
    assert np.array_equal(np.array(result)[~HOLE], before[~HOLE])
    assert np.allclose(np.array(result)[HOLE], expected[HOLE], rtol=1e-6)
    assert not np.array_equal(np.array(result)[HOLE], before[HOLE])


def test_a_pil_image_in_cmyk_becomes_srgb_and_white_stays_white(fill: Inpainter, tmp_path: Path) -> None:
    image = Image.fromarray(np.zeros((24, 32, 4), np.uint8), "CMYK")
    image.paste((200, 20, 20, 0), (0, 0, 10, 10))
    image.info["icc_profile"] = b"not for RGB"
    image.info.pop("icc_profile")
    with pytest.warns(ImageWarning, match="CMYK is converted to sRGB"):
        result = fill(image, HOLE, tmp_path / "a.png")
    assert result.mode == "RGB"
    assert (np.array(result)[20:] == 255).all()
    assert np.array_equal(np.array(Image.open(tmp_path / "a.png")), np.array(result))
    assert np.array_equal(ImageFile.open(pillow(image, "TIFF")).read_all()[~HOLE], np.array(result)[~HOLE])


def test_a_cmyk_profile_does_not_stay_with_rgb(fill: Inpainter) -> None:
    pyvips = pytest.importorskip("pyvips")
    image = Image.fromarray(soft(24, 32, 4), "CMYK")
    image.info["icc_profile"] = pyvips.Image.profile_load("cmyk")
    assert "icc_profile" not in fill(image, HOLE).info
    image.info["icc_profile"] = b"no profile at all"
    assert np.array_equal(fill(image, HOLE), fill(Image.fromarray(soft(24, 32, 4), "CMYK"), HOLE))


@pytest.mark.parametrize(("mode", "value", "reason"), [("I", 70000, "0 to 65535"), ("F", -1, "0 to 1, not -1")])
def test_values_that_are_no_samples(fill: Inpainter, mode: str, value: int, reason: str) -> None:
    with pytest.raises(ImageError, match=f"PIL mode {mode} must be from {reason}"):
        fill(Image.new(mode, (32, 24), value), HOLE)


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "CMYK", "YCbCr", "I", "F", "I;16", "P"])
def test_pil_masks_of_every_mode(mode: str) -> None:
    mask = Image.fromarray(HOLE.astype(np.uint8) * 255)
    if mode == "I;16":
        mask = Image.fromarray(HOLE.astype(np.uint16) * 65535)
    elif mode in ("CMYK", "YCbCr"):
        mask = mask.convert("RGB").convert(mode)
    else:
        mask = mask.convert(mode)
    assert mask.mode == mode
    assert np.array_equal(hole_of(mask), HOLE)


def test_a_16_bit_file_that_is_a_mask_of_eight_bits_in_mode_i() -> None:
    assert np.array_equal(hole_of(Image.fromarray(HOLE.astype(np.int32) * 65535)), HOLE)
    assert np.array_equal(hole_of(tiff(HOLE[..., None].astype(np.uint16) * 65535)), HOLE)
