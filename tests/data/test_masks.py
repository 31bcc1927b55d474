import hashlib
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from wavepaint.cli import app
from wavepaint.data.lettering import Pen
from wavepaint.data.mask_kinds import Boxes, Strokes
from wavepaint.data.masks import MIN_SIDE, PRESETS, MaskPreset, mask_statistics, mixed_preset, random_mask
from wavepaint.data.preview import measure_presets, preview_sheet, statistics_table, write_preview
from wavepaint.data.seeding import rng_for
from wavepaint.errors import OptionError
from wavepaint.image.file import ImageFile


def digest(preset, size=(192, 256), count=8):
    sha = hashlib.sha256()
    for item in range(count):
        sha.update(np.packbits(random_mask(preset, size, rng_for(7, f"item {item}"))).tobytes())
    return sha.hexdigest()[:16]


PINNED = {
    "thin": "326930ef155ac120",
    "medium": "af0bd35cd461ea55",
    "thick": "05bafdb9c82b5480",
    "thin-512": "39c22fb471a5d75d",
    "medium-512": "ed91e163eb2943d3",
    "thick-512": "dfaa1e1ec828173e",
    "train-medium": "af0bd35cd461ea55",
    "train-thick": "c27caa96325537f7",
    "brush": "3c20d5d9e535d7d2",
    "box": "c8ee31d2eb0f575d",
    "text": "f8ea169259f70a70",
    "scratches": "a6cebb3b13bcccae",
    "wires": "1dfdf01965d945a0",
    "blobs": "4579d9034df0e6c0",
    "object": "cf6d63a2ecee0c5c",
    "everyday": "50e0809c306df14e",
}


@pytest.mark.parametrize("preset", PRESETS)
def test_the_same_seed_gives_the_same_mask_on_every_machine(preset):
    assert digest(preset) == PINNED[preset]


def test_another_process_gives_the_same_mask():
    code = (
        "import hashlib, numpy as np;"
        "from wavepaint.data.masks import random_mask; from wavepaint.data.seeding import rng_for;"
        "m = random_mask('everyday', (64, 80), rng_for(3, 'a'));"
        "print(hashlib.sha256(np.packbits(m).tobytes()).hexdigest())"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    mask = random_mask("everyday", (64, 80), rng_for(3, "a"))
    assert other == hashlib.sha256(np.packbits(mask).tobytes()).hexdigest()


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("size", [(96, 131), (256, 256)])
def test_masks_have_the_asked_size_a_hole_and_something_known(preset, size):
    for item in range(5):
        mask = random_mask(preset, size, rng_for(0, str(item)))
        assert mask.shape == size
        assert mask.dtype == bool
        assert 0 < mask.sum() < mask.size
        assert mask.mean() <= PRESETS[preset].max_area


@pytest.mark.parametrize(
    ("preset", "side", "published"), [("thin", 256, 0.29), ("medium", 256, 0.24), ("thick", 256, 0.27)]
)
def test_mean_areas_agree_with_the_published_ones(preset, side, published):
    assert mask_statistics(preset, (side, side), 800, seed=1).mean_area == pytest.approx(published, abs=0.02)


def test_statistics_count_what_was_drawn_and_rejected():
    statistics = mask_statistics("thick", (256, 256), 200, seed=5)
    assert statistics.count == 200
    assert sum(statistics.histogram) == pytest.approx(1)
    assert sum(statistics.histogram[5:]) == 0
    assert 0.25 < statistics.rejection_rate < 0.5
    assert statistics == mask_statistics("thick", (256, 256), 200, seed=5)
    assert mask_statistics("train-thick", (256, 256), 50, seed=5).rejection_rate == 0


def test_boxes_and_strokes_are_mixed_as_published():
    def is_box_union(mask):
        """Up to 5 boxes change their row at most 10 times; a slanted or round border does so all the time."""
        return (mask[1:] != mask[:-1]).any(axis=1).sum() <= 10

    boxes = [is_box_union(random_mask("medium", (256, 256), rng_for(2, str(item)))) for item in range(600)]
    assert np.mean(boxes) == pytest.approx(3 / 13, abs=0.05)


@pytest.mark.parametrize("preset", ["brush", "box", "text", "scratches", "wires", "blobs", "object", "medium", "thick"])
def test_the_smallest_size_works(preset):
    assert random_mask(preset, (MIN_SIDE, MIN_SIDE), rng_for(0, "a")).any()


def test_an_object_is_one_piece_within_its_radii():
    cv2 = pytest.importorskip("cv2")
    for item in range(50):
        mask = random_mask("object", (256, 256), rng_for(0, str(item)))
        assert cv2.connectedComponents(mask.astype(np.uint8))[0] - 1 == 1
        assert mask.sum() <= 5 * np.pi * 39**2
        assert max(mask.any(0).sum(), mask.any(1).sum()) <= 5 * 2 * 39
    whole = [m for m in (random_mask("object", (256, 256), rng_for(1, str(i))) for i in range(50)) if not _at_border(m)]
    assert min(mask.sum() for mask in whole) >= np.pi * 11**2


def _at_border(mask):
    return mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any()


def test_boxes_keep_their_margin_and_sizes():
    kind = Boxes(margin=10, min_size=30, max_size=50, min_times=1, max_times=1)
    sides = set()
    for item in range(300):
        mask = np.zeros((100, 120), np.uint8)
        kind(mask, rng_for(0, str(item)))
        assert not mask[:10].any()
        assert not mask[-10:].any()
        assert not mask[:, :10].any()
        assert not mask[:, -10:].any()
        sides |= {int(mask.any(0).sum()), int(mask.any(1).sum())}
    assert min(sides) == 30
    assert max(sides) == 50


def test_stroke_counts_go_one_beyond_the_published_maximum():
    class Counting:
        """Answers like a generator and remembers the first call, which draws the number of strokes."""

        def __init__(self):
            self.inner, self.calls = rng_for(0, "a"), []

        def integers(self, *args, **options):
            self.calls.append(args)
            return self.inner.integers(*args, **options)

    rng = Counting()
    Strokes(min_times=4, max_times=50, max_width=10, max_len=40)(np.zeros((64, 64), np.uint8), rng)
    assert rng.calls[0] == (4, 52)


def test_items_do_not_depend_on_order():
    first = [random_mask("everyday", (64, 64), rng_for(0, name)) for name in ("a", "b", "c")]
    second = [random_mask("everyday", (64, 64), rng_for(0, name)) for name in ("c", "b", "a")]
    for one, other in zip(first, reversed(second), strict=True):
        assert np.array_equal(one, other)
    assert not np.array_equal(first[0], first[1])
    assert not np.array_equal(first[0], random_mask("everyday", (64, 64), rng_for(1, "a")))


def test_errors_name_what_is_wrong():
    rng = rng_for(0, "a")
    with pytest.raises(OptionError, match=r"unknown mask preset 'thik'; known: thin, medium, thick, "):
        random_mask("thik", (64, 64), rng)
    with pytest.raises(OptionError, match=f"64x{MIN_SIDE - 1} is too small"):
        random_mask("thin", (MIN_SIDE - 1, 64), rng)
    with pytest.raises(OptionError, match="at least one mask, not 0"):
        mask_statistics("thin", (64, 64), 0, seed=0)
    never = MaskPreset("huge", ((1, Boxes(0, 16, 16, 1, 1)),), max_area=0.5)
    with pytest.raises(OptionError, match="16x16 are too small for this preset: huge"):
        never.sample((16, 16), rng)


def test_lettering_stands_on_its_baseline_and_turns_about_its_start():
    pen = Pen(scale=1.0, slant=0.0, width=1)
    level, upright = np.zeros((120, 120), np.uint8), np.zeros((120, 120), np.uint8)
    pen.write(level, [("HL", 0.0, 0.0)], np.array([60.0, 60.0]))
    rows, columns = np.nonzero(level)
    assert rows.max() <= 61
    assert 60 - 1.3 * pen.height <= rows.min() <= 60 - 0.7 * pen.height
    assert 58 <= columns.min() < columns.max() <= 62 + pen.width_of("HL")
    pen.write(upright, [("HL", 0.0, 0.0)], np.array([60.0, 60.0]), -np.pi / 2)
    assert abs(int(upright.sum()) - int(level.sum())) < 0.1 * level.sum()
    rows, _ = np.nonzero(upright)
    assert rows.max() <= 62  # it now runs up the canvas
    assert rows.min() <= 60 - 0.8 * pen.width_of("HL")


def test_weighted_mixes_draw_each_kind_as_often_as_asked():
    mix = mixed_preset({"box": 3, "thin": 1})

    def matches(kind, item):
        # What follows the choice is drawn from the same generator.
        rng = rng_for(0, str(item))
        rng.integers(4)
        return np.array_equal(PRESETS[kind].draw((64, 64), rng), mix.draw((64, 64), rng_for(0, str(item))))

    kinds = ["box" if matches("box", item) else "thin" if matches("thin", item) else "none" for item in range(80)]
    assert kinds.count("none") == 0
    assert 48 <= kinds.count("box") <= 72
    with pytest.raises(OptionError, match="unknown mask preset 'fog'"):
        mixed_preset({"fog": 1})
    with pytest.raises(OptionError, match="the weight of mask preset box must be a whole number of at least 1, not 0"):
        mixed_preset({"box": 0})
    with pytest.raises(OptionError, match="at least one mask preset"):
        mixed_preset({})


def test_the_preview_shows_every_preset(tmp_path):
    sheet = preview_sheet(list(PRESETS), count=2)
    height = sheet.shape[0] // len(PRESETS)
    for row in range(len(PRESETS)):
        label, first, second = np.split(sheet[row * height : (row + 1) * height], [172, 172 + 132], axis=1)
        assert (label == 255).any()
        assert not np.array_equal(first, second)
        assert set(np.unique(first)) <= {0, 96, 255}
    shown = sheet[2:130, 174:302] == 255
    assert np.array_equal(shown, random_mask("thin", (256, 256), rng_for(0, "0"))[::2, ::2])

    write_preview(tmp_path / "masks.png", sheet)
    assert np.array_equal(ImageFile.open(tmp_path / "masks.png").read_all()[..., 0], sheet)
    assert [path.name for path in tmp_path.iterdir()] == ["masks.png"]


def test_nothing_is_drawn_when_nothing_can_be_measured(tmp_path):
    result = CliRunner().invoke(app, ["masks", "--preview", str(tmp_path / "y.png"), "--stats", "--count", "0"])
    assert (result.exit_code, result.stderr) == (2, "wavepaint: --count must be at least 1, not 0\n")
    assert not (tmp_path / "y.png").exists()


def test_a_preview_that_cannot_be_made_leaves_nothing_behind(tmp_path):
    sheet = preview_sheet(["box"], count=1)
    with pytest.raises(OptionError, match=r"nowhere/masks\.png: cannot be written: No such file"):
        write_preview(tmp_path / "nowhere" / "masks.png", sheet)
    with pytest.raises(OptionError, match=r"written as \.png"):
        write_preview(tmp_path / "masks.jpg", sheet)
    with pytest.raises(OptionError, match="unknown mask preset"):
        preview_sheet(["thick", "thik"])
    assert list(tmp_path.iterdir()) == []


def test_the_table_shows_what_was_measured():
    measured = measure_presets(["box", "thick-512"], count=20, seed=1)
    assert measured["thick-512"] == mask_statistics("thick-512", (512, 512), 20, seed=1)
    table = statistics_table(measured)
    cells = [list(column.cells) for column in table.columns]
    assert cells[:3] == [["box", "thick-512"], ["256", "512"], ["20", "20"]]
    assert cells[3] == [f"{100 * each.mean_area:.1f}" for each in measured.values()]


def test_the_command_draws_and_measures(tmp_path):
    arguments = [
        "masks",
        "--preview",
        str(tmp_path / "m.png"),
        "--stats",
        "--count",
        "20",
        "--kinds",
        "box,train-thick",
    ]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0
    assert np.array_equal(ImageFile.open(tmp_path / "m.png").read_all()[..., 0], preview_sheet(["box", "train-thick"]))
    measured = mask_statistics("train-thick", (256, 256), 20, seed=0)
    assert f"train-thick  256    20 {100 * measured.mean_area:.1f}  0.0 " in result.output
    assert max(map(len, result.output.splitlines())) <= 80


def test_the_command_names_an_unknown_kind():
    result = CliRunner().invoke(app, ["masks", "--stats", "--kinds", "thik"])
    assert result.exit_code == 2
    assert result.stderr.startswith("wavepaint: unknown mask preset 'thik'; known: thin, medium")
    assert result.stdout == ""
