"""Random hole masks: the field's evaluation and training generators, and what people really remove.

Every mask is a NumPy bool array `(h, w)` with **True = hole**. All randomness comes from the generator
that the caller hands in, coordinates are rounded to integers before anything is drawn, and nothing is
anti-aliased, so a seed means the same mask on every machine.

The strokes and boxes follow the protocol of LaMa (arXiv 2109.07161), whose numbers are pixels at 256 or 512:
a preset never scales them. At other sizes strokes simply cover more or less of the picture and boxes are
limited to what fits; below 64 pixels few drawings of `thin` stay under half the area, which takes time.
The kinds that people remove are relative to the short side instead.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from wavepaint.data.lettering import CAP_HEIGHT, Path, pen_strokes
from wavepaint.errors import MissingExtraError, OptionError

BoolMask = NDArray[np.bool_]
Canvas = NDArray[np.uint8]
Size = tuple[int, int]

MIN_SIDE = 48
MAX_ATTEMPTS = 10_000

# The four stroke directions as fixed-point sines and cosines: end points are then pure integer arithmetic.
_FRACTION_BITS = 20
_DIRECTIONS = tuple(
    (round(math.sin(0.01 + k) * 2**_FRACTION_BITS), round(math.cos(0.01 + k) * 2**_FRACTION_BITS)) for k in range(4)
)


class MaskKind(Protocol):
    """Anything that can draw one mask."""

    def draw(self, size: Size, rng: np.random.Generator) -> BoolMask:
        """Return a bool mask of `size = (h, w)`, True = hole; it may be empty or full."""
        ...


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

    def draw(self, size: Size, rng: np.random.Generator) -> BoolMask:
        """Draw between `min_times` and `max_times + 1` strokes anywhere in the picture."""
        cv2 = opencv()
        h, w = size
        canvas = np.zeros(size, np.uint8)
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
        return canvas.astype(bool)


@dataclass(frozen=True)
class Boxes:
    """Axis-aligned boxes, in pixels, that keep `margin` away from the border.

    Sides are `U{min_size..max_size}`, limited to what fits a smaller picture.
    """

    margin: int
    min_size: int
    max_size: int
    min_times: int
    max_times: int

    def draw(self, size: Size, rng: np.random.Generator) -> BoolMask:
        """Draw between `min_times` and `max_times` boxes."""
        mask = np.zeros(size, bool)
        h, w = size
        margin = min(self.margin, (min(h, w) - 1) // 4)
        max_size = min(self.max_size, h - 2 * margin, w - 2 * margin)
        min_size = min(self.min_size, max_size)
        for _ in range(rng.integers(self.min_times, self.max_times + 1)):
            box_w, box_h = (int(side) for side in rng.integers(min_size, max_size + 1, size=2))
            left = int(rng.integers(margin, w - margin - box_w + 1))
            top = int(rng.integers(margin, h - margin - box_h + 1))
            mask[top : top + box_h, left : left + box_w] = True
        return mask


@dataclass(frozen=True)
class Brush:
    """What a hand paints over an object: a smooth sweep, or a scribble to and fro.

    One to three strokes, 3-14 % of the short side wide.
    """

    def draw(self, size: Size, rng: np.random.Generator) -> BoolMask:
        """Draw the strokes, all with one brush."""
        canvas = np.zeros(size, np.uint8)
        short = min(size)
        width = short * rng.uniform(0.03, 0.14)
        for _ in range(rng.integers(1, 4)):
            stroke = self._scribble if rng.integers(3) == 0 else self._sweep
            path = rng.uniform(0.1, 0.9, 2) * (size[1], size[0]) + stroke(short, width, rng)
            _polyline(canvas, path, width)
        return canvas.astype(bool)

    def _sweep(self, short: int, width: float, rng: np.random.Generator) -> Path:
        steps = int(rng.integers(8, 40))
        wobble = np.convolve(rng.normal(0.0, 0.25, steps), np.full(5, 0.2), mode="same")
        heading = rng.uniform(0.0, 2 * math.pi) + rng.normal(0.0, 0.03) * np.arange(steps) + np.cumsum(wobble)
        return np.cumsum(short * 0.025 * _directions(heading), axis=0)

    def _scribble(self, short: int, width: float, rng: np.random.Generator) -> Path:
        turns = int(rng.integers(4, 12))
        reach = short * rng.uniform(0.04, 0.18)
        along = np.arange(turns) * width * rng.uniform(0.5, 1.0)
        across = np.where(np.arange(turns) % 2, reach, -reach) * rng.uniform(0.7, 1.2, turns)
        return _turned(np.stack([along, across], axis=1), rng.uniform(0.0, 2 * math.pi))


@dataclass(frozen=True)
class RelativeBoxes:
    """One to three selection boxes of 8-45 % of each side, anywhere in the picture."""

    def draw(self, size: Size, rng: np.random.Generator) -> BoolMask:
        """Draw the boxes."""
        mask = np.zeros(size, bool)
        for _ in range(rng.integers(1, 4)):
            box_h, box_w = (
                max(1, round(side * share)) for side, share in zip(size, rng.uniform(0.08, 0.45, 2), strict=True)
            )
            top = int(rng.integers(0, size[0] - box_h + 1))
            left = int(rng.integers(0, size[1] - box_w + 1))
            mask[top : top + box_h, left : left + box_w] = True
        return mask


@dataclass(frozen=True)
class Text:
    """Lettering: a camera's date stamp, a caption of a few lines, or a tiled diagonal watermark."""

    def draw(self, size: Size, rng: np.random.Generator) -> BoolMask:
        """Draw one of the three."""
        canvas = np.zeros(size, np.uint8)
        layouts = (self._date_stamp, self._caption, self._watermark)
        layouts[_weighted_index((2, 2, 1), rng)](canvas, rng)
        return canvas.astype(bool)

    def _date_stamp(self, canvas: Canvas, rng: np.random.Generator) -> None:
        h, w = canvas.shape
        pen = _Pen.fitting([text := _date(rng)], h * rng.uniform(0.04, 0.09), 0.8 * w, rng)
        inset_x, inset_y = min(h, w) * rng.uniform(0.03, 0.08, 2)
        left = inset_x if rng.integers(4) == 0 else w - inset_x - pen.width_of(text)
        baseline = inset_y + pen.height if rng.integers(5) == 0 else h - inset_y
        pen.write(canvas, pen.strokes(text), np.array([left, baseline]))

    def _caption(self, canvas: Canvas, rng: np.random.Generator) -> None:
        h, w = canvas.shape
        lines = [_words(rng, int(rng.integers(1, 6))) for _ in range(rng.integers(1, 4))]
        pen = _Pen.fitting(lines, h * rng.uniform(0.05, 0.14), 0.92 * w, rng)
        pitch = 1.7 * pen.height
        angle = rng.uniform(-0.5, 0.5) if rng.integers(3) == 0 else 0.0
        centre = np.array([w, h]) * (0.5, rng.uniform(0.1, 0.95))
        centred = bool(rng.integers(2))
        widest = max(map(pen.width_of, lines))
        for row, text in enumerate(lines):
            left = -0.5 * (pen.width_of(text) if centred else widest)
            start = np.array([[left, pitch * (row - len(lines) + 1)]])
            pen.write(canvas, pen.strokes(text, angle), centre + _turned(start, angle)[0])

    def _watermark(self, canvas: Canvas, rng: np.random.Generator) -> None:
        h, w = canvas.shape
        text = _words(rng, int(rng.integers(1, 3)))
        pen = _Pen.fitting([text], min(h, w) * rng.uniform(0.05, 0.12), 0.7 * w, rng)
        gap_x, gap_y = min(h, w) * rng.uniform(0.08, 0.35, 2)
        pitch_x, pitch_y = pen.width_of(text) + gap_x, pen.height + gap_y
        strokes = pen.strokes(text, angle := rng.uniform(-0.8, 0.8))
        reach = 0.5 * math.hypot(h, w)
        columns, rows = math.ceil(reach / pitch_x), math.ceil(reach / pitch_y)
        for row in range(-rows, rows + 1):
            for column in range(-columns, columns + 1):
                start = np.array([[(column + 0.5 * (row % 2)) * pitch_x, row * pitch_y]])
                pen.write(canvas, strokes, np.array([w, h]) / 2 + _turned(start, angle)[0])


@dataclass(frozen=True)
class _Pen:
    """How lettering is drawn: scale in pixels a font unit, slant, and stroke width in pixels."""

    scale: float
    slant: float
    width: float

    @classmethod
    def fitting(cls, lines: Sequence[str], height: float, width: float, rng: np.random.Generator) -> _Pen:
        """Return a random pen whose capitals are at most `height` tall and whose lines fit into `width`."""
        widest = max(pen_strokes(line)[1] for line in lines)
        scale = min(height / CAP_HEIGHT, width / widest)
        # One pixel more than the lettering itself: whoever masks it paints a little over its edge.
        return cls(scale, (0.0, 0.0, 0.25)[rng.integers(3)], 1 + CAP_HEIGHT * scale * rng.uniform(0.1, 0.3))

    @property
    def height(self) -> float:
        return CAP_HEIGHT * self.scale

    def width_of(self, text: str) -> float:
        return self.scale * pen_strokes(text)[1]

    def strokes(self, text: str, angle: float = 0.0) -> list[Path]:
        """Return the paths of `text` in pixels, from the left end of its baseline, turned by `angle`."""
        slanted = (np.stack([path[:, 0] - self.slant * path[:, 1], path[:, 1]], 1) for path in pen_strokes(text)[0])
        return [_turned(self.scale * path, angle) for path in slanted]

    def write(self, canvas: Canvas, strokes: Sequence[Path], start: Path) -> None:
        """Draw paths of `strokes` with their baseline beginning at `start`."""
        for path in strokes:
            _polyline(canvas, start + path, self.width)


@dataclass(frozen=True)
class Scratches:
    """Damage of film and prints: long near-vertical scratches, dust specks and curled hairs."""

    def draw(self, size: Size, rng: np.random.Generator) -> BoolMask:
        """Draw all three together; any may be absent."""
        canvas = np.zeros(size, np.uint8)
        for _ in range(rng.integers(7)):
            self._scratch(canvas, rng)
        self._dust(canvas, int(rng.integers(60)), rng)
        for _ in range(rng.integers(5)):
            self._hair(canvas, rng)
        return canvas.astype(bool)

    def _scratch(self, canvas: Canvas, rng: np.random.Generator) -> None:
        h, w = canvas.shape
        length = h if rng.integers(2) else h * rng.uniform(0.15, 0.8)
        top = rng.uniform(0, h - length)
        count = int(rng.integers(5, 16))
        y = np.linspace(top, top + length, count)
        x = rng.uniform(0, w) + np.linspace(0, length * rng.normal(0.0, 0.05), count)
        x += np.cumsum(rng.normal(0.0, w * 0.003, count))
        _polyline(canvas, np.stack([x, y], 1), min(h, w) * rng.uniform(0.002, 0.012))

    def _dust(self, canvas: Canvas, count: int, rng: np.random.Generator) -> None:
        h, w = canvas.shape
        # Specks are mostly tiny: the square of a uniform number favours the small end.
        radius = min(h, w) * (0.002 + 0.014 * rng.uniform(size=count) ** 2)
        stretch, angle = rng.uniform(1.0, 2.0, count), rng.uniform(0.0, 2 * math.pi, count)
        centre = rng.uniform(0.0, 1.0, (count, 2)) * (w, h)
        hexagon = _directions(np.arange(6) * math.pi / 3)
        for speck in range(count):
            ellipse = hexagon * (stretch[speck], 1 / stretch[speck])
            outline = centre[speck] + radius[speck] * _turned(ellipse, angle[speck])
            opencv().fillConvexPoly(canvas, _points(outline), 1)

    def _hair(self, canvas: Canvas, rng: np.random.Generator) -> None:
        h, w = canvas.shape
        count = 12
        heading = rng.uniform(0, 2 * math.pi) + np.cumsum(rng.normal(0.0, 0.2, count) + rng.normal(0.0, 0.2))
        step = min(h, w) * rng.uniform(0.005, 0.02)
        path = rng.uniform(0, 1, 2) * (w, h) + np.cumsum(step * _directions(heading), axis=0)
        _polyline(canvas, path, min(h, w) * rng.uniform(0.002, 0.008))


@dataclass(frozen=True)
class Wires:
    """Overhead wires: a bundle of long, sagging, nearly parallel lines, now and then with its pole."""

    def draw(self, size: Size, rng: np.random.Generator) -> BoolMask:
        """Draw one to six wires, 0.4-2.4 % of the short side wide, from border to border."""
        canvas = np.zeros(size, np.uint8)
        h, w = size
        short = min(size)
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
        return canvas.astype(bool)


@dataclass(frozen=True)
class Blobs:
    """Object silhouettes: one to three standing figures or rounded things with parts that stick out."""

    def draw(self, size: Size, rng: np.random.Generator) -> BoolMask:
        """Draw the silhouettes."""
        canvas = np.zeros(size, np.uint8)
        h, w = size
        for _ in range(rng.integers(1, 4)):
            centre = rng.uniform(0.1, 0.9, 2) * (w, h)
            if rng.integers(3) == 0:
                self._figure(canvas, centre, min(size) * rng.uniform(0.2, 0.8), rng)
            else:
                self._thing(canvas, centre, min(size) * rng.uniform(0.05, 0.24), rng)
        return canvas.astype(bool)

    def _figure(self, canvas: Canvas, centre: Path, height: float, rng: np.random.Generator) -> None:
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

    def _thing(self, canvas: Canvas, centre: Path, radius: float, rng: np.random.Generator) -> None:
        body = _closed_curve(centre, radius, 0.22, rng)
        _fill(canvas, centre, body)
        for _ in range(rng.integers(0, 4)):
            joint = body[rng.integers(len(body))]
            _fill(canvas, joint, _closed_curve(joint, radius * rng.uniform(0.2, 0.6), 0.15, rng, count=24))


@dataclass(frozen=True)
class Ellipses:
    """One rounded object: a union of two to five ellipses, each centred within the one before it.

    Radii are 12 to 38 pixels where the short side has 256, and grow with it.
    """

    def draw(self, size: Size, rng: np.random.Generator) -> BoolMask:
        """Draw the object."""
        canvas = np.zeros(size, np.uint8)
        unit = min(size) / 256
        centre = rng.uniform(0.15, 0.85, 2) * (size[1], size[0])
        circle = _directions(np.arange(48) * math.pi / 24)
        for _ in range(rng.integers(2, 6)):
            ellipse = _turned(circle * unit * rng.uniform(12, 38, 2), rng.uniform(0.0, math.pi))
            opencv().fillConvexPoly(canvas, _points(centre + ellipse), 1)
            centre = centre + ellipse[rng.integers(len(ellipse))] * rng.uniform(0.3, 1.0)
        return canvas.astype(bool)


@dataclass(frozen=True)
class MaskPreset:
    """A named kind of mask: weighted choices, the largest hole share that is accepted, and the side it is meant for.

    Masks over `max_area` are rejected and drawn again, choice included, as the published protocol does.
    A preset is itself a `MaskKind`, so that presets mix presets; rejection inside a choice then keeps
    the weights as they stand here.
    """

    description: str
    choices: tuple[tuple[int, MaskKind], ...]
    max_area: float = 0.5
    side: int = 256

    def draw(self, size: Size, rng: np.random.Generator) -> BoolMask:
        """Return an accepted mask of `size = (h, w)`, True = hole."""
        return self.sample(size, rng)[0]

    def sample(self, size: Size, rng: np.random.Generator) -> tuple[BoolMask, int]:
        """Return an accepted mask and how many were rejected before it.

        Raises `OptionError` when the preset's strokes are far too large for `size`.
        """
        weights = [weight for weight, _ in self.choices]
        for rejected in range(MAX_ATTEMPTS):
            mask = self.choices[_weighted_index(weights, rng)][1].draw(size, rng)
            area = int(np.count_nonzero(mask))
            if 0 < area < mask.size and area <= self.max_area * mask.size:
                return mask, rejected
        raise OptionError(f"masks of {size[1]}x{size[0]} are too small for this preset: {self.description}")


def _presets() -> dict[str, MaskPreset]:
    def mixed(strokes: Strokes, boxes: Boxes) -> tuple[tuple[int, MaskKind], ...]:
        # The published odds are 1 for strokes and 0.3 for boxes, normalised: 10 to 3 is 23.1 % boxes.
        return (10, strokes), (3, boxes)

    medium_256 = mixed(Strokes(4, 5, 50, 100), Boxes(0, 10, 50, 1, 5))
    thick_256 = mixed(Strokes(1, 5, 100, 200), Boxes(10, 30, 150, 1, 3))
    medium_512 = mixed(Strokes(4, 10, 100, 200), Boxes(0, 30, 150, 1, 5))
    thick_512 = mixed(Strokes(1, 5, 250, 450), Boxes(10, 30, 300, 1, 4))
    thin = MaskPreset("thin strokes, evaluation at 256", ((1, Strokes(4, 50, 10, 40)),))
    medium = MaskPreset("medium strokes and boxes, evaluation at 256", medium_256)
    thick = MaskPreset("thick strokes and boxes, evaluation at 256", thick_256)
    people = {
        "brush": MaskPreset("fat hand-drawn strokes", ((1, Brush()),)),
        "box": MaskPreset("one to three selection boxes", ((1, RelativeBoxes()),)),
        "text": MaskPreset("date stamps, captions, watermarks", ((1, Text()),)),
        "scratches": MaskPreset("scratches, dust and hairs", ((1, Scratches()),)),
        "wires": MaskPreset("overhead wires", ((1, Wires()),)),
        "blobs": MaskPreset("object silhouettes", ((1, Blobs()),)),
        "object": MaskPreset("one rounded object: two to five ellipses", ((1, Ellipses()),)),
    }
    return {
        "thin": thin,
        "medium": medium,
        "thick": thick,
        "thin-512": MaskPreset("thin strokes, evaluation at 512", ((1, Strokes(4, 70, 20, 100)),), side=512),
        "medium-512": MaskPreset("medium strokes and boxes, evaluation at 512", medium_512, side=512),
        "thick-512": MaskPreset("thick strokes and boxes, evaluation at 512", thick_512, side=512),
        "train-medium": MaskPreset("medium strokes and boxes, published training", medium_256, max_area=1.0),
        "train-thick": MaskPreset("thick strokes and boxes, published training", thick_256, max_area=1.0),
        **people,
        "everyday": MaskPreset(
            "what people remove, and the published kinds: brush 15, blobs 20, text 10, scratches 8, wires 7, "
            "box 5, thin 10, medium 13, thick 12 %",
            (
                (15, people["brush"]),
                (20, people["blobs"]),
                (10, people["text"]),
                (8, people["scratches"]),
                (7, people["wires"]),
                (5, people["box"]),
                (10, thin),
                (13, medium),
                (12, thick),
            ),
        ),
    }


PRESETS: Mapping[str, MaskPreset] = MappingProxyType(_presets())


def random_mask(preset: str, size: Size, rng: np.random.Generator) -> BoolMask:
    """Return a random mask of a named preset.

    `size` is `(h, w)`, each at least `MIN_SIDE`. The result is a bool array `(h, w)`, True = hole, with at
    least one hole pixel and one known pixel. Raises `OptionError` for an unknown preset or a size too small.
    """
    return find_preset(preset).sample(_checked(size), rng)[0]


def find_preset(name: str) -> MaskPreset:
    """Return the preset called `name`; `OptionError` lists the known ones."""
    try:
        return PRESETS[name]
    except KeyError:
        raise OptionError(f"unknown mask preset {name!r}; known: {', '.join(PRESETS)}") from None


def rng_for(seed: int, name: str) -> np.random.Generator:
    """Return the generator that belongs to `name` under `seed`.

    Derived by SHA-256, so what an item gets depends neither on the order nor on the number of items.
    """
    # File names need not be UTF-8; Python then keeps their bytes as lone surrogates.
    digest = hashlib.sha256(f"{seed}:{name}".encode("utf-8", "surrogateescape")).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "big")))


@dataclass(frozen=True)
class MaskStatistics:
    """What a preset yields: shares of the picture (0 to 1) over `count` accepted masks.

    `histogram[i]` is the share of masks whose area lies in `[i / 10, (i + 1) / 10)`, the last bin closed.
    `rejection_rate` is the share of drawn masks that were rejected.
    """

    mean_area: float
    histogram: tuple[float, ...]
    rejection_rate: float
    count: int


def mask_statistics(preset: str, size: Size, count: int, seed: int) -> MaskStatistics:
    """Draw `count` masks of `size = (h, w)`, the i-th with `rng_for(seed, str(i))`, and measure them."""
    if count < 1:
        raise OptionError(f"mask statistics need at least one mask, not {count}")
    kind, size = find_preset(preset), _checked(size)
    samples = [kind.sample(size, rng_for(seed, str(index))) for index in range(count)]
    areas = np.array([mask.mean() for mask, _ in samples])
    rejected = sum(rejections for _, rejections in samples)
    bins, _ = np.histogram(areas, bins=10, range=(0.0, 1.0))
    return MaskStatistics(
        mean_area=float(areas.mean()),
        histogram=tuple(float(share) for share in bins / count),
        rejection_rate=rejected / (rejected + count),
        count=count,
    )


def _checked(size: Size) -> Size:
    h, w = size
    if min(h, w) < MIN_SIDE:
        raise OptionError(f"a mask of {w}x{h} is too small; each side needs at least {MIN_SIDE} pixels")
    return int(h), int(w)


def opencv() -> Any:
    """OpenCV, imported where it is first needed; `MissingExtraError` if it is not installed."""
    try:
        import cv2
    except ImportError:
        raise MissingExtraError("drawing masks", "train", "opencv-python-headless") from None
    return cv2


def _weighted_index(weights: Sequence[int], rng: np.random.Generator) -> int:
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


def _directions(heading: NDArray[np.float64]) -> Path:
    """Return the unit vectors `(n, 2)` of `(n,)` angles in radians."""
    return np.stack([np.cos(heading), np.sin(heading)], axis=1)


def _turned(path: Path, angle: float) -> Path:
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
    outline = np.maximum(distance, 0.2)[:, None] * _directions(angle) * (stretch, 1 / stretch)
    return centre + radius * _turned(outline, rng.uniform(0.0, 2 * math.pi))


def _date(rng: np.random.Generator) -> str:
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


def _words(rng: np.random.Generator, count: int) -> str:
    """Return `count` pronounceable words without meaning, in one of three capitalisations."""
    syllables = (
        "ka",
        "ren",
        "to",
        "li",
        "mon",
        "sta",
        "ve",
        "hu",
        "gri",
        "pal",
        "o",
        "jen",
        "by",
        "qua",
        "x",
    )
    words = ["".join(syllables[i] for i in rng.integers(len(syllables), size=rng.integers(1, 5))) for _ in range(count)]
    text = " ".join(words)
    return (text, text.upper(), text.title())[rng.integers(3)]
