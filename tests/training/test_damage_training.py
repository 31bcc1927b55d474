from __future__ import annotations

from pathlib import Path

import pytest
import torch
from test_training import CPU, AtStep, assert_same_run, interrupt, validations_of

from trainings import tiny_recipe, write_images
from wavepaint.errors import OptionError
from wavepaint.network import load_network
from wavepaint.network.damage import DamageNetwork
from wavepaint.training.folder import BEST, SAMPLES
from wavepaint.training.loop import Settings
from wavepaint.training.losses import bce, dice
from wavepaint.training.recipes import Recipe, load_recipe
from wavepaint.training.run import resume, train

TINY = (
    "network={preset: damage, blocks_per_module: 1, final_dim: 8, ff_channel: 8, stem_channels: 4, dropout: 0.1}",
    "steps=8",
    "batch=2",
    "crops=[64, 64]",
    "data.mask_bank=2",
    "validation={share: 0.3, at_least: 0, every: 4, metric: bce, masks: [box], images: 2, crop: 64, top: 1}",
    "phases.0.warmup=2",
    "log_every=1",
    "save_seconds=1000",
)


def recipe(*changes: str) -> Recipe:
    return load_recipe("damage", [*TINY, *changes])


@pytest.fixture(name="images", scope="module")
def _images(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_images(tmp_path_factory.mktemp("data") / "images"))


@pytest.mark.parametrize("source", ["memory", "stream"])
def test_the_recipe_trains_a_detector_and_resumes(source: str, images: str, tmp_path: Path) -> None:
    chosen = recipe(f"data.source={source}", "data.workers=0")
    whole, parts = (Settings(images, tmp_path / name, loggers=()) for name in ("whole", "parts"))
    assert train(chosen, whole, CPU).step == 8
    assert train(chosen, parts, CPU, [AtStep(5, interrupt)]).step == 5
    assert resume(tmp_path / "parts", CPU).step == 8
    assert_same_run(tmp_path / "whole", tmp_path / "parts", load_network)
    assert isinstance(load_network(tmp_path / "whole" / BEST), DamageNetwork)
    kinds = {"scratches", "dust", "stamps", "clean"}
    for row in validations_of(tmp_path / "whole"):
        assert {f"validation/{score}/{kind}" for score in ("bce", "dice") for kind in kinds} <= row.keys()
    assert (tmp_path / "whole" / SAMPLES).is_file()


def test_it_learns(images: str, tmp_path: Path) -> None:
    chosen = recipe("steps=150", "validation.every=150", "batch=8", "phases.0.learning_rate=0.01")
    outcome = train(chosen, Settings(images, tmp_path / "run", loggers=()), CPU)
    assert outcome.best_step == 150
    first, last = (validations_of(tmp_path / "run")[place]["validation/metric"] for place in (0, -1))
    assert last < 0.95 * first


@pytest.mark.parametrize(
    ("chosen", "problem"),
    [
        (lambda: recipe("losses={hole-l1: 1}"), "loss hole-l1: not for a network that finds damage"),
        (lambda: tiny_recipe("losses={bce: 1}"), "loss bce: not for a network that fills"),
        (lambda: recipe("crops=[96, 96]"), "crops of 96 pixels: this network needs multiples of 64"),
        (lambda: recipe("crops=[64, 128]"), "crops grow by 32 pixels; this network needs multiples of 64"),
    ],
)
def test_a_recipe_that_does_not_fit_the_network_is_refused(chosen, problem: str, images: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(OptionError, match=problem):
        train(chosen(), Settings(images, tmp_path / "run", loggers=()), CPU)


def test_losses_are_least_for_the_truth() -> None:
    mask = torch.zeros(2, 3, 32, 32)
    mask[:, :, 8:16, 8:24] = 1
    truth = 20 * (2 * mask - 1)
    for loss in (bce, dice):
        right, none, wrong = (float(loss(logits, mask, mask)) for logits in (truth, -20 + 0 * mask, -truth))
        assert right < 1e-3 < none < wrong
