"""The parts of the ablation studies: statistics, plans, receptive fields, figures, paired training."""

from __future__ import annotations

import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lab.ablation.comparison import ALL_KINDS, VGG_DISTANCE, column, compare, conclusion
from lab.ablation.convolutions import MARK, StridedConvolution, load_network, without_dwt
from lab.ablation.figures import difference_chart, energy_maps, shades
from lab.ablation.measuring import cached
from lab.ablation.plan import PLAN_FILE, Plan, Scale, read_plan, share_budget, write_plan
from lab.ablation.receptive_field import ReceptiveField, disc, receptive_field
from lab.ablation.studies import CROSS_DATA, TEXTURE, TRAINING_STUDIES, Arm, training_study
from lab.ablation.texture import all_losses, detail_scores, measure_weights
from lab.ablation.training import (
    FRESH,
    REFERENCE_LOSSES,
    PairedTrainer,
    Start,
    config_of,
    load_images,
    make_trainer,
    snapshot_path,
    train_run,
)
from networks import random_network, random_sample, small_config
from trainings import write_images, write_vgg16
from wavepaint.data.resident import ImageBank, MaskBank
from wavepaint.errors import OptionError
from wavepaint.evaluation.metrics import Summary
from wavepaint.evaluation.protocol import Item
from wavepaint.network import WavePaint, load_checkpoint, save_checkpoint
from wavepaint.network.coarse import coarse_guess, fill_coarse_to_fine
from wavepaint.network.dwt import dwt2
from wavepaint.network.prefill import halve_known

CPU = torch.device("cpu")
TINY = Scale(
    budget=1,
    train_images=6,
    test_images=3,
    crop=32,
    batch=2,
    seeds=1,
    network={"final_dim": 8, "ff_channel": 8, "blocks_per_module": 1, "sweeps": 1, "dropout": 0.25},
)


def scores(values: dict[str, np.ndarray]) -> dict[str, dict[str, dict[str, float]]]:
    """Both metrics alike, one image per value."""
    return {
        kind: {f"{i:02d}": {"hole_psnr": float(v), "hole_ssim": float(v)} for i, v in enumerate(row)}
        for kind, row in values.items()
    }


@pytest.mark.parametrize(("height", "width"), [(8, 8), (7, 5), (1, 2)])
def test_the_convolution_that_replaces_the_dwt_has_its_output(height: int, width: int) -> None:
    x = torch.rand(2, 3, height, width)
    for actual, expected in zip(StridedConvolution(3)(x), dwt2(x), strict=True):
        assert actual.shape == expected.shape


def test_a_network_without_dwt_is_saved_and_loaded(tmp_path: Path) -> None:
    config = small_config(level=2, stem="haar")
    model = without_dwt(config).eval()
    save_checkpoint(model, tmp_path / "conv.safetensors", extra={MARK: "convolution"})
    loaded = load_network(tmp_path / "conv.safetensors")
    image, mask = random_sample(1, 32, 32)
    with torch.no_grad():
        assert torch.equal(loaded(image, mask), model(image, mask))
    save_checkpoint(WavePaint(config), tmp_path / "dwt.safetensors")
    assert load_network(tmp_path / "dwt.safetensors").config == config


def test_without_dwt_only_the_strided_convolutions_are_added() -> None:
    config = small_config(level=2)
    with_dwt, without = WavePaint(config).state_dict(), without_dwt(config).state_dict()
    added = without.keys() - with_dwt.keys()
    assert added
    assert with_dwt.keys() <= without.keys()
    assert all(".convolutions." in name for name in added)


def test_a_constant_difference_is_sure_and_chance_is_not() -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(20, 3, 40)
    runs = {
        "reference": [scores({"thin": base, "thick": base - 2})],
        "better": [scores({"thin": base + 0.1, "thick": base - 1.9})],
        "chance": [scores({"thin": base + rng.normal(0, 1, 40), "thick": base - 2})],
    }
    rows = {(r.arm, r.kind, r.metric): r for r in compare(runs)}
    better = rows["better", ALL_KINDS, "hole_psnr"]
    assert better.difference is not None
    assert better.difference.low == pytest.approx(0.1)
    assert better.verdict == "PSNR better, +0.100 dB [+0.100, +0.100]"
    assert rows["chance", "thin", "hole_psnr"].verdict.startswith("no difference seen in PSNR (")
    assert rows["reference", "thin", "hole_psnr"].difference is None
    assert rows["reference", ALL_KINDS, "hole_psnr"].summary.mean == pytest.approx(base.mean() - 1)
    text = conclusion(rows.values(), "equal steps")
    assert text.startswith("At equal steps, against reference: better: PSNR better")
    assert "chance: no difference seen in PSNR" in text


def test_whether_the_seeds_of_training_agree_is_said() -> None:
    base = np.linspace(10, 30, 20)
    runs = {
        "reference": [scores({"thin": base}), scores({"thin": base})],
        "one": [scores({"thin": base + 0.3}), scores({"thin": base - 0.1})],
        "both": [scores({"thin": base + 0.3}), scores({"thin": base + 0.1})],
    }
    rows = {r.arm: r for r in compare(runs) if (r.kind, r.metric) == (ALL_KINDS, "hole_psnr")}
    assert rows["one"].by_seed == pytest.approx((0.3, -0.1))
    assert rows["one"].verdict == "PSNR better, +0.100 dB [+0.100, +0.100], though not with every seed"
    assert rows["both"].verdict == "PSNR better, +0.200 dB [+0.200, +0.200], with every seed"
    assert rows["reference"].by_seed == ()


def test_a_difference_within_that_of_two_seeds_is_said_to_be() -> None:
    base = np.linspace(10, 30, 20)
    runs = {
        "reference": [scores({"thin": base}), scores({"thin": base + 0.3})],
        "small": [scores({"thin": base - 0.2})],
        "large": [scores({"thin": base - 0.4})],
    }
    verdicts = {r.arm: r.verdict for r in compare(runs) if (r.kind, r.metric) == (ALL_KINDS, "hole_psnr")}
    assert "worse" in verdicts["small"]
    assert "no more than another seed changes (0.300 dB)" in verdicts["small"]
    assert verdicts["large"] == "PSNR worse, -0.400 dB [-0.400, -0.400]"


def one_score(metric: str, values: np.ndarray) -> dict[str, dict[str, dict[str, float]]]:
    return {"thin": {f"{i:02d}": {metric: float(v)} for i, v in enumerate(values)}}


def test_detail_is_best_at_zero_and_the_vgg_distance_is_reported_in_per_cent() -> None:
    wave = np.tile((0.9, 1.1), 10)
    for reference, arm, words in (
        (-4.0, -1.0, "nearer to the truth's, +3.00 [+3.00, +3.00]"),
        (-1.0, 3.0, "farther from the truth's, +4.00 [+4.00, +4.00]"),
        (2.0, 0.5, "nearer to the truth's, -1.50 [-1.50, -1.50]"),
    ):
        runs = {"a": [one_score("detail_1", reference + wave)], "b": [one_score("detail_1", arm + wave)]}
        verdict = next(row.verdict for row in compare(runs) if row.arm == "b")
        assert verdict == f"detail of level 1 {words}"
    runs = {"a": [one_score(VGG_DISTANCE, wave / 4)], "b": [one_score(VGG_DISTANCE, wave / 4 - 0.025)]}
    verdict = next(row.verdict for row in compare(runs) if row.arm == "b")
    assert verdict == "VGG distance better, -0.0250 [-0.0250, -0.0250] = -10.0 %"


@pytest.mark.parametrize("side", [32, 31])
def test_detail_is_the_logarithm_of_the_energys_ratio_inside_the_hole(side: int) -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 40, (side, side, 3)).clip(-120, 120)
    mask = np.zeros((side, side), bool)
    mask[5:26, 6:27] = True

    def fill(inside: np.ndarray) -> np.ndarray:
        return np.where(mask[..., None], inside, 128 + noise).round().astype(np.uint8)

    truth, weak, flat = fill(128 + noise), fill(128 + noise / 2), fill(np.full_like(noise, 128))
    other = fill(128 + np.roll(noise, 3, axis=0))
    details = detail_scores(truth, np.stack((truth, weak, flat, other)), mask)
    assert list(details) == ["detail_1", "detail_2"]
    for values in details.values():
        assert values[0] == 0
        assert values[1] == pytest.approx(-2, abs=0.05)
        assert values[2] < -8
        assert abs(values[3]) < 0.5  # detail in another place is detail


def test_detail_of_a_hole_without_a_whole_cell_is_that_of_the_cells_it_touches() -> None:
    truth = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    mask = np.zeros((16, 16), bool)
    mask[5, 5] = True
    smooth = truth.copy()
    smooth[4:8, 4:8] = 128
    details = detail_scores(truth, smooth[None], mask)
    assert all(values[0] < -5 for values in details.values())


def test_the_mean_over_kinds_is_taken_image_by_image() -> None:
    rows = scores({"a": np.array([1.0, 2.0]), "b": np.array([3.0, 6.0])})
    assert column(rows, ALL_KINDS, "hole_psnr").tolist() == [2.0, 4.0]
    assert column(rows, "b", "hole_psnr").tolist() == [3.0, 6.0]


def test_the_slowest_arm_decides_what_equal_steps_are() -> None:
    assert share_budget(120, 3, {"a": 0.5, "b": 1.0}) == (40, {"a": 80, "b": 40})
    assert share_budget(0.1, 3, {"a": 0.5}) == (1, {"a": 1})
    assert share_budget(0.1, 3, {"a": 0.1, "b": 0.3}, steps=7) == (7, {"a": 21, "b": 7})


def test_a_plan_is_followed_or_refused(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert read_plan(folder, "level", {"seed": 0}) is None
    plan = Plan("level", {"seed": 0}, {"a": 0.5}, 3, {"a": 4})
    write_plan(folder, plan)
    assert read_plan(folder, "level", {"seed": 0}) == plan
    with pytest.raises(OptionError, match="holds the study level, not wavelet"):
        read_plan(folder, "wavelet", {"seed": 0})
    with pytest.raises(OptionError, match="begun with seed 0, not 1; take another folder"):
        read_plan(folder, "level", {"seed": 1})
    (folder / PLAN_FILE).write_text("{")
    with pytest.raises(OptionError, match="damaged"):
        read_plan(folder, "level", {"seed": 0})
    (folder / PLAN_FILE).rename(folder / "letter.txt")
    with pytest.raises(OptionError, match="not overwritten"):
        read_plan(folder, "level", {"seed": 0})


def test_arms_differ_from_the_default_network_in_what_they_name() -> None:
    wavelets = [config_of(arm, TINY).wavelet for arm in TRAINING_STUDIES["wavelet"].arms]
    assert wavelets == ["haar", "db2", "db4", "sym4", "bior2.2"]
    levels = [config_of(arm, TINY) for arm in TRAINING_STUDIES["level"].arms]
    assert [config.level for config in levels] == [2, 1, 3, 4]
    assert len({config.final_dim for config in levels}) == 1
    for study in TRAINING_STUDIES.values():
        assert len({arm.name for arm in study.arms}) == len(study.arms)


def test_cross_data_has_an_arm_for_every_source() -> None:
    study = training_study(CROSS_DATA, ("a.tar", "b"))
    assert [(arm.name, arm.source) for arm in study.arms] == [("trained on a.tar", 0), ("trained on b", 1)]
    with pytest.raises(OptionError, match="two or more different"):
        training_study(CROSS_DATA, ("a", "a"))
    with pytest.raises(OptionError, match="takes one --images, got 2"):
        training_study("level", ("a", "b"))


class _Box(nn.Module):
    """Adds the mean of 5x5 positions of the image."""

    config = small_config(stem="haar")

    def prefilled(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(image)

    def forward(self, image: torch.Tensor, mask: torch.Tensor, guess: torch.Tensor) -> torch.Tensor:
        x = image * (1 - mask) + guess * mask
        kernel = torch.full((3, 1, 5, 5), 1 / 25)
        return (x + torch.nn.functional.conv2d(x, kernel, padding=2, groups=3)) * mask + image * (1 - mask)


def _items(side: int, count: int = 2) -> list[Item]:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, side, side, 3), np.uint8)
    return [Item(str(i), "box", image, np.ones((side, side), bool)) for i, image in enumerate(images)]


def test_the_receptive_field_of_a_box_is_the_box() -> None:
    field = receptive_field(_Box(), _items(64))  # type: ignore[arg-type]
    expected = np.zeros((64, 64))
    expected[30:35, 30:35] = 1 / 24
    expected[32, 32] = 0  # the pixel itself
    np.testing.assert_allclose(field.energy, expected, atol=1e-7)
    assert field.radii == {"50%": 2.0, "90%": 8**0.5, "99%": 8**0.5}
    assert field.radius(0.8) == 5**0.5
    assert field.share_within(1) == pytest.approx(4 / 24)


def test_a_network_that_adds_nothing_has_no_receptive_field() -> None:
    fresh = WavePaint(small_config(stem="haar", prefill="haar", sweeps=1)).eval()
    with pytest.raises(ValueError, match="adds nothing"):
        receptive_field(fresh, _items(32))


def test_a_network_sees_no_farther_than_its_blocks_reach() -> None:
    model = random_network(small_config(stem="haar", level=1, blocks_per_module=1, prefill="haar", sweeps=1))
    field = receptive_field(model, _items(128))
    assert field.share_within(64) == pytest.approx(1)
    assert 0 < field.radii["50%"] <= field.radii["90%"] < 30


def test_discs_are_round_and_centred() -> None:
    mask = disc(64, 10)
    assert np.array_equal(mask, mask[::-1])
    assert np.array_equal(mask, mask.T)
    assert mask.sum() == pytest.approx(np.pi * 100, rel=0.03)
    assert not mask[:21].any()


def test_one_coarse_level_is_the_coarse_guess_of_training() -> None:
    model = random_network(small_config(stem="haar", prefill="haar", sweeps=2))
    image, mask = random_sample(1, 64, 64)
    with torch.no_grad():
        assert torch.equal(fill_coarse_to_fine(model, image, mask, 0), model(image, mask))
        one = fill_coarse_to_fine(model, image, mask, 1)
        assert torch.equal(one, model(image, mask, coarse_guess(model, image, mask)))
        two = fill_coarse_to_fine(model, image, mask, 2)
        half = fill_coarse_to_fine(model, *halve_known(image, mask), 1)
    assert not torch.equal(one, two)
    assert half.shape == (1, 3, 32, 32)


def test_what_is_kept_is_made_once(tmp_path: Path) -> None:
    made = []

    def make() -> dict[str, int]:
        made.append(1)
        return {"a": 1}

    assert cached(tmp_path / "deep" / "x.json", make) == cached(tmp_path / "deep" / "x.json", make) == {"a": 1}
    assert len(made) == 1


def test_figures_are_well_formed() -> None:
    rows = {"a & b": {"all": Summary(0.1, 1, 0.05, 0.2, 9), "thin": Summary(-0.1, 1, -0.3, 0.1, 9)}}
    chart = difference_chart("<title>", rows, "dB")
    tree = ElementTree.fromstring(chart)
    assert {"a & b", "all", "thin", "<title>", "dB"} <= {text.text for text in tree.findall(".//{*}text")}
    assert difference_chart("<title>", rows, "dB") == chart
    assert difference_chart("nothing", {}, "dB") == ""
    field = ReceptiveField(np.full((32, 32), 1 / 1024))
    maps = ElementTree.fromstring(energy_maps("fields", {"x": (field.energy, 5.0), "y": (field.energy, 9.0)}))
    assert len(maps.findall(".//{*}image")) == 2


def test_energy_is_shown_by_decades() -> None:
    energy = np.full((2, 2), 1e-9)
    energy[0] = 1.0, 1e-3
    assert shades(energy) == pytest.approx(np.array([[1, 0.5], [0, 0]]))


@pytest.fixture(name="banks")
def _banks(tmp_path: Path) -> tuple[ImageBank, MaskBank]:
    images = load_images(str(write_images(tmp_path / "images", 6)), 6, frozenset(), CPU)
    return images, MaskBank({"thin": 1}, 8, 0, CPU)


# Dropout and a coarse guess in some steps; a checkpoint, and a loss that draws directions.
@pytest.mark.parametrize("study", ["prefill", TEXTURE])
def test_a_run_that_was_killed_ends_like_one_that_was_not(
    study: str,
    banks: tuple[ImageBank, MaskBank],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start, added = FRESH, {}
    arm = TRAINING_STUDIES["prefill"].arms[1]
    if study == TEXTURE:
        torch.manual_seed(0)
        save_checkpoint(WavePaint(config_of(arm, TINY)), tmp_path / "init.safetensors")
        start = Start(str(tmp_path / "init.safetensors"), 1e-3, write_vgg16(tmp_path / "vgg16.safetensors"))
        arm, added = TRAINING_STUDIES[TEXTURE].arms[2], {"vgg-style": 0.1}

    def trainer() -> PairedTrainer:
        return make_trainer(arm, TINY, *banks, 3, CPU, start, added)

    train_run(trainer(), tmp_path / "whole", (2, 6))

    class Killed(BaseException):
        pass

    killed = trainer()
    step = killed.step

    def step_until_killed() -> None:
        if killed.steps == 4:
            raise Killed
        step()

    monkeypatch.setattr(killed, "step", step_until_killed)
    with pytest.raises(Killed):
        train_run(killed, tmp_path / "killed", (2, 6), save_seconds=0)
    assert (tmp_path / "killed" / "state.ckpt").is_file()
    train_run(trainer(), tmp_path / "killed", (2, 6))
    for steps in (2, 6):
        whole, resumed = (load_checkpoint(snapshot_path(tmp_path / n, steps)).state_dict() for n in ("whole", "killed"))
        for name, value in whole.items():
            assert torch.equal(value, resumed[name]), (steps, name)
    assert not (tmp_path / "killed" / "state.ckpt").exists()


def test_all_arms_see_the_same_crops(banks: tuple[ImageBank, MaskBank], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, list[torch.Tensor]] = {}
    for arm in TRAINING_STUDIES["level"].arms[:2]:
        trainer = make_trainer(arm, TINY, *banks, 0, CPU)
        draw = trainer.draw
        images = seen.setdefault(arm.name, [])

        def remember(number: int, draw=draw, images=images):  # type: ignore[no-untyped-def]
            batch = draw(number)
            images.append(batch["image"])
            return batch

        monkeypatch.setattr(trainer, "draw", remember)
        for _ in range(3):
            trainer.step()
    first, second = seen.values()
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(first[0], first[1])


def test_another_seed_sees_other_crops(banks: tuple[ImageBank, MaskBank]) -> None:
    arm = TRAINING_STUDIES["level"].arms[0]
    drawn = [make_trainer(arm, TINY, *banks, seed, CPU).draw(5) for seed in (0, 1)]
    assert not torch.equal(drawn[0]["image"], drawn[1]["image"])
    assert not torch.equal(drawn[0]["mask"], drawn[1]["mask"])


def test_measured_weights_make_losses_pull_as_strongly_as_the_reference(
    banks: tuple[ImageBank, MaskBank], tmp_path: Path
) -> None:
    save_checkpoint(random_network(small_config(stem="haar", prefill="haar")), tmp_path / "init.safetensors")
    start = Start(str(tmp_path / "init.safetensors"), 1e-3)
    arms = (
        Arm("reference"),
        Arm("ssim", losses=("hole-ssim",)),
        Arm("both", losses=("hole-ssim", "l2")),
    )

    def trainer(added: dict[str, float]) -> PairedTrainer:
        return make_trainer(arms[0], TINY, *banks, 0, CPU, start, added)

    measured = trainer(dict(all_losses(arms)))
    before = {name: value.clone() for name, value in measured.model.state_dict().items()}
    weights = measure_weights(measured, arms)
    assert all(torch.equal(value, before[name]) for name, value in measured.model.state_dict().items())
    assert not measured.model.training  # as it was loaded
    assert weights["reference"] == {}
    assert weights["both"]["hole-ssim"] == pytest.approx(weights["ssim"]["hole-ssim"] / 2, rel=1e-3)
    groups = {"reference": tuple(REFERENCE_LOSSES), "ssim": ("hole-ssim",), "energy": ("l2",)}
    norms = trainer(weights["both"]).gradient_norms(groups, 8)
    assert norms["ssim"] == pytest.approx(norms["reference"] / 2, rel=1e-3)
    assert norms["energy"] == pytest.approx(norms["reference"] / 2, rel=1e-3)


def test_weights_that_are_not_finite_leave_no_snapshot(banks: tuple[ImageBank, MaskBank], tmp_path: Path) -> None:
    trainer = make_trainer(TRAINING_STUDIES["level"].arms[0], TINY, *banks, 0, CPU)
    with torch.no_grad():
        next(trainer.model.parameters()).fill_(float("nan"))
    with pytest.raises(OptionError, match="not finite at step 1"):
        train_run(trainer, tmp_path / "run", (1,))
    assert not snapshot_path(tmp_path / "run", 1).exists()


def test_images_of_the_test_set_are_not_trained_on(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "images", 5)
    assert len(load_images(str(folder), 100, frozenset({"00", "03"}), CPU)) == 3
    assert len(load_images(str(folder), 2, frozenset(), CPU)) == 2
    with pytest.raises(OptionError, match="all its images are in the test set"):
        load_images(str(folder), 2, frozenset(f"{i:02d}" for i in range(5)), CPU)
    shutil.rmtree(folder)
