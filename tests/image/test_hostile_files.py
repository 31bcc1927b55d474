"""Files made to break a reader: one line, no memory to speak of, and the files beside them are filled."""

from __future__ import annotations

import io
import os
import struct
import threading
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from images import noise, pillow, soft
from standin import write_standin
from wavepaint import Inpainter
from wavepaint.batch.folder import inpaint_folder
from wavepaint.batch.plan import make_plan
from wavepaint.box import Box
from wavepaint.errors import ImageError
from wavepaint.image.file import ImageFile
from wavepaint.image.limits import changed_limits
from wavepaint.options import Options

SAMPLES = soft(40, 50)
BOX = Box(8, 8, 8, 8)


@pytest.fixture(scope="module")
def fill(tmp_path_factory: pytest.TempPathFactory) -> Inpainter:
    return Inpainter(write_standin(tmp_path_factory.mktemp("standin") / "mean.onnx"), "onnxruntime", threads=1)


def with_length_zero(data: bytes, marker: int) -> bytes:
    start = data.index(bytes([0xFF, marker])) + 2
    return data[:start] + bytes(2) + data[start + 2 :]


def claiming(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0")), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    )


GIF = struct.pack("<6sHHBBB", b"GIF89a", 60000, 60000, 0x80, 0, 0) + bytes(6)
GIF += struct.pack("<cHHHHB", b",", 0, 0, 60000, 60000, 0) + b"\x02\x02\x4c\x01\x00;"
JPEG = pillow(SAMPLES, "JPEG")
BAD = {
    "SOF of length 0.jpg": with_length_zero(JPEG, 0xC0),
    "DQT of length 0.jpg": with_length_zero(JPEG, 0xDB),
    "square.png": claiming(10**6, 10**6),
    "wide.png": claiming(12_000_000, 64),
    "wide.gif": GIF,
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_cannot_be_is_one_line_at_once(name: str) -> None:
    started = time.process_time()
    with pytest.raises(ImageError, match=rf"^{name}: [^\n]+$"):
        ImageFile.open(BAD[name], name=name).read_all()
    assert time.process_time() - started < 1


def test_bad_files_do_not_end_a_folder(fill: Inpainter, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for name, data in BAD.items():
        (images / name).write_bytes(data)
    for name in ("a.png", "z.png"):
        (images / name).write_bytes(pillow(SAMPLES, "PNG"))
    output = str(tmp_path / "out")
    rows = make_plan(str(images), None, output, needs_mask=False).rows
    outcomes = list(inpaint_folder(fill, rows, output, Options(boxes=(BOX,))))
    assert [outcome.status for outcome in outcomes].count("failed") == len(BAD)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a.png", "z.png"}


def test_limits_can_be_lifted() -> None:
    with pytest.raises(ImageError, match=r"claims 3,600 megapixels in \d+ bytes; --no-limits \(no_limits=True\)"):
        ImageFile.open(GIF)
    with changed_limits(lifted=True):
        assert ImageFile.open(GIF).width == 60_000
    with pytest.raises(ImageError, match="which a PNG cannot hold"), changed_limits(lifted=True):
        ImageFile.open(BAD["wide.png"])


def test_no_limits_is_an_option(fill: Inpainter) -> None:
    data = pillow(SAMPLES, "PNG")
    with changed_limits(suspect_pixels=0, pixels_a_byte=0):
        with pytest.raises(ImageError, match="no-limits"):
            fill(data, boxes=[(8, 8, 8, 8)])
        assert fill(data, boxes=[(8, 8, 8, 8)], no_limits=True).startswith(b"\x89PNG")


# -- streams ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["image", "mask"])
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_an_image_or_a_mask_through_a_pipe(fill: Inpainter, tmp_path: Path, role: str, format: str) -> None:
    mask = np.zeros((40, 50), np.uint8)
    mask[8:16, 8:16] = 255
    contents = {"image": pillow(SAMPLES, format), "mask": pillow(mask, format)}
    paths = {name: tmp_path / name for name in contents}
    for name, data in contents.items():
        if name != role:
            paths[name].write_bytes(data)
    os.mkfifo(paths[role])
    writer = threading.Thread(target=paths[role].write_bytes, args=(contents[role],))
    writer.start()
    target = tmp_path / "out.png"
    fill(paths["image"], paths["mask"], output=target)
    writer.join(10)
    expected = Image.open(io.BytesIO(fill(contents["image"], contents["mask"])))
    assert np.array_equal(np.asarray(Image.open(target)), np.asarray(expected))


# -- messages ---------------------------------------------------------------------------------------------------------


def test_float_samples_out_of_range_are_given_with_enough_digits(fill: Inpainter) -> None:
    image = np.zeros((20, 20, 3), np.float32)
    image[3, 3] = np.nextafter(np.float32(1), np.float32(2))
    with pytest.raises(ImageError, match=r"must be in \[0, 1\], got 0\.0 to 1\.0000001"):
        fill(image, boxes=[(2, 2, 4, 4)])


def test_errors_of_pages_name_the_result(fill: Inpainter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.BytesIO()
    frames = [Image.fromarray(noise(20, 30, 3, seed=seed)) for seed in range(2)]
    frames[0].save(stream, "TIFF", save_all=True, append_images=frames[1:])
    (tmp_path / "a.tif").write_bytes(stream.getvalue())
    monkeypatch.setattr("wavepaint.image.encoding.saver_options", lambda *_: {"compression": "nonsense"})
    with pytest.raises(ImageError) as caught:
        fill(tmp_path / "a.tif", boxes=[(2, 2, 4, 4)], output=tmp_path / "b.tif")
    assert str(caught.value).startswith(f"page 1: {tmp_path / 'b.tif'}: cannot be written as tiff")


def test_a_jpeg_of_which_decoders_warn_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    data = JPEG[:-2] + b"\0\0\0\0\x11" + JPEG[-2:]
    file = ImageFile.open(data)
    assert file.encode([(BOX, 255 - file.read(BOX))]).startswith(b"\xff\xd8")
    assert capfd.readouterr() == ("", "")
