"""What `wavepaint train` shows on a terminal; elsewhere, see `tests/training/test_training.py`."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from wavepaint.cli.progress import TrainingProgress


def test_the_bar_shows_the_step_from_the_first_one_on_and_lines_stay_above_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    progress = TrainingProgress()
    progress.on_note("image [1].png")
    assert "step" not in capsys.readouterr().err
    progress.on_step(7, 0.5, None)
    assert "step 7" in capsys.readouterr().err
    progress.on_row(8, {"loss/total": 0.25, "run/images_per_second": 3.0})
    progress.on_row(8, {"validation/l1/box": 0.5, "validation/metric": 0.5, "validation/best": 1.0})
    progress.on_step(8, None, 3661.4)
    progress.close()
    shown = capsys.readouterr().err
    assert "step 8  validation (best): box l1 0.5000\n" in shown
    assert "loss 0.2500  3.0 images/s" in shown
    assert "1:01:01 left" in shown
