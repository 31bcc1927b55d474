from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from wavepaint.training.resident import (
    MaskBank,
    PhotographBank,
    ResidentOptions,
    Trainer,
    blurred,
    hole_windows,
    main,
    photographs_in,
    run,
)

from trainings import write_vgg16
from wavepaint.errors import OptionError
from wavepaint.network import WavePaint, load_checkpoint
from wavepaint.network.checkpoint import read_metadata
from wavepaint.training.lock import FolderLock

CPU = torch.device("cpu")
TINY = {"crop": [32, 32], "batch": 2, "mask_bank": 8, "warmup": 1, "self_condition": 0.5}
CONFIG = {"final_dim": 8, "ff_channel": 8, "blocks_per_module": 1, "level": 1, "sweeps": 1}


def _photographs(count: int = 4) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (40 + 7 * i, 60 - 5 * i, 3), np.uint8) for i in range(count)]


@pytest.fixture(name="shard")
def _shard(tmp_path: Path) -> Path:
    path = tmp_path / "pieces" / "train-0000.tar"
    path.parent.mkdir()
    with tarfile.open(path, "w") as tar:
        for index, picture in enumerate(_photographs()):
            encoded = cv2.imencode(".png", picture[..., ::-1])[1].tobytes()
            for name, blob in ((f"{index}.png", encoded), (f"{index}.json", b"{}")):
                info = tarfile.TarInfo(name)
                info.size = len(blob)
                tar.addfile(info, io.BytesIO(blob))
        broken = tarfile.TarInfo("broken.png")
        broken.size = 5
        tar.addfile(broken, io.BytesIO(b"hello"))
    return path


def test_shards_decode_to_rgb_and_skip_what_is_broken(shard: Path) -> None:
    decoded = list(photographs_in([shard], max_side=384))
    assert len(decoded) == 4
    for expected, found in zip(_photographs(), decoded, strict=True):
        assert np.array_equal(expected, found)
    assert max(max(p.shape) for p in photographs_in([shard], max_side=30)) == 30


def test_crops_are_pieces_of_the_photographs() -> None:
    photographs = _photographs()
    bank = PhotographBank(photographs, CPU)
    crops = bank.crops(6, 16, 1.0, torch.Generator().manual_seed(0))
    assert crops.shape == (6, 3, 16, 16)
    for crop in (crops * 255).round().byte().numpy().transpose(0, 2, 3, 1):
        windows = [
            np.lib.stride_tricks.sliding_window_view(p, (16, 16, 3))[..., 0, :, :, :].reshape(-1, 16, 16, 3)
            for p in photographs
        ]
        found = any((w == candidate).all((1, 2, 3)).any() for w in windows for candidate in (crop, crop[:, ::-1]))
        assert found


def test_small_photographs_are_mirrored_outwards() -> None:
    photograph = np.arange(5, dtype=np.uint8)[None, :, None].repeat(1, 0).repeat(3, 2)
    crop = PhotographBank([photograph], CPU).crops(1, 12, 1.0, torch.Generator().manual_seed(0))[0, 0] * 255
    row = crop[0].round().int().tolist()
    expected = [0, 1, 2, 3, 4, 3, 2, 1, 0, 1, 2, 3]
    assert row in (expected, expected[::-1])
    assert (crop == crop[0]).all()


def test_scaled_crops_keep_the_mean() -> None:
    bank = PhotographBank([np.full((64, 64, 3), 200, np.uint8)], CPU)
    crops = bank.crops(2, 16, 1.7, torch.Generator().manual_seed(0))
    torch.testing.assert_close(crops, torch.full_like(crops, 200 / 255))


@pytest.mark.parametrize("side", [32, 96, 256])
def test_masks_leave_something_to_know_and_something_to_fill(side: int) -> None:
    bank = MaskBank(("thin", "thick", "everyday"), 12, 0, CPU)
    generator = torch.Generator().manual_seed(0)
    for _ in range(10):
        masks = bank.crops(4, side, generator)
        assert masks.shape == (4, 1, side, side)
        assert set(masks.unique().tolist()) == {0.0, 1.0}
        area = masks.mean((1, 2, 3))
        assert ((area > 0) & (area < 1)).all()


def _trainer(seconds: float = 60.0, vgg_weights: Path | None = None, **changes: object) -> Trainer:
    from wavepaint.network import WavePaintConfig, preset

    torch.manual_seed(0)
    options = ResidentOptions(**{**TINY, "crop": (32, 32), "seconds": seconds, **changes})
    model = WavePaint(WavePaintConfig.from_dict({**preset("default").to_dict(), **CONFIG}))
    masks = MaskBank(("thin",), 8, 0, CPU)
    return Trainer(model, PhotographBank(_photographs(), CPU), masks, options, CPU, vgg_weights)


def test_training_lowers_the_loss_on_a_fixed_problem() -> None:
    trainer = _trainer(self_condition=0.0)
    ramp = np.tile(np.linspace(0, 255, 64, dtype=np.uint8)[None, :, None], (64, 1, 3))
    trainer.photographs = PhotographBank([ramp, 255 - ramp], CPU)
    losses = [float(trainer.step()["hole-l1"]) for _ in range(60)]
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])


def test_a_saved_run_resumes_with_weights_moments_and_clock(tmp_path: Path) -> None:
    first = _trainer()
    for _ in range(3):
        first.step()
    first.save(tmp_path)
    second = _trainer()
    second.resume(tmp_path)
    assert second.steps == 3
    assert second.seconds >= first.seconds_before
    for name, value in first.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name
        assert torch.equal(first.average[name], second.average[name]), name
    for a, b in zip(first.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(first.optimizer.state[a]["exp_avg_sq"], second.optimizer.state[b]["exp_avg_sq"])
    second.step()
    assert all(p.isfinite().all() for p in second.model.parameters())
    with pytest.raises(OptionError, match="no run to resume"):
        second.resume(tmp_path / "nowhere")


def test_a_loss_that_is_not_finite_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    trainer = _trainer()
    trainer.save(tmp_path)
    before = (tmp_path / "raw.safetensors").read_bytes()
    with torch.no_grad():
        trainer.model.wavemodules[0].analysis.weight.fill_(float("nan"))
    with pytest.raises(OptionError, match="loss is not finite"):
        run(trainer, tmp_path, report_every=0.0)
    assert (tmp_path / "raw.safetensors").read_bytes() == before


def _short_run(shard: Path, folder: Path) -> list[str]:
    """Arguments of a run that stops after a moment and can be resumed."""
    return [str(shard), "-o", str(folder), "--options", json.dumps({**TINY, "seconds": 600}), "--time-limit", "0.1"]


def test_a_folder_of_a_run_is_for_one_and_nothing_in_it_is_replaced(
    shard: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    command = _short_run(shard, folder)
    folder.mkdir()
    lock = FolderLock(folder)
    assert main(command) == 2
    assert f"{folder}: another run of this process trains in this folder" in capsys.readouterr().err
    lock.close()
    assert main(command) == 0
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert main(command) == 2
    assert f"{folder}: holds a run already: --resume goes on with it" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert main([*command, "--resume"]) == 0
    assert (folder / "raw.safetensors").read_bytes() != before["raw.safetensors"]

    for path in folder.iterdir():
        if path.name != "ema.safetensors":
            path.unlink()
    kept = (folder / "ema.safetensors").read_bytes()
    assert main(command) == 2
    assert f"{folder}: holds ema.safetensors, which a run would replace" in capsys.readouterr().err
    assert (folder / "ema.safetensors").read_bytes() == kept


def test_a_first_save_that_was_cut_short_is_replaced(
    shard: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    command = _short_run(shard, folder)
    assert main(command) == 0
    (folder / "progress.json").unlink()
    (folder / "second-moment.safetensors").unlink()
    assert main([*command, "--resume"]) == 2
    assert f"{folder}: no run to resume" in capsys.readouterr().err
    assert main(command) == 0
    assert main([*command, "--resume"]) == 0


def test_a_run_that_cannot_start_leaves_no_folder(shard: Path, tmp_path: Path) -> None:
    assert main([str(tmp_path / "no.tar"), "-o", str(tmp_path / "run")]) == 2
    assert main([str(shard), "-o", str(tmp_path / "run"), "--preset", "huge"]) == 2
    assert main([str(shard), "-o", str(tmp_path / "run"), "--resume"]) == 2
    assert not (tmp_path / "run").exists()


def test_bad_options_are_one_line(shard: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(shard), "-o", str(tmp_path / "run"), "--options", '{"croop": 3}']) == 2
    assert "croop" in capsys.readouterr().err
    assert main([str(shard), "-o", str(tmp_path / "run"), "--preset", "huge"]) == 2
    assert "known: published-2" in capsys.readouterr().err
    assert main([str(tmp_path / "no.tar"), "-o", str(tmp_path / "run")]) == 2
    assert "no.tar" in capsys.readouterr().err


def test_the_accelerator_script_trains_stops_and_resumes_on_the_cpu(shard: Path, tmp_path: Path) -> None:
    script = Path(__file__).parents[2] / "lab" / "release" / "train_default.sh"
    environment = {
        **os.environ,
        "STORE": str(tmp_path / "store"),
        "PYTHON": sys.executable,
        "OPTIONS": json.dumps({**TINY, "seconds": 600}),
        "OMP_NUM_THREADS": "1",
    }

    def call(*arguments: str) -> None:
        subprocess.run(["bash", script, *arguments], env=environment, check=True, capture_output=True, timeout=240)

    write_vgg16(shard.parent / "vgg16_features.safetensors")
    call("store", str(shard.parent))
    assert (tmp_path / "store" / shard.name).stat().st_size == shard.stat().st_size
    call("train", str(tmp_path / "first"), "2")
    progress = json.loads((tmp_path / "first" / "progress.json").read_text())
    assert progress["steps"] > 0
    assert 2 <= progress["seconds"] < 60
    call("train", str(tmp_path / "second"), "1")
    later = json.loads((tmp_path / "second" / "progress.json").read_text())
    assert later["steps"] > progress["steps"]
    assert max(path.stat().st_size for path in (tmp_path / "second").iterdir()) <= 15_000_000
    trained = tmp_path / "second" / "ema.safetensors"
    assert load_checkpoint(trained).config.stem == "haar"
    assert "vgg-features" in json.loads(read_metadata(trained)["options"])["losses"]


def test_blurred_crops_lose_their_texture_and_keep_their_colour() -> None:
    rng = torch.Generator().manual_seed(0)
    image = torch.rand((1, 3, 64, 64), generator=rng) * 0.4 + torch.linspace(0, 0.6, 64)
    smooth = blurred(image, 16)
    assert smooth.shape == image.shape
    assert torch.allclose(smooth.mean((2, 3)), image.mean((2, 3)), atol=0.02)
    step = (smooth[..., 1:] - smooth[..., :-1]).abs().max()
    assert step < 0.05 < (image[..., 1:] - image[..., :-1]).abs().mean()
    assert blurred(image, 128).shape == image.shape  # more than there is: one colour


def test_the_share_of_smooth_crops() -> None:
    def texture(share: float) -> list[float]:
        trainer = _trainer(smooth=share, batch=32)
        image, _ = trainer.draw(0.0)
        return (image[..., 1:] - image[..., :-1]).abs().mean((1, 2, 3)).tolist()

    plain, half, all_smooth = (sorted(texture(share)) for share in (0.0, 0.5, 1.0))
    between = (all_smooth[-1] + plain[0]) / 2
    assert all_smooth[-1] < plain[0]
    assert 8 <= sum(value < between for value in half) <= 24


def test_losses_through_vgg_leave_colours_alone_if_told_so(tmp_path: Path) -> None:
    write_vgg16(tmp_path / "vgg16.safetensors")

    def colour_gradient(**options: Any) -> float:
        trainer = _trainer(vgg_weights=tmp_path / "vgg16.safetensors", losses={"vgg-features": 1.0}, **options)
        image, mask = trainer.draw(progress=0.0)
        filled = (image * (1 - mask)).requires_grad_()
        torch.stack(list(trainer._losses(filled, image, mask, 0.0).values())).sum().backward()
        assert filled.grad is not None
        assert filled.grad.abs().max() > 0
        return float((filled.grad - filled.grad.mean(1, keepdim=True)).abs().max() / filled.grad.abs().max())

    assert colour_gradient() > 0.05
    assert colour_gradient(vgg_colours=False) < 1e-5


def test_the_share_of_grey_crops() -> None:
    def colour(share: float) -> list[float]:
        image, _ = _trainer(grey=share, batch=32).draw(0.0)
        return (image - image.mean(1, keepdim=True)).abs().mean((1, 2, 3)).tolist()

    assert min(colour(0.0)) > 0.001
    assert max(colour(1.0)) < 1e-6
    assert 8 <= sum(value < 1e-6 for value in colour(0.5)) <= 24


def test_windows_hold_the_hole_and_match_each_other() -> None:
    mask = torch.zeros(3, 1, 20, 32)
    mask[0, 0, 0, 0] = mask[1, 0, 19, 31] = mask[2, 0, 9, 16] = 1
    place = torch.arange(20 * 32).view(1, 1, 20, 32).expand(3, 2, 20, 32).float()
    places, masks = hole_windows([place, mask], 8, torch.Generator().manual_seed(0))
    assert places.shape == (3, 2, 8, 8)
    assert masks.sum((1, 2, 3)).tolist() == [1, 1, 1]
    assert [places[0, 0, 0, 0], places[1, 1, -1, -1]] == [0, 20 * 32 - 1]
    assert places[2, 0, 0, 0] == 5 * 32 + 12  # four samples up and left of the hole sample at (9, 16)
