"""Constants that the editor's page computes with are those of the modules that it follows."""

from __future__ import annotations

import importlib
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from wavepaint import find
from wavepaint.fill.options import ExemplarOptions
from wavepaint.fill.wide import WideSizes
from wavepaint.options import DAMAGE_KINDS, Finding

WEB = Path(__file__).parents[1] / "web" / "src"
PAIRS = {
    **{f"device/exemplar/{name}": [f"fill.{name}"] for name in ("blend", "flat", "levels", "patches", "pieces")},
    **{f"device/exemplar/{name}": [f"fill.{name}"] for name in ("repeats", "stage")},
    "device/exemplar/carry_over": ["fill.solution"],
    "device/exemplar/field": ["fill.search"],
    "device/exemplar/solve": ["fill.exemplar"],
    "device/damage": ["find"],
    "device/grain": ["fill.grain"],
    "device/haar_fill": ["fill.pyramid"],
    "device/inpaint": ["inpainter", "fill.guide", "runtime.base"],
    "device/noise": ["fill.noise"],
    "device/regions": ["fill.regions", "fill.depth"],
    "image/marked_copy": ["image.marked_copy"],
    "image/mask_reading": ["image.mask_reading", "image.mask"],
}
NUMBER = re.compile(r"^(?:export )?const ([A-Z][A-Z_]+) = (?:Math\.fround\()?(-?[\d_.e*/ -]+)\)?;", re.MULTILINE)


def text_of(name: str) -> str:
    return (WEB / f"{name}.ts").read_text(encoding="utf-8")


def numbers_of(name: str) -> dict[str, float]:
    return {constant: eval(value) for constant, value in NUMBER.findall(text_of(name))}


def named_values(name: str, constant: str) -> dict[str, Any]:
    """The names and values of an object of constants."""
    (body,) = re.findall(rf"const {constant}(?:: \S+)? = \{{(.*?)\}}", text_of(name), re.DOTALL)
    pairs = re.findall(r"(\w+): ([\d_.]+|\[[\d, ]+\])", body)
    return {key: eval(value) for key, value in pairs}


@pytest.mark.parametrize("name", PAIRS)
def test_numbers_of_one_name_are_equal(name: str) -> None:
    modules = [importlib.import_module(f"wavepaint.{module}") for module in PAIRS[name]]
    compared = 0
    for constant, value in numbers_of(name).items():
        for module in modules:
            other = getattr(module, constant, getattr(module, f"_{constant}", None))
            if other is not None:
                assert value == pytest.approx(float(other), rel=1e-6), constant
                compared += 1
    assert compared > 0


def test_sizes_of_wide_holes_are_equal() -> None:
    assert named_values("device/regions", "WIDE_SIZES") == asdict(WideSizes())


def test_options_of_exemplar_completion_are_equal() -> None:
    expected = {
        key: list(value) if isinstance(value, tuple) else value for key, value in asdict(ExemplarOptions()).items()
    }
    assert expected.pop("seed") == 0
    assert named_values("device/exemplar/options", "EXEMPLAR_OPTIONS") == expected


def test_thresholds_of_damage_are_equal() -> None:
    assert named_values("device/damage", "THRESHOLDS") == find.THRESHOLDS


def test_defaults_of_finding_damage_are_equal() -> None:
    finding = Finding()
    assert numbers_of("ui/damage_search")["GROW"] == finding.grow
    assert named_values("ui/settings", "DEFAULTS")["sensitivity"] == finding.sensitivity
    (kinds,) = re.findall(r"const DAMAGE_KINDS = \[(.*?)\]", text_of("fill/finder"))
    assert re.findall(r'"(\w+)"', kinds) == list(DAMAGE_KINDS)
