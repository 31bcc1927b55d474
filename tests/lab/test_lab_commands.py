"""`python -m lab`: what it lists, and that listing is quick."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lab.cli import app

ROOT = Path(__file__).parents[2]


def test_help_lists_every_command_and_study_and_imports_nothing_heavy() -> None:
    studies = pytest.importorskip("lab.ablation.studies").STUDIES
    command = "import sys; from lab.cli import app; app(['--help'], standalone_mode=False)"
    command += "; print(*sys.modules, file=sys.stderr)"
    shown = subprocess.run([sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, check=True)
    words = shown.stdout.replace(",", " ").replace(".", " ").split()
    assert {"ablate", "study", "benchmark", "prepare", *studies} <= set(words)
    assert not {"torch", "numpy", "pyvips", "matplotlib", "rich", "uvicorn"} & set(shown.stderr.split())


@pytest.mark.parametrize(
    "arguments", [["ablate", "none", "-o", "RUN"], ["prepare", "none", "x", "-o", "y"], ["inflate"]]
)
def test_bad_input_is_one_line_and_status_2(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("wavepaint: ")
    assert result.stderr.count("\n") == 1
