"""Crops and masks from memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from trainings import write_images  # noqa: E402
from wavepaint.data import resident  # noqa: E402
from wavepaint.data.images import find_images  # noqa: E402
from wavepaint.data.resident import (  # noqa: E402
    ImageBank,
    MaskBank,
    ResidentCrops,
    decoded_images,
    too_large_for_memory,
)
from wavepaint.errors import OptionError  # noqa: E402

CPU = torch.device("cpu")


def images(count: int = 4) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (40 + 7 * i, 60 - 5 * i, 3), np.uint8) for i in range(count)]


def test_crops_are_pieces_of_the_images() -> None:
    bank = ImageBank(images(), CPU)
    assert len(bank) == 4
    crops = bank.crops(6, 16, 1.0, torch.Generator().manual_seed(0))
    assert crops.shape == (6, 3, 16, 16)
    for crop in (crops * 255).round().byte().numpy().transpose(0, 2, 3, 1):
        windows = [
            np.lib.stride_tricks.sliding_window_view(image, (16, 16, 3))[..., 0, :, :, :].reshape(-1, 16, 16, 3)
            for image in images()
        ]
        assert any((w == candidate).all((1, 2, 3)).any() for w in windows for candidate in (crop, crop[:, ::-1]))


def test_small_images_are_mirrored_outwards() -> None:
    image = np.arange(5, dtype=np.uint8)[None, :, None].repeat(1, 0).repeat(3, 2)
    crop = ImageBank([image], CPU).crops(1, 12, 1.0, torch.Generator().manual_seed(0))[0, 0] * 255
    row = crop[0].round().int().tolist()
    expected = [0, 1, 2, 3, 4, 3, 2, 1, 0, 1, 2, 3]
    assert row in (expected, expected[::-1])
    assert (crop == crop[0]).all()


def test_scaled_crops_keep_the_mean() -> None:
    bank = ImageBank([np.full((64, 64, 3), 200, np.uint8)], CPU)
    crops = bank.crops(2, 16, 1.7, torch.Generator().manual_seed(0))
    torch.testing.assert_close(crops, torch.full_like(crops, 200 / 255))


@pytest.mark.parametrize("side", [32, 96, 256])
def test_masks_leave_something_to_know_and_something_to_fill(side: int) -> None:
    bank = MaskBank({"thin": 1, "thick": 1, "everyday": 1}, 12, 0, CPU)
    generator = torch.Generator().manual_seed(0)
    for _ in range(10):
        masks = bank.crops(4, side, generator)
        assert masks.shape == (4, 1, side, side)
        assert set(masks.unique().tolist()) == {0.0, 1.0}
        area = masks.mean((1, 2, 3))
        assert ((area > 0) & (area < 1)).all()


def test_batches_continue_exactly_and_differ_between_processes() -> None:
    banks = ImageBank(images(), CPU), MaskBank({"thick": 1}, 4, 0, CPU)

    def crops(rank: int = 0, batch: int = 2) -> ResidentCrops:
        return ResidentCrops(*banks, batch, seed=3, max_scale=2.0, rank=rank)

    whole, sides = crops(), [32, 32, 48, 48]
    expected = [whole.next(side) for side in sides]
    assert [batch["image"].shape[-1] for batch in expected] == sides
    first, second = crops(), crops()
    for side in sides[:2]:
        first.next(side)
    assert second.load_state_dict(first.state_dict())
    for side, following in zip(sides[2:], expected[2:], strict=True):
        batch = second.next(side)
        assert torch.equal(batch["image"], following["image"])
        assert torch.equal(batch["mask"], following["mask"])
    assert not torch.equal(crops(rank=1).next(32)["image"], expected[0]["image"])
    assert not crops(batch=4).load_state_dict(first.state_dict())


def test_images_are_decoded_once_and_broken_ones_left_out(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "images", 5)
    (folder / "99.png").write_bytes(b"not an image")
    source = find_images(folder)
    decoded = decoded_images(source, 2**20)
    assert [np.array_equal(image, source.read(index)) for index, image in enumerate(decoded)] == [True] * 5
    assert [each.name for each in source.skipped] == ["99.png"]
    with pytest.raises(OptionError, match="no images to train on"):
        ImageBank([], CPU)


def test_images_that_do_not_fit_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = find_images(write_images(tmp_path / "images", 5))
    assert too_large_for_memory(source, 2**20) is None
    monkeypatch.setattr(resident, "_free_memory", lambda: 50_000.0)
    assert str(too_large_for_memory(source, 2**20)).startswith("5 images need 0.0 GiB in memory")
    monkeypatch.setattr(resident, "_free_memory", lambda: None)
    assert too_large_for_memory(source, 2**20) is None
