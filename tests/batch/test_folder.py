from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pictures import noise, pillow, soft
from standin import write_standin
from wavepaint import Inpainter
from wavepaint.batch.folder import Job, inpaint_folder, plan_folder
from wavepaint.errors import OptionError
from wavepaint.options import Options, as_boxes

OPTIONS = Options(boxes=as_boxes([(5, 6, 7, 8)]))


@pytest.fixture
def inpainter(tmp_path: Path) -> Inpainter:
    return Inpainter(write_standin(tmp_path / "mean.onnx"), "onnxruntime", 1)


@pytest.fixture
def jobs(tmp_path: Path) -> list[Job]:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(9):
        (photos / f"{number}.png").write_bytes(pillow(noise(24, 30, 3, seed=number), "PNG"))
    return plan_folder(photos, None, tmp_path / "out")


class Watched(Inpainter):
    """Counts the photographs under way, and holds each until another is, or a moment has passed."""

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


@pytest.mark.parametrize("workers", [1, 3, None])
def test_outcomes_keep_their_order_and_results_do_not_depend_on_workers(
    inpainter: Inpainter, jobs: list[Job], workers: int | None
) -> None:
    jobs[4].photo.write_bytes(b"broken")
    outcomes = list(inpaint_folder(inpainter, jobs, OPTIONS, workers=workers))
    assert [outcome.job for outcome in outcomes] == jobs
    assert [outcome.status for outcome in outcomes] == ["filled"] * 4 + ["failed"] + ["filled"] * 4
    for job in jobs[:4] + jobs[5:]:
        expected = inpainter.fill(np.array(Image.open(job.photo)), None, OPTIONS)
        assert np.array_equal(np.array(Image.open(job.target)), expected)
    assert [outcome.status for outcome in inpaint_folder(inpainter, jobs, OPTIONS)].count("skipped") == 8


def test_photographs_are_under_way_together_but_not_all_of_them(inpainter: Inpainter, jobs: list[Job]) -> None:
    watched = Watched(inpainter)
    assert len(list(inpaint_folder(watched, jobs, OPTIONS, workers=2))) == 9
    assert watched.most == 2


def test_given_up_work_begins_no_more_and_leaves_no_parts(inpainter: Inpainter, jobs: list[Job]) -> None:
    watched = Watched(inpainter)
    outcomes = inpaint_folder(watched, jobs, OPTIONS, workers=2)
    next(outcomes)
    outcomes.close()
    written = sorted(path.name for path in jobs[0].target.parent.iterdir())
    assert written == sorted(watched.begun)
    assert len(written) <= 4


def test_photographs_with_one_target_are_not_both_written(inpainter: Inpainter, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.gif").write_bytes(pillow(soft(24, 30), "GIF"))
    (photos / "a.gif.png").write_bytes(pillow(noise(24, 30, 3), "PNG"))
    first, second = plan_folder(photos, None, tmp_path / "out")
    assert first.target == second.target
    assert first.problem is None
    for overwrite in (False, True):
        outcomes = list(inpaint_folder(inpainter, [first, second], OPTIONS, overwrite=overwrite, workers=1))
        assert [outcome.status for outcome in outcomes] == ["filled", "failed"]
        assert outcomes[1].reason.startswith(f"{second.photo}: its result would replace that of {first.photo}")
        expected = inpainter.fill(first.photo.read_bytes(), None, OPTIONS)
        assert first.target.read_bytes() == expected
        first.target.unlink()


def test_an_error_of_the_network_ends_the_work(inpainter: Inpainter, jobs: list[Job]) -> None:
    with pytest.raises(OptionError, match="either a mask, boxes or alpha"):
        list(inpaint_folder(inpainter, jobs, Options(), workers=2))
    with pytest.raises(OptionError, match="workers must be at least 1, got 0"):
        list(inpaint_folder(inpainter, jobs, OPTIONS, workers=0))
