"""Redraws `docs/gallery/`: fixed cases that a new model is looked at on before it is released.

Each strip shows the image, the hole in magenta, what `wavepaint.inpaint` makes of it, and OpenCV's Telea (8 bit). The
images are in the public domain or CC0 and come with scikit-image; the rest is drawn here. `removal_strips` has removals
of whole objects. Nothing is chosen by result: every case stays, whatever it shows.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data

import wavepaint
from lab.release.removal_strips import (
    REMOVALS,
    Image,
    Mask,
    in_magenta,
    removal_strip,
    removals_section,
    telea,
    write_blind_sheets,
)
from wavepaint.data.damage import damaged
from wavepaint.data.masks import random_mask
from wavepaint.data.seeding import rng_for
from wavepaint.find import Finder

FOLDER = Path(__file__).parents[2] / "docs" / "gallery"
SIDE = 256
DeepImage = Image | NDArray[np.uint16]


@dataclass(frozen=True)
class Case:
    """One strip: (SIDE, SIDE, 3) uint8 or uint16, its hole, and what to look for."""

    name: str
    source: str
    look_for: str
    image: Callable[[], DeepImage]
    mask: Callable[[], Mask]


def example(name: str, left: int, top: int, side: int = SIDE) -> Callable[[], Image]:
    """A square of one of scikit-image's images, reduced to SIDE where it is larger."""

    def read() -> Image:
        whole = getattr(data, name)()
        square = whole[top : top + side, left : left + side]
        assert square.shape[:2] == (side, side), f"{name} ends before {left + side}, {top + side}"
        if side != SIDE:
            square = cv2.resize(square, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        return np.ascontiguousarray(square if square.ndim == 3 else np.stack((square,) * 3, axis=-1))

    return read


def preset(name: str, seed: int) -> Callable[[], Mask]:
    """A mask of `wavepaint masks`."""
    return lambda: random_mask(name, (SIDE, SIDE), rng_for(seed, f"gallery/{name}"))


def box(left: int, top: int, width: int, height: int) -> Callable[[], Mask]:
    """A rectangle."""

    def draw() -> Mask:
        mask = np.zeros((SIDE, SIDE), np.bool_)
        mask[top : top + height, left : left + width] = True
        return mask

    return draw


def polygons(*corners: list[tuple[int, int]], width: int = 0) -> Callable[[], Mask]:
    """Filled polygons, or lines of a width."""

    def draw() -> Mask:
        mask = np.zeros((SIDE, SIDE), np.uint8)
        for points in corners:
            if width:
                cv2.polylines(mask, [np.array(points)], False, 255, width)
            else:
                cv2.fillPoly(mask, [np.array(points)], 255)
        return mask > 0

    return draw


def line_art() -> Image:
    """Thin black curves on white."""
    large = np.full((4 * SIDE, 4 * SIDE, 3), 255, np.uint8)
    for ring in range(6):
        cv2.ellipse(large, (440, 560), (90 + 70 * ring, 60 + 50 * ring), 20, 0, 360, (0, 0, 0), 8, cv2.LINE_AA)
    for ray in range(9):
        end = (int(500 + 900 * np.cos(ray * 0.7)), int(500 + 900 * np.sin(ray * 0.7)))
        cv2.line(large, (500, 500), end, (30, 30, 30), 6, cv2.LINE_AA)
    return cv2.resize(large, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def document() -> Image:
    """Print on yellowed paper."""
    large = np.full((4 * SIDE, 4 * SIDE, 3), (238, 230, 208), np.uint8)
    for row in range(14):
        text = ("the quick brown fox jumps over", "a lazy dog and sphinx of black", "quartz judge my vow 0123456789")[
            row % 3
        ]
        cv2.putText(large, text, (30, 80 + 70 * row), cv2.FONT_HERSHEY_COMPLEX, 1.7, (40, 34, 30), 4, cv2.LINE_AA)
    return cv2.resize(large, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def night_sky() -> Image:
    """A dark gradient with stars and sensor noise."""
    rng = np.random.default_rng(7)
    rows = np.linspace(10, 44, SIDE)[:, None, None]
    sky = rows * np.array((0.5, 0.7, 1.3)) + rng.normal(0, 2.5, (SIDE, SIDE, 3))
    for _ in range(160):
        x, y = rng.integers(0, SIDE, 2)
        sky[y, x] += rng.uniform(60, 220)
    return cv2.GaussianBlur(sky, (0, 0), 0.6).clip(0, 255).astype(np.uint8)


def scan_16_bit() -> DeepImage:
    """A smooth 16-bit ramp with a shadow and film grain: 8 bits would show steps."""
    rng = np.random.default_rng(9)
    rows, columns = np.mgrid[:SIDE, :SIDE] / SIDE
    ramp = 20_000 + 9_000 * columns + 5_000 * np.sin(3 * rows) - 6_000 * np.exp(-20 * (columns - rows) ** 2)
    grain = rng.normal(0, 260, (SIDE, SIDE, 1))
    return (ramp[..., None] * np.array((1.0, 0.94, 0.86)) + grain).clip(0, 65_535).astype(np.uint16)


def stripes() -> Image:
    """Slanted stripes of a soft edge: structure that must cross the hole."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    wave = np.tanh(3 * np.sin((columns + 0.6 * rows) * 2 * np.pi / 42))
    return (128 + 90 * wave[..., None] * np.array((1.0, 0.75, 0.4))).astype(np.uint8)


def colour_edge() -> Image:
    """Two flat colours meeting in a straight edge."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    share = 1 / (1 + np.exp(-(columns - 90 - 0.3 * rows) / 1.5))[..., None]
    return (share * np.array((212, 92, 60)) + (1 - share) * np.array((40, 92, 150))).astype(np.uint8)


ASTRONAUT, CAT = "astronaut, NASA, public domain", "cat, Stefan van der Walt, CC0"
CAMERA, COFFEE = "cameraman, Lav Varshney, CC0", "coffee, Rachel Michetti, CC0"
ROCKET, DRAWN = "rocket, SpaceX, CC0", "drawn by the script"
RETINA = "retina, Häggström 2014, CC0"

CASES = (
    Case("face", ASTRONAUT, "skin, eyes", example("astronaut", 96, 0), preset("thin", 1)),
    Case("face-box", ASTRONAUT, "what a small network cannot know", example("astronaut", 96, 0), box(110, 60, 44, 44)),
    Case("suit", ASTRONAUT, "folds, badges", example("astronaut", 200, 230), preset("medium", 2)),
    Case("flag", ASTRONAUT, "stripes", example("astronaut", 0, 140), preset("thick", 3)),
    Case("cat-scratches", CAT, "whiskers, fur", example("chelsea", 90, 10), preset("scratches", 4)),
    Case("cat-fur", CAT, "blur in fur", example("chelsea", 180, 40), box(90, 100, 64, 64)),
    Case("cat-eye", CAT, "edges of the eye", example("chelsea", 60, 10), preset("thin", 5)),
    Case("coffee-handle", COFFEE, "removal; the saucer goes on", example("coffee", 130, 130), preset("thick", 6)),
    Case("coffee-rim", COFFEE, "the cup's round edge", example("coffee", 150, 20), box(20, 60, 60, 60)),
    Case(
        "rocket-mast",
        ROCKET,
        "removal; clouds, no seam",
        example("rocket", 90, 110),
        polygons([(66, 0), (140, 0), (140, 255), (60, 255)]),
    ),
    Case("rocket-tower", ROCKET, "a straight edge of two colours", example("rocket", 190, 160), preset("medium", 8)),
    Case("camera-sky", CAMERA, "grey stays grey; the horizon", example("camera", 180, 60), preset("thick", 9)),
    Case("camera-wire", CAMERA, "removal of wires", example("camera", 0, 120), preset("wires", 10)),
    Case("grass", "grass, CC0", "blur in texture", example("grass", 0, 0), preset("medium", 11)),
    Case("gravel", "gravel, CC0", "blur in texture", example("gravel", 100, 100), box(96, 96, 64, 64)),
    Case("brick", "brick, CC0", "joints that go on", example("brick", 40, 40), preset("medium", 12)),
    Case(
        "galaxies",
        "Hubble deep field, NASA, public domain",
        "stars, dark noise",
        example("hubble_deep_field", 300, 200),
        preset("medium", 13),
    ),
    Case("retina", RETINA, "vessels that go on", example("retina", 300, 300, 768), preset("thin", 14)),
    Case(
        "clock",
        "clock in motion, Stefan van der Walt, public domain",
        "motion blur",
        example("clock", 70, 20),
        preset("thin", 15),
    ),
    Case("line-art", DRAWN, "lines that go on, no grey haze", line_art, preset("thin", 16)),
    Case("document", DRAWN, "paper between letters", document, preset("scratches", 17)),
    Case("night-sky", DRAWN, "noise, no colour cast", night_sky, preset("medium", 18)),
    Case("scan-16-bit", DRAWN, "no steps, same grain", scan_16_bit, preset("thick", 19)),
    Case("stripes", DRAWN, "structure across the hole", stripes, preset("thick", 20)),
    Case("colour-edge", DRAWN, "a straight edge, no bleeding", colour_edge, box(80, 90, 80, 80)),
    Case("caption", COFFEE, "a caption removed", example("coffee", 300, 100), preset("text", 21)),
)


@dataclass(frozen=True)
class Damage:
    """One strip of damage that is found and filled: the image, and the kinds of damage that are drawn on it."""

    name: str
    source: str
    look_for: str
    image: Callable[[], Image]
    kinds: tuple[str, ...]


DAMAGES = (
    Damage("damage-portrait", ASTRONAUT, "scratches and dust, the collar", example("astronaut", 60, 0),
           ("scratches", "dust")),
    Damage("damage-camera", CAMERA, "dust on a grey image, the tripod", example("camera", 120, 30), ("dust",)),
    Damage("damage-coffee", COFFEE, "a printed date, bright rims", example("coffee", 250, 140), ("stamps",)),
    Damage("damage-cat", CAT, "scratches, whiskers, eyes", example("chelsea", 100, 20), ("scratches",)),
    Damage("damage-rocket", ROCKET, "dust and scratches, struts", example("rocket", 180, 100),
           ("scratches", "dust")),
    Damage("damage-page", "page, public domain", "scratches across print", example("page", 60, 0, 190),
           ("scratches",)),
)  # fmt: skip


def damage_strip(case: Damage, finder: Finder, inpainter: wavepaint.Inpainter) -> Image:
    """(SIDE, 3 * SIDE, 3) uint8 RGB: damaged, what is found in magenta, restored."""
    image = damaged(case.image(), rng_for(0, case.name), case.kinds).image
    mask = finder.find(image)
    restored = inpainter(image, mask)
    assert np.array_equal(restored[~mask], image[~mask])
    return np.hstack((image, in_magenta(image, mask), restored))


def strip(case: Case, inpainter: wavepaint.Inpainter) -> Image:
    """(SIDE, 5 * SIDE, 3) uint8 RGB."""
    image, mask = case.image(), case.mask()
    filled, network = inpainter(image, mask), inpainter(image, mask, detail="network")
    assert np.array_equal(filled[~mask], image[~mask])
    shown, ours = _to_8_bit(image), _to_8_bit(filled)
    return np.hstack((shown, in_magenta(shown, mask), telea(shown, mask), _to_8_bit(network), ours))


def _to_8_bit(image: DeepImage) -> Image:
    return image if image.dtype == np.uint8 else (image // 257).astype(np.uint8)


def page(cases: tuple[Case, ...]) -> Iterator[str]:
    """The lines of the gallery's README."""
    yield "# Gallery\n"
    yield "Fixed cases, redrawn by `python -m lab.release.make_gallery` for every released model; none is left out."
    yield "From left to right: the image, the hole (magenta), OpenCV Telea, the network alone, wavepaint."
    yield "The words of the first part say what to look at, not what came of it."
    yield "Failures: brick, camera-sky, coffee-rim, document, face-box, line-art, rocket-tower.\n"
    for case in cases:
        yield f"**{case.name}** ({case.source}): {case.look_for}\n\n![{case.name}]({case.name}.jpg)\n"
    yield from removals_section()
    yield "## Finding damage\n"
    yield "From left to right: an image on which damage was drawn, what is found (magenta), restored."
    yield "At the default sensitivity. Failures: damage-cat (spots at an eye are marked), damage-coffee (so is a rim"
    yield "of the saucer), damage-page (parts of scratches stay, and letters beside others break), damage-portrait"
    yield "(edges of the collar are marked, and parts of a scratch stay), damage-rocket (edges of the rocket and of the"
    yield "tower are taken for scratches, and lost).\n"
    for damage in DAMAGES:
        yield f"**{damage.name}** ({damage.source}): {damage.look_for}\n\n![{damage.name}]({damage.name}.jpg)\n"


def main() -> None:
    """Write every strip and the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", help="checkpoint or ONNX file; the packaged one if not given")
    parser.add_argument("--detector", help="network that finds damage; the packaged one if not given")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--damage", action="store_true", help="only the strips of found damage")
    only.add_argument("--removals", action="store_true", help="only the strips of removals")
    only.add_argument("--blind", type=Path, metavar="FOLDER", help="only sheets of removals, to be judged blind")
    parser.add_argument("--seed", type=int, default=0, help="of the order in which --blind shows the methods")
    parser.add_argument("-o", "--output", type=Path, default=FOLDER)
    options = parser.parse_args()
    inpainter = wavepaint.Inpainter(options.model)
    if options.blind:
        write_blind_sheets(options.blind, options.seed, inpainter)
        return
    options.output.mkdir(parents=True, exist_ok=True)
    strips: list[tuple[str, Image]] = []
    if not (options.damage or options.removals):
        strips += [(case.name, strip(case, inpainter)) for case in CASES]
    if not options.removals:
        finder = Finder(options.detector)
        strips += [(damage.name, damage_strip(damage, finder, inpainter)) for damage in DAMAGES]
    for name, drawn in strips:
        cv2.imwrite(str(options.output / f"{name}.jpg"), drawn[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
    for removal in () if options.damage else REMOVALS:
        (options.output / f"{removal.strip_name}.jpg").write_bytes(removal_strip(removal, inpainter))
    (options.output / "README.md").write_text("\n".join(page(CASES)))


if __name__ == "__main__":
    main()
