"""TIFFs: every tile and every strip is read exactly or the file is refused, compared with tifffile."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import numpy as np
import pytest
import pyvips
import tifffile

from fuzzing import seeds
from images import noise, soft, streamed_file
from standin import write_standin
from wavepaint import Inpainter
from wavepaint.box import Box
from wavepaint.data.images import find_images
from wavepaint.errors import ImageError
from wavepaint.image.file import ImageFile
from wavepaint.image.mask import find_hole
from wavepaint.image.sources import open_image
from wavepaint.options import Options

ROWS, COLUMNS = np.mgrid[0:150, 0:170]
SAMPLES = np.stack([COLUMNS % 256, ROWS % 256, ROWS * COLUMNS // 7 % 256], 2).astype(np.uint8)


def tiled(samples: np.ndarray = SAMPLES, **options: object) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, samples, **{"tile": (64, 48), "photometric": "rgb", **options})
    return stream.getvalue()


KINDS = {
    "raw": tiled(),
    "deflate": tiled(compression="zlib"),
    "predicted": tiled(compression="zlib", predictor=True),
    "lzw": tiled(compression="lzw"),
    "packbits": tiled(SAMPLES // 64, compression="packbits"),
    "webp": tiled(compression="webp", compressionargs={"lossless": True}),
    "jpeg": tiled(compression="jpeg"),
    "16 bit, big-endian": tiled(SAMPLES.astype(np.uint16) * 257, compression="zlib", byteorder=">"),
    "bigtiff": tiled(compression="lzw", bigtiff=True),
    "planes": tiled(np.moveaxis(SAMPLES, 2, 0), compression="zlib", planarconfig="separate"),
    "grey": tiled(SAMPLES[..., 1], photometric="minisblack", compression="lzw"),
}
STRIPS = {
    kind: tiled(samples, tile=None, rowsperstrip=40, **options)
    for kind, samples, options in (
        ("strips", SAMPLES, {}),
        ("deflate strips", SAMPLES, {"compression": "zlib"}),
        ("predicted strips", SAMPLES, {"compression": "zlib", "predictor": True}),
        ("lzw strips", SAMPLES, {"compression": "lzw"}),
        ("packbits strips", SAMPLES // 64, {"compression": "packbits"}),
        ("jpeg strips", SAMPLES, {"compression": "jpeg"}),
        ("planes in strips", np.moveaxis(SAMPLES, 2, 0), {"compression": "zlib", "planarconfig": "separate"}),
    )
}


def read_by_tifffile(data: bytes) -> np.ndarray:
    """The samples of the first page as tifffile sees them, (height, width, channels)."""
    page = tifffile.TiffFile(io.BytesIO(data)).pages[0]
    samples = page.asarray()
    if samples.ndim == 3 and page.planarconfig == 2:
        samples = np.moveaxis(samples, 0, 2)
    if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
        samples = ~samples
    return samples if samples.ndim == 3 else samples[..., None]


@pytest.mark.parametrize("kind", KINDS)
def test_every_sample_comes_back(kind: str) -> None:
    data = KINDS[kind]
    expected = read_by_tifffile(data)
    assert np.array_equal(ImageFile.open(data).read_all(), expected)
    box = Box(40, 60, 70, 61)
    samples = streamed_file(data).read(box)
    assert np.array_equal(samples, expected[box.slices])
    samples[:] = 0  # an array of its own


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_tiles(orientation: int) -> None:
    data = tiled(compression="zlib", extratags=[(274, 3, 1, orientation, True)])
    turned = [
        SAMPLES,
        SAMPLES[:, ::-1],
        SAMPLES[::-1, ::-1],
        SAMPLES[::-1],
        np.swapaxes(SAMPLES, 0, 1),
        np.swapaxes(SAMPLES[::-1], 0, 1),
        np.swapaxes(SAMPLES[::-1, ::-1], 0, 1),
        np.swapaxes(SAMPLES[:, ::-1], 0, 1),
    ][orientation - 1]
    assert np.array_equal(ImageFile.open(data).read_all(), turned)
    assert np.array_equal(streamed_file(data).read(Box(33, 70, 50, 70)), turned[70:140, 33:83])


@pytest.mark.parametrize("compression", ["zstd", "lzma", "jpeg2000", "lerc", "jpegxl", "png"])
def test_compressions_that_are_not_supported_are_refused(compression: str) -> None:
    with pytest.raises(ImageError, match=r"^a\.tif: cannot be decoded: .+"):
        ImageFile.open(tiled(compression=compression), name="a.tif").read_all()


@pytest.mark.parametrize("kind", ["raw", "deflate", "lzw", "packbits", "webp", "jpeg"])
def test_a_truncated_file_is_refused_and_stays(kind: str, tmp_path: Path) -> None:
    fill = Inpainter(write_standin(tmp_path / "mean.onnx"), "onnxruntime", threads=1)
    path = tmp_path / "cut.tif"
    # tifffile writes the tiles last.
    cut = KINDS[kind][: len(KINDS[kind]) * 3 // 4]
    path.write_bytes(cut)
    with pytest.raises(ImageError, match=r"cut\.tif: cannot be decoded: tile \d+ of 12 reaches beyond the end"):
        fill(path, boxes=[(2, 2, 4, 4)], output=path)
    assert path.read_bytes() == cut
    assert sorted(tmp_path.iterdir()) == [path, tmp_path / "mean.onnx"]


def test_a_damaged_mask_is_refused() -> None:
    mask = tiled((SAMPLES[..., 0] > 90).astype(np.uint8) * 255, photometric="minisblack", compression="zlib")
    image = open_image(np.zeros((150, 170), np.uint8))
    assert find_hole(image, mask, Options()).any()
    with pytest.raises(ImageError, match="tile 12 of 12 reaches beyond the end"):
        find_hole(image, mask[:-9], Options())


@pytest.mark.parametrize("max_pixels", [None, 1000])
def test_training_does_not_learn_from_damaged_tiles(max_pixels: int | None, tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(KINDS["deflate"])
    source = find_images(tmp_path)
    height, width, _ = source.read(0, max_pixels=max_pixels).shape
    assert (height, width) == (150, 170) if max_pixels is None else height * width <= 1100
    (tmp_path / "a.tif").write_bytes(KINDS["deflate"][:-9])
    with pytest.raises(ImageError, match="tile 12 of 12 reaches beyond the end"):
        source.read(0, max_pixels=max_pixels)


def test_a_tile_that_is_listed_with_no_place_is_missing() -> None:
    page = tifffile.TiffFile(io.BytesIO(KINDS["lzw"])).pages[0]
    data = bytearray(KINDS["lzw"])
    for tag in ("TileOffsets", "TileByteCounts"):
        start = page.tags[tag].valueoffset
        data[start : start + page.tags[tag].valuebytecount // 12] = bytes(page.tags[tag].valuebytecount // 12)
    with pytest.raises(ImageError, match="tile 1 of 12 is missing"):
        ImageFile.open(bytes(data)).read_all()


@pytest.mark.parametrize("kind", ["predicted", "predicted strips"])
def test_a_tag_of_another_type_is_not_left_out(kind: str) -> None:
    data = bytearray((KINDS | STRIPS)[kind])
    data[tifffile.TiffFile(io.BytesIO(data)).pages[0].tags["Predictor"].offset + 2] = 7
    with pytest.raises(ImageError, match="its tag 317 is no number"):
        ImageFile.open(bytes(data)).read_all()


def test_lzw_of_far_more_than_its_samples_is_damaged() -> None:
    noisy = noise(150, 170, 1)
    data = bytearray(tiled(noisy, photometric="minisblack", compression="lzw"))
    assert np.array_equal(ImageFile.open(bytes(data)).read_all(), noisy)
    # Without this tag a sample has one bit.
    data[tifffile.TiffFile(io.BytesIO(data)).pages[0].tags["BitsPerSample"].offset] ^= 0x20
    with pytest.raises(ImageError, match="tile 1 of 12 is damaged"):
        ImageFile.open(bytes(data)).read_all()


@pytest.mark.parametrize("tile", [True, False])
def test_jpegs_with_common_tables_are_whole(tile: bool) -> None:
    image = pyvips.Image.new_from_array(soft(150, 170))
    data = image.tiffsave_buffer(compression="jpeg", Q=95, tile=tile, tile_width=64, tile_height=64)
    assert 347 in tifffile.TiffFile(io.BytesIO(data)).pages[0].tags
    assert np.abs(ImageFile.open(data).read_all().astype(int) - soft(150, 170)).max() < 20


@pytest.mark.parametrize("kind", ["jpeg", "jpeg strips"])
@pytest.mark.parametrize(("marker", "offset"), [(b"\xff\xc0", 6), (b"\xff\xc0", 8), (b"\xff\xdb", 4), (b"\xff\xc4", 4)])
def test_a_jpeg_that_is_smaller_or_lacks_a_table_is_damaged(kind: str, marker: bytes, offset: int) -> None:
    data = bytearray((KINDS | STRIPS)[kind])
    # In the second, where the decoder still has the tables of the first.
    start = data.index(marker, data.index(b"\xff\xd8\xff", data.index(b"\xff\xd9"))) + offset
    data[start] = data[start] - 1 if marker == b"\xff\xc0" else data[start] + 2
    with pytest.raises(ImageError, match=r"(tile|strip) 2.* is damaged"):
        ImageFile.open(bytes(data)).read_all()


@pytest.mark.parametrize("compression", ["zlib", "packbits"])
@pytest.mark.parametrize(("rows", "is_whole"), [(150, True), (151, False), (160, True)])
def test_the_last_strip_ends_with_the_image_or_is_filled_up(compression: str, rows: int, is_whole: bool) -> None:
    samples = np.full((rows, 170), 7, np.uint8)
    options = {"photometric": "minisblack", "compression": compression}
    data = bytearray(tiled(samples, tile=None, rowsperstrip=40, **options))
    place = tifffile.TiffFile(io.BytesIO(data)).pages[0].tags["ImageLength"].valueoffset
    data[place : place + 2] = (150).to_bytes(2, "little")
    if is_whole:
        assert np.array_equal(ImageFile.open(bytes(data)).read_all()[..., 0], samples[:150])
    else:
        with pytest.raises(ImageError, match="strip 4 is damaged"):
            ImageFile.open(bytes(data)).read_all()


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """Cut short, bytes changed, erased or left out, or a bit of the directory or anywhere flipped."""
    changed = bytearray(data)
    start, length = int(rng.integers(8, len(data))), int(rng.integers(1, 500))
    kind = rng.integers(6)
    if kind == 0:
        del changed[start:]
    elif kind == 1:
        for position in rng.integers(0, len(data), 4):
            changed[position] = int(rng.integers(256))
    elif kind == 2:
        changed[start : start + length] = bytes(len(changed[start : start + length]))
    elif kind == 3:
        del changed[start : start + length // 8 + 1]
    else:
        changed[start if kind == 4 else int(rng.integers(700))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


@pytest.mark.parametrize("kind", [*KINDS, *STRIPS])
def test_no_damage_is_taken_for_samples(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """Of 2,000 mutated tiled files in all, each is refused, or has the samples that tifffile finds in it."""
    caplog.set_level(logging.CRITICAL + 1, "tifffile")
    original = (KINDS | STRIPS)[kind]
    whole = read_by_tifffile(original)
    accepted = tried = 0
    for seed in seeds(2000 // len(KINDS) + 1):
        data, tried = mutated(original, np.random.default_rng([7, seed])), tried + 1
        try:
            samples = ImageFile.open(data).read_all()
        except ImageError:
            continue
        accepted += 1
        try:
            expected = read_by_tifffile(data)
        except Exception:
            # tifffile is stricter in places, about what no sample depends on.
            expected = whole
        # libtiff finds some strips without their sizes.
        assert np.array_equal(samples, expected) or np.array_equal(samples, whole), f"mutation {seed}"
    assert accepted < tried
