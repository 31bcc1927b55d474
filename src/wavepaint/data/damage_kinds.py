"""What damage looks like: coverages of scratches, hairs, cracks, folds, torn corners, dust, stains and lettering.

Every function returns how much of each sample is covered, (h, w) float32 in [0, 1], from the generator that the caller
hands in. `unit` is the width in pixels of the finest damage: 1 for an image whose grain is as fine as its samples, 4
for a scan at four times that resolution.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wavepaint.data.lettering import CAPITAL, random_date, random_words
from wavepaint.data.mask_kinds import Path, Size, directions, opencv, turned

Coverage = NDArray[np.floating[Any]]
Samples = NDArray[np.floating[Any]]
"""An image in work: (h, w, 3) RGB in [0, 255]."""
Stroke = tuple[Path, float | NDArray[np.float64]]
"""A path and its width in pixels, one number or one per point."""

_FINE = 3
"""Strokes are drawn at this many times the resolution, and averaged."""
_BARS = np.fromstring(
    "0 0 2 0  2 0 2 2  2 2 2 4  0 4 2 4  0 2 0 4  0 0 0 2  0 2 2 2  1 3.8 1 4  1 0 1 0.6  0 4 2 0  1 1.8 1 2.2", sep=" "
).reshape(-1, 2, 2)
"""Ends (x, y) of the seven bars of a digit in a cell of 2 x 4, and of a point, an apostrophe, a slash and a colon."""
_SEGMENTS = {"0": (0, 1, 2, 3, 4, 5), "1": (1, 2), "2": (0, 1, 6, 4, 3), "3": (0, 1, 6, 2, 3), "4": (5, 6, 1, 2)}
_SEGMENTS |= {"5": (0, 5, 6, 2, 3), "6": (0, 5, 6, 4, 3, 2), "7": (0, 1, 2), "8": (0, 1, 2, 3, 4, 5, 6), "-": (6,)}
_SEGMENTS |= {"9": (0, 1, 2, 3, 5, 6), ".": (7,), "'": (8,), "/": (9,), ":": (10,), " ": ()}
"""The bars of a character."""
_IMAGE_SIDE = 320
"""Shorter side, in pixels, of the smallest image that a part is taken from: letters can be larger than the part."""


def strokes(size: Size, parts: Iterable[Stroke]) -> Coverage:
    """Smooth open strokes, also narrower than a sample."""
    cv2, sheet = opencv(), _fine_sheet(size)
    for path, width in parts:
        points = np.rint(np.clip(path, -2000, 6000) * _FINE).astype(np.int32)
        if isinstance(width, float):
            cv2.polylines(sheet, [points], False, 255, max(1, round(width * _FINE)), cv2.LINE_8)
        else:
            for start, stop, thick in zip(points[:-1], points[1:], width, strict=False):
                cv2.line(sheet, start.tolist(), stop.tolist(), 255, max(1, round(thick * _FINE)), cv2.LINE_8)
    return _averaged(sheet)


def _polygons(size: Size, outlines: Iterable[Path]) -> Coverage:
    """Smooth filled shapes."""
    sheet = _fine_sheet(size)
    for outline in outlines:
        opencv().fillPoly(sheet, [np.rint(outline * _FINE).astype(np.int32)], 255)
    return _averaged(sheet)


def _fine_sheet(size: Size) -> NDArray[np.uint8]:
    return np.zeros((size[0] * _FINE, size[1] * _FINE), np.uint8)


def _averaged(sheet: NDArray[np.uint8]) -> Coverage:
    cv2, (h, w) = opencv(), sheet.shape
    return cv2.resize(sheet, (w // _FINE, h // _FINE), interpolation=cv2.INTER_AREA).astype(np.float32) / 255  # type: ignore[no-any-return]


def curl(start: Path, length: float, bend: float, rng: np.random.Generator, heading: float | None = None) -> Path:
    """A smooth random path from `start`; `bend` is by how much it turns, in radians."""
    count = 16
    turn = np.convolve(rng.normal(0, 1, count + 4), np.full(5, 0.2), "valid") * bend * 2.2 / math.sqrt(count)
    first = rng.uniform(0, 2 * math.pi) if heading is None else heading
    angle = first + np.cumsum(turn + rng.normal(0, bend / count))
    return start + np.cumsum(length / count * directions(angle), axis=0)


def smooth_field(size: Size, cells: float, rng: np.random.Generator) -> Coverage:
    """Smooth noise in [0, 1] that changes over about `1 / cells` of the image."""
    cv2, (h, w) = opencv(), size
    coarse = rng.random((max(2, round(cells)) + 1, max(2, round(cells * w / h)) + 1)).astype(np.float32)
    return np.clip(cv2.resize(coarse, (w, h), interpolation=cv2.INTER_CUBIC), 0, 1)  # type: ignore[no-any-return]


def scratches(size: Size, unit: float, rng: np.random.Generator) -> Coverage:
    """One to four nearly parallel scratches; half of the time as transport leaves them, upright and long."""
    h, w = size
    lean = rng.normal(0, 0.03) if rng.integers(2) else rng.uniform(-math.pi / 2, math.pi / 2)
    spread = rng.uniform(2, 30) * unit
    middle, parts = rng.uniform(0, 1, 2) * (w, h), []
    for _ in range(rng.choice((1, 1, 1, 2, 3, 4))):
        count = int(rng.integers(2, 10))
        length = math.hypot(h, w) * (2 if rng.integers(2) else rng.uniform(0.08, 0.7))
        along = (np.linspace(-0.5, 0.5, count) + rng.uniform(-0.3, 0.3)) * length
        across = rng.normal(0, spread) + np.cumsum(rng.normal(0, 0.4 * unit, count)) + rng.normal(0, 0.03) * along
        path = middle + turned(np.stack([across, along], 1), lean)
        width = unit * (0.6 + 2.6 * rng.uniform() ** 2)
        parts.append((path, width * rng.uniform(0.6, 1.2, count) if rng.integers(2) else width))
    covered = strokes(size, parts)
    if rng.integers(3) == 0:  # some come and go
        covered *= np.clip(3 * smooth_field(size, rng.uniform(3, 12), rng) - 0.7, 0, 1)
    return covered


def hairs(size: Size, unit: float, rng: np.random.Generator) -> Coverage:
    """Hairs and fibres: curled, of even width."""
    h, w = size
    parts: list[Stroke] = []
    for _ in range(rng.choice((1, 1, 2, 3))):
        fibre = rng.integers(3) == 0
        length = unit * (rng.uniform(6, 18) if fibre else rng.uniform(18, 110))
        path = curl(rng.uniform(0, 1, 2) * (w, h), length, rng.uniform(0.8, 3.5), rng)
        parts.append((path, unit * rng.uniform(0.7, 2.0)))
    return strokes(size, parts)


def cracks(size: Size, unit: float, rng: np.random.Generator) -> Coverage:
    """A jagged crack with branches, finer towards their ends."""
    h, w = size
    parts: list[Stroke] = []

    def grow(start: Path, heading: float, steps: int, width: float) -> None:
        angles = heading + rng.normal(0, 0.55, steps)
        lengths = unit * rng.uniform(1.5, 6, steps)
        path = np.vstack([start, start + np.cumsum(lengths[:, None] * directions(angles), 0)])
        parts.append((path, np.linspace(width, 0.6 * unit, len(path))))
        if steps > 6 and len(parts) < 9:
            for at in rng.integers(1, steps, rng.integers(0, 3)):
                grow(path[at], heading + rng.choice((-1, 1)) * rng.uniform(0.5, 1.3), steps // 2, 0.7 * width)

    middle, heading = rng.uniform(0, 1, 2) * (w, h), rng.uniform(0, 2 * math.pi)
    grow(middle, heading, int(rng.integers(6, 50)), unit * rng.uniform(0.8, 2.5))
    return strokes(size, parts)


def fold(size: Size, unit: float, rng: np.random.Generator) -> Coverage:
    """A crease from border to border: a soft band, and the emulsion broken along its middle."""
    cv2, (h, w) = opencv(), size
    lean = rng.choice((0, math.pi / 2)) + rng.normal(0, 0.15) if rng.integers(4) else rng.uniform(0, math.pi)
    along = np.linspace(-1, 1, 40) * math.hypot(h, w)
    path = rng.uniform(0.1, 0.9, 2) * (w, h) + turned(np.stack([rng.normal(0, 0.35 * unit, 40), along], 1), lean)
    width = unit * rng.uniform(0.8, 2.5)
    middle = strokes(size, [(path, width * rng.uniform(0.5, 1.4, 40))])
    soft = cv2.GaussianBlur(strokes(size, [(path, 2.0 * width)]), (0, 0), 0.8 * width)
    return np.maximum(middle * rng.uniform(0.6, 1), soft * rng.uniform(0, 0.6))  # type: ignore[no-any-return]


def torn(size: Size, unit: float, rng: np.random.Generator) -> Coverage:
    """A small torn corner of the image."""
    reach = np.minimum(unit * rng.uniform(6, 24, 2), 0.35 * min(size))
    edge = np.linspace((reach[0], 0), (0, reach[1]), 14) + rng.normal(0, 0.06 * reach.mean(), (14, 2))
    corner = np.vstack([[-9, -9], [reach[0], -9], edge, [-9, reach[1]]])
    covered = _polygons(size, [corner])
    flips = tuple(axis for axis in (0, 1) if rng.integers(2))
    return np.ascontiguousarray(np.flip(covered, flips))


def specks(size: Size, unit: float, rng: np.random.Generator, count: int) -> Coverage:
    """Specks of dust and larger spots, of irregular outline."""
    (h, w), outlines = size, []
    circle = directions(np.arange(9) * 2 * math.pi / 9)
    for _ in range(count):
        radius = unit * (0.55 + 3.2 * rng.uniform() ** 4 + (rng.uniform(2, 7) if rng.integers(25) == 0 else 0))
        outline = circle * rng.uniform(0.6, 1.25, (9, 1)) * (rng.uniform(1, 1.7), 1)
        outlines.append(rng.uniform(0, 1, 2) * (w, h) + radius * turned(outline, rng.uniform(0, math.pi)))
    return _polygons(size, outlines)


def stain(size: Size, unit: float, rng: np.random.Generator) -> Coverage:
    """A stain with a soft edge, half of the time with a darker border."""
    cv2, (h, w) = opencv(), size
    radius = unit * rng.uniform(2.5, 10)
    angle = np.linspace(0, 2 * math.pi, 48, endpoint=False)
    distance = np.ones(48) + sum(rng.normal(0, 0.16 / k) * np.cos(k * angle + rng.uniform(0, 6.3)) for k in range(1, 6))
    outline = directions(angle) * distance[:, None] * (rng.uniform(1, 1.5), 1)
    outline = rng.uniform(0, 1, 2) * (w, h) + radius * turned(outline, rng.uniform(0, math.pi))
    sheet = np.zeros((h, w), np.uint8)
    cv2.fillPoly(sheet, [np.rint(outline * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    inside = cv2.GaussianBlur(sheet.astype(np.float32) / 255, (0, 0), unit * rng.uniform(0.5, 2.0))
    if rng.integers(2):
        border = 4 * inside * (1 - inside)
        inside = np.maximum(inside * rng.uniform(0.3, 0.8), border)
    return inside  # type: ignore[no-any-return]


def _segment_text(text: str, height: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Digits of seven bars, as clocks and old cameras write them."""
    cv2, half = opencv(), height / 2
    pitch, slant = half * rng.uniform(1.4, 1.9), rng.uniform(0, 0.25)
    thick = max(1, round(height * rng.uniform(0.1, 0.2)))
    margin = thick + 2
    sheet = np.zeros((math.ceil(height) + 2 * margin, math.ceil(pitch * len(text) + height) + 2 * margin), np.uint8)
    for place, character in enumerate(text):
        for bar in _SEGMENTS[character]:
            ends = _BARS[bar] * (0.45 * half, 0.5 * half) + (place * pitch, 0)
            ends[:, 0] += slant * (height - ends[:, 1])
            gap = 0.12 * (ends[1] - ends[0])
            start, stop = np.rint([ends[0] + gap + margin, ends[1] - gap + margin]).astype(int).tolist()
            cv2.line(sheet, start, stop, 255, thick, cv2.LINE_AA)
    return sheet


def _font_text(text: str, height: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Lettering in one of OpenCV's fonts, wider or narrower than it was drawn."""
    cv2 = opencv()
    font = int(rng.choice((cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX, 3, 4, 5, 7)))
    font |= cv2.FONT_ITALIC if rng.integers(4) == 0 else 0
    scale = height / CAPITAL * (1.6 if font & 15 == cv2.FONT_HERSHEY_PLAIN else 1)
    thick = max(1, round(height * rng.uniform(0.04, 0.2)))
    (wide, high), below = cv2.getTextSize(text, font, scale, thick)
    margin = thick + 4 + round(0.3 * height)
    sheet = np.zeros((high + below + 2 * margin, wide + 2 * margin), np.uint8)
    cv2.putText(sheet, text, (margin, high + margin), font, scale, 255, thick, cv2.LINE_AA)
    return sheet


def _dotted(sheet: NDArray[np.uint8], height: float) -> NDArray[np.uint8]:
    """The same lettering as dots, nine to the height of a capital."""
    cv2, pitch = opencv(), max(2, round(height / 9))
    coarse = cv2.resize(sheet, None, fx=1 / pitch, fy=1 / pitch, interpolation=cv2.INTER_AREA) > 110
    dot = np.zeros((pitch, pitch), np.uint8)
    cv2.circle(dot, (pitch // 2, pitch // 2), max(1, round(0.42 * pitch)), 1, -1)
    return np.kron(coarse, dot).astype(np.uint8) * 255


def lettering(text: str, height: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A line of text whose capitals are twice `height` tall, 255 where there is ink."""
    tall = 2 * height
    digits = all(character in _SEGMENTS for character in text)
    sheet = _segment_text(text, tall, rng) if digits and rng.integers(2) else _font_text(text, tall, rng)
    return _dotted(sheet, tall) if height > 9 and rng.integers(6) == 0 else sheet


def placed(size: Size, sheets: Sequence[tuple[NDArray[np.uint8], Path]], angle: float, stretch: float) -> Coverage:
    """Sheets of `lettering` at half their size, each around its centre (x, y) in pixels, all turned by `angle`."""
    cv2, (h, w) = opencv(), size
    covered = np.zeros(size, np.float32)
    cos, sin = 0.5 * math.cos(angle), 0.5 * math.sin(angle)
    for sheet, (x, y) in sheets:
        middle = np.array(sheet.shape[::-1]) / 2
        matrix = np.array([[cos * stretch, -sin, 0], [sin * stretch, cos, 0]])
        matrix[:, 2] = (x, y) - matrix[:, :2] @ middle
        covered = np.maximum(covered, cv2.warpAffine(sheet, matrix, (w, h), flags=cv2.INTER_LINEAR) / np.float32(255))
    return covered


def _side(size: Size) -> float:
    """The shorter side, in pixels, of the image that a part of this size is taken from."""
    return max(min(size), _IMAGE_SIDE)


def date_stamp(size: Size, unit: float, rng: np.random.Generator) -> Coverage:
    """The date that a camera prints."""
    h, w = size
    height = min(unit * rng.uniform(6, 15), 0.3 * _side(size))
    sheet = lettering(random_date(rng), height, rng)
    reach = np.minimum(np.array(sheet.shape[::-1]) / 4, (0.5 * w, 0.5 * h))
    centre = reach + rng.uniform(0, 1, 2) * np.maximum((w, h) - 2 * reach, 1)
    return placed(size, [(sheet, centre)], rng.choice((0, 0, 0, math.pi / 2)), rng.uniform(0.8, 1.2))


def caption(size: Size, unit: float, rng: np.random.Generator) -> Coverage:
    """One or two lines of text."""
    h, w = size
    height = min(unit * rng.uniform(6, 24), 0.25 * _side(size))
    centre, stretch = rng.uniform(0.1, 0.9, 2) * (w, h), rng.uniform(0.75, 1.25)
    lines = [lettering(random_words(rng, int(rng.integers(1, 4))), height, rng) for _ in range(rng.integers(1, 3))]
    rows = [(line, centre + np.array([0, 1.7 * height * row])) for row, line in enumerate(lines)]
    return placed(size, rows, 0.0, stretch)


def watermark(size: Size, unit: float, rng: np.random.Generator) -> Coverage:
    """A text once, large, or again and again all over the image."""
    h, w = size
    height = min(unit * rng.uniform(8, 40), 0.3 * _side(size))
    sheet, angle = lettering(random_words(rng, int(rng.integers(1, 3))), height, rng), rng.uniform(-0.8, 0.8)
    if rng.integers(3) == 0:
        return placed(size, [(sheet, rng.uniform(0.2, 0.8, 2) * (w, h))], angle, rng.uniform(0.8, 1.2))
    pitch = np.array(sheet.shape[::-1]) / 2 + height * rng.uniform(0.3, 3, 2)
    columns, rows = np.minimum(np.ceil(0.5 * math.hypot(h, w) / pitch).astype(int), 6)
    grid = [(c + 0.5 * (r % 2), r) for r in range(-rows, rows + 1) for c in range(-columns, columns + 1)]
    centres = rng.uniform(0.3, 0.7, 2) * (w, h) + turned(np.array(grid) * pitch, angle)
    near = ((centres > -pitch.max()) & (centres < np.array([w, h]) + pitch.max())).all(1)
    return placed(size, [(sheet, centre) for centre in centres[near]], angle, 1.0)
