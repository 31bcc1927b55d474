"""A folder with an image and a mask, and a network that fills with the mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from commands import IMAGE, MASK
from standin import write_standin


@pytest.fixture
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_standin(tmp_path_factory.mktemp("standin") / "mean.onnx")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "image.png").write_bytes(IMAGE)
    (tmp_path / "mask.png").write_bytes(MASK)
    return tmp_path
