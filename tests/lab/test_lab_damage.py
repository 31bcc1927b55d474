from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lab.damage import Counts, count, damaged_crops, hough, restored_rows, top_hat
from lab.release.tune_damage import main as tune
from standin import write_detector
from trainings import write_images, write_vgg16
from wavepaint.data.images import find_images
from wavepaint.find import Finder
from wavepaint.options import DAMAGE_KINDS


def test_counts_tolerate_one_pixel() -> None:
    true = np.zeros((20, 20), bool)
    true[:, 10] = True
    assert count(np.roll(true, 1, axis=1), true) == Counts(20, 20, 20, 20)
    assert count(np.roll(true, 2, axis=1), true) == Counts(20, 0, 20, 0)
    half = true.copy()
    half[10:] = False
    result = count(half, true)
    assert (result.precision, result.recall) == (1.0, 11 / 20)
    assert result.f1 == 2 * (11 / 20) / (1 + 11 / 20)
    assert (result + result).marked == 20
    assert count(~true & False, true).f1 == 0.0


def test_the_baselines_find_a_line() -> None:
    image = np.full((80, 80, 3), 90, np.uint8)
    image[5:75, 40] = 255
    true = image[..., 0] == 255
    assert count(top_hat(5, 50)(image), true).f1 == 1.0
    assert count(hough(15)(image), true).recall > 0.9
    flat = np.full((80, 80, 3), 90, np.uint8)
    assert not top_hat(5, 50)(flat).any()
    assert not hough(15)(flat).any()


def test_restored_images_are_nearer_to_the_truth(tmp_path: Path) -> None:
    images = find_images(write_images(tmp_path / "images", 2))
    crops = list(damaged_crops(images, DAMAGE_KINDS, 2, 0))
    rows = restored_rows(Finder(threads=1), crops, write_vgg16(tmp_path / "vgg16.safetensors"))
    errors = [np.square(crop.image.astype(float) - crop.truth).mean() for crop in crops]
    assert rows["damaged"][0] == pytest.approx(np.mean([10 * np.log10(255**2 / error) for error in errors]))
    assert rows["filled where damage is"][0] > rows["damaged"][0]
    assert rows["filled where damage is"][1] < rows["damaged"][1]


def test_lower_thresholds_find_more(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    detector = write_detector(tmp_path / "detector.onnx", reach=4)
    images = write_images(tmp_path / "images", 12)
    tune([str(images), "--model", str(detector), "--kinds", "dust", "--logits=-14,12"])
    low, high = (line.split() for line in capsys.readouterr().out.splitlines()[1:])
    assert low[:2] == ["dust", "-14.00"]
    assert [low[3], *low[5:7]] == ["1.000", "100.0000", "100.0000"]
    assert high[:2] == ["dust", "12.00"]
    assert [high[3], *high[5:7]] == ["0.000", "0.0000", "0.0000"]
