from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from networks import randomised
from wavepaint.errors import CheckpointError
from wavepaint.find import find_damage
from wavepaint.network import load_checkpoint, load_network, preset, save_checkpoint
from wavepaint.network.damage import DamageNetwork
from wavepaint.network.export import HALF_TOLERANCE, largest_change, onnx_bytes
from wavepaint.network.info import describe

CONFIG = replace(preset("damage"), blocks_per_module=3, final_dim=16, ff_channel=16, stem_channels=4)
WEIGHTS = Path(__file__).parents[2] / "src" / "wavepaint" / "weights"


def find(data: bytes, image: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    (damage,) = session.run(None, {"image": image})
    return damage  # type: ignore[no-any-return]


def test_gives_three_channels_of_any_size_that_fits() -> None:
    network = DamageNetwork(CONFIG).eval()
    for height, width in ((64, 64), (128, 192), (320, 64)):
        with torch.no_grad():
            assert network(torch.rand(2, 3, height, width)).shape == (2, 3, height, width)
    for shape in ((1, 3, 64, 96), (1, 1, 64, 64), (3, 64, 64)):
        with pytest.raises(ValueError, match="image must be"):
            network(torch.rand(shape))


def test_the_middle_block_sees_one_level_further() -> None:
    assert [block.level for block in DamageNetwork(preset("damage")).layers] == [3, 4, 3]
    assert [block.level for block in DamageNetwork(replace(CONFIG, level=1)).layers] == [1, 1, 1]


def test_an_untrained_network_finds_little() -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        probabilities = DamageNetwork(CONFIG).eval()(torch.rand(1, 3, 64, 64)).sigmoid()
    assert probabilities.max() < 0.5


def test_the_graph_equals_torch() -> None:
    network = randomised(DamageNetwork(CONFIG))
    data = onnx_bytes(network, half=False)
    for batch, rows, columns in ((1, 1, 1), (2, 3, 2)):
        image = torch.rand(batch, 3, 64 * rows, 64 * columns)
        with torch.no_grad():
            expected = network(image).sigmoid().numpy()
        np.testing.assert_allclose(find(data, image.numpy()), expected, atol=1e-5, rtol=0)


def test_a_checkpoint_reads_back_and_is_not_taken_for_one_that_fills(tmp_path: Path) -> None:
    network, path = randomised(DamageNetwork(CONFIG)), tmp_path / "damage.safetensors"
    save_checkpoint(network, path)
    again = load_network(path)
    image = torch.rand(1, 3, 128, 64)
    with torch.no_grad():
        assert torch.equal(network(image), again(image))
    with pytest.raises(CheckpointError, match=r"damage\.safetensors: this network finds damage"):
        load_checkpoint(path)
    assert describe(path).macs > 0


def test_the_packaged_files_hold_the_same_network_and_are_small() -> None:
    network = load_network("damage")
    data = (WEIGHTS / "damage.onnx").read_bytes()
    assert len(data) <= 1.5e6
    assert largest_change(data, onnx_bytes(network, half=False), network.config.multiple) < HALF_TOLERANCE["damage"]
    image = torch.rand(1, 3, 192, 64)
    with torch.no_grad():
        np.testing.assert_allclose(find(data, image.numpy()), network(image).sigmoid(), atol=4e-3, rtol=0)


def test_the_packaged_network_finds_a_scratch_and_leaves_a_gradient_alone() -> None:
    gradient = np.linspace(40, 200, 192, dtype=np.float32)[None, :, None].repeat(192, 0).repeat(3, 2)
    scratched = gradient.copy()
    scratched[20:180, 96:98] = 250
    assert not find_damage(gradient.round().astype(np.uint8), grow=0).any()
    scratches = find_damage(scratched.round().astype(np.uint8), grow=0, kinds="scratches")
    assert scratches[20:180, 96:98].mean() > 0.9
    scratches[18:182, 94:100] = False
    assert scratches.mean() < 0.001
