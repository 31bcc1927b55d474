"""Where there is nothing to fill, every door gives the very bytes of the source, whatever stands in them."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wavepaint
from commands import run
from images import XMP, pillow, soft, tiff
from wavepaint import Inpainter
from wavepaint.batch.plan import Row
from wavepaint.batch.settings import Cluster
from wavepaint.batch.worker import Job, Worker
from wavepaint.options import Engine, Options
from wavepaint.server.filling import Filler
from wavepaint.server.settings import Limits
from wavepaint.server.uploads import Form

SAMPLES = soft(40, 50)
MASK = pillow(np.zeros((40, 50), np.uint8), "PNG")
SOURCES = {
    "a.jpg": pillow(SAMPLES, "JPEG", quality=71, xmp=XMP) + b"a video behind it",
    "a.png": pillow(SAMPLES, "PNG", compress_level=0),
    "a.tif": tiff(SAMPLES, compression="zlib", extratags=[(65000, 2, 6, "secret", True)]),
    "a.webp": pillow(SAMPLES, "WEBP", quality=40),
    "a.avif": pillow(SAMPLES, "AVIF", quality=40),
}


def by_path(folder: Path, name: str) -> bytes:
    return wavepaint.inpaint(folder / name, folder / "mask.png").read_bytes()


def by_bytes(folder: Path, name: str) -> bytes:
    return wavepaint.inpaint(SOURCES[name], MASK, folder / f"b-{name}") and (folder / f"b-{name}").read_bytes()


def by_open_file(folder: Path, name: str) -> bytes:
    result: io.BytesIO = wavepaint.inpaint(io.BytesIO(SOURCES[name]), MASK)
    return result.getvalue()


def by_map(folder: Path, name: str) -> bytes:
    return next(Inpainter(runtime="onnxruntime").map([(SOURCES[name], MASK)]))


def by_command(folder: Path, name: str) -> bytes:
    result = run("inpaint", folder / name, folder / "mask.png", "-o", folder / f"c-{name}")
    assert result.exit_code == 0, result.output
    return (folder / f"c-{name}").read_bytes()


def by_standard_output(folder: Path, name: str) -> bytes:
    return run("inpaint", "-", folder / "mask.png", "-o", "-", stdin=SOURCES[name]).stdout_bytes


def in_place(folder: Path, name: str) -> bytes:
    assert run("inpaint", folder / name, folder / "mask.png", "--in-place").exit_code == 0
    return (folder / name).read_bytes()


def by_folder(folder: Path, name: str) -> bytes:
    result = run("inpaint", folder / "images", folder / "mask.png", "-o", folder / "out")
    assert result.exit_code == 0, result.output
    return (folder / "out" / name).read_bytes()


def by_server(folder: Path, name: str) -> bytes:
    filler = Filler(Inpainter(runtime="onnxruntime").fill, Limits())
    return filler.fill(Form({"image": SOURCES[name], "mask": MASK}, {}))().content


def by_batch(folder: Path, name: str) -> bytes:
    worker = Worker(Job(str(folder / "out"), Options(), Engine(runtime="onnxruntime"), Cluster()), False)
    assert worker.do(Row("input", name, str(folder / name), str(folder / "mask.png")))["status"] == "done"
    return (folder / "out" / name).read_bytes()


DOORS = [
    by_path, by_bytes, by_open_file, by_map, by_command, by_standard_output, in_place, by_folder, by_server, by_batch,
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*marks nothing")
@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("door", DOORS)
def test_the_source_s_bytes_come_out(door: Callable[[Path, str], bytes], name: str, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "out").mkdir()
    for path in (tmp_path / name, tmp_path / "images" / name):
        path.write_bytes(SOURCES[name])
    (tmp_path / "mask.png").write_bytes(MASK)
    assert door(tmp_path, name) == SOURCES[name]


@pytest.mark.filterwarnings("ignore:.*marks nothing")
def test_a_quality_changes_nothing_where_a_format_has_none() -> None:
    options: dict[str, Any] = {"quality": 50}
    assert wavepaint.inpaint(SOURCES["a.png"], MASK, **options) == SOURCES["a.png"]
    assert wavepaint.inpaint(SOURCES["a.jpg"], MASK, **options) != SOURCES["a.jpg"]
