"""How well damage is found: on held-out images with drawn damage, on clean ones, and by what restoring makes of it.

Found samples count as right up to one pixel from true damage, and true ones as found likewise. Precision and recall of
a kind are over all samples of images that have this kind of damage alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from wavepaint.find import Finder

from wavepaint.data.damage import Damaged, damaged_crop
from wavepaint.data.images import RGB, ImageSource
from wavepaint.data.masks import rng_for
from wavepaint.inpainter import Inpainter
from wavepaint.options import DAMAGE_KINDS, Finding

SIDE = 320
GROW = 2
"""Pixels by which masks grow before a fill."""
TUNED_ON = 100
"""Training images on which the baselines' thresholds are chosen."""
HAT_SIZES = (5, 9, 15)
HAT_LEVELS = (12, 20, 30, 45, 60, 80, 110)
HOUGH_VOTES = (15, 25, 40, 60, 90)
MAX_PIXELS = 2**18

Mask = NDArray[np.bool_]
Detector = Callable[[RGB], Mask]


@dataclass(frozen=True)
class Counts:
    """Samples that were found, right, true, and hit."""

    found: int = 0
    right: int = 0
    true: int = 0
    hit: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(a + b for a, b in zip(self.values, other.values, strict=True)))

    @property
    def values(self) -> tuple[int, int, int, int]:
        """All four."""
        return self.found, self.right, self.true, self.hit

    @property
    def precision(self) -> float:
        """Share of the found samples that are right; 1 if there are none."""
        return self.right / self.found if self.found else 1.0

    @property
    def recall(self) -> float:
        """Share of the true samples that were hit."""
        return self.hit / self.true if self.true else 1.0

    @property
    def f1(self) -> float:
        """Harmonic mean of both."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


def count(found: Mask, true: Mask) -> Counts:
    """Compare two masks with one pixel of tolerance."""
    right, hit = found & _grown(true, 1), true & _grown(found, 1)
    return Counts(*(int(np.count_nonzero(mask)) for mask in (found, right, true, hit)))


def test_crops(source: ImageSource, kinds: Sequence[str], count: int, seed: int) -> list[Damaged]:
    """One crop of each of the first images, with these kinds of damage."""
    crops = []
    for index in range(min(count, len(source))):
        rng = rng_for(seed, f"{','.join(kinds)}/{source.name(index)}")
        crops.append(damaged_crop(source.read(index, MAX_PIXELS), SIDE, rng, kinds, with_truth=True))
    return crops


def network(finder: Finder, kind: str) -> Detector:
    """What the network finds of one kind."""
    return lambda image: finder.find(image, Finding(kinds=(kind,), grow=0))


def top_hat(size: int, level: int) -> Detector:
    """What is brighter or darker, by a level, than an opening or closing with a disc of that diameter."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))

    def find(image: RGB) -> Mask:
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        hats = (cv2.morphologyEx(grey, how, disc) for how in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT))
        return np.maximum(*hats) >= level  # type: ignore[no-any-return]

    return find


def hough(votes: int) -> Detector:
    """Line segments of the edges, three pixels wide."""

    def find(image: RGB) -> Mask:
        edges = cv2.Canny(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), 60, 160)
        lines = cv2.HoughLinesP(edges, 1, np.pi / 180, votes, minLineLength=20, maxLineGap=4)
        drawn = np.zeros(edges.shape, np.uint8)
        for x0, y0, x1, y1 in [] if lines is None else lines.reshape(-1, 4).tolist():
            cv2.line(drawn, (x0, y0), (x1, y1), 1, 3)
        return drawn.astype(bool)

    return find


def score(detector: Detector, crops: Sequence[Damaged], kind: str) -> Counts:
    """Counts over all crops."""
    channel = DAMAGE_KINDS.index(kind)  # type: ignore[arg-type]
    return sum((count(detector(crop.image), crop.mask[channel]) for crop in crops), Counts())


def best_of(detectors: Mapping[str, Detector], crops: Sequence[Damaged], kind: str) -> str:
    """Name of the detector with the highest F1."""
    return max(detectors, key=lambda name: score(detectors[name], crops, kind).f1)


def clean_shares(detector: Detector, source: ImageSource, count: int) -> list[float]:
    """Shares of the first images, as they are, that are marked, in percent."""
    read = (source.read(index, MAX_PIXELS) for index in range(min(count, len(source))))
    return [100 * float(detector(image).mean()) for image in read]


def restored(finder: Finder, crops: Sequence[Damaged]) -> dict[str, list[float]]:
    """PSNR of whole images: damaged, filled where damage was found, filled where it truly is."""
    fill, scores = Inpainter(), {"damaged": [], "found": [], "true": []}  # type: ignore[var-annotated]
    for crop in crops:
        masks = {"found": finder.find(crop.image, Finding(grow=GROW)), "true": _grown(crop.mask.any(0), GROW)}
        results = {name: fill(crop.image, mask) if mask.any() else crop.image for name, mask in masks.items()}
        for name, image in {"damaged": crop.image, **results}.items():
            error = np.square(np.asarray(image, np.float64) - crop.truth).mean()
            scores[name].append(float(10 * np.log10(255**2 / max(error, 1e-3))))
    return scores


def measure(held_out: ImageSource, training: ImageSource, count: int, filled: int, seed: int) -> list[dict[str, Any]]:
    """The tables of the result; see `lab.results.stored`."""
    finder = Finder()
    rows: dict[str, list[float | str | None]] = {}
    baselines = {
        f"top-hat, disc of {size}, level {level}": top_hat(size, level) for size in HAT_SIZES for level in HAT_LEVELS
    }
    lines = {f"Hough, {votes} votes": hough(votes) for votes in HOUGH_VOTES}
    for kind in DAMAGE_KINDS:
        tuning = test_crops(training, [kind], TUNED_ON, seed + 1)
        crops = test_crops(held_out, [kind], count, seed)
        detectors = {"wavepaint": network(finder, kind)}
        for candidates in (baselines, lines) if kind == "scratches" else (baselines,):
            chosen = best_of(candidates, tuning, kind)
            detectors[chosen] = candidates[chosen]
        for name, detector in detectors.items():
            result, shares = score(detector, crops, kind), clean_shares(detector, held_out, count)
            cells = [result.precision, result.recall, result.f1, float(np.mean(shares)), max(shares)]
            rows[f"{kind}: {name}"] = cells
    shares = clean_shares(lambda image: finder.find(image, Finding(grow=0)), held_out, count)
    rows["all kinds: wavepaint"] = [None, None, None, float(np.mean(shares)), max(shares)]
    mixed = restored(finder, test_crops(held_out, DAMAGE_KINDS, filled, seed))
    return [
        {
            "id": "found",
            "title": f"{count} held-out images, {SIDE} pixels, one kind of damage each; marked on the clean images",
            "columns": [["precision", 3], ["recall", 3], ["F1", 3], ["clean, mean %", 3], ["clean, largest %", 2]],
            "rows": rows,
        },
        {
            "id": "restored",
            "title": f"{filled} held-out images with all kinds of damage, mean",
            "columns": [["PSNR, dB", 2]],
            "rows": {
                "damaged": [float(np.mean(mixed["damaged"]))],
                "filled where damage was found": [float(np.mean(mixed["found"]))],
                "filled where damage is": [float(np.mean(mixed["true"]))],
            },
        },
    ]


def _grown(mask: Mask, by: int) -> Mask:
    return cv2.dilate(mask.astype(np.uint8), np.ones((2 * by + 1, 2 * by + 1), np.uint8)).astype(bool)  # type: ignore[no-any-return]
