from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lab.damage import Counts, count, damaged_crops, hough, restored_rows, top_hat
from lab.release.hard_negatives import main as gather
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


def test_images_with_false_marks_stand_there_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    detector = write_detector(tmp_path / "detector.onnx")  # marks pure red
    with tarfile.open(tmp_path / "train.tar", "w") as shard:
        for number, side in enumerate([0, 3, 4, 20, 20] * 4):
            image = np.full((64, 64, 3), 90, np.uint8)
            image[:side, :side] = (255, 0, 0)
            Image.fromarray(image).save(data := io.BytesIO(), "PNG")
            info = tarfile.TarInfo(f"{number:02}.png")
            info.size = len(data.getvalue())
            shard.addfile(info, io.BytesIO(data.getvalue()))
    (tmp_path / "captioned.txt").write_text("train.tar/04.png\n")
    source = str(tmp_path / "train.tar")
    gather(
        [source, "--without", str(tmp_path / "captioned.txt"), "--model", str(detector), "-o", str(tmp_path / "new")]
    )
    _, held_out = find_images(source).split(0.05, 20)
    never = {held_out.name(index)[-6:-4] for index in range(len(held_out))}
    kept = [f"{number:02}.png" for number in range(20) if number != 4]
    copies = {0: 0, 1: 0, 2: 3, 3: 4, 4: 4}
    repeated = [
        f"train/{copy}-{name}" for name in kept if name[:2] not in never for copy in range(copies[int(name[:2]) % 5])
    ]
    for file, names in (("train.tar", kept), ("hard.tar", repeated)):
        with tarfile.open(tmp_path / "new" / file) as shard:
            assert shard.getnames() == names
    assert capsys.readouterr().out == f"19 images, {len(repeated)} copies\n"
    assert 5 < len(repeated) < 40
