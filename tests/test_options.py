from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

import wavepaint
from wavepaint.box import Box
from wavepaint.errors import OptionError
from wavepaint.image.photo import FORMAT_OF_SUFFIX
from wavepaint.options import FORMATS, Engine, Options, as_boxes

IMAGE = np.zeros((20, 30, 3), np.uint8)
MASK = np.zeros((20, 30), np.bool_)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dilate", 2.5),
        ("dilate", "2"),
        ("dilate", None),
        ("dilate", 501),
        ("threshold", None),
        ("threshold", "0.5"),
        ("threshold", math.nan),
        ("threshold", math.inf),
        ("quality", 90.5),
        ("quality", "90"),
        ("quality", math.nan),
        ("alpha", "yes"),
        ("invert_mask", None),
        ("grain", 3),
        ("boxes", 5),
        ("boxes", (0, 0, 5, 5)),
        ("boxes", [(0, 0, 5)]),
        ("boxes", [(0, 0, math.nan, 5)]),
        ("boxes", [(0, 0, math.inf, 5)]),
        ("boxes", [(0, 0, "5", 5)]),
        ("boxes", ["0055"]),
        ("boxes", [None]),
        ("boxes", [Box(0, 0, 2.5, 5)]),
        ("output", 5),
        ("output", b"out.png"),
        ("runtime", 7),
        ("threads", 1.5),
        ("threads", "2"),
        ("threads", 0),
        ("model", 5),
    ],
)
def test_values_of_the_wrong_type_are_refused_by_name(name: str, value: object) -> None:
    mask = None if name in ("boxes", "alpha") else MASK
    with pytest.raises(OptionError, match="box" if name == "boxes" else name) as caught:
        wavepaint.inpaint(IMAGE, mask, **{name: value})
    assert "\n" not in str(caught.value)


def test_numbers_of_numpy_are_numbers() -> None:
    options = Options(dilate=np.int64(3), threshold=np.float32(0.25), quality=np.uint8(80), alpha=np.bool_(True))
    assert (options.dilate, options.threshold, options.quality, options.alpha) == (3, 0.25, 80, True)
    assert as_boxes(np.array([[1, 2, 3, 4]])) == (Box(1, 2, 3, 4),)
    assert as_boxes([(1.0, 2, 3, 4)]) == (Box(1, 2, 3, 4),)
    assert Engine(threads=np.int32(2), model=Path("x")).threads == 2


def test_a_format_that_nothing_writes_is_refused_before_the_work() -> None:
    with pytest.raises(OptionError, match="unknown format 'bmp'; known: png, jpeg"):
        Options(format="bmp")
    assert set(FORMATS) == set(FORMAT_OF_SUFFIX.values())
