"""Lettering as a hole: a camera's date stamp, a caption, a watermark, written by OpenCV's stroke font.

The letters are OpenCV's: other than the other kinds, these masks change with its major version.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wavepaint.data.mask_kinds import Canvas, Path, opencv, turned, weighted_index

CAPITAL = 21
"""Height of a capital in pixels at OpenCV's font scale 1."""
_SYLLABLES = ("ka", "ren", "to", "li", "mon", "sta", "ve", "hu", "gri", "pal", "o", "jen", "by", "qua", "x")

Line = tuple[str, float, float]
"""A text and where its baseline begins, x before y, in pixels from the centre of the lettering."""


def lettering(canvas: Canvas, rng: np.random.Generator) -> None:
    """Lettering: a camera's date stamp, a caption of a few lines, or a tiled diagonal watermark."""
    (_date_stamp, _caption, _watermark)[weighted_index((2, 2, 1), rng)](canvas, rng)


def _date_stamp(canvas: Canvas, rng: np.random.Generator) -> None:
    h, w = canvas.shape
    pen = Pen.fitting([text := random_date(rng)], h * rng.uniform(0.04, 0.09), 0.8 * w, rng)
    inset_x, inset_y = min(h, w) * rng.uniform(0.03, 0.08, 2)
    left = inset_x if rng.integers(4) == 0 else w - inset_x - pen.width_of(text)
    baseline = inset_y + pen.height if rng.integers(5) == 0 else h - inset_y
    pen.write(canvas, [(text, 0.0, 0.0)], np.array([left, baseline]))


def _caption(canvas: Canvas, rng: np.random.Generator) -> None:
    h, w = canvas.shape
    texts = [random_words(rng, int(rng.integers(1, 6))) for _ in range(rng.integers(1, 4))]
    pen = Pen.fitting(texts, h * rng.uniform(0.05, 0.14), 0.92 * w, rng)
    angle = rng.uniform(-0.5, 0.5) if rng.integers(3) == 0 else 0.0
    centre = np.array([w, h]) * (0.5, rng.uniform(0.1, 0.95))
    centred, widest = bool(rng.integers(2)), max(map(pen.width_of, texts))
    lines = [
        (text, -0.5 * (pen.width_of(text) if centred else widest), 1.7 * pen.height * (row - len(texts) + 1))
        for row, text in enumerate(texts)
    ]
    pen.write(canvas, lines, centre, angle)


def _watermark(canvas: Canvas, rng: np.random.Generator) -> None:
    h, w = canvas.shape
    text = random_words(rng, int(rng.integers(1, 3)))
    pen = Pen.fitting([text], min(h, w) * rng.uniform(0.05, 0.12), 0.7 * w, rng)
    gap_x, gap_y = min(h, w) * rng.uniform(0.08, 0.35, 2)
    pitch_x, pitch_y = pen.width_of(text) + gap_x, pen.height + gap_y
    reach = 0.5 * math.hypot(h, w)
    columns, rows = math.ceil(reach / pitch_x), math.ceil(reach / pitch_y)
    lines = [
        (text, (column + 0.5 * (row % 2)) * pitch_x, row * pitch_y)
        for row in range(-rows, rows + 1)
        for column in range(-columns, columns + 1)
    ]
    pen.write(canvas, lines, np.array([w, h]) / 2, rng.uniform(-0.8, 0.8))


@dataclass(frozen=True)
class Pen:
    """How lettering is written: OpenCV's font scale, the slant of italics, and the stroke width in pixels."""

    scale: float
    slant: float
    width: int

    @classmethod
    def fitting(cls, texts: Sequence[str], height: float, width: float, rng: np.random.Generator) -> Pen:
        """Return a random pen whose capitals are at most `height` tall and whose lines fit into `width`."""
        widest = max(cls(1.0, 0.0, 1).width_of(text) for text in texts)
        scale = min(height / CAPITAL, width / widest)
        # One pixel more than the lettering itself: whoever masks it paints a little over its edge.
        stroke = 1 + CAPITAL * scale * rng.uniform(0.1, 0.3)
        return cls(scale, (0.0, 0.0, 0.25)[rng.integers(3)], max(1, round(stroke)))

    @property
    def height(self) -> float:
        """Height of a capital in pixels."""
        return CAPITAL * self.scale

    def width_of(self, text: str) -> float:
        """Width of a line in pixels."""
        cv2 = opencv()
        return float(cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, self.scale, 1)[0][0])

    def write(self, canvas: Canvas, lines: Sequence[Line], centre: Path, angle: float = 0.0) -> None:
        """Write lines around `centre` (x, y) of the canvas, all turned by `angle` about it."""
        cv2 = opencv()
        h, w = canvas.shape
        reach = math.ceil(max(math.hypot(x, y) for x in (centre[0], w - centre[0]) for y in (centre[1], h - centre[1])))
        reach += math.ceil(self.slant * reach) + self.width
        sheet = np.zeros((2 * reach, 2 * reach), np.uint8)
        for text, x, y in lines:
            start = (reach + round(x), reach + round(y))
            cv2.putText(sheet, text, start, cv2.FONT_HERSHEY_SIMPLEX, self.scale, 1, self.width)
        # Where every sample of the canvas lies on the sheet.
        rows, columns = np.mgrid[:h, :w]
        at = turned(np.stack([columns - centre[0], rows - centre[1]], -1).reshape(-1, 2), -angle)
        across = np.rint(at[:, 0] + self.slant * at[:, 1]).astype(np.int64) + reach
        down = np.rint(at[:, 1]).astype(np.int64) + reach
        canvas |= sheet[down.clip(0, 2 * reach - 1), across.clip(0, 2 * reach - 1)].reshape(h, w)


def random_date(rng: np.random.Generator) -> str:
    """Return a date, now and then with a time, as cameras print it."""
    year, month, day = int(rng.integers(1980, 2031)), int(rng.integers(1, 13)), int(rng.integers(1, 29))
    hour, minute = int(rng.integers(24)), int(rng.integers(60))
    formats = (
        f"'{year % 100:02d} {month} {day}",
        f"{month} {day} '{year % 100:02d}",
        f"{day:02d}.{month:02d}.{year}",
        f"{year}/{month:02d}/{day:02d} {hour:02d}:{minute:02d}",
        f"{year}-{month:02d}-{day:02d}",
    )
    return formats[rng.integers(len(formats))]


def random_words(rng: np.random.Generator, count: int) -> str:
    """Return `count` pronounceable words without meaning, in one of three capitalisations."""
    words = [
        "".join(_SYLLABLES[i] for i in rng.integers(len(_SYLLABLES), size=rng.integers(1, 5))) for _ in range(count)
    ]
    text = " ".join(words)
    return (text, text.upper(), text.title())[rng.integers(3)]
