"""Random hole masks: the field's evaluation and training generators, and what people really remove.

A mask is a NumPy bool array `(h, w)` with **True = hole**; a seed means the same one on every machine (`mask_kinds`).

The strokes and boxes follow the protocol of LaMa (arXiv 2109.07161), whose numbers are pixels at 256 or 512:
a preset never scales them. At other sizes strokes simply cover more or less of the image and boxes are
limited to what fits; below 64 pixels few drawings of `thin` stay under half the area, which takes time.
The kinds that people remove are relative to the short side instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from wavepaint.data.lettering import lettering
from wavepaint.data.mask_kinds import (
    BoolMask,
    Boxes,
    Canvas,
    MaskKind,
    Size,
    Strokes,
    blobs,
    brush,
    ellipses,
    relative_boxes,
    scratches,
    weighted_index,
    wires,
)
from wavepaint.data.seeding import rng_for
from wavepaint.errors import OptionError, check_known

MIN_SIDE = 48
MAX_ATTEMPTS = 10_000


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

    def __call__(self, canvas: Canvas, rng: np.random.Generator) -> None:
        """Draw an accepted mask as a `MaskKind`."""
        canvas |= self.draw(canvas.shape, rng)

    def sample(self, size: Size, rng: np.random.Generator) -> tuple[BoolMask, int]:
        """Return an accepted mask and how many were rejected before it.

        Raises `OptionError` when the preset's strokes are far too large for `size`.
        """
        weights = [weight for weight, _ in self.choices]
        for rejected in range(MAX_ATTEMPTS):
            canvas = np.zeros(size, np.uint8)
            self.choices[weighted_index(weights, rng)][1](canvas, rng)
            area = int(np.count_nonzero(canvas))
            if 0 < area < canvas.size and area <= self.max_area * canvas.size:
                return canvas.astype(bool), rejected
        raise OptionError(f"masks of {size[1]}x{size[0]} are too small for this preset: {self.description}")


def _presets() -> dict[str, MaskPreset]:
    def mixed(strokes: Strokes, boxes: Boxes) -> tuple[tuple[int, MaskKind], ...]:
        # The published odds are 1 for strokes and 0.3 for boxes, normalised: 10 to 3 is 23.1 % boxes.
        return (10, strokes), (3, boxes)

    medium_256 = mixed(Strokes(4, 5, 50, 100), Boxes(0, 10, 50, 1, 5))
    thick_256 = mixed(Strokes(1, 5, 100, 200), Boxes(10, 30, 150, 1, 3))
    medium_512 = mixed(Strokes(4, 10, 100, 200), Boxes(0, 30, 150, 1, 5))
    thick_512 = mixed(Strokes(1, 5, 250, 450), Boxes(10, 30, 300, 1, 4))
    published = {
        "thin": MaskPreset("thin strokes, evaluation at 256", ((1, Strokes(4, 50, 10, 40)),)),
        "medium": MaskPreset("medium strokes and boxes, evaluation at 256", medium_256),
        "thick": MaskPreset("thick strokes and boxes, evaluation at 256", thick_256),
    }
    people = {
        "brush": MaskPreset("fat hand-drawn strokes", ((1, brush),)),
        "box": MaskPreset("one to three selection boxes", ((1, relative_boxes),)),
        "text": MaskPreset("date stamps, captions, watermarks", ((1, lettering),)),
        "scratches": MaskPreset("scratches, dust and hairs", ((1, scratches),)),
        "wires": MaskPreset("overhead wires", ((1, wires),)),
        "blobs": MaskPreset("object silhouettes", ((1, blobs),)),
        "object": MaskPreset("one rounded object: two to five ellipses", ((1, ellipses),)),
    }
    shares = {"brush": 15, "blobs": 20, "text": 10, "scratches": 8, "wires": 7, "box": 5}
    shares |= {"thin": 10, "medium": 13, "thick": 12}
    listed = ", ".join(f"{name} {share}" for name, share in shares.items())
    choices = tuple((share, (people | published)[name]) for name, share in shares.items())
    return {
        **published,
        "thin-512": MaskPreset("thin strokes, evaluation at 512", ((1, Strokes(4, 70, 20, 100)),), side=512),
        "medium-512": MaskPreset("medium strokes and boxes, evaluation at 512", medium_512, side=512),
        "thick-512": MaskPreset("thick strokes and boxes, evaluation at 512", thick_512, side=512),
        "train-medium": MaskPreset("medium strokes and boxes, published training", medium_256, max_area=1.0),
        "train-thick": MaskPreset("thick strokes and boxes, published training", thick_256, max_area=1.0),
        **people,
        "everyday": MaskPreset(f"what people remove, and the published kinds: {listed} %", choices),
    }


PRESETS: Mapping[str, MaskPreset] = MappingProxyType(_presets())


def random_mask(preset: str | Mapping[str, int], size: Size, rng: np.random.Generator) -> BoolMask:
    """Return a random mask of a named preset, or of one among several, each as often as its weight says.

    `size` is `(h, w)`, each at least `MIN_SIDE`. The result is a bool array `(h, w)`, True = hole, with at
    least one hole pixel and one known pixel. Raises `OptionError` for an unknown preset or a size too small.
    """
    return mixed_preset(preset).sample(_checked(size), rng)[0]


def mixed_preset(weights: str | Mapping[str, int]) -> MaskPreset:
    """Return the preset of that name, or one that draws from several: `{"thin": 2, "thick": 1}`.

    Raises `OptionError` for an unknown name, no name, or a weight that is not at least 1.
    """
    if isinstance(weights, str):
        return find_preset(weights)
    if not weights:
        raise OptionError(f"masks must name at least one mask preset; known: {', '.join(PRESETS)}")
    for name, weight in weights.items():
        if weight < 1:
            raise OptionError(f"the weight of mask preset {name} must be a whole number of at least 1, not {weight}")
    choices = tuple((weight, find_preset(name)) for name, weight in weights.items())
    return MaskPreset(", ".join(weights), choices, max_area=1.0)


def find_preset(name: str) -> MaskPreset:
    """Return the preset called `name`; `OptionError` lists the known ones."""
    check_known("mask preset", (name,), PRESETS)
    return PRESETS[name]


@dataclass(frozen=True)
class MaskStatistics:
    """What a preset yields: shares of the image (0 to 1) over `count` accepted masks.

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
    histogram = tuple(float(share) for share in bins / count)
    return MaskStatistics(float(areas.mean()), histogram, rejected / (rejected + count), count)


def _checked(size: Size) -> Size:
    h, w = size
    if min(h, w) < MIN_SIDE:
        raise OptionError(f"a mask of {w}x{h} is too small; each side needs at least {MIN_SIDE} pixels")
    return int(h), int(w)
