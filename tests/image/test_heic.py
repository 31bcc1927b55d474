"""HEIC as phones write it, decoded and encoded by pillow-heif; BMP and JPEG XL where libvips can."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from images import SRGB_PROFILE, XMP, noise, pillow, soft, streamed_file
from standin import write_standin
from wavepaint import Inpainter
from wavepaint.box import Box
from wavepaint.errors import ImageError, ImageWarning, OptionError
from wavepaint.image import hevc, suffixes
from wavepaint.image.file import ImageFile
from wavepaint.image.formats.signature import has_gain_map
from wavepaint.image.suffixes import can_write

pillow_heif = pytest.importorskip("pillow_heif")
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
HDR = b'hdrgm:Version="1.0" xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/"'
HOLE = np.zeros((64, 96), np.bool_)
HOLE[20:40, 30:60] = True


@pytest.fixture(scope="module")
def fill(tmp_path_factory: pytest.TempPathFactory) -> Inpainter:
    return Inpainter(write_standin(tmp_path_factory.mktemp("standin") / "mean.onnx"), "onnxruntime", threads=1)


def heic(samples: np.ndarray, **options: Any) -> bytes:
    """(H, W, channels) uint8 or uint16 in HEVC; `exif` with an orientation turns the image, as phones do."""
    mode = MODES[samples.shape[2]] + ";16" * (samples.dtype == np.uint16)
    image = pillow_heif.from_bytes(mode, (samples.shape[1], samples.shape[0]), samples.tobytes())
    image[0].info.update({key: options.pop(key) for key in ("icc_profile",) if key in options})
    stream = io.BytesIO()
    image.save(stream, **{"quality": 95, "chroma": 444, **options})
    return stream.getvalue()


def opened(data: bytes) -> Any:
    return pillow_heif.open_heif(data, convert_hdr_to_8bit=False)


def exif_of(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif.update({271: "Phone", 274: orientation})
    exif.get_ifd(0x8769).update({36867: "2024:01:02 03:04:05", 40962: 96, 40963: 64})
    return exif


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("depth", [8, 10])
def test_a_heic_is_filled_and_stays_one(fill: Inpainter, channels: int, depth: int) -> None:
    samples = soft(64, 96, channels)
    if depth == 10:
        samples = samples.astype(np.uint16) << 8
    data = heic(samples)
    image = ImageFile.open(data)
    assert (image.format, image.width, image.height) == ("heic", 96, 64)
    assert image.dtype == samples.dtype
    read = image.read_all()
    unit = 2.0 if depth == 8 else 2.0 * 256
    assert np.abs(read[..., :channels].astype(float) - samples).mean() < unit
    result = opened(fill(data, HOLE))
    assert result.info["bit_depth"] == depth
    written = np.asarray(result)
    assert np.abs(written[~HOLE].astype(float) - read[~HOLE]).mean() < unit
    assert written[HOLE].std(axis=0).max() < read[HOLE].std(axis=0).max()


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("suffix", ["heic", "jpg", "png", "tif", "avif"])
def test_orientation_exif_profile_and_xmp_of_a_phone(
    fill: Inpainter, tmp_path: Path, orientation: int, suffix: str
) -> None:
    path, target = tmp_path / "image.heic", tmp_path / f"out.{suffix}"
    packet, exif = XMP.replace(b"6", b"%d" % orientation), exif_of(orientation).tobytes()
    path.write_bytes(heic(soft(64, 96), exif=exif, xmp=packet, icc_profile=SRGB_PROFILE))
    image = ImageFile.open(path)
    assert (image.width, image.height) == ((96, 64) if orientation < 5 else (64, 96))
    assert fill(path, boxes=[(10, 10, 20, 20)], output=target) == target
    written = ImageFile.open(target)
    shown = written.read_all()
    shown = shown >> 8 if shown.dtype == np.uint16 else shown
    before = image.read_all().astype(float)
    assert np.abs(shown[40:].astype(float) - before[40:]).mean() < 2
    result: Any = opened(target.read_bytes()) if suffix == "heic" else Image.open(target)
    written_exif = Image.Exif()
    written_exif.load(result.info["exif"] if suffix == "heic" else result.getexif().tobytes())
    assert written_exif.get(274, 1) == 1
    assert written_exif[271] == "Phone"
    assert written_exif.get_ifd(0x8769)[36867] == "2024:01:02 03:04:05"
    assert result.info["icc_profile"] == SRGB_PROFILE
    assert orientation == 1 or b'Orientation="%d"' % orientation not in target.read_bytes()


def test_a_lossless_image_becomes_a_lossless_heic() -> None:
    samples = noise(64, 96, 3)
    result = ImageFile.open(pillow(samples, "PNG")).encode(format="heic")
    assert np.array_equal(ImageFile.open(result).read_all(), samples)
    smaller = ImageFile.open(pillow(samples, "PNG")).encode(format="heic", quality=30)
    assert len(smaller) < len(result) / 2


def test_a_large_heic_is_streamed_in_boxes() -> None:
    data, box = heic(soft(200, 96)), Box(10, 70, 20, 90)
    held = ImageFile.open(data).read(box)
    assert np.array_equal(streamed_file(data).read(box), held)
    assert streamed_file(streamed_file(data).encode()).width == 96


@pytest.mark.parametrize("share", [0.5, 0.8, 0.98])
def test_a_truncated_heic_is_one_line(share: float) -> None:
    data = heic(noise(64, 96, 3))
    with pytest.raises(ImageError, match=r"^<bytes>: cannot be decoded: [^\n]+$"):
        ImageFile.open(data[: int(len(data) * share)]).read_all()


def test_without_pillow_heif_the_error_names_the_extra_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = heic(soft(64, 96))
    for module in (hevc, suffixes):
        monkeypatch.setattr(module, "is_installed", lambda: False)
    if not hevc.libvips_decodes(ImageFile.open(pillow(soft(9, 9), "AVIF"))._file.load("heifload")):
        pytest.fail("libvips decodes AVIF")
    if can_write("heic"):
        pytest.skip("this libvips has HEVC itself")
    (tmp_path / "image.heic").write_bytes(data)
    monkeypatch.setattr("wavepaint.inpainter.load_runtime", lambda *_: pytest.fail("loaded a network"))
    with pytest.raises(ImageError, match=r"image\.heic: HEIC needs pillow-heif: pip install 'wavepaint\[heic\]'$"):
        Inpainter()(tmp_path / "image.heic", HOLE)
    with pytest.raises(ImageError, match=r"out\.heic: HEIC needs pillow-heif: pip install 'wavepaint\[heic\]'$"):
        Inpainter()(soft(64, 96), HOLE, tmp_path / "out.heic")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["image.heic"]


def test_pillow_heif_is_imported_for_heic_only() -> None:
    check = (
        "import sys, numpy as np; from wavepaint.image.file import ImageFile\n"
        f"ImageFile.open({pillow(noise(9, 9, 3), 'PNG')!r}).encode(format='avif'); print('pillow_heif' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True).stdout == "False\n"


# -- gain maps ------------------------------------------------------------------------------------------------------


def test_the_gain_map_of_a_heif_is_left_out_with_a_warning(fill: Inpainter, tmp_path: Path) -> None:
    alpha, apple = b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", b"urn:com:apple:photo:2020:aux:hdrgainmap"
    data = pillow(soft(64, 96, 4), "AVIF")
    assert alpha in data
    (tmp_path / "image.avif").write_bytes(data.replace(alpha, apple.ljust(len(alpha), b"\0")))
    with pytest.warns(ImageWarning, match=r"image\.avif: its gain map, .* is left out"):
        result = fill(tmp_path / "image.avif", HOLE)
    assert b"hdrgainmap" not in result.read_bytes()
    assert ImageFile.open(result).warnings == ()
    assert ImageFile.open(data).warnings == ()


@pytest.mark.parametrize(("meta", "has"), [(b"infe....tmap", True), (b"infe....hvc1", False), (b"", False)])
def test_where_a_gain_map_is_looked_for(meta: bytes, has: bool) -> None:
    boxes = [(b"ftyp", b"heic"), (b"free", b"tmap"), (b"meta", meta), (b"mdat", b"tmap hdrgainmap")]
    data = b"".join((8 + len(content)).to_bytes(4, "big") + kind + content for kind, content in boxes)
    assert has_gain_map(io.BytesIO(data)) is has
    assert not has_gain_map(io.BytesIO(data[:6]))


@pytest.mark.parametrize("keeps_blocks", [True, False])
def test_the_gain_map_of_a_jpeg_leaves_no_index_behind(
    fill: Inpainter, keeps_blocks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if keeps_blocks:
        pytest.importorskip("jpeglib")
    else:
        monkeypatch.setattr("wavepaint.image.encoding.can_keep_blocks", lambda: False)
    pyvips = pytest.importorskip("pyvips")
    if not pyvips.type_find("VipsOperation", "uhdrsave_buffer"):
        pytest.skip("this libvips writes no gain maps")
    bright = pyvips.Image.new_from_array(soft(64, 96).astype(np.float32) / 64).copy(interpretation="scrgb")
    data = bytes(bright.uhdrsave_buffer())
    packet = b"http://ns.adobe.com/xap/1.0/\0" + XMP.replace(b'tiff:Orientation="6"', HDR)
    data = data[:2] + b"\xff\xe1" + (2 + len(packet)).to_bytes(2, "big") + packet + data[2:]
    assert b"MPF\0" in data
    assert b"21496" in data
    with pytest.warns(ImageWarning, match=r"bytes behind the image \(a gain map, .*\) are left out"):
        result = fill(data, HOLE)
    for word in (b"MPF\0", b"21496", b"hdrgm:Version"):
        assert word not in result
    assert result.rstrip(b"\0").endswith(b"\xff\xd9")
    assert result.count(b"\xff\xd8\xff") == 1


# -- BMP and JPEG XL ------------------------------------------------------------------------------------------------

JXL = b"\0\0\0\x0cJXL \r\n\x87\n"


@pytest.mark.parametrize(("format", "named"), [("bmp", "BMP"), ("jxl", "JPEG XL")])
def test_what_libvips_cannot_read_or_write_is_named(fill: Inpainter, tmp_path: Path, format: str, named: str) -> None:
    if can_write(format):
        pytest.skip(f"this libvips can {named}")
    (tmp_path / f"a.{format}").write_bytes(pillow(soft(64, 96), "BMP") if format == "bmp" else JXL)
    with pytest.raises(ImageError, match=rf"a\.{format}: is a {named} image, which this build of libvips cannot read"):
        fill(tmp_path / f"a.{format}", HOLE)
    with pytest.raises(OptionError, match=f"format {format} cannot be written here"):
        fill(pillow(soft(64, 96), "PNG"), HOLE, format=format)
    with pytest.raises(ImageError, match=rf"b\.{format}: cannot write \.{format} files, only \.png"):
        fill(soft(64, 96), HOLE, tmp_path / f"b.{format}")


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("format", ["bmp", "jxl"])
def test_what_libvips_can_read_and_write(
    fill: Inpainter, tmp_path: Path, format: str, dtype: Any, channels: int
) -> None:
    if not can_write(format):
        pytest.skip(f"this libvips has no encoder for {format}")
    samples = noise(64, 96, channels, dtype)
    target = tmp_path / f"a.{format}"
    result = fill(samples, HOLE, target)
    image = ImageFile.open(target)
    read = image.read_all()
    assert image.format == format
    if format == "bmp":
        result = result >> 8 if dtype == np.uint16 else result
        result = np.repeat(result[..., :1], 3, axis=2) if channels < 3 else result
        read = np.repeat(read, 3, axis=2) if read.shape[2] == 1 else read
    assert np.array_equal(read[..., :3], result[..., :3])
    assert ImageFile.open(fill(target, HOLE)).format == format
