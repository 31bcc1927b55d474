"""The table of masks and their holes, which the browser reads too: `web/tests/mask_vectors.test.ts`."""

from __future__ import annotations

import io
import json
import re
import warnings
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vectors.masks.make import CASES, FOLDER
from wavepaint.errors import ImageWarning, MaskError
from wavepaint.image.mask import find_hole
from wavepaint.image.sources import open_image
from wavepaint.options import Options

VECTORS = json.loads((FOLDER / "vectors.json").read_text(encoding="utf-8"))
MESSAGES = {
    "all": r"covers the whole image",
    "alpha": r"has no transparency",
    "copy": r"is a copy of .* with [0-9.]+ % of it painted over or erased",
    "half": r"marks [0-9.]+ % of .*--invert-mask",
    "labels": r"palette",
    "most": r"marks [0-9.]+ % of .*--invert-mask; .*--mask-from",
    "nothing": r"marks nothing",
    "size": r"the mask is \d+x\d+ pixels, but .* is \d+x\d+; .*--resize-mask",
    "swapped": r"are image and mask swapped",
}


def test_the_table_is_that_of_the_script() -> None:
    assert [row["name"] for row in VECTORS] == [case.name for case in CASES]
    assert len({row["name"] for row in VECTORS}) == len(VECTORS)


@pytest.mark.parametrize("as_path", [True, False])
@pytest.mark.parametrize("row", VECTORS, ids=lambda row: row["name"])
def test_a_mask_gives_its_hole_and_messages(row: dict[str, Any], as_path: bool) -> None:
    image, mask = FOLDER / row["image"], FOLDER / row["mask"]
    options = Options(**row["options"])
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        opened = open_image(image if as_path else image.read_bytes())
        if "error" in row:
            with pytest.raises(MaskError, match=MESSAGES[row["error"]]):
                find_hole(opened, mask if as_path else mask.read_bytes(), options)
        else:
            hole = find_hole(opened, mask if as_path else mask.read_bytes(), options)
            expected = np.asarray(Image.open(FOLDER / row["hole"])) > 0
            assert np.count_nonzero(hole != expected) == 0
    lines = [str(warning.message) for warning in heard if warning.category is ImageWarning]
    assert len(lines) == len(row["warnings"]), lines
    for kind in row["warnings"]:
        assert any(re.search(MESSAGES[kind], line) for line in lines), (kind, lines)


@pytest.mark.parametrize("case", [case for case in CASES if case.lossy], ids=lambda case: case.name)
def test_holes_of_lossy_copies_are_near_what_was_drawn(case: Any) -> None:
    row = next(row for row in VECTORS if row["name"] == case.name)
    hole = np.asarray(Image.open(FOLDER / row["hole"])) > 0
    assert case.fits(hole)


ARRAYS = [
    row for row in VECTORS if "decoded" not in row and "deep" not in row["image"] and "turned" not in row["image"]
]


@pytest.mark.parametrize("row", ARRAYS, ids=lambda row: row["name"])
@pytest.mark.parametrize("kind", ["array", "PIL"])
def test_arrays_and_pil_images_mean_the_same(row: dict[str, Any], kind: str) -> None:
    def opened(name: str) -> Any:
        return Image.open(io.BytesIO((FOLDER / name).read_bytes()))

    image, given = opened(row["image"]), opened(row["mask"])
    if kind == "array":
        if given.mode == "P":
            pytest.skip("an array has no palette")
        image, given = np.asarray(image), np.asarray(given.convert("LA") if "transparency" in given.info else given)
    samples, options = open_image(image), Options(**row["options"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImageWarning)
        if "error" in row:
            with pytest.raises(MaskError, match=MESSAGES[row["error"]]):
                find_hole(samples, given, options)
            return
        hole = find_hole(samples, given, options)
    np.testing.assert_array_equal(hole, np.asarray(Image.open(FOLDER / row["hole"])) > 0)
