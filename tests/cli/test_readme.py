"""What the README shows can be typed in the order in which it stands there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8").partition("## What it promises")[0]


def blocks(language: str) -> str:
    return "\n".join(re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL))


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    return tmp_path


def test_commands(clone: Path) -> None:
    lines = [line for line in blocks("sh").splitlines() if line.startswith("wavepaint ")]
    assert len(lines) > 5
    script = "\n".join(["set -e", f'wavepaint() {{ "{sys.executable}" -m wavepaint "$@"; }}', *lines])
    subprocess.run(["bash", "-c", script], cwd=clone, check=True)
    assert {"filled.png", "out.png", "out.jpg"} <= {path.name for path in clone.iterdir()}


def test_python(clone: Path) -> None:
    program = blocks("python") + "\nassert isinstance(result, bytes) and result != image"
    subprocess.run([sys.executable, "-c", program], cwd=clone, check=True)
    assert (clone / "out.png").is_file()
