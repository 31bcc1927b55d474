"""The cases that the browser completes too: `web/tests/exemplar.test.ts`."""

from __future__ import annotations

import json

import numpy as np
import pytest
import pyvips

from vectors.exemplar.make import CASES, FOLDER, Case, expected

MAKE_AGAIN = "run python tests/vectors/exemplar/make.py"


def test_the_list_is_that_of_the_script() -> None:
    listed = json.loads((FOLDER / "vectors.json").read_text(encoding="utf-8"))
    assert [row["name"] for row in listed] == [case.name for case in CASES], MAKE_AGAIN


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_completes_as_the_files_say(case: Case) -> None:
    images = expected(case)
    assert {path.name for path in FOLDER.glob(f"{case.name}*.png") if path.name in images} == set(images), MAKE_AGAIN
    for name, samples in images.items():
        stored = pyvips.Image.new_from_file(str(FOLDER / name)).numpy().reshape(samples.shape)
        assert stored.dtype == samples.dtype
        # Processors round exponentials differently; where samples come from must not depend on that.
        tolerance = np.iinfo(samples.dtype).max // 255 if name.endswith("-filled.png") else 0
        assert np.abs(samples.astype(int) - stored).max() <= tolerance, MAKE_AGAIN
