from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from networks import random_network, random_sample, small_config
from wavepaint.errors import CheckpointError
from wavepaint.network import WavePaint, WavePaintConfig, load_checkpoint
from wavepaint.network.export import HALF_TOLERANCE, export_onnx, largest_change, onnx_bytes
from wavepaint.network.info import describe

CONFIGS = {
    "published": small_config(num_modules=2),
    "published-rgb-level3": small_config(level=3, input_channels=3, mult=4),
    "haar": small_config(stem="haar", level=2, prefill="haar", sweeps=3),
    "haar-rgb-level4": small_config(stem="haar", packet_levels=1, level=4, input_channels=3, prefill="haar"),
    "db2": small_config(stem="haar", level=2, wavelet="db2"),
    "bior2.2": small_config(level=3, wavelet="bior2.2", prefill="haar", sweeps=0),
}


def _session(data: bytes) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("name", CONFIGS)
def test_equals_torch_at_any_size_and_mask(name: str) -> None:
    config = CONFIGS[name]
    model = random_network(config)
    session = _session(onnx_bytes(model, half=False))
    for batch, rows, columns, share in (
        (1, 1, 1, 0.5),
        (2, 3, 5, 0.3),
        (1, 7, 2, 0.95),
        (1, 2, 2, 0.0),
        (1, 2, 2, 1.1),
    ):
        image, mask = random_sample(batch, rows * config.multiple, columns * config.multiple, share)
        with torch.no_grad():
            expected = model(image, mask)
        (filled,) = session.run(None, {"image": image.numpy(), "mask": mask.numpy()})
        np.testing.assert_allclose(filled, expected.numpy(), atol=1e-4, rtol=0)
        known = np.broadcast_to(mask.numpy() == 0, filled.shape)
        assert np.array_equal(filled[known], image.numpy()[known])


def test_a_mask_of_one_half_starts_from_the_image() -> None:
    for name in ("haar", "published"):
        config = CONFIGS[name]
        model = random_network(config)
        session = _session(onnx_bytes(model, half=False))
        image, mask = random_sample(2, 2 * config.multiple, 2 * config.multiple)
        mask[0] *= 0.5  # the first sample has a guess, the second a prefill
        with torch.no_grad():
            expected = torch.cat((model(image[:1], mask[:1] * 2, image[:1]), model(image[1:], mask[1:])))
        (filled,) = session.run(None, {"image": image.numpy(), "mask": mask.numpy()})
        np.testing.assert_allclose(filled, expected.numpy(), atol=1e-4, rtol=0)


def test_metadata_describes_the_network(tmp_path: Path) -> None:
    model = random_network(CONFIGS["haar"])
    path = tmp_path / "model.onnx"
    export_onnx(model, path)
    info = describe(path)
    assert info.config == model.config
    assert info.format == "onnx"
    assert info.metadata["multiple"] == str(model.config.multiple)
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(CheckpointError, match="not an ONNX model"):
        describe(tmp_path / "text.onnx")


def test_float16_weights_only_where_they_change_little() -> None:
    config = CONFIGS["haar"]
    modest = random_network(config)
    full, half = onnx_bytes(modest, half=False), onnx_bytes(modest, half=True)
    change = largest_change(full, half, config.multiple)
    assert change > 0
    assert (len(onnx_bytes(modest)) == len(half)) == (change < HALF_TOLERANCE["image"])
    assert len(half) < 0.75 * len(full)
    for factor in (1e3, 1e8):  # too coarse, and more than float16 holds
        wild = random_network(config)
        wild.wavemodules[0].synthesis.weight.data *= factor
        assert len(onnx_bytes(wild)) == len(onnx_bytes(wild, half=False))


def test_packaged_files_are_one_network() -> None:
    model = load_checkpoint("default")
    assert isinstance(model, WavePaint)
    assert isinstance(model.config, WavePaintConfig)
    weights = Path(__file__).parents[2] / "src" / "wavepaint" / "weights"
    session = _session((weights / "default.onnx").read_bytes())
    image, mask = random_sample(1, 4 * model.config.multiple, 4 * model.config.multiple)
    with torch.no_grad():
        expected = model(image, mask)
    (filled,) = session.run(None, {"image": image.numpy(), "mask": mask.numpy()})
    np.testing.assert_allclose(filled, expected.numpy(), atol=1 / 512, rtol=0)
    assert all(value.isfinite().all() for value in model.state_dict().values())
    assert sum(path.stat().st_size for path in weights.glob("default.*")) <= 6_000_000
    assert sum(path.stat().st_size for path in weights.glob("damage.*")) <= 3_000_000
