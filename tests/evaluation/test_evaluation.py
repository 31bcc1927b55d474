import csv
import filecmp
import hashlib
import json
import math
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from typer.testing import CliRunner

from lab.batched import NetworkMethod
from lab.patchmatch import patchmatch_inpaint
from lab.registered import CLASSICAL
from wavepaint.cli import app
from wavepaint.data.images import find_images
from wavepaint.errors import MissingExtraError, OptionError
from wavepaint.evaluation.charts import line_chart
from wavepaint.evaluation.methods import ImageMethod, describe_method, find_method
from wavepaint.evaluation.metrics import METRICS, PSNR_CEILING, Summary, pixel_scores
from wavepaint.evaluation.protocol import Item, centre_crop, evaluate, item_name, make_items
from wavepaint.evaluation.registry import METRIC_LOADERS, MetricEntry
from wavepaint.evaluation.report import Provenance, write_report
from wavepaint.evaluation.results import SHOWN, Results
from wavepaint.evaluation.run import evaluate_set, load_scorers, provenance_of
from wavepaint.evaluation.tables import HEADLINE
from wavepaint.evaluation.testset import (
    make_test_set,
    open_test_set,
    read_image,
    samples_sha256,
)
from wavepaint.image.vips import encode_png

KINDS = ("box", "blobs")


def smooth_image(height, width, seed=0):
    """Waves of random frequency and colour: something a method can get half right."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x * rng.uniform(0.02, 0.2) + y * rng.uniform(0.02, 0.2) + rng.uniform(0, 6)) for _ in range(3)]
    return (127.5 * (1 + np.stack(waves, axis=-1))).astype(np.uint8)


@pytest.fixture
def images(tmp_path):
    """Three images, one of them smaller than a crop, and one broken file."""
    folder = tmp_path / "images"
    (folder / "sub").mkdir(parents=True)
    for number, (name, size) in enumerate({"a": (80, 96), "b": (64, 64), "sub/c": (40, 100)}.items()):
        (folder / f"{name}.png").write_bytes(encode_png(smooth_image(*size, seed=number)))
    (folder / "broken.png").write_bytes(b"not an image")
    return folder


@pytest.fixture
def test_set(images, tmp_path):
    folder = tmp_path / "set"
    list(make_test_set(find_images(images), folder, KINDS, size=64, seed=3))
    return folder


def files_below(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def assert_same_folders(first, second):
    names = files_below(first)
    assert names == files_below(second)
    assert names
    _, different, unreadable = filecmp.cmpfiles(first, second, names, shallow=False)
    assert (different, unreadable) == ([], [])


def an_item(height=48, width=56, seed=0, **fields):
    mask = np.zeros((height, width), bool)
    mask[height // 4 : height // 2, width // 3 : width // 2] = True
    return Item(**{"name": "a", "kind": "box", "truth": smooth_image(height, width, seed), "mask": mask, **fields})


# Crops and items


def test_a_crop_is_the_exact_middle():
    image = smooth_image(50, 61)
    assert (centre_crop(image, 20) == image[15:35, 20:40]).all()


def test_a_short_side_is_mirrored_outwards():
    image = smooth_image(10, 30)
    crop = centre_crop(image, 16)
    assert crop.shape == (16, 16, 3)
    middle = image[:, 7:23]
    assert (crop[3:13] == middle).all()
    assert (crop[:3] == middle[2::-1]).all()
    assert (crop[13:] == middle[:-4:-1]).all()


def test_item_names_are_file_names():
    assert item_name("val-0000.tar/000012.webp") == "val-0000-000012"
    assert item_name("holiday/beach.1.jpeg") == "holiday-beach.1"


def test_a_mask_depends_on_seed_name_and_kind_alone():
    images = [(f"{name}.png", smooth_image(64, 64)) for name in "abc"]
    items = {(i.name, i.kind): i for i in make_items(images, KINDS, size=64)}
    alone = list(make_items(images[1:2], KINDS[::-1], size=64))
    assert len(items) == 6
    for item in alone:
        assert (items[item.name, item.kind].mask == item.mask).all()
    other_seed = next(make_items(images, KINDS, size=64, seed=1))
    assert (other_seed.mask != items["a", "box"].mask).any()
    assert (items["a", "box"].mask != items["b", "box"].mask).any()


def test_two_images_of_one_name_are_refused():
    images = [("a.png", smooth_image(64, 64)), ("a.jpg", smooth_image(64, 64))]
    with pytest.raises(OptionError, match=r"a\.jpg and a\.png would both be called a"):
        list(make_items(images, ("box",), size=64))


# Test sets


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (300, 260), (7, 9, 3), (200, 190, 3)])
def test_png_comes_back_sample_for_sample(tmp_path, shape):
    samples = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    (tmp_path / "x.png").write_bytes(encode_png(samples))
    read = read_image(tmp_path / "x.png")
    assert (read == (samples if samples.ndim == 3 else samples[..., None])).all()


def test_the_layout_is_the_published_one_and_the_manifest_states_all(test_set):
    names = ("a", "b", "sub-c")
    expected = [f"{kind}/{n}{part}.png" for kind in KINDS for n in names for part in ("", "_mask000")]
    assert files_below(test_set) == sorted(["manifest.json", *expected])
    manifest = json.loads((test_set / "manifest.json").read_text())
    assert (manifest["seed"], manifest["size"], manifest["kinds"]) == (3, 64, list(KINDS))
    assert manifest["unreadable"] == ["broken.png"]
    for entry in manifest["items"]:
        image = read_image(test_set / entry["kind"] / f"{entry['name']}.png")
        mask = read_image(test_set / entry["kind"] / f"{entry['name']}_mask000.png")[..., 0]
        assert set(np.unique(mask)) == {0, 255}
        assert entry["hole_pixels"] == np.count_nonzero(mask)
        assert entry["hole_area"] == np.count_nonzero(mask) / 64**2
        assert entry["image_sha256"] == samples_sha256(image)
        assert entry["mask_sha256"] == samples_sha256(mask > 0)
        assert entry["rejected"] >= 0


def test_a_test_set_comes_back_as_it_was_made(images, test_set):
    made = {(i.kind, i.name): i for i in make_items(find_images(images), KINDS, size=64, seed=3)}
    opened = open_test_set(test_set)
    assert opened.kinds == KINDS
    assert len(opened) == len(made) == 6
    for item in opened:
        original = made[item.kind, item.name]
        assert (item.truth == original.truth).all()
        assert (item.mask == original.mask).all()
        assert item.rejected == original.rejected


def test_the_same_call_writes_the_same_bytes_and_replaces_its_own_output(images, test_set, tmp_path):
    source = find_images(images)
    list(make_test_set(source, tmp_path / "again", KINDS, size=64, seed=3))
    assert_same_folders(test_set, tmp_path / "again")
    list(make_test_set(source, tmp_path / "again", ("box",), size=64, seed=4))
    assert len(open_test_set(tmp_path / "again")) == 3


def test_foreign_folders_are_not_overwritten_and_nothing_half_made_stays(images, tmp_path):
    source = find_images(images)
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "diary.txt").write_text("mine")
    with pytest.raises(OptionError, match="not overwritten"):
        list(make_test_set(source, precious, KINDS, size=64))
    making = make_test_set(source, tmp_path / "unfinished", KINDS, size=64)
    next(making)
    making.close()
    assert files_below(precious) == ["diary.txt"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "precious"]


@pytest.mark.parametrize("victim", ["box/a.png", "blobs/b_mask000.png"])
def test_changed_samples_are_noticed_but_a_recompressed_file_is_not(test_set, victim):
    cv2 = pytest.importorskip("cv2")
    path = test_set / victim
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(path), image)
    assert len(list(open_test_set(test_set))) == 6
    image[0, 0] = 255 - image[0, 0]
    cv2.imwrite(str(path), image)
    with pytest.raises(OptionError, match=path.name):
        list(open_test_set(test_set))


def test_missing_files_and_bad_manifests_are_named(test_set, tmp_path):
    with pytest.raises(OptionError, match="no such folder"):
        open_test_set(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(OptionError, match="no test set"):
        open_test_set(tmp_path / "empty")
    (test_set / "box" / "a.png").unlink()
    with pytest.raises(OptionError, match=r"a\.png: missing"):
        open_test_set(test_set)
    manifest = test_set / "manifest.json"
    outside = {"format": "wavepaint-test-set-1", "items": [{"kind": "..", "name": "x"}]}
    for text, reason in (
        ("{", "not JSON"),
        ('{"format": "other"}', "not a manifest"),
        ('{"format": "wavepaint-test-set-1", "items": [{"colour": 1}]}', "damaged"),
        (json.dumps(outside), "leads out of the set"),
    ):
        manifest.write_text(text)
        with pytest.raises(OptionError, match=reason):
            open_test_set(test_set)


def test_sets_of_other_programs_need_no_manifest(test_set):
    (test_set / "manifest.json").unlink()
    opened = open_test_set(test_set)
    assert opened.sha256 == ""
    assert sorted(opened.kinds) == sorted(KINDS)
    assert sum(1 for _ in opened) == 6


# Methods


@pytest.mark.parametrize("name", [*CLASSICAL, "haar"])
def test_methods_fill_from_what_is_known_alone(name):
    if name == "haar":
        pytest.importorskip("torch")
    method = find_method(name)
    item = an_item()
    spoiled = an_item(truth=np.where(item.mask[..., None], np.uint8(0), item.truth))
    (filled,), (again,) = method([item]), method([spoiled])
    assert method.name == name
    assert filled.dtype == np.uint8
    assert (filled == again).all()
    error = np.abs(item.composite(filled).astype(int) - item.truth)[item.mask].mean()
    blank = np.abs(item.known.astype(int) - item.truth)[item.mask].mean()
    assert error < 0.5 * blank


@pytest.mark.parametrize("name", [*CLASSICAL, "haar"])
def test_a_flat_image_is_completed_flat(name):
    if name == "haar":
        pytest.importorskip("torch")
    truth = np.full((40, 40, 3), (10, 100, 250), np.uint8)
    item = an_item(40, 40, truth=truth)
    (filled,) = find_method(name)([item])
    assert np.abs(filled.astype(int) - truth)[item.mask].max() <= 2


def test_patchmatch_continues_a_texture_that_diffusion_cannot():
    y, x = np.mgrid[:96, :96]
    stripes = ((x // 4 + y // 4) % 2 * 200 + 20).astype(np.uint8)
    truth = np.stack([stripes, 255 - stripes, stripes], axis=-1)
    mask = np.zeros((96, 96), bool)
    mask[36:60, 30:58] = True
    item = Item("a", "box", truth, mask)
    composites = np.stack([item.composite(find_method(n)([item])[0]) for n in ("patchmatch", "opencv-telea")])
    ours, telea = pixel_scores(truth, composites, mask)["hole_psnr"]
    assert ours > 20
    assert ours > telea + 8


@pytest.mark.parametrize("size", [(16, 16), (33, 70), (129, 64), (5, 5)])
def test_patchmatch_takes_any_size_and_leaves_known_samples(size):
    truth = smooth_image(*size)
    mask = np.random.default_rng(0).random(size) < 0.3
    mask[0, 0] = True
    known = np.where(mask[..., None], np.uint8(0), truth)
    filled = patchmatch_inpaint(known, mask)
    assert (filled[~mask] == truth[~mask]).all()
    assert (filled == patchmatch_inpaint(known, mask)).all()


def test_patchmatch_fills_a_hole_that_vanishes_at_coarser_scales():
    rng = np.random.default_rng(0)
    known = rng.integers(0, 256, (256, 256, 3), np.uint8)
    mask = np.zeros((256, 256), bool)
    mask[101:104, 77:81] = True
    filled = patchmatch_inpaint(known, mask)
    assert (filled[~mask] == known[~mask]).all()
    assert (filled[mask] != known[mask]).any()


def test_patchmatch_copes_with_one_known_pixel():
    known = np.zeros((40, 40, 3), np.uint8)
    mask = np.ones((40, 40), bool)
    mask[7, 9], known[7, 9] = False, (3, 4, 5)
    assert (patchmatch_inpaint(known, mask) == (3, 4, 5)).all()


def test_a_network_gets_whole_multiples_and_batches_of_equal_size():
    calls = []

    def run(image, mask):
        calls.append((image.shape, mask.shape))
        assert set(np.unique(mask)) <= {0, 1}
        assert (image * mask == 0).all()
        return np.where(mask > 0, 0.5, image)

    items = [an_item(40, 50), an_item(40, 50, seed=1), an_item(32, 32)]
    filled = NetworkMethod("net", run, 16)(items)
    assert calls == [((2, 3, 48, 64), (2, 1, 48, 64)), ((1, 3, 32, 32), (1, 1, 32, 32))]
    for item, result in zip(items, filled, strict=True):
        assert result.shape == item.truth.shape
        assert (result[~item.mask] == item.truth[~item.mask]).all()
        assert (result[item.mask] == 128).all()


def test_a_checkpoint_is_a_method(tmp_path):
    torch = pytest.importorskip("torch")
    from wavepaint.evaluation.methods import network_method
    from wavepaint.network import WavePaint, WavePaintConfig, save_checkpoint

    torch.manual_seed(0)
    config = WavePaintConfig(num_modules=1, blocks_per_module=1, final_dim=8, ff_channel=8, dropout=0.0)
    model = WavePaint(config).eval()
    path = tmp_path / "net.safetensors"
    save_checkpoint(model, path)
    item = an_item()
    (expected,), (actual,) = network_method(model, "x")([item]), find_method(str(path))([item])
    assert (expected == actual).all()
    assert hashlib.sha256(path.read_bytes()).hexdigest() in describe_method(str(path))


def test_package_is_what_the_command_writes(tmp_path):
    item = an_item(64, 72)
    (filled,) = find_method("package")([item])
    (tmp_path / "image.png").write_bytes(encode_png(item.known))
    (tmp_path / "mask.png").write_bytes(encode_png(item.mask * np.uint8(255)))
    done = run("inpaint", tmp_path / "image.png", tmp_path / "mask.png", "-o", tmp_path / "result.png")
    assert done.exit_code == 0, done.output
    assert (filled == read_image(tmp_path / "result.png")).all()
    assert (filled[item.mask] != 0).any()


def test_package_with_another_network_and_network_alone_say_which(tmp_path):
    pytest.importorskip("torch")
    packaged = describe_method("network")
    assert "no detail, no grain" in packaged
    assert packaged.split(";")[0] in describe_method("package")
    path = tmp_path / "other.safetensors"
    path.write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    assert digest in describe_method(f"package:{path}")
    assert describe_method(f"package:{path}").startswith("what wavepaint")
    item = an_item()
    (alone,), (packaged,) = find_method("network")([item]), find_method("package")([item])
    assert (alone[item.mask] != packaged[item.mask]).any()


def test_unknown_methods_list_the_known_ones(tmp_path):
    with pytest.raises(
        OptionError, match="unknown method 'telea'; known: biharmonic, haar, network, opencv-ns, opencv-telea, package"
    ):
        find_method("telea")
    with pytest.raises(OptionError, match="no such folder"):
        find_method(f"folder:{tmp_path / 'gone'}")


# Evaluation


def test_only_a_metric_whose_package_is_missing_asks_to_install_it(monkeypatch):
    def load(error):
        def refuse(weights):
            raise error

        monkeypatch.setitem(METRIC_LOADERS, "learned", MetricEntry((), refuse))
        load_scorers(["learned"], {})

    with pytest.raises(MissingExtraError, match=r"needs torch: pip install 'wavepaint\[train\]'"):
        load(ModuleNotFoundError(name="torch"))
    with pytest.raises(ImportError, match="libtorch"):
        load(ImportError("libtorch.so: cannot open shared object file"))


def test_scores_are_taken_on_composites():
    item = an_item()
    noise = np.random.default_rng(0).integers(0, 256, item.truth.shape, dtype=np.uint8)
    right_inside = ImageMethod("a", lambda known, mask: np.where(mask[..., None], item.truth, noise))
    right_outside = ImageMethod("b", lambda known, mask: np.where(mask[..., None], noise, item.truth))
    (evaluated,) = evaluate([item], [right_inside, right_outside])
    perfect, poor = evaluated.rows
    assert perfect.scores["psnr"] == perfect.scores["hole_psnr"] == PSNR_CEILING
    assert poor.scores["hole_psnr"] < 15
    assert (evaluated.composites[1][~item.mask] == item.truth[~item.mask]).all()
    assert (perfect.hole_pixels, perfect.hole_area) == (item.mask.sum(), item.mask.mean())


class Means:
    """A set score: the mean of all composites of a kind."""

    def __init__(self):
        self.composites = {}

    def add(self, evaluated):
        self.composites.setdefault(evaluated.item.kind, []).append(evaluated.composites)

    def scores(self, kind, methods):
        stacked = np.stack(self.composites[kind])
        return {"vgg_frechet": [float(stacked[:, index].mean()) for index in range(methods)]}


def test_method_names_must_differ():
    method = ImageMethod("a", lambda known, mask: known)
    with pytest.raises(OptionError, match="all different, got: a, a"):
        list(evaluate([an_item()], [method, method]))
    with pytest.raises(OptionError, match="got: none"):
        list(evaluate([an_item()], []))


def results_of(count=30):
    """Two methods: the second is the first with a fixed additional error."""
    items = []
    for number in range(count):
        mask = np.zeros((24, 24), bool)
        mask[: 2 + number % 10] = True
        truth = np.full((24, 24, 3), 100, np.uint8)
        items.append(Item(f"{number:03d}", "box", truth, mask))
    methods = [
        NetworkMethod("near", lambda image, mask: image + mask * (100 / 255 + 0.1), 1),
        NetworkMethod("<far>", lambda image, mask: image + mask * (100 / 255 + 0.2), 1),
    ]
    results = Results(("near", "<far>"), [Means()])
    for evaluated in evaluate(items, methods):
        results.add(evaluated)
    return results


def test_summaries_hold_the_means_bins_and_paired_differences():
    results = results_of()
    rows = {(index, *name): mean for (_, index), means in results.summaries().items() for name, mean in means.items()}
    overall = rows[None, "<far>", "hole_l1"]
    errors = {r.method: r.scores["hole_l1"] for r in results.rows}
    assert overall.summary.count == 30
    assert overall.summary.mean == pytest.approx(errors["<far>"])
    assert overall.difference.mean == pytest.approx(errors["<far>"] - errors["near"])
    assert overall.difference.low == pytest.approx(overall.difference.high)
    assert rows[None, "near", "hole_l1"].difference is None
    bins = {index: row.summary.count for (index, m, k), row in rows.items() if (m, k) == ("near", "psnr")}
    expected = {}
    for number in range(30):
        index = int((2 + number % 10) / 24 * 10)
        expected[index] = expected.get(index, 0) + 1
    assert bins == {None: 30, **expected}


def test_set_scores_are_those_of_the_set_scorers_and_the_pooled_psnr():
    results = results_of()
    scores = {(method, metric): score for (_, method, metric), score in results.set_scores().items()}
    error = 10 ** (-scores["near", "pooled_hole_psnr"] / 20)
    assert error == pytest.approx(next(r.scores["hole_l1"] for r in results.rows if r.method == "near"))
    assert 100 < scores["near", "vgg_frechet"] < scores["<far>", "vgg_frechet"]


def test_the_best_and_worst_images_are_kept_in_order():
    results = Results(("a",))
    for number in np.random.default_rng(0).permutation(40):
        method = NetworkMethod("a", lambda image, mask, n=number: image + mask * (20 / 255 + 0.02 * n), 1)
        item = an_item(24, 24, name=f"{number:02d}", truth=np.full((24, 24, 3), 20, np.uint8))
        for evaluated in evaluate([item], [method]):
            results.add(evaluated)
    assert [case.item.name for case in results.best] == [f"{n:02d}" for n in range(SHOWN)]
    assert [case.item.name for case in results.worst] == [f"{n:02d}" for n in range(39, 39 - SHOWN, -1)]


# Reports


def test_charts_are_well_formed_and_place_the_means():
    series = {"a & b": [Summary(10, 1, 9, 11, 5), None, Summary(20, 1, 19, 21, 5)], "_x": [Summary(1, 1, 1, 1, 5)] * 3}
    chart = line_chart("<title> $5", "x", ["0-10", "10-20", "20-30"], series)
    root = ElementTree.fromstring(chart)
    texts = {text.text for text in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"<title> $5", "x", "0-10", "10-20", "20-30", "a & b"} <= texts
    assert chart == line_chart("<title> $5", "x", ["0-10", "10-20", "20-30"], series)
    # The first point is lower than the second: larger y, as pixels count from the top.
    line = next(p.get("d") for p in root.iter("{http://www.w3.org/2000/svg}path") if "#0072b2" in p.get("style", ""))
    assert line.count("L") == 1
    first, last = (float(step.split()[1]) for step in line.replace("M", "").split("L"))
    assert first > last
    assert line_chart("nothing", "x", ["0-10"], {"a": [None]}) == ""


def test_a_report_is_complete_escaped_and_the_same_twice(tmp_path):
    results = results_of()
    provenance = Provenance("set & co", "ab" * 32, {"near": "one", "<far>": "two"})
    for name in ("first", "second", "second"):
        write_report(results_of(), results.summaries(), tmp_path / name, provenance)
    assert_same_folders(tmp_path / "first", tmp_path / "second")
    page = (tmp_path / "first" / "report.html").read_text()
    assert "set &amp; co" in page
    assert "&lt;far&gt;" in page
    assert "<far>" not in page
    images = [name for name in files_below(tmp_path / "first") if name.startswith("images/")]
    assert len(images) == 2 * SHOWN * 4
    assert all(f'src="{name}"' in page for name in images)
    rows = list(csv.DictReader((tmp_path / "first" / "scores.csv").open()))
    assert len(rows) == 60
    far = next(row for row in rows if row["method"] == "<far>")
    assert float(far["hole_l1"]) == pytest.approx(0.2, abs=0.002)
    summary = list(csv.DictReader((tmp_path / "first" / "summary.csv").open()))
    chosen = [r for r in summary if (r["area_percent"], r["metric"]) == ("all", "hole_psnr")]
    assert [row["method"] for row in chosen] == ["near", "<far>"]
    assert chosen[0]["difference"] == ""
    assert float(chosen[1]["difference"]) == pytest.approx(20 * math.log10(0.1 / 0.2), abs=0.2)
    assert "| near |" in (tmp_path / "first" / "tables.md").read_text()


def test_parquet_holds_what_the_csv_holds(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    results = results_of(3)
    write_report(results, results.summaries(), tmp_path / "report", Provenance("set", "", {}))
    table = parquet.read_table(tmp_path / "report" / "scores.parquet").to_pylist()
    assert [row["name"] for row in table[::2]] == ["000", "001", "002"]
    assert table[0]["hole_l1"] == results.rows[0].scores["hole_l1"]


def write_results(test_set, folder, change=0):
    """Another program's results: the truth with `change` added inside the hole."""
    for item in open_test_set(test_set):
        (folder / item.kind).mkdir(parents=True, exist_ok=True)
        image = np.where(item.mask[..., None], np.clip(item.truth.astype(int) + change, 0, 255), item.truth)
        (folder / item.kind / f"{item.name}_mask000.png").write_bytes(encode_png(image.astype(np.uint8)))


def test_a_folder_of_results_is_scored(test_set, tmp_path):
    write_results(test_set, tmp_path / "perfect")
    specs = (f"folder:{tmp_path / 'perfect'}", "opencv-ns")
    seen = []
    results = evaluate_set(open_test_set(test_set), specs, metrics=(), on_item=lambda: seen.append(1))
    assert len(seen) == 6
    scores = {spec: [r.scores["hole_psnr"] for r in results.rows if r.method == spec] for spec in specs}
    assert scores[specs[0]] == [PSNR_CEILING] * 6
    assert max(scores["opencv-ns"]) < PSNR_CEILING
    assert provenance_of(open_test_set(test_set), specs).methods[specs[0]] == "images from a folder"


def test_results_that_do_not_match_the_set_are_named(test_set, tmp_path):
    write_results(test_set, tmp_path / "results")
    spec = f"folder:{tmp_path / 'results'}"
    odd = tmp_path / "results" / "box" / "a_mask000.png"
    odd.write_bytes(encode_png(np.zeros((10, 12, 3), np.uint8)))
    with pytest.raises(OptionError, match=r"a_mask000\.png: is 12x10, but the test set's image is 64x64"):
        evaluate_set(open_test_set(test_set), [spec], metrics=())
    odd.unlink()
    with pytest.raises(OptionError, match=r"a_mask000\.png: no such result"):
        evaluate_set(open_test_set(test_set), [spec], metrics=())
    with pytest.raises(OptionError, match="unknown metric 'ssim2'; known: artefacts, dists, "):
        evaluate_set(open_test_set(test_set), ["opencv-ns"], metrics=["ssim2"])


def test_images_and_sets_are_scored_by_what_was_asked_for(monkeypatch):
    pytest.importorskip("torch")
    loaded = []
    monkeypatch.setattr("lab.vgg.VGG16Features", lambda path, layers: loaded.append(layers))
    scorers, set_scorers = load_scorers(["vgg", "pixels", "pixels"], {})
    assert (len(scorers), set_scorers, loaded) == (2, [], [("relu1_2", "relu2_2", "relu3_3")])
    scorers, set_scorers = load_scorers(["frechet-vgg"], {})
    assert (scorers, len(set_scorers), loaded[1:]) == ([], 1, [("relu3_3",)])
    with pytest.raises(OptionError, match="unknown weights 'vgg'; known: vgg16"):
        load_scorers(["pixels"], {"vgg": "x"})


def test_the_training_loss_is_no_headline_and_says_what_it_is():
    assert "vgg_distance" not in HEADLINE
    assert "training loss" in METRICS["vgg_distance"].label
    assert set(HEADLINE) <= set(METRICS)


# Commands


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_commands_make_a_set_and_evaluate_it_twice_alike(images, tmp_path):
    made = run("masks", "make", images, "--kinds", "box,blobs", "--size", 64, "-o", tmp_path / "set")
    assert made.exit_code == 0, made.output
    assert "left out broken.png" in made.output
    for name in ("one", "two"):
        done = run(
            *("evaluate", tmp_path / "set", "--method", "opencv-ns", "--method", "opencv-telea"),
            *("--metric", "artefacts", "-o", tmp_path / name),
        )
        assert done.exit_code == 0, done.output
        assert "opencv-telea" in done.output
    assert_same_folders(tmp_path / "one", tmp_path / "two")


def test_the_commands_refuse_with_one_line_and_status_2(test_set, tmp_path):
    (test_set / "box" / "a.png").write_bytes(encode_png(smooth_image(64, 64, seed=9)))
    report = tmp_path / "report"
    for arguments, reason in (
        (("evaluate", test_set, "--metric", "pixels", "-o", report), "not those of manifest.json"),
        (("evaluate", test_set, "--method", "magic"), "unknown method"),
        (("evaluate", tmp_path / "none", "--method", "opencv-ns"), "no such folder"),
        (("evaluate", test_set, "--method", "opencv-ns", "--weights", "x"), "NAME=FILE"),
        (("masks", "make", tmp_path / "none", "-o", tmp_path / "out"), "no such file"),
    ):
        done = run(*arguments)
        assert done.exit_code == 2
        assert reason in done.output
        assert len(done.output.strip().splitlines()) == 1
    assert not report.exists()
    assert not (tmp_path / "out").exists()
