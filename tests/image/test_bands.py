"""TIFFs with channels that are neither colour nor transparency, as film scanners and satellites have them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from images import noise, soft, tiff
from standin import write_standin
from wavepaint import Inpainter
from wavepaint.errors import ImageError, ImageWarning, MaskError
from wavepaint.image.file import ImageFile

HOLE = np.zeros((60, 80), np.bool_)
HOLE[20:32, 30:50] = True


@pytest.fixture(scope="module")
def fill(tmp_path_factory: pytest.TempPathFactory) -> Inpainter:
    return Inpainter(write_standin(tmp_path_factory.mktemp("standin") / "mean.onnx"), "onnxruntime", threads=1)


def extras_of(data: bytes) -> tuple[int, ...]:
    return tuple(tifffile.TiffFile(io.BytesIO(data)).pages[0].tags["ExtraSamples"].value)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(
    ("channels", "photometric", "extra"),
    [(4, "rgb", [0]), (2, "minisblack", [0]), (3, "minisblack", [0, 0]), (4, "minisblack", [0, 0, 0]), (4, "rgb", [2])],
)
@pytest.mark.parametrize("bigtiff", [False, True])
def test_bands_keep_what_they_are_declared_as(
    fill: Inpainter, dtype: Any, channels: int, photometric: str, extra: list[int], bigtiff: bool
) -> None:
    samples = noise(60, 80, channels, dtype)
    data = tiff(samples, photometric=photometric, extrasamples=extra, bigtiff=bigtiff, compression="zlib")
    file = ImageFile.open(data)
    assert (file.has_alpha, file.warnings) == (extra == [2], ())
    result = fill(data, HOLE)
    page = tifffile.TiffFile(io.BytesIO(result)).pages[0]
    assert extras_of(result) == tuple(extra)
    assert page.photometric.name.lower() == photometric
    result = page.asarray()
    assert np.array_equal(result[~HOLE], samples[~HOLE])
    assert (result[HOLE] != samples[HOLE]).any(axis=0).all()


def test_infrared_is_filled_from_where_the_colours_come(fill: Inpainter) -> None:
    """Its zeros are no transparency: they are copied like any other value."""
    tile = noise(12, 12, 3, np.uint16, seed=4)
    infrared = (tile[..., :1] > 40000).astype(np.uint16) * 60000
    samples = np.tile(np.concatenate((tile, infrared), axis=2), (10, 12, 1))
    hole = np.zeros(samples.shape[:2], np.bool_)
    hole[50:70, 60:84] = True
    data = tiff(samples, extrasamples=[0])
    result = tifffile.imread(io.BytesIO(fill(data, hole)))
    assert np.array_equal(result[~hole], samples[~hole])
    same = (result[hole][:, 0] > 40000) == (result[hole][:, 3] > 30000)
    assert same.mean() > 0.95
    assert np.unique(result[hole][:, 3]).size < 40
    everywhere = samples.copy()
    everywhere[..., 3] = 0
    result = tifffile.imread(io.BytesIO(fill(tiff(everywhere, extrasamples=[0]), hole)))
    assert (result[..., 3] == 0).all()
    assert result[hole][:, :3].std() > 0.8 * samples[..., :3].std()


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "avif"])
@pytest.mark.parametrize(("channels", "mode"), [(4, "RGB"), (2, "L")])
def test_other_formats_have_no_place_for_infrared(
    fill: Inpainter, tmp_path: Path, suffix: str, channels: int, mode: str
) -> None:
    samples = soft(60, 80, channels)
    target = tmp_path / f"out.{suffix}"
    with pytest.warns(ImageWarning, match="a channel of unspecified meaning is left out in "):
        fill(tiff(samples, extrasamples=[0]), HOLE, target)
    image = Image.open(target)
    assert image.mode in (mode, "RGB")
    shown = np.array(image.convert(mode)).astype(int).reshape(60, 80, -1)
    colours = samples[..., : 3 if mode == "RGB" else 1]
    assert np.abs(shown - colours)[~HOLE].mean() < 3


def test_infrared_is_no_transparency_to_take_a_mask_from(fill: Inpainter) -> None:
    with pytest.raises(MaskError, match="has no transparency"):
        fill(tiff(soft(60, 80, 4), extrasamples=[0]), alpha=True)


def test_a_marked_copy_of_an_infrared_scan(fill: Inpainter) -> None:
    samples = soft(60, 80, 4)
    samples[..., 3] = 0
    marked = samples[..., :3].copy()
    marked[HOLE] = (255, 0, 0)
    for copy in (marked, np.concatenate((marked, samples[..., 3:]), axis=2)):
        mask = tiff(copy, **({"extrasamples": [0]} if copy.shape[2] == 4 else {}))
        with pytest.warns(ImageWarning, match="is a copy of"):
            result = tifffile.imread(io.BytesIO(fill(tiff(samples, extrasamples=[0]), mask)))
        assert np.array_equal(result[~HOLE], samples[~HOLE])
        assert not np.array_equal(result[HOLE], samples[HOLE])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (tiff(noise(9, 9, 5), photometric="rgb", extrasamples=[0, 0]), "images of 5 channels are not supported, only"),
        (tiff(noise(9, 9, 3).astype(np.float32)), "samples of type float are not supported, only 8 and 16 bit"),
    ],
)
def test_more_bands_and_floats_are_refused_by_name(fill: Inpainter, tmp_path: Path, data: bytes, reason: str) -> None:
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(ImageError, match=rf"a\.tif: {reason}"):
        fill(tmp_path / "a.tif", boxes=[(1, 1, 2, 2)])
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]
