"""The command line in this process, and the small images that its tests fill."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image
from typer.testing import CliRunner, Result

from images import noise, pillow
from wavepaint.cli import app

SAMPLES = noise(40, 50, 3)
HOLE = np.zeros((40, 50), np.bool_)
HOLE[10:20, 15:30] = True
IMAGE = pillow(SAMPLES, "PNG")
MASK = pillow(HOLE.astype(np.uint8) * 255, "PNG")


def run(*arguments: object, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)


def samples_of(file: Path | bytes) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(file) if isinstance(file, bytes) else file))


def check_filled(file: Path | bytes, hole: np.ndarray = HOLE) -> None:
    samples = samples_of(file)
    assert np.array_equal(samples[~hole], SAMPLES[~hole])
    assert not np.array_equal(samples[hole], SAMPLES[hole])


def files_in(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
