from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from images import noise, pillow, soft
from standin import write_standin
from wavepaint import Inpainter
from wavepaint.batch.folder import inpaint_folder
from wavepaint.batch.plan import Row, make_plan
from wavepaint.errors import ImageError, OptionError
from wavepaint.files import SCRATCH, atomic_write, scratch_folder, sweep, sweep_scratch
from wavepaint.options import Options, as_boxes

OPTIONS = Options(boxes=as_boxes([(5, 6, 7, 8)]))
ROUNDS = int(os.environ.get("WAVEPAINT_KILL_ROUNDS", "4"))


@pytest.fixture
def inpainter(tmp_path: Path) -> Inpainter:
    return Inpainter(write_standin(tmp_path / "mean.onnx"), "onnxruntime", 1)


@pytest.fixture
def output(tmp_path: Path) -> str:
    return str(tmp_path / "out")


@pytest.fixture
def rows(tmp_path: Path, output: str) -> list[Row]:
    images = tmp_path / "images"
    images.mkdir()
    for number in range(9):
        (images / f"{number}.png").write_bytes(pillow(noise(24, 30, 3, seed=number), "PNG"))
    return make_plan(str(images), None, output, needs_mask=False).rows


class Watched(Inpainter):
    """Counts the images under way, and holds each until another is, or a moment has passed."""

    def __init__(self, inner: Inpainter) -> None:
        super().__init__()
        self.inner, self.lock, self.met = inner, threading.Lock(), threading.Event()
        self.begun: list[str] = []
        self.now = self.most = 0

    def load(self, expected_crops: int | None = None) -> object:
        return self.inner.load(expected_crops)

    def fill(self, image: Path, *rest: object) -> object:
        with self.lock:
            self.begun.append(image.name)
            self.now += 1
            self.most = max(self.most, self.now)
            if self.now > 1:
                self.met.set()
        self.met.wait(5)
        try:
            return self.inner.fill(image, *rest)
        finally:
            with self.lock:
                self.now -= 1


@pytest.mark.parametrize("threads", [1, 3, None])
def test_outcomes_keep_their_order_and_results_do_not_depend_on_threads(
    inpainter: Inpainter, rows: list[Row], output: str, threads: int | None
) -> None:
    Path(rows[4].input).write_bytes(b"broken")
    outcomes = list(inpaint_folder(inpainter, rows, output, OPTIONS, threads=threads))
    assert [outcome.row for outcome in outcomes] == rows
    assert [outcome.status for outcome in outcomes] == ["filled"] * 4 + ["failed"] + ["filled"] * 4
    for row in rows[:4] + rows[5:]:
        expected = inpainter.fill(np.array(Image.open(row.input)), None, OPTIONS)
        assert np.array_equal(np.array(Image.open(Path(output) / row.result)), expected)
    assert [outcome.status for outcome in inpaint_folder(inpainter, rows, output, OPTIONS)].count("skipped") == 8


def test_images_are_under_way_together_but_not_all_of_them(inpainter: Inpainter, rows: list[Row], output: str) -> None:
    watched = Watched(inpainter)
    assert len(list(inpaint_folder(watched, rows, output, OPTIONS, threads=2))) == 9
    assert watched.most == 2


def test_given_up_work_begins_no_more_and_leaves_no_parts(inpainter: Inpainter, rows: list[Row], output: str) -> None:
    watched = Watched(inpainter)
    outcomes = inpaint_folder(watched, rows, output, OPTIONS, threads=2)
    next(outcomes)
    outcomes.close()
    written = sorted(path.name for path in Path(output).iterdir())
    assert written == sorted(watched.begun)
    assert len(written) <= 4


def test_images_with_one_result_are_not_both_written(inpainter: Inpainter, tmp_path: Path, output: str) -> None:
    images = tmp_path / "images"
    images.mkdir()
    (images / "a.gif").write_bytes(pillow(soft(24, 30), "GIF"))
    (images / "a.gif.png").write_bytes(pillow(noise(24, 30, 3), "PNG"))
    rows = make_plan(str(images), None, output, needs_mask=False).rows
    for overwrite in (False, True):
        outcomes = list(inpaint_folder(inpainter, rows, output, OPTIONS, overwrite=overwrite, threads=1))
        assert [outcome.status for outcome in outcomes] == ["filled", "failed"]
        assert [path.name for path in Path(output).iterdir()] == ["a.gif.png"]
        assert (Path(output) / "a.gif.png").read_bytes() == inpainter.fill(
            (images / "a.gif").read_bytes(), None, OPTIONS
        )
        (Path(output) / "a.gif.png").unlink()


class Raising(Inpainter):
    """Raises what decoders have been seen to raise, for some images."""

    def __init__(self, inner: Inpainter) -> None:
        super().__init__()
        self.inner = inner
        self.raised = {
            "0.png": UnicodeDecodeError("utf-8", b"\xdc", 0, 1, "invalid start byte"),
            "2.png": ValueError("a length of 0"),
            "3.png": MemoryError(),
            "5.png": OSError(28, "No space left on device"),
            "7.png": ImageError("7.png: is odd"),
        }

    def load(self, expected_crops: int | None = None) -> object:
        return self.inner.load(expected_crops)

    def fill(self, image: Path, *rest: object) -> object:
        if image.name in self.raised:
            raise self.raised[image.name]
        return self.inner.fill(image, *rest)


def test_whatever_one_file_raises_the_others_are_filled(inpainter: Inpainter, rows: list[Row], output: str) -> None:
    raising = Raising(inpainter)
    outcomes = {Path(outcome.row.input).name: outcome for outcome in inpaint_folder(raising, rows, output, OPTIONS)}
    assert {name for name, outcome in outcomes.items() if outcome.status == "failed"} == set(raising.raised)
    reasons = {name: outcomes[name].note for name in raising.raised}
    folder = Path(rows[0].input).parent
    assert reasons["0.png"].startswith(f"{folder}/0.png: UnicodeDecodeError: ")
    assert reasons["2.png"] == f"{folder}/2.png: ValueError: a length of 0"
    assert reasons["3.png"] == f"{folder}/3.png: MemoryError:"
    assert reasons["5.png"] == f"{folder}/5.png: No space left on device"
    assert reasons["7.png"] == "7.png: is odd"
    assert len(list(Path(output).iterdir())) == 4


def test_less_than_one_thread_is_refused(inpainter: Inpainter, rows: list[Row], output: str) -> None:
    with pytest.raises(OptionError, match="threads must be at least 1"):
        list(inpaint_folder(inpainter, rows, output, OPTIONS, threads=0))


# -- what killed runs leave --------------------------------------------------------------------------------------------


def test_only_what_a_dead_process_has_left_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    left = [tmp_path / ".0123456789abcdef.part", tmp_path / "tmp" / f"{SCRATCH}dead"]
    left[0].write_bytes(b"half")
    left[1].mkdir()
    (left[1] / "page.tif").write_bytes(b"x")
    with atomic_write(tmp_path / "a.png") as part, scratch_folder() as folder:
        part.write_bytes(b"whole")
        (folder / "x").write_bytes(b"x")
        # Another process would be kept away by the locks that this one holds.
        code = "import sys; from wavepaint.files import sweep; [sweep(name) for name in sys.argv[1:]]"
        subprocess.run([sys.executable, "-c", code, str(part), str(folder), *map(str, left)], check=True)
        assert (part.exists(), (folder / "x").exists()) == (True, True)
        assert not any(path.exists() for path in left)
        left[1].mkdir()
        sweep_scratch()
        assert list((tmp_path / "tmp").iterdir()) == [folder]
    assert (tmp_path / "a.png").read_bytes() == b"whole"
    assert list((tmp_path / "tmp").iterdir()) == []
    sweep(tmp_path / "nothing")


def test_kill_9_in_folder_mode_leaves_no_litter_after_the_next_start(tmp_path: Path, inpainter: Inpainter) -> None:
    """In every round a run is killed at a random moment; `WAVEPAINT_KILL_ROUNDS` says how many."""
    images, masks, scratch, out = (tmp_path / name for name in ("images", "masks", "tmp", "out"))
    for folder in (images, masks, scratch):
        folder.mkdir()
    hole = np.zeros((300, 300, 1), np.uint8)
    hole[100:120, 100:120] = 255
    for number in range(12):
        # Of several pages some, so that scratch folders are used too.
        pages = [Image.fromarray(noise(300, 300, 3, seed=number + page)) for page in range(3)]
        name = f"{number}.tif"
        pages[0].save(images / name, save_all=number % 2 == 0, append_images=pages[1:] if number % 2 == 0 else [])
        (masks / f"{number}_mask.png").write_bytes(pillow(hole, "PNG"))
    command = [sys.executable, "-m", "wavepaint", "inpaint", str(images), str(masks), "-o", str(out), "--overwrite"]
    command += ["--model", str(tmp_path / "mean.onnx"), "--runtime", "onnxruntime"]
    environment = {**os.environ, "TMPDIR": str(scratch)}
    generator = random.Random(0)

    def litter() -> set[Path]:
        return {*out.rglob(".*"), *scratch.glob(f"{SCRATCH}*")}

    left: set[Path] = set()
    for _ in range(ROUNDS):
        before = litter()
        process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        limit = time.monotonic() + 30
        while process.poll() is None and litter() <= before and time.monotonic() < limit:
            time.sleep(0.002)
        time.sleep(generator.uniform(0, 0.05))
        process.send_signal(signal.SIGKILL)
        process.wait()
        left |= litter()
    subprocess.run(command, env=environment, check=True, stderr=subprocess.DEVNULL)
    assert left, "no kill has left anything: this proves nothing"
    assert not litter()
    assert len(list(out.iterdir())) == 12
