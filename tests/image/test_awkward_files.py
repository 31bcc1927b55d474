"""Names, numbers and targets that no careful program would write: each is one line that says why, never a traceback."""

from __future__ import annotations

import io
import os
import stat
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

import wavepaint
from images import noise, pillow, soft, tiff
from standin import write_standin
from wavepaint import Inpainter, inpainter
from wavepaint.batch.folder import inpaint_folder
from wavepaint.batch.plan import make_plan
from wavepaint.errors import CheckpointError, ImageError, ImageWarning, MaskError, OptionError
from wavepaint.image.file import ImageFile
from wavepaint.image.formats.jpeg import read_encoding
from wavepaint.image.formats.tiff import read_directory, without_thumbnail
from wavepaint.image.mask import find_hole
from wavepaint.image.sources import filled_name, open_image
from wavepaint.image.suffixes import can_write
from wavepaint.options import Options

SAMPLES = noise(20, 30, 3)
HOLE = np.zeros((20, 30), np.bool_)
HOLE[5:9, 8:14] = True
NONE = np.zeros((20, 30), np.bool_)
IMAGE = pillow(SAMPLES, "PNG")
MASK = pillow(HOLE.astype(np.uint8) * 255, "PNG")


@pytest.fixture(scope="module")
def fill(tmp_path_factory: pytest.TempPathFactory) -> Inpainter:
    return Inpainter(write_standin(tmp_path_factory.mktemp("standin") / "mean.onnx"), "onnxruntime", threads=1)


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> Inpainter:
    monkeypatch.setattr(inpainter, "load_runtime", lambda *_: pytest.fail("loaded a network"))
    return Inpainter()


def quality_of(data: bytes) -> int:
    encoding = read_encoding(io.BytesIO(data))
    assert encoding is not None
    return encoding.quality


def samples_of(path: Path) -> np.ndarray:
    with open(path, "rb") as file:
        return np.array(Image.open(file))


# -- names ----------------------------------------------------------------------------------------------------------

AWKWARD = os.fsdecode(b"bad\xff")


@pytest.fixture
def awkward(tmp_path: Path) -> Path:
    """A folder whose name, and whose files' names, are not UTF-8."""
    folder = tmp_path / AWKWARD
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    (folder / f"{AWKWARD}.png").write_bytes(IMAGE)
    (folder / f"{AWKWARD}-mask.png").write_bytes(MASK)
    return folder


@pytest.mark.parametrize("format", ["png", "jpg", "tif", "webp", "avif"])
def test_names_that_are_not_utf_8(fill: Inpainter, awkward: Path, format: str) -> None:
    target = awkward / f"{AWKWARD}-out.{format}"
    assert fill(awkward / f"{AWKWARD}.png", awkward / f"{AWKWARD}-mask.png", output=target) == target
    result = ImageFile.open(target).read_all()
    assert result.shape == SAMPLES.shape
    if format not in ("jpg", "webp"):
        assert np.array_equal(result[~HOLE], SAMPLES[~HOLE])


def test_damage_in_a_file_whose_name_is_not_utf_8(awkward: Path) -> None:
    path = awkward / f"{AWKWARD}-cut.png"
    path.write_bytes(IMAGE[: len(IMAGE) // 2])
    with pytest.raises(ImageError, match="cannot be decoded"):
        ImageFile.open(path).read_all()


@pytest.mark.parametrize("name", ["x" * 300 + ".png", "a\0b.png", ""])
def test_names_that_no_file_can_have(idle: Inpainter, tmp_path: Path, name: str) -> None:
    path = str(tmp_path / name) if name else ""
    with pytest.raises(ImageError, match=r"too long|null|empty"):
        idle(path, HOLE)
    with pytest.raises(ImageError, match=r"too long|null|empty"):
        idle(SAMPLES, path)
    with pytest.raises(ImageError, match=r"too long|null|is a directory"):
        idle(SAMPLES, HOLE, output=path)
    with pytest.raises(CheckpointError, match="no such file"):
        Inpainter(path)


def test_a_name_with_no_room_for_a_result_beside_it(idle: Inpainter, tmp_path: Path) -> None:
    path = tmp_path / ("x" * 250 + ".png")
    path.write_bytes(IMAGE)
    with pytest.raises(ImageError, match=r"x-filled\.png: cannot be written: File name too long"):
        idle(path, HOLE)


def test_in_a_folder_such_names_fail_alone(fill: Inpainter, tmp_path: Path, awkward: Path) -> None:
    images = tmp_path / "images"
    awkward.rename(images)
    gif = images / ("x" * 250 + ".gif")  # its result would be named .gif.png
    gif.write_bytes(pillow(soft(20, 30), "GIF"))
    (images / "huge.tif").write_bytes(corrupt_bigtiff())
    output = str(tmp_path / "out")
    rows = make_plan(str(images), None, output, needs_mask=False).rows
    outcomes = {
        Path(outcome.row.input).name: outcome
        for outcome in inpaint_folder(fill, rows, output, Options(alpha=False, boxes=BOX))
    }
    assert outcomes[gif.name].status == "failed"
    assert "File name too long" in outcomes[gif.name].note
    assert outcomes["huge.tif"].status == "failed"
    assert {outcomes[f"{AWKWARD}{end}.png"].status for end in ("", "-mask")} == {"filled"}


def test_hidden_folders_are_left_out(tmp_path: Path) -> None:
    for name in ("a.png", ".cache/b.png", "sub/.thumbnails/deep/c.png", "sub/d.png"):
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / name).write_bytes(IMAGE)
    hidden = tmp_path / ".hidden"
    (tmp_path / "images").rename(hidden)
    rows = make_plan(str(hidden), None, str(tmp_path / "out"), needs_mask=False).rows
    assert [row.result for row in rows] == ["a.png", "sub/d.png"]


# -- damage ---------------------------------------------------------------------------------------------------------

BOX = wavepaint.options.as_boxes([(3, 3, 5, 5)])


def corrupt_bigtiff(offset: int = 2**64 - 5) -> bytes:
    """A directory whose tags lead out of every file, behind an offset that does so too."""
    entry = struct.pack("<HHQQ", 305, 2, 9, offset) + struct.pack("<HHQQ", 34665, 16, 1, offset)
    width = struct.pack("<HHQQ", 256, 4, 1, 7)
    return struct.pack("<2sHHHQQ", b"II", 43, 8, 0, 16, 3) + width + entry + struct.pack("<Q", offset)


@pytest.mark.parametrize("offset", [2**64 - 5, 2**63 - 1, 2**62, 10**6])
def test_offsets_that_lead_nowhere(tmp_path: Path, offset: int) -> None:
    data = corrupt_bigtiff(offset)
    path = tmp_path / "huge.tif"
    path.write_bytes(data)
    with open(path, "rb") as file:
        for stream in (io.BytesIO(data), file):
            assert list(read_directory(stream)) == [256]
            assert read_directory(stream, page=1) == {}
    header = struct.pack("<2sHHHQ", b"II", 43, 8, 0, offset)
    assert read_directory(io.BytesIO(header)) == {}
    assert without_thumbnail(header) == header
    for source in (path, data):
        with pytest.raises(ImageError, match="cannot be decoded"):
            ImageFile.open(source)


def test_a_value_cut_short_in_the_other_byte_order() -> None:
    entry = struct.pack(">HHII", 33434, 5, 2, 26)
    data = struct.pack(">2sHIH", b"MM", 42, 8, 1) + entry + struct.pack(">I", 0) + b"123"
    assert read_directory(io.BytesIO(data)) == {}


def test_directories_that_name_each_other_are_read_once() -> None:
    entries = struct.pack("<HHII", 34665, 4, 1, 8) * 3000
    data = struct.pack("<2sHIH", b"II", 42, 8, 3000) + entries + struct.pack("<I", 0)
    assert list(read_directory(io.BytesIO(data))) == [34665]


# -- targets --------------------------------------------------------------------------------------------------------


def test_a_target_that_is_no_file_is_refused_before_the_work(idle: Inpainter, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "image.png").write_bytes(IMAGE)
    for image in (tmp_path / "image.png", IMAGE, SAMPLES):
        with pytest.raises(ImageError, match=r"pipe\.png: cannot be written: is not a regular file"):
            idle(image, HOLE, output=tmp_path / "pipe.png")
    assert stat.S_ISFIFO((tmp_path / "pipe.png").stat().st_mode)


def test_an_image_behind_a_link_is_filled_in_its_place(fill: Inpainter, tmp_path: Path) -> None:
    real, link = tmp_path / "real.png", tmp_path / "link.png"
    real.write_bytes(IMAGE)
    real.chmod(0o600)
    link.symlink_to("real.png")
    fill(link, HOLE, output=link)
    assert link.is_symlink()
    assert not np.array_equal(samples_of(real), SAMPLES)
    assert stat.S_IMODE(real.stat().st_mode) == 0o600


@pytest.mark.skipif(can_write("jxl"), reason="this libvips writes JPEG XL")
def test_a_format_without_an_encoder_is_refused_before_the_work(idle: Inpainter, tmp_path: Path) -> None:
    (tmp_path / "image.png").write_bytes(IMAGE)
    for image in (tmp_path / "image.png", IMAGE, SAMPLES):
        with pytest.raises(ImageError, match=r"cannot write \.jxl files, only \.png, .*\.avif"):
            idle(image, HOLE, output=tmp_path / "out.jxl")
    with pytest.raises(ImageError, match=r"cannot write \.svg files, only (?!.*jxl)"):
        idle(SAMPLES, HOLE, output=tmp_path / "out.svg")


@pytest.mark.parametrize(("name", "filled"), [("a.jpg", "a-filled.jpg"), ("a.GIF", "a-filled.png"), ("a", "a-filled")])
def test_the_name_of_a_result_says_its_format(fill: Inpainter, tmp_path: Path, name: str, filled: str) -> None:
    path = tmp_path / name
    path.write_bytes(pillow(soft(20, 30), "GIF" if name.endswith("GIF") else "JPEG"))
    assert filled_name(path).name == filled
    expected = ImageFile.open(path).output_format(filled)
    assert ImageFile.open(fill(path, HOLE)).format == expected == ("png" if name.endswith("GIF") else "jpeg")


# -- nothing to fill ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP", "GIF"])
def test_with_nothing_to_fill_a_file_stays_byte_for_byte(idle: Inpainter, tmp_path: Path, format: str) -> None:
    data = pillow(soft(20, 30), format)
    path = tmp_path / f"image.{format.lower()}"
    path.write_bytes(data)
    assert idle(data, NONE) == data
    if format == "GIF":
        assert ImageFile.open(idle(path, NONE)).format == "png"
        return
    for image in (path, data):
        idle(image, NONE, output=tmp_path / f"out.{format.lower()}")
        assert (tmp_path / f"out.{format.lower()}").read_bytes() == data
    assert idle(path, NONE).read_bytes() == data
    assert idle(path, NONE, output=path).read_bytes() == data


def test_with_nothing_to_fill_all_pages_stay_byte_for_byte(idle: Inpainter, tmp_path: Path) -> None:
    stream = io.BytesIO()
    tifffile.imwrite(stream, noise(3, 20, 30), photometric="minisblack", compression="zlib")
    path = tmp_path / "pages.tif"
    path.write_bytes(stream.getvalue())
    assert idle(stream.getvalue(), NONE) == stream.getvalue()
    assert idle(path, NONE).read_bytes() == stream.getvalue()
    assert idle(path, NONE, output=path).read_bytes() == stream.getvalue()


def test_another_quality_or_format_is_still_given(idle: Inpainter, tmp_path: Path) -> None:
    data = pillow(soft(20, 30), "JPEG", quality=95)
    for image in (data, tmp_path / "image.jpg"):
        (tmp_path / "image.jpg").write_bytes(data)
        idle(image, NONE, quality=40, output=tmp_path / "out.jpg")
        assert quality_of((tmp_path / "out.jpg").read_bytes()) == 40
        idle(image, NONE, output=tmp_path / "out.png")
        assert ImageFile.open(tmp_path / "out.png").format == "png"
    assert quality_of(idle(data, NONE, quality=40)) == 40


def test_an_engine_that_cannot_be_is_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"none\.onnx: no such file"):
        Inpainter(tmp_path / "none.onnx")
    with pytest.raises(OptionError, match=r"runtime must be one of .*, got 'cuda'"):
        wavepaint.inpaint(SAMPLES, NONE, runtime="cuda")
    with pytest.raises(OptionError, match="threads must be at least 1"):
        wavepaint.inpaint(SAMPLES, NONE, threads=-1)


# -- what a user should know ----------------------------------------------------------------------------------------


def test_a_mask_file_that_marks_nothing_is_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "faint.png"
    path.write_bytes(pillow(HOLE.astype(np.uint8) * 100, "PNG"))
    with pytest.warns(ImageWarning, match=r"faint\.png: marks nothing: .* 100 of 255.* 0\.5 .*--threshold"):
        assert not find_hole(open_image(path), path, Options(mask_from="brightness")).any()
    with pytest.warns(ImageWarning, match="65535"):
        find_hole(open_image(np.zeros((4, 4), np.uint8)), tiff(np.full((4, 4, 1), 900, np.uint16)), Options())


def test_an_animated_png_is_a_warning() -> None:
    frames = [Image.fromarray(noise(20, 30, 3, seed=seed)) for seed in range(3)]
    data = pillow(frames[0], "PNG", save_all=True, append_images=frames[1:])
    assert ImageFile.open(data).warnings == ("<bytes>: is an animation of 3 frames, only its still image is used",)
    assert ImageFile.open(IMAGE).warnings == ()


def test_messages_name_the_file_that_the_bytes_are_of() -> None:
    with pytest.raises(ImageError, match=r"^a\.png: is not a PNG"):
        ImageFile.open(b"no image at all", name="a.png")
    with pytest.raises(MaskError, match=r"^a\.png: has no transparency"):
        ImageFile.open(IMAGE, name="a.png").alpha_holes()
    with pytest.raises(ImageError, match=r"^mask: is not a PNG"):
        wavepaint.image.mask.open_mask(b"no image at all")
