"""The field's protocol: fixed crops, seeded masks, every method on the same holes, scores on composites."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePosixPath
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wavepaint.data.crops import mirrored_outwards
from wavepaint.data.masks import find_preset
from wavepaint.data.seeding import rng_for
from wavepaint.errors import OptionError
from wavepaint.evaluation.metrics import BoolMask, FloatArray, Image, pixel_scores

KINDS = ("thin", "medium", "thick")


@dataclass(frozen=True, eq=False)
class Item:
    """One hole to fill.

    Attributes:
        name: of the image; unique within a kind.
        kind: of the mask.
        truth: uint8 RGB `(H, W, 3)`.
        mask: bool `(H, W)`, True = hole.
        rejected: masks that were drawn before this one and had too large an area.
    """

    name: str
    kind: str
    truth: Image
    mask: BoolMask
    rejected: int = 0

    @property
    def hole_area(self) -> float:
        """Share of the image, 0 to 1."""
        return float(self.mask.mean())

    @property
    def known(self) -> Image:
        """The truth with zeros in the hole: all that a method may see."""
        return np.where(self.mask[..., None], np.uint8(0), self.truth)

    def composite(self, filled: Image) -> Image:
        """`filled` inside the hole, the truth elsewhere."""
        return np.where(self.mask[..., None], filled, self.truth)


class Method(Protocol):
    """Anything that fills holes."""

    @property
    def name(self) -> str:
        """As shown in tables; unique within an evaluation."""
        ...

    def __call__(self, items: Sequence[Item]) -> list[Image]:
        """One uint8 RGB image per item, of its size; what lies outside the hole is not looked at.

        A method works from `Item.known`, never from the truth.
        """
        ...


Scorer = Callable[[Image, NDArray[np.uint8], BoolMask], Mapping[str, FloatArray]]
"""`(truth, composites (M, H, W, 3), mask)` -> `(M,)` values of each score, named as in `metrics.METRICS`."""


@dataclass(frozen=True)
class Row:
    """The scores of one method on one item."""

    method: str
    kind: str
    name: str
    hole_area: float
    hole_pixels: int
    scores: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Evaluated:
    """One item with everything measured on it.

    Attributes:
        item: the hole and its truth.
        composites: `(M, H, W, 3)`, one per method in their order.
        rows: one per method in their order.
    """

    item: Item
    composites: NDArray[np.uint8]
    rows: tuple[Row, ...]


class SetScorer(Protocol):
    """Collects what a score of a whole set needs."""

    def add(self, evaluated: Evaluated) -> None:
        """Take in one item."""
        ...

    def scores(self, kind: str, methods: int) -> Mapping[str, list[float]]:
        """The scores of a kind of mask, named as in `results.SET_METRICS`, one value for each of the methods."""
        ...


def item_name(image: str) -> str:
    """An image's name in a test set: without extensions, folders and shards joined by hyphens.

    >>> item_name("val-0000.tar/000012.webp")
    'val-0000-000012'
    """
    return "-".join(part.removesuffix(".tar") for part in PurePosixPath(image).with_suffix("").parts)


def centre_crop(image: Image, size: int) -> Image:
    """The central `(size, size, 3)` of an image; a side that is too short is mirrored outwards first.

    Mirroring instead of scaling keeps every sample exact, so that a crop is the same on every machine.
    """
    image = mirrored_outwards(image, size)
    top, left = ((side - size) // 2 for side in image.shape[:2])
    return np.ascontiguousarray(image[top : top + size, left : left + size])


def make_items(
    images: Iterable[tuple[str, Image]],
    kinds: Sequence[str] = KINDS,
    *,
    size: int = 256,
    seed: int = 0,
) -> Iterator[Item]:
    """Centre crops with one seeded mask per kind.

    The mask depends on `seed`, the item's name and the kind alone, not on the images around it.

    Args:
        images: names and uint8 RGB images `(H, W, 3)` of any size (an `ImageSource`, say); items
            are named by `item_name`.
        kinds: mask presets.
        size: side of the crops.
        seed: of the masks.

    Raises:
        OptionError: an unknown kind, a size too small for it, or two images of one name.
    """
    presets = [(kind, find_preset(kind)) for kind in kinds]
    sources: dict[str, str] = {}
    for source, image in images:
        name = item_name(source)
        if name in sources:
            raise OptionError(f"{source} and {sources[name]} would both be called {name}")
        sources[name] = source
        truth = centre_crop(image, size)
        for kind, preset in presets:
            mask, rejected = preset.sample((size, size), rng_for(seed, f"{name}/{kind}"))
            yield Item(name, kind, truth, mask, rejected)


def evaluate(
    items: Iterable[Item],
    methods: Sequence[Method],
    scorers: Sequence[Scorer] = (pixel_scores,),
    *,
    batch_size: int = 4,
) -> Iterator[Evaluated]:
    """Fill every item with every method and score the composites, a few items in memory at a time.

    Raises:
        OptionError: no methods, or two of the same name.
    """
    names = [method.name for method in methods]
    if not names or len(set(names)) < len(names):
        raise OptionError(f"methods must be at least one and all different, got: {', '.join(names) or 'none'}")
    remaining = iter(items)
    while batch := list(islice(remaining, batch_size)):
        filled = [method(batch) for method in methods]
        for item, images in zip(batch, zip(*filled, strict=True), strict=True):
            composites = np.stack([item.composite(image) for image in images])
            scores: dict[str, FloatArray] = {}
            for scorer in scorers:
                scores.update(scorer(item.truth, composites, item.mask))
            area, pixels = item.hole_area, int(np.count_nonzero(item.mask))
            rows = tuple(
                Row(name, item.kind, item.name, area, pixels, {key: float(v[i]) for key, v in scores.items()})
                for i, name in enumerate(names)
            )
            yield Evaluated(item, composites, rows)
