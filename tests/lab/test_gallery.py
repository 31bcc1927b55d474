from __future__ import annotations

import json
import runpy
from pathlib import Path

import cv2
import numpy as np
import pytest

from lab.release import removal_strips
from lab.release.removal_strips import FOLDER, REMOVALS, Removal

ROOT = Path(__file__).parents[2]
GALLERY = runpy.run_path(str(ROOT / "lab" / "release" / "make_gallery.py"))
CASES = GALLERY["CASES"]


def test_there_are_enough_cases_with_names_of_their_own() -> None:
    assert len(CASES) >= 24
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_case_has_a_image_with_a_hole(case: object) -> None:
    image, mask = case.image(), case.mask()  # type: ignore[attr-defined]
    assert image.shape == (256, 256, 3)
    assert image.dtype in (np.uint8, np.uint16)
    assert 0 < mask.mean() < 0.5


def test_the_page_shows_what_the_folder_holds() -> None:
    folder = GALLERY["FOLDER"]
    named = {case.name for case in (*CASES, *GALLERY["DAMAGES"])} | {case.strip_name for case in REMOVALS}
    assert {path.stem for path in folder.glob("*.jpg")} == named
    assert (folder / "README.md").read_text() == "\n".join(GALLERY["page"](CASES))


def test_all_images_of_removals_are_shown() -> None:
    assert len(REMOVALS) == 12
    assert {case.name for case in REMOVALS} == {path.stem for path in FOLDER.glob("*.jpg")}
    assert {case.name for case in REMOVALS} == set(json.loads((FOLDER / "outlines.json").read_text()))


@pytest.mark.parametrize("case", REMOVALS, ids=lambda case: case.name)
def test_a_removal_has_a_free_image_and_a_hole_of_its_size(case: Removal) -> None:
    image, mask = case.image(), case.mask()
    assert max(image.shape) == 512
    assert mask.shape == image.shape[:2]
    assert 0.1 < mask.mean() < 0.5
    assert "public domain, [source](<https://" in case.credit() or "CC0 1.0, [source](<https://" in case.credit()
    assert (GALLERY["FOLDER"] / f"{case.strip_name}.jpg").stat().st_size <= removal_strips.LARGEST_STRIP


@pytest.fixture
def shades(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Every method fills with a grey of its own."""
    greys = {"telea": 40, "patchmatch": 90, "network": 140, "wavepaint": 190}
    monkeypatch.setattr(removal_strips, "telea", lambda image, mask: _flat(image, mask, greys["telea"]))
    monkeypatch.setattr(
        removal_strips, "patchmatch_inpaint", lambda image, mask: _flat(image, mask, greys["patchmatch"])
    )
    return greys


def _flat(image: np.ndarray, mask: np.ndarray, grey: int) -> np.ndarray:
    return np.where(mask[..., None], np.uint8(grey), image)


def _inpainter(image: np.ndarray, mask: np.ndarray, detail: str = "image") -> np.ndarray:
    return _flat(image, mask, 140 if detail == "network" else 190)


def _middle(mask: np.ndarray) -> tuple[int, int]:
    """The hole sample that is farthest from what is known."""
    depth = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    y, x = np.unravel_index(depth.argmax(), mask.shape)
    return int(y), int(x)


def test_a_strip_of_a_removal_shows_its_methods_from_left_to_right(shades: dict[str, int]) -> None:
    case = REMOVALS[0]
    strip = cv2.imdecode(np.frombuffer(removal_strips.removal_strip(case, _inpainter), np.uint8), cv2.IMREAD_COLOR)
    width = removal_strips.PANEL_WIDTH
    assert strip.shape[1] == 5 * width
    y, x = (round(at * width / 512) for at in _middle(case.mask()))
    seen = [int(strip[y, x + panel * width, 1]) for panel in range(1, 5)]
    np.testing.assert_allclose(seen, list(shades.values()), atol=4)
    tinted = (case.image()[_middle(case.mask())] + np.array((255.0, 0.0, 255.0))) / 2
    np.testing.assert_allclose(strip[y, x, ::-1], tinted, atol=25)


def test_the_key_says_what_a_blind_sheet_shows(shades: dict[str, int], tmp_path: Path) -> None:
    for seed in range(2):
        removal_strips.write_blind_sheets(tmp_path / str(seed), seed, _inpainter, REMOVALS[:3])
    keys = [json.loads((tmp_path / str(seed) / "key.json").read_text()) for seed in range(2)]
    assert keys[0] != keys[1]
    for case in REMOVALS[:3]:
        mask = case.mask()
        y, x = _middle(mask)
        sheet = cv2.imread(str(tmp_path / "0" / "sheets" / f"{case.name}.png"))
        height, width = sheet.shape[0] // 2, sheet.shape[1] // 2
        for index, letter in enumerate("ABCD"):
            row, column = divmod(index, 2)
            at = (row * height + height - mask.shape[0] + y, column * width + x)
            assert sheet[at].tolist() == [shades[keys[0][case.name][letter]]] * 3
