from __future__ import annotations

import contextlib
import os
import pickle
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import save_file

from networks import random_network, random_sample, small_config
from wavepaint.errors import CheckpointError
from wavepaint.network import WavePaint, load_checkpoint, save_checkpoint
from wavepaint.network.checkpoint import infer_config, read_metadata
from wavepaint.network.dwt import analysis_filters, haar_packet_basis
from wavepaint.network.export import onnx_bytes
from wavepaint.network.info import count_macs, describe


def _same_output(first: WavePaint, second: WavePaint) -> bool:
    image, mask = random_sample(1, 32, 32)
    with torch.no_grad():
        return torch.equal(first(image, mask), second(image, mask))


@pytest.mark.parametrize("num_modules", [1, 3])
@pytest.mark.parametrize("blocks", [1, 4])
@pytest.mark.parametrize(("final_dim", "ff_channel"), [(8, 8), (24, 16)])
@pytest.mark.parametrize("mult", [1, 2, 4])
@pytest.mark.parametrize("level", [1, 2, 3, 4])
@pytest.mark.parametrize("input_channels", [3, 4])
def test_every_hyperparameter_is_inferred(
    num_modules: int, blocks: int, final_dim: int, ff_channel: int, mult: int, level: int, input_channels: int
) -> None:
    config = small_config(
        num_modules=num_modules,
        blocks_per_module=blocks,
        final_dim=final_dim,
        ff_channel=ff_channel,
        mult=mult,
        level=level,
        input_channels=input_channels,
        dropout=0.5,
    )
    with torch.device("meta"):
        state = WavePaint(config).state_dict()
    assert infer_config(state) == config


@pytest.mark.parametrize("wrap", ["plain", "state_dict", "model", "module."])
def test_published_files_load_however_they_were_wrapped(wrap: str, tmp_path: Path) -> None:
    model = random_network(small_config(level=2))
    state = model.state_dict()
    content = {
        "plain": state,
        "state_dict": {"epoch": 3, "state_dict": state},
        "model": {"model": state},
        "module.": {f"module.{name}": value for name, value in state.items()},
    }[wrap]
    torch.save(content, tmp_path / "weights.pth")
    loaded = load_checkpoint(tmp_path / "weights.pth")
    assert not loaded.training
    assert _same_output(model, loaded)


@pytest.mark.parametrize("half", [False, True])
def test_our_files_keep_configuration_and_weights(half: bool, tmp_path: Path) -> None:
    model = random_network(small_config(stem="haar", prefill="haar", level=2, sweeps=3))
    model.wavemodules[0].depthconv[2].running_var.fill_(1e8)  # more than float16 holds
    save_checkpoint(model, tmp_path / "model.safetensors", half=half, extra={"recipe": "none"})
    loaded = load_checkpoint(tmp_path / "model.safetensors")
    assert loaded.config == model.config
    assert read_metadata(tmp_path / "model.safetensors")["recipe"] == "none"
    for name, value in model.state_dict().items():
        expected = value.half().float() if half and value.ndim > 1 else value
        assert torch.equal(loaded.state_dict()[name], expected), name


def test_loading_is_the_same_in_a_fresh_process(tmp_path: Path) -> None:
    model = random_network(small_config(stem="haar", wavelet="db2"))
    save_checkpoint(model, tmp_path / "model.safetensors")
    haar_packet_basis.cache_clear()
    analysis_filters.cache_clear()
    loaded = load_checkpoint(tmp_path / "model.safetensors")
    assert haar_packet_basis(2).device.type == "cpu"
    assert _same_output(model, loaded)


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.safetensors"
    save_checkpoint(random_network(small_config()), path)
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        save_checkpoint(random_network(small_config(), seed=1), path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


class _Explosive:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.mkdir, ("/this-must-never-be-made",))


def test_bad_files_say_what_is_wrong(tmp_path: Path) -> None:
    state = random_network(small_config()).state_dict()
    missing = dict(list(state.items())[:-1])
    misshapen = {**state, "wavemodules.0.decoder2.0.bias": torch.zeros(4)}
    words = r"\.pth: not a checkpoint \(safetensors or a PyTorch state dict\)$"
    cases: dict[str, tuple[bytes | dict[str, object], str]] = {
        "empty": (b"", words),
        "text": (b"hello, I am no checkpoint", words),
        "code": (pickle.dumps({"a": _Explosive()}), words),
        "onnx": (onnx_bytes(random_network(small_config()), half=False), words),
        "list": ({"weights": [1, 2]}, "holds no state dict"),
        "other": ({"layer.weight": torch.zeros(3)}, "no wavemodules.0.conv.0.weight"),
        "missing": (missing, "missing: wavemodules.0.decoder2.0.bias"),
        "extra": ({**state, "surplus": torch.zeros(1)}, "left over: surplus"),
        "scalar": ({**state, "wavemodules.0.conv.0.weight": torch.tensor(1.0)}, "is no convolution kernel"),
        "misshapen": (misshapen, r"wrong shape: wavemodules.0.decoder2.0.bias is \(4,\), not \(3,\)"),
    }
    for name, (content, message) in cases.items():
        path = tmp_path / f"{name}.pth"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            torch.save(content, path)
        with pytest.raises(CheckpointError, match=message) as caught:
            load_checkpoint(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(CheckpointError, match="no such file"):
        load_checkpoint(tmp_path / "absent.pth")
    with pytest.raises(CheckpointError, match=r"is a folder$"):
        load_checkpoint(tmp_path)
    assert not Path("/this-must-never-be-made").exists()


def test_damaged_safetensors_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_checkpoint(random_network(small_config()), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="damaged checkpoint"):
        load_checkpoint(path)
    save_file({"a": torch.zeros(1)}, path, metadata={"wavepaint_config": '{"level": 9}'})
    with pytest.raises(CheckpointError, match="level must be a whole number from 1 to 4"):
        load_checkpoint(path)


def test_mutated_pickles_never_escape_as_other_errors(tmp_path: Path) -> None:
    torch.save(random_network(small_config(final_dim=8, ff_channel=8)).state_dict(), tmp_path / "good.pth")
    good = (tmp_path / "good.pth").read_bytes()
    rng = np.random.default_rng(0)
    path = tmp_path / "bad.pth"
    for _ in range(60):
        bad = bytearray(good)
        for position in rng.integers(0, min(len(bad), 3000), 4):
            bad[position] = rng.integers(256)
        path.write_bytes(bad)
        with contextlib.suppress(CheckpointError):
            load_checkpoint(path)


def test_a_damaged_description_in_an_onnx_file_is_named(tmp_path: Path) -> None:
    proto = onnx.load_from_string(onnx_bytes(random_network(small_config()), half=False))
    proto.metadata_props[0].value = '{"level": 9}'
    onnx.save(proto, tmp_path / "model.ONNX")
    with pytest.raises(CheckpointError, match=r"model.ONNX: damaged description.*level"):
        describe(tmp_path / "model.ONNX")


def test_macs_count_every_convolution() -> None:
    config = small_config(blocks_per_module=1, final_dim=8, ff_channel=8, mult=1, input_channels=3)
    side, c = 32, 8
    full, half, quarter = side**2, (side // 2) ** 2, (side // 4) ** 2
    expected = full * 9 * 3 * c // 2 + half * 9 * c // 2 * c  # stem
    expected += half * c * c // 4  # reduction
    expected += quarter * (c * c + c * c + 16 * c * c)  # feed-forward; a transposed convolution counts its input
    expected += half * 25 * c + half * 16 * 2 * c * c // 2 + full * (c // 2 + 3) * 3  # depthwise, decoders
    assert count_macs(WavePaint(config), side) == expected


def test_describe_recognises_a_published_file(tmp_path: Path) -> None:
    model = random_network(small_config(input_channels=3))
    torch.save(model.state_dict(), tmp_path / "published.pth")
    info = describe(tmp_path / "published.pth")
    assert (info.format, info.config.input_channels, info.preset) == ("pytorch", 3, None)
    assert info.parameters == sum(p.numel() for p in model.parameters())
    assert info.bytes == (tmp_path / "published.pth").stat().st_size


@pytest.mark.parametrize("name", ["default", "damage"])
def test_the_packaged_networks_are_of_the_presets_of_their_names(name: str) -> None:
    assert describe(name).preset == name
