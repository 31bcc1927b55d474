from __future__ import annotations

import io
import re
import tempfile
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import pyvips
from PIL import Image
from typer.testing import CliRunner

from images import SRGB_PROFILE, XMP, pillow, soft
from standin import write_standin
from wavepaint.box import Box
from wavepaint.cli import app
from wavepaint.errors import ImageError, ImageWarning
from wavepaint.image import encoding
from wavepaint.image.file import ImageFile
from wavepaint.image.formats import jpeg_blocks
from wavepaint.image.formats.jpeg import bytes_behind

jpeglib = pytest.importorskip("jpeglib")

BOX = Box(37, 69, 24, 19)


def coefficients(data: bytes, folder: Path) -> list[np.ndarray]:
    path = folder / "read.jpg"
    path.write_bytes(data)
    jpeg = jpeglib.read_dct(str(path))
    return [plane.copy() for plane in (jpeg.Y, jpeg.Cb, jpeg.Cr) if plane is not None]


def scan_starts(progressive: bytes) -> list[int]:
    """Where the scans of a progressive JPEG begin, each with its Huffman tables."""
    starts, position, tables = [], 2, None
    while (marker := progressive[position + 1]) != 0xD9:
        end = position + 2 + int.from_bytes(progressive[position + 2 : position + 4], "big")
        if marker == 0xC4:
            tables = tables or position
        elif marker == 0xDA:
            starts.append(tables or position)
            tables = None
            end += re.search(rb"\xff[^\0]", progressive[end:]).start()
        position = end
    return starts


@pytest.mark.parametrize("size", [(200, 160), (131, 97)])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:0", "4:2:2", "grey"])
@pytest.mark.parametrize(
    "options", [{"quality": 60}, {"quality": 93, "optimize": True}, {"quality": 85, "progressive": True}]
)
def test_only_blocks_with_a_changed_sample_are_compressed_again(
    tmp_path: Path, size: tuple[int, int], subsampling: str, options: dict[str, int]
) -> None:
    samples = soft(*size, 1 if subsampling == "grey" else 3)
    rng = np.random.default_rng(0)
    samples = (samples + rng.integers(0, 8, samples.shape)).clip(0, 255).astype(np.uint8)
    extra = {} if subsampling == "grey" else {"subsampling": subsampling, "icc_profile": SRGB_PROFILE}
    data = pillow(samples, "JPEG", dpi=(300, 300), **options, **extra)
    image = ImageFile.open(data)
    patch = 255 - image.read(BOX)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = image.encode([(BOX, patch)])
    sides = [(1, 1)] + [{"4:4:4": (1, 1), "4:2:0": (2, 2), "4:2:2": (1, 2), "grey": (1, 1)}[subsampling]] * 2
    before, after = coefficients(data, tmp_path), coefficients(result, tmp_path)
    for old, new, (rows, columns) in zip(before, after, sides, strict=False):
        same = (old == new).all(axis=(2, 3))
        inside = np.zeros_like(same)
        high, wide = 8 * rows, 8 * columns
        inside[BOX.top // high : -(-BOX.bottom // high), BOX.left // wide : -(-BOX.right // wide)] = True
        assert same[~inside].all()
    assert not np.array_equal(before[0], after[0])
    seen = ImageFile.open(result).read(BOX)
    coarse = 40 if options["quality"] < 90 else 20
    assert np.abs(seen.astype(int) - patch).mean() < coarse
    written = Image.open(io.BytesIO(result))
    assert written.info.get("icc_profile") == extra.get("icc_profile")
    assert written.info["dpi"] == (300, 300)
    assert written.quantization == Image.open(io.BytesIO(data)).quantization
    assert "progression" not in written.info


@pytest.mark.parametrize("writer", ["libvips", "Pillow"])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:0", "grey"])
def test_a_progressive_image_becomes_sequential_and_keeps_its_blocks(
    tmp_path: Path, writer: str, subsampling: str
) -> None:
    rng = np.random.default_rng(0)
    samples = soft(131, 97, 1 if subsampling == "grey" else 3).astype(int)
    samples = (samples + rng.integers(0, 20, samples.shape)).clip(0, 255).astype(np.uint8)
    if writer == "libvips":
        mode = "on" if subsampling == "4:2:0" else "off"
        data = pyvips.Image.new_from_array(samples).jpegsave_buffer(interlace=True, Q=85, subsample_mode=mode)
    else:
        extra = {} if subsampling == "grey" else {"subsampling": subsampling}
        data = pillow(samples, "JPEG", progressive=True, quality=85, **extra)
    assert "progression" in Image.open(io.BytesIO(data)).info
    image = ImageFile.open(data)
    assert image.conversion_warnings("jpeg") == ()
    before = image.read_all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        untouched, result = image.encode(), image.encode([(BOX, 255 - image.read(BOX))])
    for old, new in zip(coefficients(data, tmp_path), coefficients(untouched, tmp_path), strict=True):
        assert np.array_equal(old, new)
    assert np.array_equal(ImageFile.open(untouched).read_all(), before)
    after = ImageFile.open(result).read_all()
    assert not np.array_equal(after[BOX.slices], before[BOX.slices])
    # Blocks of 16 pixels with subsampling, and what libjpeg smooths across their borders.
    far = np.ones(before.shape[:2], bool)
    far[BOX.top - 20 : BOX.bottom + 20, BOX.left - 20 : BOX.right + 20] = False
    assert np.array_equal(after[far], before[far])
    assert "progression" not in Image.open(io.BytesIO(result)).info


def test_a_progressive_image_that_is_cut_short_is_damaged_or_compressed_again() -> None:
    data = pillow(soft(160, 160), "JPEG", progressive=True)
    for share in (0.3, 0.6, 0.99):
        cut = ImageFile.open(data[: int(share * len(data))])
        with pytest.raises(ImageError, match="cannot be decoded"):
            cut.encode([(BOX, np.zeros((BOX.height, BOX.width, 3), np.uint8))])
    _, *later = scan_starts(data)
    assert len(later) > 5
    for start in later:
        # Decodes, and is smoothed where coefficients are missing, which no sequential file would be.
        image = ImageFile.open(data[:start] + b"\xff\xd9")
        with pytest.warns(ImageWarning, match="it is progressive and lacks its last scans"):
            image.encode([(BOX, image.read(BOX))])


def test_new_blocks_are_as_good_as_an_encoder_s(tmp_path: Path) -> None:
    samples = soft(96, 96)
    data = pillow(samples, "JPEG", quality=90, subsampling="4:2:0")
    path = tmp_path / "image.jpg"
    path.write_bytes(data)
    image = ImageFile.open(path)
    filled = np.ascontiguousarray(soft(128, 96)[32:])
    image.save(path, [(Box(0, 0, 96, 96), filled)])
    expected = ImageFile.open(pillow(filled, "JPEG", quality=90, subsampling="4:2:0")).read_all().astype(int)
    assert np.abs(ImageFile.open(path).read_all().astype(int) - expected).mean() < 0.5


def test_without_a_change_every_coefficient_stays(tmp_path: Path) -> None:
    data = pillow(soft(70, 90), "JPEG", quality=75)
    image = ImageFile.open(data)
    box = Box(37, 50, 24, 19)
    result = image.encode([(box, image.read(box))])
    for old, new in zip(coefficients(data, tmp_path), coefficients(result, tmp_path), strict=True):
        assert np.array_equal(old, new)


def test_the_thumbnail_of_the_old_image_does_not_survive() -> None:
    thumbnail = pillow(soft(20, 20), "JPEG")
    ifd = b"\1\0" + b"\x12\1\3\0\1\0\0\0\1\0\0\0" + (26).to_bytes(4, "little")
    second = b"\2\0" + b"\1\2\4\0\1\0\0\0" + (56).to_bytes(4, "little")
    second += b"\2\2\4\0\1\0\0\0" + len(thumbnail).to_bytes(4, "little") + bytes(4)
    exif = b"Exif\0\0II*\0\x08\0\0\0" + ifd + second + thumbnail
    data = pillow(soft(100, 120), "JPEG", quality=80, exif=exif)
    assert thumbnail in data
    image = ImageFile.open(data)
    result = image.encode([(BOX, 255 - image.read(BOX))])
    assert Image.open(io.BytesIO(result)).getexif().get_ifd(1) == {}


@pytest.mark.parametrize("kind", ["bytes", "file"])
def test_metadata_are_those_of_the_image(tmp_path: Path, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0110] = "Camera"
    exif.get_ifd(0x8769).update({40962: 120, 40963: 100, 36867: "2020:01:02 03:04:05"})
    data = pillow(soft(100, 120), "JPEG", exif=exif.tobytes(), comment=b"by hand", dpi=(72, 72), xmp=XMP)
    image = ImageFile.open(data)
    patches = [(BOX, 255 - image.read(BOX))]
    image.save(tmp_path / "out.jpg", patches)
    written = Image.open(io.BytesIO(image.encode(patches)) if kind == "bytes" else tmp_path / "out.jpg")
    seen = written.getexif()
    assert seen[0x0110] == "Camera"
    details = seen.get_ifd(0x8769)
    assert (details[40962], details[40963], details[36867]) == (120, 100, "2020:01:02 03:04:05")
    assert (written.info["comment"], written.info["dpi"]) == (b"by hand", (72, 72))
    assert b"tiff:Orientation" in written.info["xmp"]


@pytest.mark.parametrize("step", ["read_dct", "write_dct"])
def test_what_jpeglib_cannot_do_is_compressed_again_and_names_no_temporary_file(
    monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(self: object, path: str, *rest: object) -> None:
        raise OSError(f"writing DCT to {path} failed")

    image = ImageFile.open(pillow(soft(100, 120), "JPEG"))
    monkeypatch.setattr(
        *((jpeglib, step, partial(fail, None)) if step == "read_dct" else (jpeglib.DCTJPEG, step, fail))
    )
    with pytest.warns(ImageWarning, match="all of it is compressed again.*jpeglib cannot read or write") as said:
        result = image.encode([(BOX, 255 - image.read(BOX))])
    assert "blocks.jpg" not in str(said[0].message)
    assert tempfile.gettempdir() not in str(said[0].message)
    assert np.abs(ImageFile.open(result).read(BOX).astype(int) + image.read(BOX) - 255).mean() < 40


def test_the_image_is_not_encoded_for_its_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    image = ImageFile.open(pillow(soft(100, 120), "JPEG"))
    monkeypatch.setattr(encoding, "StripSource", lambda *_: pytest.fail("encoded the whole image"))
    assert image.encode([(BOX, 255 - image.read(BOX))]).startswith(b"\xff\xd8")


def test_what_cannot_be_edited_is_compressed_again_and_says_so() -> None:
    rgb = ImageFile.open(pillow(soft(160, 160), "JPEG", keep_rgb=True))
    with pytest.warns(ImageWarning, match="its colours are coded as RGB"):
        rgb.encode([(BOX, rgb.read(BOX))])


def test_steps_of_zero_are_no_quantisation(capfd: pytest.CaptureFixture[str]) -> None:
    data = bytearray(pillow(soft(160, 160), "JPEG"))
    data[data.index(b"\xff\xdb") + 5] = 0
    file = ImageFile.open(bytes(data))
    with pytest.warns(ImageWarning, match="its quantisation has steps of zero"):
        assert ImageFile.open(file.encode([(BOX, ~file.read(BOX))])).read_all().shape == (160, 160, 3)
    assert capfd.readouterr().err == ""


def test_what_would_keep_the_blocks_is_said_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    monkeypatch.setattr(jpeg_blocks, "find_spec", lambda name: None)
    warnings.simplefilter("default")
    data = pillow(soft(160, 160), "JPEG")
    image = ImageFile.open(data)
    image.encode(quality=80)
    image.encode(format="png")
    ImageFile.open(pillow(soft(16, 16), "PNG")).encode(format="jpeg")
    assert not recwarn.list

    def write(number: int) -> None:
        again = ImageFile.open(data)
        again.save(tmp_path / f"{number}.jpg", [(BOX, 255 - again.read(BOX))])
        again.encode()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(write, range(8)))
    (said,) = recwarn.list
    assert said.category is ImageWarning
    assert str(said.message) == (
        "JPEGs are compressed again as a whole, not only where something has changed: "
        "`pip install 'wavepaint[jpeg]'` keeps all other blocks"
    )


def test_a_folder_on_the_command_line_says_it_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(jpeg_blocks, "find_spec", lambda name: None)
    model = write_standin(tmp_path / "mean.onnx")
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    hole = np.zeros((80, 100), np.uint8)
    hole[20:30, 40:60] = 255
    for name in ("a", "b", "c"):
        (tmp_path / "images" / f"{name}.jpg").write_bytes(pillow(soft(80, 100), "JPEG"))
        (tmp_path / "masks" / f"{name}.png").write_bytes(pillow(hole, "PNG"))
    folders = [str(tmp_path / folder) for folder in ("images", "masks", "out")]
    arguments = ["inpaint", *folders[:2], "-o", folders[2], "--model", str(model)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert len(list((tmp_path / "out").iterdir())) == 3
    assert result.stderr.count("warning: JPEGs are compressed again as a whole") == 1


def test_messages_name_arithmetic_coding_and_12_bits(capfd: pytest.CaptureFixture[str]) -> None:
    data = pillow(soft(160, 160), "JPEG")
    frame = data.index(b"\xff\xc0")
    # Nothing here writes either; the header of a frame says them.
    arithmetic = ImageFile.open(data[:frame] + b"\xff\xc9" + data[frame + 2 :])
    with pytest.warns(ImageWarning, match="compressed again, not only what has changed: it is arithmetically coded"):
        assert arithmetic.encode([(BOX, arithmetic.read(BOX))]).startswith(b"\xff\xd8")
    with pytest.raises(ImageError, match=r"^<bytes>: cannot be decoded: .*precision 12[^\n]*$"):
        ImageFile.open(data[: frame + 4] + b"\x0c" + data[frame + 5 :]).read_all()
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_image_stays_turned_and_keeps_its_blocks(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = pillow(soft(144, 112), "JPEG", quality=85, subsampling="4:2:0", exif=exif.tobytes(), xmp=XMP)
    image = ImageFile.open(data)
    before = image.read_all()
    filled = 255 - image.read(BOX)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = image.encode([(BOX, filled)])
    assert Image.open(io.BytesIO(result)).getexif()[0x0112] == orientation
    assert Image.open(io.BytesIO(result)).size == Image.open(io.BytesIO(data)).size
    if orientation != 1:
        assert b'tiff:Orientation="%d"' % orientation in result
    seen = ImageFile.open(result).read_all()
    assert seen.shape == before.shape
    assert np.abs(seen[BOX.slices].astype(int) - filled).mean() < 40
    # Blocks of 16 pixels with subsampling, and what libjpeg smooths across their borders.
    far = np.ones(before.shape[:2], bool)
    far[BOX.top - 20 : BOX.bottom + 20, BOX.left - 20 : BOX.right + 20] = False
    assert np.array_equal(seen[far], before[far])
    same = [
        (a == b).all(axis=(2, 3)).mean()
        for a, b in zip(*(coefficients(x, tmp_path) for x in (data, result)), strict=True)
    ]
    assert all(0.7 < share < 1 for share in same)


def test_what_follows_the_image_is_named_before_it_is_left_out() -> None:
    for options in ({}, {"progressive": True}):
        data = pillow(soft(100, 120), "JPEG", **options)
        assert ImageFile.open(data).conversion_warnings("jpeg") == ()
        assert ImageFile.open(data + bytes(8)).conversion_warnings("jpeg") == ()
        (loss,) = ImageFile.open(data + b"moving picture").conversion_warnings("jpeg")
        assert loss == "<bytes>: 14 bytes behind the image (a gain map, a video, a second image) are left out"


def test_what_follows_an_image_without_a_scan_is_counted() -> None:
    for data, behind in ((b"\xff\xd8\xff\xd9\xff\xd9", 2), (b"\xff\xd8\xff\xd9", 0), (b"\xff\xd8", 0)):
        assert bytes_behind(io.BytesIO(data)) == behind


def test_the_metadata_do_not_promise_a_video_that_is_left_out() -> None:
    packet = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description rdf:about="" xmlns:GCamera="http://ns.google.com/photos/1.0/camera/"'
        b' xmlns:Container="http://ns.google.com/photos/1.0/container/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
        b' GCamera:MotionPhoto="1" GCamera:MicroVideoOffset="500" xmp:Rating="4">'
        b"<GCamera:MotionPhotoPresentationTimestampUs>9</GCamera:MotionPhotoPresentationTimestampUs>"
        b"<Container:Directory><rdf:Seq><rdf:li>video</rdf:li></rdf:Seq></Container:Directory>"
        b"</rdf:Description></rdf:RDF></x:xmpmeta>"
    )
    image = ImageFile.open(pillow(soft(100, 120), "JPEG", xmp=packet) + b"moving picture" * 40)
    result = image.encode([(BOX, 255 - image.read(BOX))])
    for gone in (b"MotionPhoto=", b"MicroVideo", b"Container:Directory", b"TimestampUs", b"moving"):
        assert gone not in result
    assert b'xmp:Rating="4"' in result


def test_what_a_quality_costs_is_said() -> None:
    image = ImageFile.open(pillow(soft(100, 120), "JPEG", subsampling="4:2:2"))
    assert image.conversion_warnings("jpeg") == ()
    assert image.conversion_warnings("jpeg", 80) == ("<bytes>: chroma subsampling 4:2:2 becomes 4:4:4",)


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:0"])
def test_component_numbers_and_jfif_stay(subsampling: str) -> None:
    data = pillow(soft(96, 96), "JPEG", subsampling=subsampling, dpi=(300, 300))
    image = ImageFile.open(data)
    result = image.encode([(BOX, 255 - image.read(BOX))])
    assert result[2:20] == data[2:20]
    for marker in (b"\xff\xc0", b"\xff\xda"):
        before, after = (each[each.index(marker) :] for each in (data, result))
        length = int.from_bytes(before[2:4], "big") + 2
        assert after[:length] == before[:length]
