from __future__ import annotations

from pathlib import Path

import pytest
import torch

from wavepaint.errors import OptionError
from wavepaint.network import WavePaint
from wavepaint.training.recipes import PACKAGED, change_recipe, load_recipe, parse_recipe
from wavepaint.training.schedule import average_decay, cosine, crop_side, parse_duration, warmup


@pytest.mark.parametrize("name", PACKAGED)
def test_packaged_recipes_survive_being_printed(name: str) -> None:
    recipe = load_recipe(name)
    assert parse_recipe(recipe.to_yaml(), "printed") == recipe


def test_published_recipe_is_the_papers() -> None:
    recipe = load_recipe("published")
    first, second = recipe.phases
    assert (recipe.batch, recipe.crops, recipe.network_config().dropout) == (22, (256, 256), 0.5)
    assert recipe.losses == {"lpips-alex": 10, "l1": 5, "l2": 5}
    assert (first.optimizer, first.learning_rate, first.weight_decay, first.patience) == ("adamw", 1e-3, 0.01, 10)
    assert (second.optimizer, second.learning_rate, second.momentum, second.patience) == ("sgd", 1e-3, 0.9, 10)
    assert recipe.validation.metric == "lpips-alex"
    assert recipe.validation.every is None


@pytest.mark.parametrize(("modules", "millions"), [(2, 3.345), (4, 6.691), (6, 10.036)])
def test_published_networks_have_the_papers_size(modules: int, millions: float) -> None:
    recipe = load_recipe("published", [f"network.preset=published-{modules}"])
    with torch.device("meta"):
        network = WavePaint(recipe.network_config())
    assert sum(value.numel() for value in network.parameters()) / 1e6 == pytest.approx(millions, abs=5e-4)


def test_finetuning_starts_from_the_packaged_network() -> None:
    recipe = load_recipe("finetune")
    assert (recipe.init, recipe.network, recipe.batch_norm) == ("default", None, "frozen")
    assert recipe.losses == load_recipe("default").losses


def test_a_recipe_of_ones_own_needs_only_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("base: default\nbatch: 4\ndata: {masks: thin}\nlosses: {l2: 1}\nphases: []\n")
    with pytest.raises(OptionError, match=r"mine\.yaml: phases must have at least one"):
        load_recipe(path)
    path.write_text("base: default\nbatch: 4\ndata: {masks: thin}\nlosses: {l2: 1}\nclip: 1e-3\n")
    recipe, base = load_recipe(path), load_recipe("default")
    assert (recipe.batch, recipe.data.masks, recipe.losses, recipe.clip) == (4, "thin", {"l2": 1.0}, 0.001)
    assert recipe.data.pool_size == base.data.pool_size
    assert recipe.phases == base.phases


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("batches=3", "unknown key batches; known: network, init"),
        ("data.workerz=3", "unknown key data.workerz; known: masks"),
        ("network.depth=3", "unknown field depth"),
        ("network.final_dim='a'", "final_dim must be a whole number"),
        ("batch=three", "batch must be a whole number, got 'three'"),
        ("batch=0", "batch must be at least 1, got 0"),
        ("steps=true", "steps must be a whole number, got True"),
        ("ema=fast", "ema must be a finite number, got 'fast'"),
        ("seed=99999999999999999999999", r"seed must be below 2\*\*63, got 99999999999999999999999"),
        ("seed=-1", "seed must be at least 0, got -1"),
        ("data.pool_size=9223372036854775808", r"data.pool_size must be below 2\*\*63"),
        ("data.max_scale=.inf", "data.max_scale must be a finite number, got inf"),
        ("data.max_scale=1" + "0" * 400, "data.max_scale must be a finite number, got 1000"),
        ("losses.hole-l1=.nan", "losses.hole-l1 must be a finite number, got nan"),
        ("phases.0.learning_rate='inf'", "phases.0.learning_rate must be a finite number, got 'inf'"),
        ("save_seconds=true", "save_seconds must be a finite number, got True"),
        ("seed=2024-13-45", "--set seed=2024-13-45: '2024-13-45' is not a YAML value"),
        ("ema=1", "ema must be at least 0 and below 1"),
        ("compile=3", "compile must be true or false, got 3"),
        ("crops=[96]", "crops must have 2 values, got 1"),
        ("crops=[96, 100]", "crops must grow by a multiple of 32, got 96 to 100"),
        ("crops=[32, 32]", "crops.0. must be at least 48, got 32"),
        ("losses.l7=1", "unknown loss 'l7'; known: l1"),
        ("losses={}", "losses must have at least one above 0"),
        ("losses.hole-l1=-1", "losses.hole-l1 must be at least 0"),
        ("validation.masks=[fog]", "validation.unknown mask preset 'fog'"),
        ("validation=3", "validation must be a mapping"),
        ("phases.0.optimizer=lion", "unknown optimizer 'lion'; known: adamw, sgd"),
        ("phases.0.momentum=0.5", "momentum is for sgd"),
        ("phases.3.momentum=0.5", "--set phases.3.momentum=0.5: the recipe has no phases.3.momentum"),
        ("init=default", "give either network or init"),
        ("batch", "--set batch: must be KEY=VALUE"),
    ],
)
def test_what_makes_no_sense_names_the_key(change: str, message: str) -> None:
    with pytest.raises(OptionError, match=message) as caught:
        load_recipe("default", [change])
    assert "\n" not in str(caught.value)


def test_the_largest_seed_is_one() -> None:
    assert load_recipe("default", [f"seed={2**63 - 1}"]).seed == 2**63 - 1


@pytest.mark.parametrize("name", ["net #2.safetensors", "2024", "null", "[a]: b"])
def test_a_file_to_start_from_may_have_any_name(name: str) -> None:
    recipe = load_recipe("default", ["batch=3"], init=name)
    assert (recipe.init, recipe.network, recipe.batch) == (name, None, 3)
    assert parse_recipe(recipe.to_yaml(), "printed") == recipe


def test_a_run_that_goes_on_can_change_what_ended_it() -> None:
    recipe = load_recipe("published")
    changed, told = change_recipe(recipe, ["batch=11", "phases.1.learning_rate=1e-4", "data.workers=null"])
    assert (changed.batch, changed.phases[1].learning_rate) == (11, 1e-4)
    assert told == ["batch: 22 before, 11 from now on", "phases.1.learning_rate: 0.001 before, 0.0001 from now on"]
    assert change_recipe(recipe, []) == (recipe, [])
    for change in ("steps=9", "phases.0.optimizer=sgd", "network.level=2", "batchsize=3"):
        with pytest.raises(OptionError, match=r"a run that goes on can change batch, accumulate, clip, data\.workers"):
            change_recipe(recipe, [change])
    with pytest.raises(OptionError, match="batch must be at least 1"):
        change_recipe(recipe, ["batch=0"])
    with pytest.raises(OptionError, match=r"the recipe has no phases\.7\.learning_rate"):
        change_recipe(recipe, ["phases.7.learning_rate=1"])


def test_files_that_are_no_recipes(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    for text, message in (
        ("a: [", "bad.yaml: not YAML"),
        ("- 1", "bad.yaml: must be a mapping"),
        ("base: best", "base: unknown recipe 'best'; known: default, finetune, film, stamps, faces, published"),
        ("batch: 3", "bad.yaml: missing key network"),
    ):
        path.write_text(text)
        with pytest.raises(OptionError, match=message):
            load_recipe(path)
    with pytest.raises(OptionError, match="none: neither a file nor a recipe; known: default"):
        load_recipe("none")


def test_crops_grow_in_equal_parts_of_the_run() -> None:
    sides = [crop_side(step / 120, 96, 256) for step in range(121)]
    assert [sides.count(side) for side in (96, 128, 160, 192, 224)] == [20] * 5
    assert sides.count(256) == 21
    assert sides == sorted(sides)
    assert {crop_side(progress, 64, 64) for progress in (0.0, 0.5, 1.0)} == {64}


def test_rates_and_decays() -> None:
    assert [warmup(step, 4) for step in (0, 1, 3, 9)] == [0.25, 0.5, 1, 1]
    assert warmup(0, 0) == 1
    assert [cosine(progress) for progress in (0, 0.5, 1)] == pytest.approx([1, 0.505, 0.01])
    assert average_decay(0.999, 0) == pytest.approx(0.1)
    assert average_decay(0.999, 10**6) == 0.999
    assert average_decay(0.0, 5) == 0


def test_durations() -> None:
    assert [parse_duration(text) for text in ("90", "1.5m", "2h", "1h30m", "1d")] == [90, 90, 7200, 5400, 86400]
    for text in ("", "0", "2 h", "h", "-5m", "5x"):
        with pytest.raises(OptionError, match="duration"):
            parse_duration(text)
