from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

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
    assert {path.stem for path in folder.glob("*.jpg")} == {case.name for case in (*CASES, *GALLERY["DAMAGES"])}
    assert (folder / "README.md").read_text() == "\n".join(GALLERY["page"](CASES))
