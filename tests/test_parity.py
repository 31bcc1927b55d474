"""The committed parity cases are what this package makes; the browser's side is web/tests/parity.test.ts."""

from __future__ import annotations

import json

import numpy as np
import pytest
import pyvips

from parity.make import CASES, FOLDER, Case, plan_of
from wavepaint import Inpainter

MAKE_AGAIN = "run python tests/parity/make.py"


@pytest.fixture(scope="module")
def inpainter() -> Inpainter:
    return Inpainter(runtime="onnxruntime", threads=1)


def read(name: str) -> np.ndarray:
    """(H, W, C)."""
    samples = pyvips.Image.new_from_file(str(FOLDER / name)).numpy()
    return samples[..., None] if samples.ndim == 2 else samples


def test_there_is_a_file_for_each_case() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == {case.name for case in CASES}, MAKE_AGAIN


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_plan(case: Case) -> None:
    description = json.loads((FOLDER / f"{case.name}.json").read_text())
    assert description["plan"] == plan_of(case.mask()), MAKE_AGAIN


@pytest.mark.parametrize("case", [case for case in CASES if case.channels], ids=lambda case: case.name)
def test_expected_image(case: Case, inpainter: Inpainter) -> None:
    description = json.loads((FOLDER / f"{case.name}.json").read_text())
    source, expected, hole = read(description["image"]), read(description["expected"]), case.mask()
    np.testing.assert_array_equal(expected[~hole], source[~hole])
    filled = inpainter(source, hole, detail=description["detail"], mask_from="brightness")
    step = 1 if source.dtype == np.uint8 else 257
    # Processors round differently.
    assert np.abs(filled.astype(int) - expected).max() <= step, MAKE_AGAIN
