from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from commands import files_in, run
from images import png, soft
from standin import write_detector


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with scans of which one is damaged, and a detector of pure red, green and blue."""
    monkeypatch.chdir(tmp_path)
    write_detector(tmp_path / "detector.onnx")
    (tmp_path / "scans" / "more").mkdir(parents=True)
    image = soft(60, 80) // 2 + 40
    (tmp_path / "scans" / "clean.png").write_bytes(png(image))
    image[20:22, 10:50] = 255, 0, 0
    (tmp_path / "scan.png").write_bytes(png(image))
    (tmp_path / "scans" / "more" / "damaged.png").write_bytes(png(image))
    return tmp_path


def samples_of(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_find_writes_a_mask(here: Path) -> None:
    result = run("find", "scan.png", "-o", "mask.png", "--model", "detector.onnx", "--grow", "0")
    assert result.exit_code == 0
    assert re.fullmatch(r"mask\.png: 1\.67 % found in \d+\.\d s\n", result.stderr)
    expected = np.zeros((60, 80), np.uint8)
    expected[20:22, 10:50] = 255
    assert np.array_equal(samples_of(here / "mask.png"), expected)


def test_restore_fills_what_is_found_and_keeps_the_mask(here: Path) -> None:
    result = run("restore", "scan.png", "-o", "clean.png", "--model", "detector.onnx")
    assert result.exit_code == 0
    mask = samples_of(here / "clean-mask.png") == 255
    before, after = samples_of(here / "scan.png"), samples_of(here / "clean.png")
    assert mask[18:24, 10:50].all()
    assert np.array_equal(before[~mask], after[~mask])
    assert not (after == (255, 0, 0)).all(axis=2).any()


def test_an_image_without_damage_is_copied(here: Path) -> None:
    result = run("restore", "scans/clean.png", "-o", "out.png", "--model", "detector.onnx")
    assert (result.exit_code, result.stderr.count("\n")) == (0, 1)
    assert "out.png: nothing found in" in result.stderr
    assert (here / "out.png").read_bytes() == (here / "scans" / "clean.png").read_bytes()


def test_folders(here: Path) -> None:
    (here / "scans" / "bad.jpg").write_bytes(b"no image")
    result = run("restore", "scans", "-o", "out", "--model", "detector.onnx")
    assert result.exit_code == 1
    assert "scans/bad.jpg: " in result.stderr
    assert "\n2 done, 0 skipped, 1 failed in " in result.stderr
    assert files_in(here / "out") == ["clean-mask.png", "clean.png", "more/damaged-mask.png", "more/damaged.png"]
    again = run("restore", "scans", "-o", "out", "--model", "detector.onnx", "--quiet")
    assert (again.exit_code, again.stderr.count("\n")) == (1, 1)
    result = run("find", "scans", "-o", "masks", "--model", "detector.onnx")
    assert files_in(here / "masks") == ["clean.png", "more/damaged.png"]
    assert result.exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("find", "scan.png", "-o", "scan.png"), "scan.png: is the image itself"),
        (("find", "nothere.png", "-o", "mask.png"), "nothere.png: No such file or directory"),
        (("find", "scan.png", "-o", "mask.txt"), "mask.txt: cannot write .txt files"),
        (("find", "scan.png", "-o", "scans"), "scans: is a folder"),
        (("find", "scan.png", "-o", "mask.png", "--kinds", "hair"), "kinds must be some of scratches, dust, stamps"),
        (("find", "scan.png", "-o", "mask.png", "--infrared", "band"), "has no fourth channel"),
        (("find", "scans", "-o", "masks", "--infrared", "ir.png"), "one infrared image is for one image"),
        (("find", "scans", "-o", "masks", "--model", "nothere.onnx"), "nothere.onnx: no such file"),
        (("find", "scan.png", "-o", "ir.png", "--infrared", "ir.png"), "ir.png: is the infrared image itself"),
        (("find", "scan.png", "-o", "no/mask.png"), "no/mask.png: there is no directory no"),
        (("restore", "scan.png", "-o", "clean.xyz"), "clean.xyz: cannot write .xyz files"),
        (("restore", "scan.png", "-o", "ir.png", "--infrared", "ir.png"), "ir.png: is the infrared image itself"),
        (("restore", "scan.png", "-o", "clean.png", "--infrared", "clean-mask.png"), "is the infrared image itself"),
        (("restore", "red.png", "-o", "out.png", "--model", "detector.onnx"), "the mask covers the whole image"),
        (("restore", "clean-mask.png", "-o", "clean.png"), "clean-mask.png: is the image itself"),
        (("restore", "", "-o", "clean.png"), "IMAGE is empty"),
    ],
)
def test_bad_input_is_one_line_and_status_2(here: Path, arguments: tuple[str, ...], said: str) -> None:
    for name in ("clean-mask.png", "ir.png"):
        (here / name).write_bytes((here / "scan.png").read_bytes())
    (here / "red.png").write_bytes(png(np.full((20, 30, 3), (255, 0, 0), np.uint8)))
    before = {path: path.read_bytes() for path in here.rglob("*") if path.is_file()}
    result = run(*arguments)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert said in result.stderr
    assert {path: path.read_bytes() for path in here.rglob("*") if path.is_file()} == before
    assert not (here / "masks").exists()


@pytest.mark.parametrize("other", ["clean-mask.png", "clean.jpg"])
def test_a_mask_never_replaces_what_is_written_for_another_image(here: Path, other: str) -> None:
    Image.open(here / "scan.png").save(here / "scans" / other)
    result = run("restore", "scans", "-o", "out", "--model", "detector.onnx")
    assert result.exit_code == 1
    assert (
        f"scans/clean.png: its mask would replace what is written for scans/{other}, out/clean-mask.png"
        in result.stderr
    )
    assert "\n2 done, 0 skipped, 1 failed in " in result.stderr
    assert "clean.png" not in files_in(here / "out")


@pytest.mark.parametrize("command", [("restore", "scans"), ("find", "scans"), ("inpaint", "scans", "--box", "1,1,5,5")])
def test_folders_on_a_terminal(here: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # as if standard error were one: the bar is drawn
    result = run(*command, "-o", "out")
    assert result.exit_code == 0, result.output
    assert "2/2" in result.stderr
    assert "more/damaged.png" in files_in(here / "out")
