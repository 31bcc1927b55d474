from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import wavepaint
from images import png, soft, tiff
from standin import write_detector, write_standin
from wavepaint import find
from wavepaint.cancellation import Cancelled
from wavepaint.errors import CheckpointError, ImageError, MaskError, OptionError, WavepaintError
from wavepaint.find import Finder, damage_of, find_in_infrared, levels_of
from wavepaint.options import Finding
from wavepaint.runtime import load_detector

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


@pytest.fixture
def finder(tmp_path: Path) -> Finder:
    return Finder(write_detector(tmp_path / "detector.onnx"))


def damaged(height: int = 70, width: int = 90) -> np.ndarray:
    """A smooth image with a spot of each kind, far from each other."""
    image = soft(height, width) // 2 + 40
    image[10:13, 20:60], image[40:44, 10:14], image[50:60, 60:80] = RED, GREEN, BLUE
    return image


def exactly(image: np.ndarray, *colours: tuple[int, ...]) -> np.ndarray:
    return np.any([(image == colour).all(axis=2) for colour in colours], axis=0)


def test_what_the_network_marks_is_found_and_grown(finder: Finder) -> None:
    image = damaged()
    assert np.array_equal(finder.find(image, Finding(grow=0)), exactly(image, RED, GREEN, BLUE))
    grown = finder.find(image, Finding(grow=2))
    assert grown[8:15, 22:58].all()
    assert not grown[:8].any()


@pytest.mark.parametrize(
    ("kinds", "colours"),
    [("dust", [GREEN]), (("stamps", "scratches"), [RED, BLUE]), ("scratches, dust,stamps", [RED, GREEN, BLUE])],
)
def test_only_the_kinds_that_are_asked_for(finder: Finder, kinds: str, colours: list[tuple[int, ...]]) -> None:
    image = damaged()
    assert np.array_equal(finder.find(image, Finding(kinds=kinds, grow=0)), exactly(image, *colours))


@pytest.mark.parametrize(
    "convert",
    [
        lambda image: image,
        lambda image: image.astype(np.uint16) * 257,
        lambda image: (image / 255).astype(np.float32),
        lambda image: np.dstack((image, np.full(image.shape[:2], 9, np.uint8))),
        Image.fromarray,
        png,
        lambda image: tiff(image.astype(np.uint16) * 257),
    ],
    ids=["uint8", "uint16", "float", "alpha", "pil", "png", "tiff16"],
)
def test_every_kind_of_image(finder: Finder, convert: Callable[[np.ndarray], object]) -> None:
    image = damaged()
    assert np.array_equal(finder.find(convert(image), Finding(grow=0)), exactly(image, RED, GREEN, BLUE))


@pytest.mark.parametrize(("core", "margin"), [(64, 24), (64, 40), (128, 32)])
def test_tiles_leave_no_seams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, core: int, margin: int) -> None:
    """As far as the margin reaches what the network sees, 4 samples."""
    finder = Finder(write_detector(tmp_path / "blurred.onnx", reach=4))
    image = soft(150, 210) // 2 + 40
    image[np.random.default_rng(0).random((150, 210)) < np.linspace(-0.6, 1.2, 210)] = RED
    whole = finder.find(image, Finding(grow=0))
    assert 0.1 < whole.mean() < 0.7
    monkeypatch.setattr(find, "CORE", core)
    monkeypatch.setattr(find, "MARGIN", margin)
    shares: list[float] = []
    assert np.array_equal(finder.find(image, Finding(grow=0), on_progress=shares.append), whole)
    assert len(shares) == -(-150 // core) * -(-210 // core)
    assert shares == sorted(shares)
    monkeypatch.setattr(find, "MARGIN", 0)
    assert not np.array_equal(finder.find(image, Finding(grow=0)), whole)


@pytest.mark.parametrize(
    ("length", "sides"),
    [(1, [1]), (1216, [1216]), (1217, [640, 577]), (4000, [1024, 1024, 1024, 928]), (3080, [1088, 1088, 904])],
)
def test_tiles_are_about_equal(length: int, sides: list[int]) -> None:
    tiles = find._tiles(length, 7)
    assert [tile.holes.width for tile in tiles] == sides
    assert [tile.holes.height for tile in find._tiles(7, length)] == sides


def test_threads_and_tiles_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, loaded = write_detector(tmp_path / "detector.onnx"), []
    monkeypatch.setattr(find, "available_cores", lambda: 4)
    monkeypatch.setattr(find, "load_detector", lambda *given: loaded.append(given[1]) or load_detector(*given))
    image = damaged()
    whole = Finder(path, 1).find(image, Finding(grow=20))
    finders = [Finder(path, threads) for threads in (1, 2, 5, None)]
    monkeypatch.setattr(find, "CORE", 64)
    for one in finders:
        assert np.array_equal(one.find(image, Finding(grow=20)), whole)
    assert loaded == [1, 1, 1, 3, 2], "a tile has all threads, of two at a time each has half of them, rounded up"
    assert np.array_equal(finders[3].find(image[:20, :20]), Finder(path, 1).find(image[:20, :20]))
    assert loaded[5:] == [None, 1]


@pytest.mark.parametrize("core", [find.CORE, 64])
def test_it_can_be_stopped(finder: Finder, monkeypatch: pytest.MonkeyPatch, core: int) -> None:
    monkeypatch.setattr(find, "CORE", core)
    shares: list[float] = []
    with pytest.raises(Cancelled):
        finder.find(damaged(140, 180), on_progress=lambda share: shares.append(share) or (core == 64 and share < 0.4))
    assert len(shares) == 1 if core != 64 else 0.4 <= shares[-1] < 0.5


def test_a_grey_image_is_three_equal_planes(finder: Finder) -> None:
    assert not finder.find(np.full((20, 30), 255, np.uint8)).any()


def test_beyond_the_border_the_network_sees_the_border_again() -> None:
    class Seen:
        multiple = 32

        def __call__(self, image: np.ndarray) -> np.ndarray:
            self.image = image
            return image

    seen = Seen()
    samples = soft(40, 70)
    planes = find.probabilities_of(seen, samples)  # type: ignore[arg-type]
    assert planes.shape == (3, 40, 70)
    assert seen.image.shape == (1, 3, 64, 96)
    assert (seen.image[..., 40:, :70] == planes[:, 39:40]).all()
    assert (seen.image[0, :, :40, 70:] == planes[..., 69:]).all()


def fainter(logits: float) -> float:
    """A probability of scratches so far below the threshold."""
    threshold = find.THRESHOLDS["scratches"]
    return 1 / (1 + (1 - threshold) / threshold * np.exp(logits))


def found_scratches(plane: np.ndarray, sensitivity: float = 0.5) -> np.ndarray:
    return damage_of(levels_of(plane, find.threshold_of("scratches", sensitivity)))


def test_sensitivity_moves_the_threshold() -> None:
    plane = np.full((60, 60), 0.001, np.float32)
    plane[30, 5:15], plane[50, 50] = fainter(-0.5), fainter(0.5)
    usual = found_scratches(plane)
    assert usual[30, 5:15].all()
    assert usual.sum() == 10
    assert found_scratches(plane, 0.9)[50, 50]
    assert not found_scratches(plane, 0).any()


def test_fainter_damage_counts_where_there_is_much() -> None:
    plane = np.full((400, 600), 0.001, np.float32)
    many = find.MIN_CELLS
    cells = np.zeros((100, 150), bool)
    cells[25:29:2, 25 : 25 + 2 * many : 2] = True
    plane[cells.repeat(4, 0).repeat(4, 1)] = 0.9999
    found = found_scratches(plane).sum()
    assert found == 2 * many * 16
    plane[60, 50], plane[390, 590] = fainter(0.9 * find.DROP_PER_DOUBLING), fainter(0.9 * find.DROP_PER_DOUBLING)
    mask = found_scratches(plane)
    assert mask[60, 50]
    assert mask.sum() == found + 1, "the other is too far away"
    plane[60, 50] = fainter(1.2 * find.DROP_PER_DOUBLING)
    assert found_scratches(plane).sum() == found, "twice as much as from which on it counts is one doubling"
    plane[60, 50] = fainter(0.9 * find.DROP_PER_DOUBLING)
    plane[200:264:4, 0:500:4] = fainter(0.9 * find.MAX_DROP)
    assert found_scratches(plane).sum() == found, "among so many that are nearly damage, these are chance"


def test_the_rule_is_that_of_the_page() -> None:
    """`web/tests/damage.test.ts` expects the same numbers of the same plane."""
    row, column = np.mgrid[:400, :600]
    chance = (column * 7919 + row * 104729 + row * column * 31) % 9973 / 9973
    logits = np.where(column < 100, 11, 8) * chance**8 - 6
    plane = (1 / (1 + np.exp(-logits))).astype(np.float32)
    assert [int(found_scratches(plane, sensitivity).sum()) for sensitivity in (0.4, 0.5, 1)] == [11515, 15264, 36400]


def test_the_infrared_channel_finds_dust_in_uneven_light(tmp_path: Path) -> None:
    row, column = np.mgrid[:300, :400]
    clear = 140 + 0.1 * column + 0.05 * row
    dust = np.zeros((300, 400), np.bool_)
    dust[40:60, 100:104] = dust[200:230, 210:250] = dust[299, 0] = True
    infrared = np.where(dust, 0.6 * clear, clear).round().astype(np.uint8)
    assert np.array_equal(find_in_infrared(infrared), dust)
    faint = np.where(dust, 0.75 * clear, clear).round().astype(np.uint8)
    assert [find_in_infrared(faint, sensitivity)[205, 220] for sensitivity in (0, 0.5, 1)] == [False, True, True]
    image = soft(300, 400)
    banded = np.dstack((image, infrared))
    for mask in (
        wavepaint.find_damage(image, infrared=infrared, grow=0),
        wavepaint.find_damage(banded, infrared="band", grow=0),
        wavepaint.find_damage(tiff(banded.astype(np.uint16) * 257), infrared="band", grow=0),
        wavepaint.find_damage(png(image), infrared=infrared.astype(np.uint16) * 257, grow=0),
    ):
        assert np.array_equal(mask, dust)


def test_the_holder_of_a_film_is_no_dust() -> None:
    rng = np.random.default_rng(0)
    infrared = rng.integers(165, 176, (256, 512))
    infrared[:, :256] = rng.integers(0, 9, (256, 256))
    infrared[100:110, 400:420] = 60
    mask = find_in_infrared(infrared.astype(np.uint8))
    assert not mask[:, :128].any()
    assert mask[:, 288:].sum() == 200


def test_bad_input_is_one_line(tmp_path: Path, finder: Finder) -> None:
    image = damaged()
    cases: list[tuple[type[WavepaintError], str, Callable[[], object]]] = [
        (OptionError, "kinds must be some of scratches, dust, stamps", lambda: wavepaint.find_damage(image, kinds="x")),
        (OptionError, "kinds must be", lambda: wavepaint.find_damage(image, kinds=())),
        (
            OptionError,
            "threads must be at least 1, a whole number, got 0",
            lambda: wavepaint.find_damage(image, threads=0),
        ),
        (OptionError, "sensitivity must be 0 to 1", lambda: wavepaint.find_damage(image, sensitivity=2)),
        (ImageError, "nothere.png: No such file", lambda: wavepaint.find_damage("nothere.png")),
        (ImageError, "no fourth channel", lambda: finder.find(image, Finding(infrared="band"))),
        (MaskError, "the size of the image: it is 5x4, not 90x70", lambda: finder.find(image, _infrared(4, 5))),
        (CheckpointError, "nothere.onnx: no such file", lambda: Finder("nothere.onnx").find(image)),
        (CheckpointError, "finds no damage", lambda: Finder(write_standin(tmp_path / "fill.onnx")).find(image)),
    ]
    for kind, text, call in cases:
        with pytest.raises(kind, match=text) as caught:
            call()
        assert "\n" not in str(caught.value)


def _infrared(height: int, width: int) -> Finding:
    return Finding(infrared=np.zeros((height, width), np.uint8))


def test_a_mask_of_damage_goes_into_inpaint(finder: Finder, tmp_path: Path) -> None:
    image = damaged()
    mask = finder.find(image)
    result = wavepaint.Inpainter(write_standin(tmp_path / "fill.onnx"))(image, mask)
    assert np.array_equal(result[~mask], image[~mask])
    assert not exactly(result, RED, GREEN, BLUE).any()
