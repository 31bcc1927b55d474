"""How well damage is found: on held-out images with drawn damage, on clean ones, and by what restoring makes of it.

Found samples count as right up to one pixel from true damage, and true ones as found likewise. Precision and recall of
a kind are over all samples of images that have this kind of damage alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lab.benchmark.machine import describe_machine
from wavepaint import __version__
from wavepaint.data.damage import Damaged, damaged_crop
from wavepaint.data.images import RGB, ImageSource
from wavepaint.data.seeding import rng_for
from wavepaint.evaluation.run import load_scorers
from wavepaint.find import Finder
from wavepaint.inpainter import Inpainter
from wavepaint.network.checkpoint import DAMAGE_NAME, packaged
from wavepaint.options import DAMAGE_KINDS as KINDS
from wavepaint.options import DamageKind, Finding

SIDE = 320
CLEAR = 40
"""Levels of 255 by which clear damage changes a sample; all damage that counts changes it by `data.damage.VISIBLE`."""
GROW = 2
"""Pixels by which masks grow before a fill."""
SENSITIVITIES = (0.5, 0.75, 1.0)
TUNED_ON = 60
"""Training images on which the baselines' thresholds are chosen."""
HAT_SIZES = (5, 9, 15)
HAT_LEVELS = (15, 30, 50, 80, 110)
HOUGH_VOTES = (15, 30, 60, 90)
MAX_PIXELS = 2**18
FOUND_LABELS = ("precision", "recall", "F1", "recall, clear", "clean, mean %")

Mask = NDArray[np.bool_]
Detector = Callable[[RGB], Mask]


@dataclass(frozen=True)
class Counts:
    """Samples that were marked, right, true, and hit."""

    marked: int = 0
    right: int = 0
    true: int = 0
    hit: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.marked + other.marked, self.right + other.right, self.true + other.true, self.hit + other.hit
        )

    @property
    def precision(self) -> float:
        """Share of the marked samples that are right; 1 if there are none."""
        return self.right / self.marked if self.marked else 1.0

    @property
    def recall(self) -> float:
        """Share of the true samples that were hit; 1 if there are none."""
        return self.hit / self.true if self.true else 1.0

    @property
    def f1(self) -> float:
        """Harmonic mean of both."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


def count(marked: Mask, true: Mask) -> Counts:
    """Compare two masks, (H, W) bool, with one pixel of tolerance."""
    right, hit = marked & grown(true, 1), true & grown(marked, 1)
    return Counts(*(int(np.count_nonzero(mask)) for mask in (marked, right, true, hit)))


def grown(mask: Mask, by: int) -> Mask:
    """A mask and what is at most so many pixels from it, also diagonally."""
    return np.asarray(cv2.dilate(mask.astype(np.uint8), np.ones((2 * by + 1, 2 * by + 1), np.uint8)) > 0)


def damaged_crops(source: ImageSource, kinds: Sequence[str], number: int, seed: int) -> list[Damaged]:
    """One crop of each of the first images, with these kinds of damage."""
    crops = []
    for index in range(min(number, len(source))):
        rng = rng_for(seed, f"{','.join(kinds)}/{source.name(index)}")
        crops.append(damaged_crop(source.read(index, MAX_PIXELS), SIDE, rng, kinds, with_truth=True))
    return crops


def top_hat(size: int, level: int) -> Detector:
    """What is brighter or darker, by a level, than an opening or closing with a disc of that diameter."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))

    def find(image: RGB) -> Mask:
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        hats = (cv2.morphologyEx(grey, how, disc) for how in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT))
        return np.asarray(np.maximum(*hats) >= level)

    return find


def hough(votes: int) -> Detector:
    """Line segments of the edges, three pixels wide."""

    def find(image: RGB) -> Mask:
        edges = cv2.Canny(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), 60, 160)
        lines = cv2.HoughLinesP(edges, 1, np.pi / 180, votes, minLineLength=20, maxLineGap=4)
        drawn = np.zeros(edges.shape, np.uint8)
        for x0, y0, x1, y1 in [] if lines is None else np.asarray(lines, int).reshape(-1, 4).tolist():
            cv2.line(drawn, (x0, y0), (x1, y1), 1, 3)
        return drawn.astype(bool)

    return find


def score(detector: Detector, crops: Sequence[Damaged], kind: DamageKind) -> tuple[Counts, Counts]:
    """Counts over all crops: of all damage, and of the clear."""
    total, clear = Counts(), Counts()
    for crop in crops:
        assert crop.truth is not None
        marked, true = detector(crop.image), crop.mask[KINDS.index(kind)]
        change = np.abs(crop.image.astype(int) - crop.truth).max(-1)
        total, clear = total + count(marked, true), clear + count(marked, true & (change >= CLEAR))
    return total, clear


def best_of(detectors: Mapping[str, Detector], crops: Sequence[Damaged], kind: DamageKind) -> str:
    """Name of the detector with the highest F1."""
    return max(detectors, key=lambda name: score(detectors[name], crops, kind)[0].f1)


def clean_shares(detector: Detector, images: Sequence[RGB]) -> list[float]:
    """Mean and largest share of images without damage that are marked, in percent."""
    shares = [100 * float(detector(image).mean()) for image in images]
    return [float(np.mean(shares)), max(shares)]


def found_rows(
    finder: Finder, held_out: ImageSource, training: ImageSource, number: int, seed: int
) -> dict[str, list[float | None]]:
    """Precision, recall, F1, recall of clear damage, mean and largest share of clean images, by kind and detector."""
    clean = [held_out.read(index, MAX_PIXELS) for index in range(min(number, len(held_out)))]
    hats = {f"top-hat, disc {size}, level {level}": top_hat(size, level) for size in HAT_SIZES for level in HAT_LEVELS}
    lines = {f"Hough, {votes} votes": hough(votes) for votes in HOUGH_VOTES}
    rows: dict[str, list[float | None]] = {}
    for kind in KINDS:
        findings = {
            f"wavepaint, sensitivity {each}": Finding(kinds=(kind,), sensitivity=each, grow=0) for each in SENSITIVITIES
        }
        detectors: dict[str, Detector] = {
            name: partial(finder.find, finding=finding) for name, finding in findings.items()
        }
        tuning = damaged_crops(training, [kind], TUNED_ON, seed + 1)
        for candidates in (hats, lines) if kind == "scratches" else (hats,):
            chosen = best_of(candidates, tuning, kind)
            detectors[chosen] = candidates[chosen]
        crops = damaged_crops(held_out, [kind], number, seed)
        for name, detector in detectors.items():
            result, clear = score(detector, crops, kind)
            scores = (result.precision, result.recall, result.f1, clear.recall)
            rows[f"{kind}: {name}"] = [*scores, *clean_shares(detector, clean)]
    for each in SENSITIVITIES:
        shares = clean_shares(partial(finder.find, finding=Finding(sensitivity=each, grow=0)), clean)
        rows[f"all kinds: wavepaint, sensitivity {each}"] = [None, None, None, None, *shares]
    return rows


def restored_rows(finder: Finder, crops: Sequence[Damaged], vgg_weights: Path | None = None) -> dict[str, list[float]]:
    """Mean PSNR and LPIPS of whole images: damaged, filled where damage was found, filled where it truly is."""
    fill = Inpainter()
    (lpips,), _ = load_scorers(("lpips-vgg",), {"vgg16": vgg_weights} if vgg_weights else {})
    findings = {
        f"filled where found, sensitivity {each}": Finding(sensitivity=each, grow=GROW) for each in SENSITIVITIES
    }
    scores: dict[str, list[tuple[float, float]]] = {
        name: [] for name in ("damaged", *findings, "filled where damage is")
    }
    for crop in crops:
        assert crop.truth is not None
        masks = [finder.find(crop.image, finding) for finding in findings.values()]
        masks.append(grown(np.logical_or.reduce(crop.mask), GROW))
        results = [np.asarray(fill(crop.image, mask)) if mask.any() else crop.image for mask in masks]
        images = np.stack((crop.image, *results))
        distances = lpips(crop.truth, images, masks[-1])["lpips_vgg"]
        for name, image, distance in zip(scores, images, distances, strict=True):
            error = float(np.square(image.astype(np.float64) - crop.truth).mean())
            scores[name].append((10 * np.log10(255**2 / max(error, 1e-3)), float(distance)))
    return {name: np.mean(values, axis=0).tolist() for name, values in scores.items()}


def stored(
    held_out: ImageSource,
    training: ImageSource,
    number: int,
    filled: int,
    seed: int,
    vgg_weights: Path | None = None,
) -> dict[str, Any]:
    """The whole measurement as `lab.results.stored` reads it, without a conclusion."""
    finder, machine = Finder(threads=1), describe_machine()
    with packaged(DAMAGE_NAME) as path:
        digest = hashlib.sha256(path.with_suffix(".onnx").read_bytes()).hexdigest()
    detected = found_rows(finder, held_out, training, number, seed)
    restored = restored_rows(finder, damaged_crops(held_out, KINDS, filled, seed), vgg_weights)
    return {
        "title": "Finding damage",
        "question": "How much of drawn damage is found, to one pixel; how much of clean images is marked; and what "
        "filling makes of it. Each crop has one kind of damage alone; clear damage changes a "
        "sample by 40 levels of 255 or more. The levels of the top-hat and the votes of the "
        "Hough transform are those with the highest F1 on training images.",
        "command": "python -m lab damage val-0000.tar 'train-{0000..0008}.tar'",
        "seed": seed,
        "machine": f"{machine['processor']}, {machine['cores']} cores",
        "wavepaint": __version__,
        "network": digest,
        "tables": [
            {
                "id": "found",
                "title": f"{number} held-out crops of {SIDE} pixels for each kind; and the whole images, clean",
                "columns": [*([label, 3] for label in FOUND_LABELS), ["clean, largest %", 2]],
                "rows": detected,
            },
            {
                "id": "restored",
                "title": f"{filled} held-out crops with all kinds of damage, mean",
                "columns": [["PSNR, dB", 2], ["LPIPS (VGG)", 4]],
                "rows": restored,
            },
        ],
        "conclusion": "",
    }
