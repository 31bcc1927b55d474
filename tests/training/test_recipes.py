from __future__ import annotations

from pathlib import Path

import pytest
import torch

from wavepaint.errors import OptionError
from wavepaint.network import WavePaint
from wavepaint.options import RECIPES
from wavepaint.training import recipes
from wavepaint.training.pace import StepCost, average_decay, cosine, crop_side, warmup
from wavepaint.training.recipes import change_recipe, load_recipe, parse_recipe


def test_every_packaged_recipe_has_its_name() -> None:
    assert sorted(RECIPES) == sorted(path.stem for path in Path(recipes.__file__).with_name("recipes").glob("*.yaml"))


@pytest.mark.parametrize("name", RECIPES)
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
    path.write_text("base: default\nbatch: 4\ndata: {masks: {thin: 2}}\nlosses: {l2: 1}\nphases: []\n")
    with pytest.raises(OptionError, match=r"mine\.yaml: phases must be"):
        load_recipe(path)
    path.write_text("base: default\nbatch: 4\ndata: {masks: {thin: 2}}\nlosses: {l2: 1}\nclip: 1e-3\n")
    recipe, base = load_recipe(path), load_recipe("default")
    assert (recipe.batch, recipe.data.masks, recipe.losses, recipe.clip) == (4, {"thin": 2}, {"l2": 1.0}, 0.001)
    assert recipe.data.pool_size == base.data.pool_size
    assert recipe.phases == base.phases


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("batches=3", "unknown key batches"),
        ("data.workerz=3", "unknown key data.workerz"),
        ("network.depth=3", "unknown field depth"),
        ("network.final_dim='a'", "final_dim must be a whole number"),
        ("batch=three", "batch must be a valid integer, got 'three'"),
        ("batch=0", "batch must be greater than or equal to 1, got 0"),
        ("steps=true", "steps must be a valid integer, got True"),
        ("ema=fast", "ema must be a valid number.*, got 'fast'"),
        ("seed=99999999999999999999999", "seed must be less than 9223372036854775808, got 99999999999999999999999"),
        ("seed=-1", "seed must be greater than or equal to 0, got -1"),
        ("data.pool_size=9223372036854775808", "data.pool_size must be less than 9223372036854775808"),
        ("data.max_scale=.inf", "data.max_scale must be a finite number, got inf"),
        ("data.max_scale=1" + "0" * 400, "data.max_scale must be a valid number, got 1000"),
        ("losses.hole-l1=.nan", "losses.hole-l1 must be .*, got nan"),
        ("phases.0.learning_rate='inf'", "phases.0.learning_rate must be .*, got 'inf'"),
        ("save_seconds=true", "save_seconds must be a number, got True"),
        ("seed=2024-13-45", "--set seed=2024-13-45: '2024-13-45' is not a YAML value"),
        ("ema=1", "ema must be less than 1, got 1"),
        ("compile=3", "compile must be a valid boolean, got 3"),
        ("crops=[96]", "missing key crops.1"),
        ("crops=[96, 100]", "crops must grow by a multiple of 32, got 96 to 100"),
        ("crops=[32, 32]", "crops must be at least 48, got 32"),
        ("losses.l7=1", "unknown loss 'l7'; known: l1"),
        ("losses={}", "losses must have at least one above 0"),
        ("losses.hole-l1=-1", "losses.hole-l1 must be greater than or equal to 0"),
        ("validation.masks=[fog]", "unknown mask preset 'fog'"),
        ("validation=3", "validation must be a valid dictionary or instance of Validation, got 3"),
        ("phases.0.optimizer=lion", "phases.0.optimizer must be 'adamw' or 'sgd', got 'lion'"),
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


def test_a_run_that_resumes_can_change_what_ended_it() -> None:
    recipe = load_recipe("published")
    changed, differences = change_recipe(recipe, ["batch=11", "phases.1.learning_rate=1e-4", "data.workers=null"])
    assert (changed.batch, changed.phases[1].learning_rate) == (11, 1e-4)
    assert differences == [
        "batch: 22 before, 11 from now on",
        "phases.1.learning_rate: 0.001 before, 0.0001 from now on",
    ]
    assert change_recipe(recipe, []) == (recipe, [])
    for change in ("steps=9", "phases.0.optimizer=sgd", "network.level=2", "batchsize=3"):
        with pytest.raises(OptionError, match=r"a resumed run can change batch, accumulate, clip, data\.workers"):
            change_recipe(recipe, [change])
    with pytest.raises(OptionError, match="batch must be greater than or equal to 1"):
        change_recipe(recipe, ["batch=0"])
    with pytest.raises(OptionError, match=r"the recipe has no phases\.7\.learning_rate"):
        change_recipe(recipe, ["phases.7.learning_rate=1"])


def test_files_that_are_no_recipes(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    for text, message in (
        ("a: [", "bad.yaml: not YAML"),
        ("- 1", "bad.yaml: must be a mapping"),
        (
            "base: best",
            "base: unknown recipe 'best'; known: default, finetune, film, stamps, faces, damage, published, ",
        ),
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


def test_the_cost_of_steps_follows_their_crops() -> None:
    cost = StepCost.between((100, 1.0), (200, 2.5))
    assert cost.fixed + cost.per_pixel * 100**2 == pytest.approx(1.0)
    assert cost.fixed + cost.per_pixel * 200**2 == pytest.approx(2.5)
    sides = [crop_side(step / 90, 96, 160) for step in range(90)]
    one_by_one = [cost.fixed + cost.per_pixel * side**2 for side in sides]
    for start, stop in ((0, 90), (10, 45), (60, 90), (45, 45)):
        assert cost.of_steps(start, stop, 90, (96, 160)) == pytest.approx(sum(one_by_one[start:stop]))


def test_a_budget_buys_larger_crops_only_beside_enough_steps() -> None:
    cost = StepCost(0.0, 0.2 / 96**2)  # 0.2 s with crops of 96 pixels
    few, small = cost.plan(100.0, (96, 256), 5000)
    assert (few, small) == (500, 96)
    many, large = cost.plan(2000.0, (96, 256), 5000)
    assert many >= 5000
    assert 96 < large < 256
    assert cost.plan(1e6, (96, 256), 5000)[1] == 256
    seconds = cost.of_steps(0, many, many, (96, large))
    assert seconds == pytest.approx(2000, rel=0.01)


def test_published_recipes_differ_in_what_they_say() -> None:
    base, celeba, imagenet = (load_recipe(name) for name in ("published", "published-celeba", "published-imagenet"))
    assert (imagenet.crops, imagenet.validation.crop) == ((224, 224), 224)
    assert (celeba.data.max_scale, dict(celeba.data.masks)) == (1, {"train-thick": 1})
    assert [recipe.batch for recipe in (base, celeba, imagenet)] == [22, 160, 216]
    assert [[phase.patience for phase in recipe.phases] for recipe in (base, celeba, imagenet)] == [
        [10, 10],
        [20, 20],
        [5, 5],
    ]
