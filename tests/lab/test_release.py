from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
import torch

from networks import random_network, small_config
from wavepaint.network import load_checkpoint, save_checkpoint
from wavepaint.network.checkpoint import read_metadata

SCRIPT = Path(__file__).parents[2] / "lab" / "release" / "release_model.py"


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, which writes below `tmp_path`, the packaged files excepted."""
    spec = spec_from_file_location("release_model", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "weights").mkdir()
    monkeypatch.setattr(module, "STATE", tmp_path / "state")
    monkeypatch.setattr(module, "WEIGHTS", tmp_path / "weights")
    return module


@pytest.fixture
def checkpoints(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{seed}.safetensors" for seed in range(3)]
    for seed, path in enumerate(paths):
        save_checkpoint(random_network(small_config(), seed), path, extra={"steps": str(10 + seed)})
    return paths


def test_shares_are_mixed_in_one_after_the_other(release: ModuleType, checkpoints: list[Path], tmp_path: Path) -> None:
    base, second, third = map(str, checkpoints)
    release.main([base, "--blend", second, "0.25", "--blend", third, "0.1", "--octaves", "3"])
    a, b, c = (load_checkpoint(path).state_dict() for path in checkpoints)
    released = load_checkpoint(tmp_path / "state" / "ema.safetensors")
    assert released.config.octaves == 3
    for name, value in released.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, (a[name] * 0.75 + b[name] * 0.25) * 0.9 + c[name] * 0.1)
    note = read_metadata(tmp_path / "state" / "ema.safetensors")["blend"]
    assert [part.split(" of ")[0] for part in note.split("; then ")] == ["0.25", "0.1"]
    assert "(11 steps)" in note
    assert "(12 steps)" in note


def test_a_mixture_keeps_what_is_known_of_its_parts(
    release: ModuleType, checkpoints: list[Path], tmp_path: Path
) -> None:
    base, second, third = map(str, checkpoints)
    release.main([second, "--blend", third, "0.5"])
    mixture = (tmp_path / "state" / "ema.safetensors").rename(tmp_path / "mixture.safetensors")
    release.main([base, "--blend", str(mixture), "0.1"])
    note = read_metadata(tmp_path / "state" / "ema.safetensors")["blend"]
    assert note.startswith("0.1 of ")
    assert "itself 0.5 of " in note


def test_bad_mixtures_are_one_line_and_write_nothing(
    release: ModuleType, checkpoints: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base, other = map(str, checkpoints[:2])
    wide = tmp_path / "wide.safetensors"
    save_checkpoint(random_network(small_config(final_dim=32, ff_channel=32)), wide)
    for path, share, said in (
        (other, "much", "much"),
        (other, "1.5", "from 0 to 1, not 1.5"),
        (str(wide), "0.5", "another shape"),
        (str(tmp_path), "0.5", "is a folder"),
    ):
        with pytest.raises(SystemExit) as ended:
            release.main([base, "--blend", path, share])
        assert ended.value.code == 2
        assert said in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "state").exists()
    assert not list((tmp_path / "weights").iterdir())
