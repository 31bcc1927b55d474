from __future__ import annotations

import inspect
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wavepaint
from wavepaint.box import Box
from wavepaint.errors import OptionError
from wavepaint.image.suffixes import FORMAT_OF_SUFFIX
from wavepaint.options import FORMATS, Engine, Options, as_boxes, declared

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
    with pytest.raises(OptionError, match="format must be one of png, jpeg, jpg"):
        Options(format="svg")
    assert set(FORMATS) == set(FORMAT_OF_SUFFIX.values())


def test_values_become_what_they_mean() -> None:
    assert Options(boxes=[(1, 2, 3, 4)]).boxes == (Box(1, 2, 3, 4),)
    assert [Options(threshold=value).threshold for value in (0.25, 1, 51, 254)] == [0.25, 1 / 255, 51 / 255, 254 / 255]
    assert [Options(format=name).format for name in ("jpg", "tif", "png", None)] == ["jpeg", "tiff", "png", None]


# -- one declaration ------------------------------------------------------------------------------------------------

FAKE = """
    sparkle: Literal["dim", "bright"] = option("dim", "How the hole sparkles.")
    grain: Grain | None = """
DOORS = """
import sys, types
from pathlib import Path
source = Path(sys.argv[1]).read_text()
assert source.count("\\n    grain: Grain | None = ") == 1
options = types.ModuleType("wavepaint.options")
options.__file__ = sys.argv[1]
sys.modules["wavepaint.options"] = options
exec(compile(source.replace("\\n    grain: Grain | None = ", sys.argv[2]), sys.argv[1], "exec"), options.__dict__)

import inspect, json, wavepaint
from typer.testing import CliRunner
from wavepaint.cli import app
from wavepaint.errors import OptionError
from wavepaint.server.filling import FIELDS, FILE_PARTS, form_schema, read_options
from wavepaint.server.uploads import Form

seen = {}
for name, function in (("inpaint", wavepaint.inpaint), ("call", wavepaint.Inpainter.__call__)):
    seen[name] = inspect.signature(function).parameters["sparkle"].default
    assert "sparkle: How the hole sparkles." in function.__doc__
received = []
wavepaint.Inpainter.fill = lambda self, image, mask, options, *rest, **more: received.append(options.sparkle)
wavepaint.inpaint(b"", b"", sparkle="bright")
png = b"\\x89PNG\\r\\n\\x1a\\n" + bytes(8)
received.append(read_options(Form({"image": png}, {"sparkle": ("bright",)}), wavepaint.Options, FIELDS).sparkle)
try:
    wavepaint.inpaint(b"", b"", sparkle="blinding")
except OptionError as error:
    seen["error"] = str(error)
runner = CliRunner()
for command in ("inpaint", "batch"):
    shown = " ".join(runner.invoke(app, [command, "--help"], terminal_width=200).stdout.split())
    seen[command + " --help"] = shown.partition("--sparkle ")[2][:40]
    refused = runner.invoke(app, [command, "a.png", "b.png", "-o", "c.png", "--sparkle", "blinding"])
    assert (refused.exit_code, "--sparkle" in refused.stderr) == (2, True), refused.stderr
seen["form"] = form_schema(FILE_PARTS, FIELDS)["properties"]["sparkle"]
print(json.dumps({**seen, "received": received, "form field": "sparkle" in FIELDS}))
"""


def test_an_option_is_one_declaration_and_then_at_every_door() -> None:
    pytest.importorskip("fastapi")
    declaration = Path(wavepaint.options.__file__)
    command = [sys.executable, "-c", DOORS, str(declaration), FAKE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "inpaint": "dim",
        "call": "dim",
        "error": "sparkle must be one of dim, bright, got 'blinding'",
        "inpaint --help": "<dim|bright> How the hole sparkles. [def",
        "batch --help": "<dim|bright> How the hole sparkles. [def",
        "form": {
            "type": "string",
            "enum": ["dim", "bright"],
            "description": "How the hole sparkles.",
            "default": "dim",
        },
        "received": ["bright", "bright"],
        "form field": True,
    }


@pytest.mark.parametrize("function", [wavepaint.inpaint, wavepaint.Inpainter.__call__])
def test_signature_and_docstring_say_all_options_with_their_defaults(function: Any) -> None:
    parameters = inspect.signature(function).parameters
    for option in declared(Options, "api"):
        assert parameters[option.name].default == option.default
        assert f"{option.name}: {option.help}" in function.__doc__
    assert "{options}" not in function.__doc__
    assert "Example" in function.__doc__


def test_an_unknown_option_is_a_type_error_that_names_it() -> None:
    with pytest.raises(TypeError, match="sparkle"):
        wavepaint.inpaint(IMAGE, MASK, sparkle="dim")
