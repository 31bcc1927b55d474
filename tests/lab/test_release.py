"""From a trained network to the packaged files."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from lab.release.release_model import main
from networks import random_network, random_sample, small_config
from wavepaint.network import load_checkpoint, save_checkpoint
from wavepaint.network.checkpoint import read_metadata


def test_both_files_hold_the_network_and_its_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = random_network(small_config(stem="haar", prefill="haar", sweeps=1))
    best = tmp_path / "best.safetensors"
    recipe = "network: null\ninit: /a/b.c/first.safetensors\nbatch: 8\n"
    save_checkpoint(network, best, extra={"step": "12", "seed": "0", "recipe": recipe, "note": "dropped"})
    main([str(best), "-o", str(tmp_path / "weights")])
    weights, graph = (tmp_path / "weights" / f"default.{suffix}" for suffix in ("safetensors", "onnx"))
    printed = capsys.readouterr().out.splitlines()
    expected = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (weights, graph)]
    assert [line.split()[0] for line in printed] == expected

    note = read_metadata(weights)
    assert {key: note[key] for key in ("step", "seed")} == {"step": "12", "seed": "0"}
    assert note["recipe"] == "network: null\ninit: first.safetensors\nbatch: 8\n", "no folder of a machine"
    assert note["source"] == f"SHA-256 {hashlib.sha256(best.read_bytes()).hexdigest()}"
    assert "note" not in note

    image, mask = random_sample(1, 64, 64)
    released = load_checkpoint(weights)
    with torch.no_grad():
        filled = released(image, mask)
        torch.testing.assert_close(filled, network(image, mask), atol=0.02, rtol=0.02)
    session = onnxruntime.InferenceSession(graph)
    names = [each.name for each in session.get_inputs()]
    values = dict(zip(names, (image.numpy(), mask.numpy()), strict=False))
    np.testing.assert_allclose(session.run(None, values)[0], filled.numpy(), atol=2e-3)


def test_what_is_no_network_is_one_line_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path, reason in ((tmp_path, "is a folder"), (tmp_path / "none.safetensors", "no such file")):
        with pytest.raises(SystemExit) as ended:
            main([str(path), "-o", str(tmp_path / "weights")])
        assert ended.value.code == 2
        assert reason in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "weights").exists()
