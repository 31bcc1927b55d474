from __future__ import annotations

import numpy as np
import pytest
import torch

from images import soft
from wavepaint.data import damage_kinds
from wavepaint.data.crops import Batch
from wavepaint.data.damage import VISIBLE, DamagedCrops, damaged, damaged_crop
from wavepaint.data.scenery import with_scenery
from wavepaint.data.seeding import rng_for
from wavepaint.options import DAMAGE_KINDS

IMAGE = soft(120, 160)


def test_a_seed_gives_the_same_damage() -> None:
    for index in range(6):
        first, again = (damaged_crop(IMAGE, 96, rng_for(0, str(index)), with_truth=True) for _ in range(2))
        assert first.truth is not None
        assert again.truth is not None
        assert np.array_equal(first.image, again.image)
        assert np.array_equal(first.mask, again.mask)
        assert np.array_equal(first.truth, again.truth)
    other = damaged_crop(IMAGE, 96, rng_for(1, "0"))
    assert not np.array_equal(first.image, other.image)


@pytest.mark.parametrize("kind", DAMAGE_KINDS)
def test_the_mask_is_where_samples_changed(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without what storing adds to both images, marked samples differ from the truth, and few others visibly do."""
    monkeypatch.setattr(
        "wavepaint.data.damage._stored",
        lambda images, unit, rng: [np.clip(image + 0.5, 0, 255).astype(np.uint8) for image in images],
    )
    marked = missed = 0
    for index in range(12):
        result = damaged(IMAGE, rng_for(3, f"{kind}{index}"), [kind], with_truth=True)
        assert result.truth is not None
        change = np.abs(result.image.astype(int) - result.truth).max(-1)
        channel = result.mask[DAMAGE_KINDS.index(kind)]
        assert result.mask.sum() == channel.sum() > 0
        marked += int(channel.sum())
        # Two layers of damage can cancel each other, and a colour beyond black or white is cut off: rarely.
        missed += int((channel & (change < VISIBLE - 2)).sum())
        faint_edges = ~channel & (change >= 4 * VISIBLE)
        assert faint_edges.sum() <= 0.05 * channel.sum() + 3
    assert missed <= 0.02 * marked


def test_training_draws_more_of_what_is_hardest_to_find(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []
    for name in ("stain", "watermark", "date_stamp"):
        draw = getattr(damage_kinds, name)
        monkeypatch.setattr(damage_kinds, name, lambda *given, name=name, draw=draw: drawn.append(name) or draw(*given))
    shares = []
    for kinds in (None, DAMAGE_KINDS):
        drawn.clear()
        for index in range(150):
            damaged(IMAGE, rng_for(9, str(index)), kinds)
        shares.append([drawn.count(name) / drawn.count("date_stamp") for name in ("watermark", "stain")])
    assert shares[0][0] > 2 * shares[1][0]
    assert shares[0][1] > 2 * shares[1][1]


def test_an_image_without_damage_is_its_truth() -> None:
    for index in range(4):
        result = damaged_crop(IMAGE, 64, rng_for(5, str(index)), [], with_truth=True)
        assert not result.mask.any()
        assert result.truth is not None
        assert np.array_equal(result.image, result.truth)


def test_many_images_have_no_damage_and_all_kinds_occur() -> None:
    masks = [damaged_crop(IMAGE, 64, rng_for(7, str(index))).mask.any((1, 2)) for index in range(80)]
    clean = sum(not mask.any() for mask in masks)
    assert 15 <= clean <= 45
    assert np.all(np.sum(masks, axis=0) >= 8)


def test_scenery_changes_the_image_in_few_places() -> None:
    image = IMAGE.astype(np.float32)
    shares = []
    for index in range(40):
        result = with_scenery(image, rng_for(9, str(index)))
        assert result.shape == image.shape
        assert np.isfinite(result).all()
        shares.append(float((np.abs(result - image).max(-1) > VISIBLE).mean()))
    assert np.mean(np.array(shares) > 0) > 0.8
    assert np.median(shares) < 0.35


class _Whole:
    """A source of the same crop again and again."""

    skipped = ()

    def next(self, side: int) -> Batch:
        image = torch.from_numpy(IMAGE[:side, :side].copy()).permute(2, 0, 1)
        return Batch(image=image[None].repeat(2, 1, 1, 1), mask=torch.zeros(2, 1, side, side).bool(), name=["a", "b"])

    def state_dict(self) -> dict[str, int]:
        return {"done": 0}

    def load_state_dict(self, state: dict[str, int]) -> bool:
        return state == {"done": 0}

    def close(self) -> None:
        pass


def test_batches_continue_where_a_state_was_taken() -> None:
    crops = DamagedCrops(_Whole(), seed=0)
    crops.next(64)
    state = crops.state_dict()
    second = crops.next(64)
    assert second["image"].shape == second["mask"].shape == (2, 3, 64, 64)
    assert (second["image"].dtype, second["mask"].dtype, second["name"]) == (torch.uint8, torch.bool, ["a", "b"])
    resumed = DamagedCrops(_Whole(), seed=0)
    assert resumed.load_state_dict(state)
    again = resumed.next(64)
    assert torch.equal(second["image"], again["image"])
    assert torch.equal(second["mask"], again["mask"])
