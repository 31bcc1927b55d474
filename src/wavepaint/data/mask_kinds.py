"""What a hole can look like: strokes and boxes of the published protocol, and what people really remove.

Every kind draws on a canvas of zeros, a uint8 array `(h, w)`, with **1 = hole**, by the generator that the caller hands
in; it may leave the canvas empty, or fill it. Coordinates are rounded to integers before anything is drawn, and nothing
is anti-aliased, so a seed means the same mask on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wavepaint.errors import needs_extra

BoolMask = NDArray[np.bool_]
Canvas = NDArray[np.uint8]
Path = NDArray[np.float64]
"""Points `(n, 2)`, x before y."""
Size = tuple[int, int]
MaskKind = Callable[[Canvas, np.random.Generator], None]

# The four stroke directions as fixed-point sines and cosines: end points are then pure integer arithmetic.
_FRACTION_BITS = 20
_DIRECTIONS = tuple(
    (round(math.sin(0.01 + k) * 2**_FRACTION_BITS), round(math.cos(0.01 + k) * 2**_FRACTION_BITS)) for k in range(4)
)


@dataclass(frozen=True)
class Strokes:
    """Irregular strokes of 1 to 5 straight segments, in pixels.

    `max_times` is the published number; the reference generator draws up to one more, and so does this.
    A segment is `10 + U{0..max_len-1}` long and `5 + U{0..max_width-1}` wide.
    """

    min_times: int
    max_times: int
    max_width: int
    max_len: int

    def __call__(self, canvas: Canvas, rng: np.random.Generator) -> None:
        """Draw between `min_times` and `max_times + 1` strokes anywhere in the image."""
        cv2 = opencv()
        h, w = canvas.shape
        for stroke in range(rng.integers(self.min_times, self.max_times + 2)):
            x, y = int(rng.integers(w)), int(rng.integers(h))
            for _ in range(1 + rng.integers(5)):
                sin, cos = _DIRECTIONS[rng.integers(4)]
                if stroke % 2 == 0:
                    sin = -sin
                length = 10 + int(rng.integers(self.max_len))
                width = 5 + int(rng.integers(self.max_width))
                end_x = min(max(x + (length * sin >> _FRACTION_BITS), 0), w)
                end_y = min(max(y + (length * cos >> _FRACTION_BITS), 0), h)
                cv2.line(canvas, (x, y), (end_x, end_y), 1, width)
                x, y = end_x, end_y


@dataclass(frozen=True)
class Boxes:
    """Axis-aligned boxes, in pixels, that keep `margin` away from the border.

    Sides are `U{min_size..max_size}`, limited to what fits a smaller image.
    """

    margin: int
    min_size: int
    max_size: int
    min_times: int
    max_times: int

    def __call__(self, canvas: Canvas, rng: np.random.Generator) -> None:
        """Draw between `min_times` and `max_times` boxes."""
        h, w = canvas.shape
        margin = min(self.margin, (min(h, w) - 1) // 4)
        max_size = min(self.max_size, h - 2 * margin, w - 2 * margin)
        min_size = min(self.min_size, max_size)
        for _ in range(rng.integers(self.min_times, self.max_times + 1)):
            box_w, box_h = (int(side) for side in rng.integers(min_size, max_size + 1, size=2))
            left = int(rng.integers(margin, w - margin - box_w + 1))
            top = int(rng.integers(margin, h - margin - box_h + 1))
            canvas[top : top + box_h, left : left + box_w] = 1


def brush(canvas: Canvas, rng: np.random.Generator) -> None:
    """What a hand paints over an object: one to three strokes of one brush, each a smooth sweep or a scribble.

    They are 3-14 % of the short side wide.
    """
    short = min(canvas.shape)
    width = short * rng.uniform(0.03, 0.14)
    for _ in range(rng.integers(1, 4)):
        stroke = _scribble if rng.integers(3) == 0 else _sweep
        path = rng.uniform(0.1, 0.9, 2) * canvas.shape[::-1] + stroke(short, width, rng)
        _polyline(canvas, path, width)


def _sweep(short: int, width: float, rng: np.random.Generator) -> Path:
    steps = int(rng.integers(8, 40))
    wobble = np.convolve(rng.normal(0.0, 0.25, steps), np.full(5, 0.2), mode="same")
    heading = rng.uniform(0.0, 2 * math.pi) + rng.normal(0.0, 0.03) * np.arange(steps) + np.cumsum(wobble)
    return np.cumsum(short * 0.025 * directions(heading), axis=0)


def _scribble(short: int, width: float, rng: np.random.Generator) -> Path:
    turns = int(rng.integers(4, 12))
    reach = short * rng.uniform(0.04, 0.18)
    along = np.arange(turns) * width * rng.uniform(0.5, 1.0)
    across = np.where(np.arange(turns) % 2, reach, -reach) * rng.uniform(0.7, 1.2, turns)
    return turned(np.stack([along, across], axis=1), rng.uniform(0.0, 2 * math.pi))


def relative_boxes(canvas: Canvas, rng: np.random.Generator) -> None:
    """One to three selection boxes of 8-45 % of each side, anywhere in the image."""
    h, w = canvas.shape
    for _ in range(rng.integers(1, 4)):
        box_h, box_w = (
            max(1, round(side * share)) for side, share in zip((h, w), rng.uniform(0.08, 0.45, 2), strict=True)
        )
        top = int(rng.integers(0, h - box_h + 1))
        left = int(rng.integers(0, w - box_w + 1))
        canvas[top : top + box_h, left : left + box_w] = 1


def scratches(canvas: Canvas, rng: np.random.Generator) -> None:
    """Damage of film and prints: long near-vertical scratches, dust specks and curled hairs; any may be absent."""
    for _ in range(rng.integers(7)):
        _scratch(canvas, rng)
    _dust(canvas, int(rng.integers(60)), rng)
    for _ in range(rng.integers(5)):
        _hair(canvas, rng)


def _scratch(canvas: Canvas, rng: np.random.Generator) -> None:
    h, w = canvas.shape
    length = h if rng.integers(2) else h * rng.uniform(0.15, 0.8)
    top = rng.uniform(0, h - length)
    count = int(rng.integers(5, 16))
    y = np.linspace(top, top + length, count)
    x = rng.uniform(0, w) + np.linspace(0, length * rng.normal(0.0, 0.05), count)
    x += np.cumsum(rng.normal(0.0, w * 0.003, count))
    _polyline(canvas, np.stack([x, y], 1), min(h, w) * rng.uniform(0.002, 0.012))


def _dust(canvas: Canvas, count: int, rng: np.random.Generator) -> None:
    h, w = canvas.shape
    # Specks are mostly tiny: the square of a uniform number favours the small end.
    radius = min(h, w) * (0.002 + 0.014 * rng.uniform(size=count) ** 2)
    stretch, angle = rng.uniform(1.0, 2.0, count), rng.uniform(0.0, 2 * math.pi, count)
    centre = rng.uniform(0.0, 1.0, (count, 2)) * (w, h)
    hexagon = directions(np.arange(6) * math.pi / 3)
    for speck in range(count):
        ellipse = hexagon * (stretch[speck], 1 / stretch[speck])
        outline = centre[speck] + radius[speck] * turned(ellipse, angle[speck])
        opencv().fillConvexPoly(canvas, _points(outline), 1)


def _hair(canvas: Canvas, rng: np.random.Generator) -> None:
    h, w = canvas.shape
    count = 12
    heading = rng.uniform(0, 2 * math.pi) + np.cumsum(rng.normal(0.0, 0.2, count) + rng.normal(0.0, 0.2))
    step = min(h, w) * rng.uniform(0.005, 0.02)
    path = rng.uniform(0, 1, 2) * (w, h) + np.cumsum(step * directions(heading), axis=0)
    _polyline(canvas, path, min(h, w) * rng.uniform(0.002, 0.008))


def wires(canvas: Canvas, rng: np.random.Generator) -> None:
    """Overhead wires: one to six long, sagging, nearly parallel lines from border to border, now and then with a pole.

    They are 0.4-2.4 % of the short side wide.
    """
    h, w = canvas.shape
    short = min(h, w)
    left, right = rng.uniform(0.0, 0.7) * h + rng.normal(0.0, 0.15, 2) * h
    sag = h * rng.uniform(0.0, 0.15)
    width = short * rng.uniform(0.004, 0.024)
    t = np.linspace(0.0, 1.0, 33)
    for wire in range(rng.integers(1, 7)):
        offset = wire * h * rng.uniform(0.03, 0.1)
        tilt = h * rng.normal(0.0, 0.03)
        y = left + offset + (right + tilt - left) * t + 4 * sag * rng.uniform(0.8, 1.2) * t * (1 - t)
        _polyline(canvas, np.stack([t * (w - 1), y], 1), width * rng.uniform(0.7, 1.2))
    if rng.integers(4) == 0:
        x = rng.uniform(0.1, 0.9) * w
        foot = x + short * rng.normal(0.0, 0.02)
        _polyline(canvas, np.array([[x, rng.uniform(0, 0.3) * h], [foot, h]]), short * rng.uniform(0.02, 0.05))


def blobs(canvas: Canvas, rng: np.random.Generator) -> None:
    """Object silhouettes: one to three standing figures or rounded things with parts that stick out."""
    h, w = canvas.shape
    for _ in range(rng.integers(1, 4)):
        centre = rng.uniform(0.1, 0.9, 2) * (w, h)
        if rng.integers(3) == 0:
            _figure(canvas, centre, min(h, w) * rng.uniform(0.2, 0.8), rng)
        else:
            _thing(canvas, centre, min(h, w) * rng.uniform(0.05, 0.24), rng)


def _figure(canvas: Canvas, centre: Path, height: float, rng: np.random.Generator) -> None:
    """Draw a person `height` tall in proportions of about seven heads, arms and legs at random angles."""
    head = height / 7

    def limb(x: float, y: float, angle: float, length: float, thickness: float) -> None:
        joint = np.array([x, y])
        bend = joint + 0.5 * length * np.array([math.sin(angle), math.cos(angle)])
        angle += rng.normal(0.0, 0.25)
        end = bend + 0.5 * length * np.array([math.sin(angle), math.cos(angle)])
        _polyline(canvas, centre + head * np.stack([joint, bend, end]), head * thickness)

    bulk = rng.uniform(0.9, 1.5)
    torso = np.array([[-0.75, -2.0], [0.75, -2.0], [0.6, 0.6], [-0.6, 0.6]]) * (bulk, 1.0)
    _fill(canvas, centre, centre + head * torso)
    _polyline(canvas, centre + head * np.array([[0.0, -2.9], [0.05, -2.9]]), head * 0.95)
    limb(0.0, -2.6, 0.0, 0.8, 0.5)
    for side in (-1, 1):
        limb(side * 0.65 * bulk, -1.8, side * rng.uniform(0.05, 0.9), 2.6, 0.45 * bulk)
        limb(side * 0.35 * bulk, 0.4, side * rng.uniform(0.0, 0.35), 3.2, 0.6 * bulk)


def _thing(canvas: Canvas, centre: Path, radius: float, rng: np.random.Generator) -> None:
    body = _closed_curve(centre, radius, 0.22, rng)
    _fill(canvas, centre, body)
    for _ in range(rng.integers(0, 4)):
        joint = body[rng.integers(len(body))]
        _fill(canvas, joint, _closed_curve(joint, radius * rng.uniform(0.2, 0.6), 0.15, rng, count=24))


def ellipses(canvas: Canvas, rng: np.random.Generator) -> None:
    """One rounded object: a union of two to five ellipses, each centred within the one before it.

    Radii are 12 to 38 pixels where the short side has 256, and grow with it.
    """
    h, w = canvas.shape
    unit = min(h, w) / 256
    centre = rng.uniform(0.15, 0.85, 2) * (w, h)
    circle = directions(np.arange(48) * math.pi / 24)
    for _ in range(rng.integers(2, 6)):
        ellipse = turned(circle * unit * rng.uniform(12, 38, 2), rng.uniform(0.0, math.pi))
        opencv().fillConvexPoly(canvas, _points(centre + ellipse), 1)
        centre = centre + ellipse[rng.integers(len(ellipse))] * rng.uniform(0.3, 1.0)


def opencv() -> Any:
    """OpenCV, imported where it is first needed; `MissingExtraError` if it is not installed."""
    with needs_extra("training or evaluation", "train", "opencv-python-headless"):
        import cv2
    return cv2


def weighted_index(weights: Sequence[int], rng: np.random.Generator) -> int:
    """Return an index, each as often as its weight says."""
    return int(np.searchsorted(np.cumsum(weights), rng.integers(sum(weights)), side="right"))


def _points(path: Path) -> NDArray[np.int32]:
    return np.rint(path).astype(np.int32)


def _polyline(canvas: Canvas, path: Path, width: float) -> None:
    """Draw an open path, at least one pixel wide."""
    points, thickness = _points(path), max(1, round(width))
    # OpenCV 4 and 5 clip thick lines at the border differently, so draw on a sheet that holds the whole
    # path, and keep the part of it that lies on the canvas.
    (left, top), (right, bottom) = points.min(axis=0) - thickness, points.max(axis=0) + thickness + 1
    sheet = np.zeros((bottom - top, right - left), np.uint8)
    opencv().polylines(sheet, [points - (left, top)], False, 1, thickness)
    y, x = max(top, 0), max(left, 0)
    part = canvas[y : max(bottom, 0), x : max(right, 0)]
    part |= sheet[y - top :, x - left :][: part.shape[0], : part.shape[1]]


def _fill(canvas: Canvas, centre: Path, outline: Path) -> None:
    """Fill a closed outline of which every point can be seen from `centre`."""
    cv2 = opencv()
    middle, points = _points(centre), _points(outline)
    # A fan of triangles: unlike general polygons, OpenCV 4 and 5 fill convex ones alike.
    for triangle in np.stack([np.broadcast_to(middle, points.shape), points, np.roll(points, -1, axis=0)], axis=1):
        cv2.fillConvexPoly(canvas, triangle, 1)


def directions(heading: NDArray[np.float64]) -> Path:
    """Return the unit vectors `(n, 2)` of `(n,)` angles in radians."""
    return np.stack([np.cos(heading), np.sin(heading)], axis=1)


def turned(path: Path, angle: float) -> Path:
    """Return points `(n, 2)` turned about the origin by an angle in radians."""
    sin, cos = math.sin(angle), math.cos(angle)
    return np.stack([cos * path[:, 0] - sin * path[:, 1], sin * path[:, 0] + cos * path[:, 1]], axis=1)


def _closed_curve(centre: Path, radius: float, roughness: float, rng: np.random.Generator, count: int = 64) -> Path:
    """Return a smooth closed curve of `count` points: an ellipse with a few random harmonics."""
    angle = np.linspace(0.0, 2 * math.pi, count, endpoint=False)
    distance = np.ones_like(angle)
    for harmonic in range(2, 6):
        phase = rng.uniform(0.0, 2 * math.pi)
        distance += rng.normal(0.0, roughness / harmonic) * np.cos(harmonic * angle + phase)
    stretch = rng.uniform(1.0, 1.6)
    outline = np.maximum(distance, 0.2)[:, None] * directions(angle) * (stretch, 1 / stretch)
    return centre + radius * turned(outline, rng.uniform(0.0, 2 * math.pi))
