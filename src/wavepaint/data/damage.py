"""Images with damage that is known to the sample: what a detector learns from and is measured with.

An image may get more thin things that belong to its scene, ages (grey, sepia, faded, grain), is damaged, and is stored
(blur, noise, JPEG). Some stay as they are but for the damage, and many get no damage. Everything follows from a seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wavepaint.data import damage_kinds as draw
from wavepaint.data.crops import Batch, CropSource, random_crop
from wavepaint.data.damage_kinds import Coverage, Samples
from wavepaint.data.images import RGB, ImageSource, Skipped
from wavepaint.data.mask_kinds import Size, opencv
from wavepaint.data.scenery import with_scenery
from wavepaint.data.seeding import rng_for
from wavepaint.options import DAMAGE_KINDS

VISIBLE = 12
"""Levels of 255 by which damage must change a sample to count as damage."""
CLEAN = "clean"
"""Name of the validation crops without damage."""
_ZOOM = 4.0
_SEED = 0
_CELL = 128**2
"""Area in pixels for which the numbers of things are meant, at a unit of 1."""


@dataclass(frozen=True)
class Damaged:
    """A damaged image.

    Attributes:
        image: (h, w, 3) uint8 RGB.
        mask: (3, h, w) bool, True = damage, a channel for each of `DAMAGE_KINDS`.
        truth: (h, w, 3) uint8 RGB: the same image, aged and stored likewise, without damage; None if not asked for.
    """

    image: RGB
    mask: NDArray[np.bool_]
    truth: RGB | None


class _Canvas:
    """An image under damage, and the mask of what was damaged so far; `hard`: more of what is hardest to find."""

    def __init__(self, image: Samples, unit: float, rng: np.random.Generator, hard: bool) -> None:
        self.image, self.unit, self.rng, self.hard = image, unit, rng, hard
        self.size: Size = image.shape[:2]
        self.mask = np.zeros((len(DAMAGE_KINDS), *self.size), bool)

    def paint(self, kind: str, covered: Coverage, colour: Samples, opacity: float) -> None:
        """Lay a colour, (3,) or (h, w, 3), over what is covered."""
        covered = covered * np.float32(opacity)
        change = covered[..., None] * (colour.astype(np.float32) - self.image)
        self.image = self.image + change
        red, green, blue = np.moveaxis(np.abs(change), -1, 0)
        visible = np.maximum(np.maximum(red, green), blue) >= VISIBLE
        self.mask[DAMAGE_KINDS.index(kind)] |= visible & (covered > 0.15)

    def contrasting(self, covered: Coverage, light: float, tint: float = 0.0) -> Samples:
        """A tone, light with probability `light`, that differs from what it covers; `tint` is how coloured it is."""
        rng, weight = self.rng, float(covered.sum())
        under = float((covered * self.image[..., 1]).sum() / weight) if weight else 128.0
        bright = rng.random() < (0 if under > 170 else 1 if under < 75 else light)
        tone = rng.uniform(215, 255) if bright else rng.uniform(0, 45)
        return np.clip(tone + tint * rng.normal(0, 70, 3), 0, 255).astype(np.float32)

    def number(self, mean: float, most: int = 40) -> int:
        """How many things of a kind there are, by the area."""
        return int(min(self.rng.poisson(mean * self.size[0] * self.size[1] / (_CELL * self.unit)), most))


def _scratches(canvas: _Canvas) -> None:
    rng = canvas.rng
    kinds = (draw.scratches, draw.scratches, draw.hairs, draw.hairs, draw.cracks, draw.fold, draw.torn)
    weights = np.array((5, 4, 5, 4, 3, 3, 1.5) if canvas.hard else (5, 4, 5, 4, 3, 2, 0.5))
    for _ in range(1 + canvas.number(0.8, 10)):
        kind = kinds[rng.choice(len(kinds), p=weights / weights.sum())]
        covered = kind(canvas.size, canvas.unit, rng)
        light = {draw.hairs: 0.4, draw.cracks: 0.6, draw.fold: 0.85, draw.torn: 0.7}.get(kind, 0.6)
        colour = canvas.contrasting(covered, light, float(rng.integers(7) == 0))
        canvas.paint("scratches", covered, colour, rng.uniform(0.55, 1))


def _dust(canvas: _Canvas) -> None:
    rng, size, unit = canvas.rng, canvas.size, canvas.unit
    for _ in range(rng.choice((1, 1, 2))):
        count = 1 + canvas.number(rng.choice((2, 6, 18)), 150)
        covered = draw.specks(size, unit, rng, count)
        canvas.paint("dust", covered, canvas.contrasting(covered, 0.65, 0.3 * rng.integers(2)), rng.uniform(0.55, 1))
    if rng.integers(3 if canvas.hard else 8) == 0:
        for _ in range(1 + canvas.number(0.1, 4)):
            covered = draw.stain(size, unit, rng)
            darker = canvas.image.mean() > 90 or rng.integers(2)
            tint = rng.uniform(0.25, 0.7) * rng.uniform(0.7, 1.1, 3) if darker else rng.uniform(1.5, 2.5)
            canvas.paint("dust", covered, np.clip(canvas.image * tint, 0, 255), rng.uniform(0.5, 1))


def _stamps(canvas: _Canvas) -> None:
    cv2, rng, size, unit = opencv(), canvas.rng, canvas.size, canvas.unit
    captions, watermarks = (3, 3) if canvas.hard else (2, 1)
    kinds = 2 * ("date",) + captions * ("caption",) + watermarks * ("watermark",)
    kind = kinds[rng.integers(len(kinds))]
    if kind == "date":
        covered = draw.date_stamp(size, unit, rng)
        colours = ((255, 120, 20), (255, 60, 30), (255, 190, 40), (255, 235, 90), (120, 255, 120), (255, 255, 255))
        colour = np.array(colours[rng.integers(6)], np.float32) * np.float32(rng.uniform(0.8, 1))
        if rng.integers(2):  # its light spreads in the film
            glow = cv2.GaussianBlur(covered, (0, 0), unit * rng.uniform(1, 2.5))
            canvas.paint("stamps", glow, colour * (1, 0.7, 0.6), rng.uniform(0.3, 0.7))
        canvas.paint("stamps", covered, colour, rng.uniform(0.75, 1))
    elif kind == "caption":
        covered = draw.caption(size, unit, rng)
        colour = canvas.contrasting(covered, 0.75, float(rng.integers(3) == 0))
        if rng.integers(3) == 0:  # an outline or a shadow
            around = 2 * round(rng.uniform(0.6, 1.5) * unit) + 1
            shadow = cv2.dilate(covered, np.ones((around, around), np.uint8))
            shadow = np.roll(shadow, rng.integers(0, around, 2), (0, 1)) if rng.integers(2) else shadow
            canvas.paint("stamps", shadow, 255 - colour, rng.uniform(0.6, 1))
        canvas.paint("stamps", covered, colour, rng.uniform(0.8, 1))
    else:
        covered = draw.watermark(size, unit, rng)
        canvas.paint("stamps", covered, canvas.contrasting(covered, 0.8), rng.uniform(0.2, 0.6))


_DAMAGE: dict[str, tuple[float, Callable[[_Canvas], None]]] = {
    "dust": (0.6, _dust),
    "scratches": (0.65, _scratches),
    "stamps": (0.6, _stamps),
}
"""How often a damaged image has each kind, and what draws it; in this order."""


def damaged(
    image: RGB,
    rng: np.random.Generator,
    kinds: Sequence[str] | None = None,
    zoom: float = 1.0,
    with_truth: bool = False,
    plain: bool = False,
) -> Damaged:
    """Age and damage an image.

    Args:
        image: (h, w, 3) uint8 RGB.
        rng: random generator.
        kinds: of `DAMAGE_KINDS`, all of which it gets; None, for training, to draw them, none at all for two of five
            images, and more of what is hardest to find: watermarks, stains, folds, torn corners.
        zoom: by how much the image was enlarged before; damage is up to about so much wider, too.
        with_truth: whether the result holds the undamaged image, too.
        plain: neither age nor store it: damage alone.
    """
    unit = float(np.clip(zoom ** rng.uniform(0.4, 1.1) * np.exp(rng.normal(0, 0.2)), 0.85, 1.1 * _ZOOM))
    aged = image.astype(np.float32) if plain else _aged(image.astype(np.float32), unit, rng)
    canvas = _Canvas(aged, unit, rng, hard=kinds is None)
    if kinds is None:
        kinds = [kind for kind, (often, _) in _DAMAGE.items() if rng.random() < often] if rng.random() < 0.6 else []
    for kind, (_, damage) in _DAMAGE.items():
        if kind in kinds:
            damage(canvas)
    images = (canvas.image, aged) if with_truth else (canvas.image,)
    after, *before = [_bytes(each) for each in images] if plain else _stored(images, unit, rng)
    return Damaged(after, canvas.mask, before[0] if with_truth else None)


def _aged(image: Samples, unit: float, rng: np.random.Generator) -> Samples:
    """Tone, colour and grain of old images, each for a part of them."""
    cv2, (h, w) = opencv(), image.shape[:2]
    if rng.integers(4) == 0:
        image = np.repeat(image @ np.array([[0.299], [0.587], [0.114]], np.float32), 3, axis=2)
        if rng.integers(3) == 0:  # sepia
            image = image * (1.05, 0.9, 0.68) + (8, 3, 0)
    if rng.integers(3) == 0:  # faded, or of a cast
        low, high = rng.uniform(0, 60), rng.uniform(170, 255)
        image = low + image * ((high - low) / 255) * rng.uniform(0.85, 1.1, 3)
    if rng.integers(5) == 0:
        image = 255 * (np.clip(image, 0, 255) / 255) ** rng.uniform(0.6, 1.6)
    image = image.astype(np.float32)
    if rng.integers(5) < 3:
        grain = rng.standard_normal((h, w, 1), np.float32) + 0.4 * rng.standard_normal((h, w, 3), np.float32)
        if rng.integers(2):
            grain = cv2.GaussianBlur(grain, (0, 0), 0.45 * unit) * (0.8 * unit + 0.6)
        image = image + grain * np.float32(14 * rng.uniform() ** 2)
    return np.clip(image, 0, 255)


def _stored(images: Sequence[Samples], unit: float, rng: np.random.Generator) -> list[RGB]:
    """Blur and noise of the scanner, and JPEG: the same for all."""
    cv2 = opencv()
    blur = rng.uniform(0.3, 0.5 * unit) if rng.integers(3) == 0 else 0.0
    noise = rng.normal(0, 2.5 * rng.uniform() ** 2, images[0].shape).astype(np.float32)
    quality = int(rng.integers(55, 99)) if rng.integers(2) else 0
    results = []
    for image in images:
        sharp = cv2.GaussianBlur(image, (0, 0), blur) if blur > 0.3 else image
        result = _bytes(sharp + noise)
        if quality:
            result = cv2.imdecode(
                cv2.imencode(".jpg", result, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR
            )
        results.append(result)
    return results


def _bytes(image: Samples) -> RGB:
    samples: RGB = np.clip(image + 0.5, 0, 255).astype(np.uint8)
    return samples


def damaged_crop(
    image: RGB,
    side: int,
    rng: np.random.Generator,
    kinds: Sequence[str] | None = None,
    with_truth: bool = False,
) -> Damaged:
    """A random part of an image at 1 to 4 times its size, (side, side), at times with more in its scene, damaged.

    See `damaged` for the arguments; an image smaller than the part is continued by reflection.
    """
    plain = rng.random() < 0.3  # what most images are
    zoom = 1.0 if plain or rng.integers(4) == 0 else _ZOOM ** rng.uniform()
    part = random_crop(image, round(side / zoom), 1.0, rng)
    if not plain and rng.integers(2):
        part = np.clip(with_scenery(part.astype(np.float32), rng), 0, 255).astype(np.uint8)
    if part.shape[0] != side:
        part = opencv().resize(part, (side, side), interpolation=opencv().INTER_CUBIC)
    return damaged(part, rng, kinds, zoom, with_truth, plain)


class DamagedCrops(CropSource):
    """Batches of another source, damaged: the masks are the damage, (B, 3, H, W), instead of holes.

    Args:
        source: of whole crops.
        seed: of the damage; that of a batch follows from it, the batch's number and the process's.
        rank: number of this process.
    """

    def __init__(self, source: CropSource, seed: int, rank: int = 0) -> None:
        self._source, self._seed, self._rank, self._done = source, seed, rank, 0

    @property
    def skipped(self) -> Sequence[Skipped]:
        """The broken images found so far."""
        return self._source.skipped

    def next(self, side: int) -> Batch:
        """The next batch of crops of this side."""
        batch = self._source.next(side)
        rng = rng_for(self._seed, f"damage {self._done} of process {self._rank}")
        crops = (image.permute(1, 2, 0).numpy() for image in batch["image"].cpu())
        images = (
            each if rng.integers(2) else sharpened(each, rng.uniform(0.5, 1), rng.uniform(0, 2)) for each in crops
        )
        results = [damaged_crop(image, side, rng) for image in images]
        self._done += 1
        image, mask = _tensors(results)
        return Batch(image=image, mask=mask, name=batch["name"])

    def state_dict(self) -> dict[str, Any]:
        """Where it is, in plain values."""
        return {**self._source.state_dict(), "damaged": self._done}

    def load_state_dict(self, state: dict[str, Any]) -> bool:
        """Continue from a state; whether exactly."""
        self._done = state["damaged"]
        return self._source.load_state_dict({name: value for name, value in state.items() if name != "damaged"})

    def close(self) -> None:
        """Stop what works for it."""
        self._source.close()


class DamagedSet:
    """Crops to validate a detector with: of every image one with each kind of damage alone, and a clean one.

    Args:
        source: images; broken ones are left out.
        count: images at most.
        crop: side in pixels.
        max_pixels: larger images are reduced to about this many pixels.
    """

    kinds = (*DAMAGE_KINDS, CLEAN)

    def __init__(self, source: ImageSource, count: int, crop: int, max_pixels: int) -> None:
        self._crops: dict[str, list[Damaged]] = {kind: [] for kind in self.kinds}
        self.names: list[str] = []
        for name, image in islice(source.readable(max_pixels), count):
            self.names.append(name)
            for kind, crops in self._crops.items():
                rng = rng_for(_SEED, f"validation/{kind}/{name}")
                crops.append(damaged_crop(image, crop, rng, [kind] if kind != CLEAN else []))

    def __len__(self) -> int:
        return len(self.names)

    def batch(self, kind: str, start: int, stop: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Crops `start` to `stop`: (B, 3, H, W) float32 in [0, 1], and damage (B, 3, H, W) float32, 1 = damage."""
        image, mask = _tensors(self._crops[kind][start:stop])
        return image.to(device).float() / 255, mask.to(device).float()


def sharpened(image: RGB, sigma: float, amount: float) -> RGB:
    """With an unsharp mask: cameras write crisper edges than most images that are collected."""
    samples = image.astype(np.float32)
    return _bytes(samples + np.float32(amount) * (samples - opencv().GaussianBlur(samples, (0, 0), sigma)))


def _tensors(crops: Sequence[Damaged]) -> tuple[Tensor, Tensor]:
    images = torch.from_numpy(np.stack([crop.image for crop in crops])).permute(0, 3, 1, 2)
    return images, torch.from_numpy(np.stack([crop.mask for crop in crops]))
