from __future__ import annotations

import hashlib
import re
from importlib.resources import files

import pytest

WEIGHTS = files("wavepaint") / "weights"


@pytest.mark.parametrize("name", ["default.onnx", "default.safetensors", "damage.onnx", "damage.safetensors"])
def test_the_packaged_file_is_the_one_that_was_measured(name: str) -> None:
    card = (WEIGHTS / "MODEL_CARD.md").read_text()
    stated = re.findall(rf"`{re.escape(name)}` \| `([0-9a-f]{{64}})`", card)
    assert stated == [hashlib.sha256((WEIGHTS / name).read_bytes()).hexdigest()]
