from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from images import SRGB_PROFILE, XMP, noise
from standin import write_standin
from wavepaint import Inpainter
from wavepaint.image.file import ImageFile
from wavepaint.image.pil import metadata_of_pil, samples_of_pil

PACKET = XMP.replace(b'Orientation="6"', b'Make="me"')
HOLE = np.zeros((20, 30), np.bool_)
HOLE[5:9, 8:14] = True


@pytest.fixture(scope="module")
def fill(tmp_path_factory: pytest.TempPathFactory) -> Inpainter:
    return Inpainter(write_standin(tmp_path_factory.mktemp("standin") / "mean.onnx"), "onnxruntime", threads=1)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
@pytest.mark.parametrize("source", ["PNG", "JPEG", "TIFF"])
def test_what_an_image_knows_goes_into_the_file(fill: Inpainter, tmp_path: Path, source: str, suffix: str) -> None:
    exif = Image.Exif()
    exif.update({271: "Maker", 315: "Artist"})
    exif.get_ifd(0x8769).update({36867: "2024:01:02 03:04:05"})
    if source == "TIFF":
        exif[700] = PACKET
    options = {"xmp": PACKET} if source == "JPEG" else {}
    path = tmp_path / f"image.{source.lower()}"
    options |= {"exif": exif.tobytes(), "icc_profile": SRGB_PROFILE, "dpi": (300, 300)}
    Image.fromarray(noise(20, 30, 3)).save(path, source, **options)
    image = Image.open(path)
    if source == "PNG":
        image.info["XML:com.adobe.xmp"] = PACKET.decode()
    fill(image, HOLE, output=tmp_path / f"out.{suffix}")
    result = Image.open(tmp_path / f"out.{suffix}")
    assert result.info["icc_profile"] == SRGB_PROFILE
    assert result.getexif()[271] == "Maker"
    assert result.getexif().get_ifd(0x8769)[36867] == "2024:01:02 03:04:05"
    assert metadata_of_pil(result).xmp.rstrip(b"\0") == PACKET
    if suffix != "webp":
        assert result.info["dpi"] == pytest.approx((300, 300), abs=0.1)


def test_samples_on_their_side_are_written_upright(fill: Inpainter, tmp_path: Path) -> None:
    image = Image.fromarray(noise(20, 30, 3))
    image.getexif()[274] = 6
    result = fill(image, np.rot90(HOLE, -1), output=tmp_path / "out.png")
    written = ImageFile.open(tmp_path / "out.png").read_all()
    assert np.array_equal(written, np.rot90(np.array(result), -1))
    assert np.array_equal(np.array(result)[~HOLE], np.array(image)[~HOLE])


@pytest.mark.parametrize("dpi", [None, (0, 0), ("a", "b"), (float("nan"), 72), 72])
def test_a_resolution_that_makes_no_sense_is_left_out(dpi: object) -> None:
    image = Image.new("L", (4, 4))
    image.info["dpi"] = dpi
    assert metadata_of_pil(image).resolution is None


@pytest.mark.parametrize(
    ("mode", "key", "becomes"), [("L", 7, "LA"), ("RGB", (7, 7, 7), "RGBA"), ("P", 0, "RGBA"), ("1", 0, "LA")]
)
def test_a_transparent_colour_becomes_an_alpha_channel(fill: Inpainter, mode: str, key: object, becomes: str) -> None:
    samples = np.full((20, 30), 200, np.uint8)
    samples[15:, :5] = 7
    image = Image.fromarray(samples).convert(mode, dither=Image.Dither.NONE)
    if mode == "P":
        key = image.getpixel((0, 19))
    image.info["transparency"] = key
    result = fill(image, HOLE)
    assert result.mode == becomes
    assert "transparency" not in result.info
    alpha = np.array(result)[..., -1]
    assert (alpha[15:, :5] == 0).all()
    assert (alpha[HOLE] == 255).all()
    assert image.info["transparency"] == key


def test_without_a_transparent_colour_the_mode_stays(fill: Inpainter) -> None:
    image = Image.fromarray(noise(20, 30, 1)[..., 0])
    assert fill(image, HOLE).mode == "L"
    assert samples_of_pil(image).shape == (20, 30)
