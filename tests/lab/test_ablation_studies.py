"""`python -m lab ablate` from end to end, tiny."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from test_ablation import TINY
from typer.testing import CliRunner

from lab.ablation import efficiency, run
from lab.ablation.efficiency import Job, measure, measure_apart
from lab.ablation.holes import significant_runs
from lab.ablation.plan import PLAN_FILE
from lab.ablation.studies import TEXTURE, TRAINING_STUDIES
from lab.cli import app
from networks import random_network, small_config
from trainings import write_images, write_vgg16
from wavepaint.data.images import find_images
from wavepaint.evaluation.metrics import Summary
from wavepaint.evaluation.testset import make_test_set
from wavepaint.network import save_checkpoint


@pytest.fixture(name="here", autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with images in `images` and a test set `set`; small studies are tiny ones."""
    write_images(tmp_path / "images", 6)
    write_images(tmp_path / "others", 6)
    write_images(tmp_path / "held-out" / "test", 3)
    write_vgg16(tmp_path / "vgg16.safetensors")
    save_checkpoint(random_network(small_config(stem="haar", prefill="haar", sweeps=1)), tmp_path / "own.safetensors")
    list(make_test_set(find_images(tmp_path / "held-out"), tmp_path / "set", ("box", "blobs"), size=64))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "SMALL", TINY)
    monkeypatch.setattr("lab.ablation.trained.MASK_BANK", 8)
    return tmp_path


def ablate(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["ablate", *map(str, arguments)])


def test_a_study_that_trains_and_its_repetition(here: Path) -> None:
    command = ("no-dwt", "--images", "images", "--test", "set", "-o", "run", "--budget", "1s")
    first = ablate(*command)
    assert first.exit_code == 0, first.output
    assert "training convolution that starts as Haar, seed 0" in first.output
    assert "At equal steps, against dwt: convolution that starts as Haar:" in first.output
    results = json.loads((here / "run" / "results.json").read_text())
    assert [arm["name"] for arm in results["arms"]] == ["dwt", "convolution that starts as Haar", "convolution"]
    assert results["arms"][1]["parameters"] > results["arms"][0]["parameters"]
    assert results["plan"]["equal_steps"] >= 1
    assert {row["moment"] for row in results["compared"]} == {"equal steps", "equal time"}
    assert {row["kind"] for row in results["compared"]} == {"all", "box", "blobs"}
    assert results["conclusion"] in first.output
    page = (here / "run" / "report.html").read_text()
    assert "Does the wavelet transform of the published network do more" in page
    assert page.count("<svg") == len(list((here / "run" / "figures").iterdir())) >= 5

    # With the same plan elsewhere it is the same to the last digit; in place, nothing is redone.
    (here / "again").mkdir()
    (here / "again" / PLAN_FILE).write_bytes((here / "run" / PLAN_FILE).read_bytes())
    assert ablate(*command[:-3], "again", *command[-2:]).exit_code == 0
    again = json.loads((here / "again" / "results.json").read_text())
    assert again["compared"] == results["compared"]
    in_place = ablate(*command)
    assert in_place.exit_code == 0
    assert "training" not in in_place.stderr
    assert "scoring" not in in_place.stderr
    assert json.loads((here / "run" / "results.json").read_text())["compared"] == results["compared"]


def test_coarse_to_fine_and_zero_prefill_are_measured(here: Path) -> None:
    result = ablate("prefill", "--images", "images", "--test", "set", "-o", "run", "--steps", "2")
    assert result.exit_code == 0, result.output
    results = json.loads((here / "run" / "results.json").read_text())
    assert [arm["network"]["prefill"] for arm in results["arms"]] == ["haar", "haar", "zero", "zero"]
    assert [arm["coarse_levels"] for arm in results["arms"]] == [0, 1, 0, 1]
    assert results["plan"]["equal_steps"] == 2


def test_cross_data_measures_every_arm_on_every_set(here: Path) -> None:
    list(make_test_set(find_images(here / "held-out"), here / "set2", ("box",), size=64))
    sources = ("--images", "images", "--images", "others", "--test", "set", "--test", "set2")
    result = ablate("cross-data", *sources, "-o", "run", "--budget", "1s")
    assert result.exit_code == 0, result.output
    results = json.loads((here / "run" / "results.json").read_text())
    assert {row["test"] for row in results["compared"]} == {"set", "set2"}
    # Every set's own source is what the others are compared with.
    assert "At equal steps on set, against trained on images: trained on others:" in results["conclusion"]
    assert "At equal steps on set2, against trained on others: trained on images:" in results["conclusion"]


def test_mask_size_compares_the_package_with_others_by_radius_and_by_depth(here: Path) -> None:
    command = ("mask-size", "--test", "set", "-o", "run", "--vgg-weights", "vgg16.safetensors", "--test-images", "2")
    result = ablate(*command)
    assert result.exit_code == 0, result.output
    results = json.loads((here / "run" / "results.json").read_text())
    assert results["radii"] == [8, 16, 24]
    assert set(results["means"]) == {"hole_psnr", "hole_ssim", "lpips_vgg", "dists"}
    assert set(results["means"]["dists"]) == {"package", "network", "opencv-telea", "haar"}
    measured = json.loads((here / "run" / "discs" / "016.json").read_text())
    psnr = {method: np.array(scores["hole_psnr"]) for method, scores in measured.items()}
    lead = results["differences"]["hole_psnr"]["opencv-telea"][1]
    assert lead["mean"] == pytest.approx((psnr["package"] - psnr["opencv-telea"]).mean())
    assert lead["low"] <= lead["mean"] <= lead["high"]
    assert len(results["by_depth"]["network"]) == 24 // results["by_depth"]["ring"]
    # A disc's error is the mean of its rings', weighted by their areas.
    rings = np.array(json.loads((here / "run" / "discs" / "008.json").read_text())["haar"]["rings"])
    small = json.loads((here / "run" / "discs" / "008.json").read_text())["haar"]["hole_psnr"]
    assert -10 * np.log10(rings[:, 0]) == pytest.approx(small, abs=0.01)
    assert "LPIPS of package is better than opencv-telea's at radii " in result.output
    assert "In discs of radius 24, PSNR of package is higher than haar's at these distances" in result.output
    again = ablate(*command)
    assert "filling discs" not in again.output


def test_mask_size_of_a_checkpoint(here: Path) -> None:
    result = ablate("mask-size", "--test", "set", "--method", "own.safetensors", "-o", "run", "--test-images", "1")
    assert result.exit_code == 0, result.output
    results = json.loads((here / "run" / "results.json").read_text())
    assert set(results["means"]) == {"hole_psnr", "hole_ssim"}
    assert set(results["means"]["hole_psnr"]) == {"own.safetensors", "opencv-telea", "haar"}


def test_texture_losses_go_on_from_a_checkpoint(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = TRAINING_STUDIES[TEXTURE]
    fewer = replace(study, arms=(study.arms[0], study.arms[2], study.arms[4]))
    monkeypatch.setattr("lab.ablation.studies.TRAINING_STUDIES", {TEXTURE: fewer})
    monkeypatch.setattr("lab.ablation.texture.GRADIENT_BATCHES", 2)
    monkeypatch.setattr("lab.ablation.training._TIMED_STEPS", 1)
    command = ("texture", "--images", "images", "--test", "set", "--init", "own.safetensors")
    command += ("--vgg-weights", "vgg16.safetensors", "--budget", "1s", "--test-images", "1", "-o")
    first = ablate(*command, "run")
    assert first.exit_code == 0, first.output
    assert "measuring the weights of the losses" in first.stderr
    assert "scoring the network before training" in first.stderr
    assert "receptive" not in first.stderr
    results = json.loads((here / "run" / "results.json").read_text())
    arms = {arm["name"]: arm for arm in results["arms"]}
    assert arms["L1 + gradient"]["network"]["final_dim"] == 16  # the checkpoint's, not the default's or the scale's
    weights = results["plan"]["losses"]
    assert weights["L1 + gradient"] == {}
    assert set(weights["+ VGG features, style"]) == {"vgg-features", "vgg-style"}
    assert weights["+ style"]["vgg-style"] == pytest.approx(2 * weights["+ VGG features, style"]["vgg-style"], rel=1e-3)
    rows = {(row["arm"], row["metric"]): row for row in results["compared"] if row["kind"] == "all"}
    assert {metric for _, metric in rows} == {"hole_psnr", "hole_ssim", "vgg_distance", "detail_1", "detail_2"}
    assert {arm for arm, _ in rows} == {*arms, "prefill alone", "before training"}
    assert f"vgg-style {weights['+ style']['vgg-style']:g}" in (here / "run" / "tables.md").read_text()
    assert "The lowest VGG distance: " in results["conclusion"]
    assert "For scale: the network before training is " in results["conclusion"]

    (here / "again").mkdir()
    (here / "again" / PLAN_FILE).write_bytes((here / "run" / PLAN_FILE).read_bytes())
    second = ablate(*command, "again")
    assert second.exit_code == 0, second.output
    assert "measuring the weights" not in second.stderr
    assert json.loads((here / "again" / "results.json").read_text())["compared"] == results["compared"]
    other = ablate(*command[:5], *command[7:], "run")
    assert other.exit_code == 2
    assert "was begun with init SHA-256 " in other.stderr


def gain(mean: float, spread: float) -> Summary:
    return Summary(mean, 1.0, mean - spread, mean + spread, 9)


def test_where_a_lead_is_significant_is_given_in_runs() -> None:
    gains = [gain(0.1, 0.2), gain(0.1, 0.05), gain(0.2, 0.1), gain(-0.2, 0.1), gain(0.3, 0.1)]
    assert significant_runs("abcde", gains, 1) == "b to c, e"
    assert significant_runs("abcde", gains, -1) == "d"
    assert significant_runs("a", gains[:1], 1) == "none"


def test_efficiency_against_peers(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "peers").mkdir()
    (here / "peers" / "lama.py").write_text(
        "import torch\n"
        "class Peer(torch.nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.conv = torch.nn.Conv2d(4, 3, 3, padding=1)\n"
        "    def forward(self, image, mask):\n"
        "        return self.conv(torch.cat((image * (1 - mask), mask), 1)) * mask + image * (1 - mask)\n"
        "class Judge(torch.nn.Module):\n"
        "    r1_every = 1\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.conv = torch.nn.Conv2d(3, 1, 3)\n"
        "    def forward(self, image, mask):\n"
        "        return self.conv(image) ** 2\n"
        "def lama_generator():\n"
        "    return Peer()\n"
        "def lama_discriminator():\n"
        "    return Judge()\n"
    )
    monkeypatch.setattr(efficiency, "OWN", ("default",))
    monkeypatch.setattr(efficiency, "SIDE", 32)
    monkeypatch.setattr(efficiency, "measure_apart", measure)
    result = ablate("efficiency", "--peers", "peers", "-o", "run")
    assert result.exit_code == 0, result.output
    own, peer = json.loads((here / "run" / "results.json").read_text())["costs"]
    assert (own["name"], peer["name"]) == ("default", "lama")
    assert (peer["parameters"], peer["discriminator"]) == (4 * 3 * 9 + 3, 3 * 9 + 1)
    assert own["discriminator"] == 0
    assert own["images_per_second"] == pytest.approx(2 / np.median(own["seconds"]))
    assert own["peak_bytes"] > 0
    assert "lama trains" in result.output


def test_memory_is_measured_in_a_fresh_process() -> None:
    held = np.ones(400 << 20, np.uint8)  # which that process does not have
    cost = measure_apart(Job("default", "", 2, 32, "cpu", 1))
    assert min(cost.seconds) > 0
    assert 0 < cost.peak_bytes < held.nbytes


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("fourier",), "'fourier' is not one of 'no-dwt', 'wavelet', 'level', 'modules', 'prefill', 'texture'"),
        (("level", "--test", "set"), "the study level needs --images"),
        (("level", "--images", "images"), "the study level needs --test"),
        (("mask-size", "--test", "set", "--images", "images"), "the study mask-size takes no --images"),
        (("mask-size", "--test", "set", "--budget", "1s"), "the study mask-size takes no --budget"),
        (("mask-size", "--test", "set", "--test-images", "0"), "--test-images must be at least 1, got 0"),
        (("mask-size", "--test", "set", "--steps", "1"), "the study mask-size takes no --steps"),
        (("level", "--images", "images", "--test", "set", "--steps", "0"), "--steps must be at least 1, got 0"),
        (("level", "--images", "a", "--test", "b", "--steps", "9", "--budget", "9s"), "give only one of --budget and"),
        (("efficiency", "--test", "set"), "the study efficiency takes no --test"),
        (("efficiency", "--peers", "set"), "set: holds none of lama.py, migan.py"),
        (("cross-data", "--images", "images", "--test", "set"), "two or more different --images"),
        (("cross-data", "--images", "images", "--images", "others", "--test", "set"), "one --test for every --images"),
        (("level", "--images", "nowhere", "--test", "set"), "nowhere: no such file or folder"),
        (("level", "--images", "images", "--test", "images"), "images: no test set"),
        (("level", "--images", "images", "--test", "set", "--budget", "soon"), "not a duration"),
        (("mask-size", "--test", "set", "--method", "no.safetensors"), "unknown method 'no.safetensors'"),
        (("mask-size", "--test", "set", "--method", "haar"), "the methods must be all different"),
        (("mask-size", "--test", "set", "--vgg-weights", "no.pth"), "no.pth: No such file"),
        (("mask-size", "--test", "set", "--init", "default"), "the study mask-size takes no --init"),
        (("texture", "--images", "images", "--test", "set", "--method", "package"), "texture takes no --method"),
        (
            ("texture", "--images", "images", "--test", "set", "--init", "no.safetensors"),
            "no.safetensors: no such file",
        ),
        (("level", "--images", "images", "--test", "set", "--vgg-weights", "x"), "level takes no --vgg-weights"),
    ],
)
def test_bad_calls_are_one_line_and_leave_nothing(here: Path, arguments: tuple[str, ...], reason: str) -> None:
    result = ablate(*arguments, "-o", "run")
    assert result.exit_code == 2
    assert reason in result.stderr.splitlines()[-1]
    assert not (here / "run").exists()


def test_a_folder_of_something_else_is_refused(here: Path) -> None:
    result = ablate("level", "--images", "images", "--test", "set", "-o", "images")
    assert result.exit_code == 2
    assert "images: exists and holds no plan.json" in result.stderr
    assert ablate("mask-size", "--test", "set", "-o", "run", "--test-images", "1").exit_code == 0
    result = ablate("mask-size", "--test", "set", "-o", "run", "--test-images", "2")
    assert result.exit_code == 2
    assert "begun with test_images 1, not 2" in result.stderr
