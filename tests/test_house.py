"""The limits that keep the code readable; `docs/ARCHITECTURE.md` has the reasons, `pyproject.toml` the layers."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PRODUCT = ROOT / "src" / "wavepaint"
CODE = sorted((*PRODUCT.rglob("*.py"), *(ROOT / "lab").rglob("*.py")))

MAX_PRODUCT_LINES = 21_531
"""To be lowered with every clean-up; the aim is 15,000."""
MAX_BATCH_LINES = 700
MAX_TRAINING_LINES = 1_795
MAX_ROOMS = 12
MAX_CLASS_LINES = 300
MAX_METHODS = 20
MAX_FUNCTION_LINES = 60
MAX_PARAMETERS = 8

Function = ast.FunctionDef | ast.AsyncFunctionDef


def lines_of(node: ast.stmt) -> int:
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno + 1


def code_lines_of(function: Function) -> int:
    """Lines of a function without its docstring, which is allowed to be long."""
    first = function.body[0]
    documented = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    return lines_of(function) - (lines_of(first) if documented else 0)


def nodes_of(path: Path, kind: type | tuple[type, ...]) -> Iterator[ast.stmt]:
    return (node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, kind))


def lines_below(folder: Path) -> int:
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in folder.rglob("*.py"))


def test_the_product_stays_small() -> None:
    assert lines_below(PRODUCT) <= MAX_PRODUCT_LINES
    assert lines_below(PRODUCT / "batch") <= MAX_BATCH_LINES
    assert lines_below(PRODUCT / "training") <= MAX_TRAINING_LINES
    rooms = [path for path in PRODUCT.iterdir() if path.is_dir() and list(path.rglob("*.py"))]
    assert len(rooms) <= MAX_ROOMS


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_classes_functions_and_signatures_stay_small(path: Path) -> None:
    problems = []
    for node in nodes_of(path, ast.ClassDef):
        assert isinstance(node, ast.ClassDef)
        methods = sum(isinstance(part, Function) for part in node.body)
        if lines_of(node) > MAX_CLASS_LINES or methods > MAX_METHODS:
            problems.append(f"class {node.name}: {lines_of(node)} lines, {methods} methods")
    for node in nodes_of(path, (ast.FunctionDef, ast.AsyncFunctionDef)):
        assert isinstance(node, Function)
        arguments = node.args
        parameters = [
            each.arg
            for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
            if each.arg not in ("self", "cls")
        ]
        if code_lines_of(node) > MAX_FUNCTION_LINES:
            problems.append(f"{node.name}: {code_lines_of(node)} lines")
        if len(parameters) > MAX_PARAMETERS:
            problems.append(f"{node.name}: {len(parameters)} parameters")
    assert problems == []
