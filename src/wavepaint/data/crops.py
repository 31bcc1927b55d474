"""Training samples: random crops of images with random masks, in an order that can be resumed exactly.

Sample k of a stream is a pure function of (seed, k) and of which stream of how many it is: nothing depends
on timing, and continuing at sample k costs no more than decoding the images that k needs.

An epoch shuffles all images. Each is decoded once and cropped `crops_per_image` times; these crops lie
far apart, because at every step one new image comes in and older ones, still decoded, are cropped again:

    step q:  image q, image q - D, image q - 2D, ...      (modulo their number)

with the distance D chosen such that at most `pool_size` decoded images are held.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from wavepaint.data.images import RGB, ImageSource, Skipped
from wavepaint.data.mask_kinds import BoolMask
from wavepaint.data.masks import MIN_SIDE, mixed_preset
from wavepaint.data.seeding import rng_for
from wavepaint.errors import ImageError, OptionError

if TYPE_CHECKING:
    from torch import Tensor

Sample = tuple[RGB, BoolMask, str]
"""A crop `(3, crop, crop)`, its hole `(1, crop, crop)`, True = hole, and the image's name in its source."""


class Batch(TypedDict):
    """Samples stacked."""

    image: Tensor
    """uint8 RGB `(B, 3, crop, crop)`, the whole truth: nothing is blanked under the mask."""
    mask: Tensor
    """bool `(B, 1, crop, crop)`, True = hole."""
    name: list[str]
    """The images' names."""


class CropSource(ABC):
    """Where batches come from."""

    @property
    def skipped(self) -> Sequence[Skipped]:
        """The broken images found so far, apart from those that `ImageSource` names."""
        return ()

    @abstractmethod
    def next(self, side: int) -> Batch:
        """The next batch of crops of this side, in pixels."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Where it is, in plain values."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> bool:
        """Continue from a state; whether exactly."""

    def close(self) -> None:  # noqa: B027
        """Stop what works for it."""


@dataclass(frozen=True)
class CropOptions:
    """Which crops are taken.

    Attributes:
        masks: name of the mask preset, or weights of several by name.
        crops_per_image: samples taken from each image in an epoch.
        pool_size: decoded images held at once, by all processes together (each holds at least
            `2 * crops_per_image + 1`). With `max_pixels` it bounds the memory: about `3 * max_pixels` bytes
            each, 768 MiB for all with the defaults, and less for smaller images.
        max_pixels: larger images are reduced to about this many pixels when they are decoded.
        max_scale: a sample shows a square of the image of up to `max_scale * crop` pixels, reduced.
    """

    masks: str | Mapping[str, int] = "everyday"
    crops_per_image: int = 4
    pool_size: int = 256
    max_pixels: int = 2**20
    max_scale: float = 2.0

    def __post_init__(self) -> None:
        mixed_preset(self.masks)
        for name in ("crops_per_image", "pool_size", "max_pixels", "max_scale"):
            value = getattr(self, name)
            _require(value >= 1, f"{name} must be at least 1, not {value}")


@dataclass(frozen=True, eq=False)
class CropDataset:
    """Random crops of images, each with a random mask.

    Args:
        source: the images.
        options: which crops.
        crop: side of the square samples in pixels, at least `MIN_SIDE` of `wavepaint.data.masks`.
        seed: random seed.
        rank: number of this process among `world_size` processes that share the images.
        world_size: number of processes.

    Images smaller than the crop are extended by reflection. For one that cannot be decoded the next in
    the shuffled order steps in, so that all streams keep their length; `source.skipped` names it. Every other
    image gives exactly `crops_per_image` samples an epoch over all processes and workers, as long as
    there are at least as many images as workers.
    """

    source: ImageSource
    options: CropOptions = field(default_factory=CropOptions)
    crop: int = 256
    seed: int = 0
    rank: int = field(default=0, kw_only=True)
    world_size: int = field(default=1, kw_only=True)

    def __post_init__(self) -> None:
        _require(len(self.source) > 0, "training needs at least one image")
        _require(self.crop >= MIN_SIDE, f"crop must be at least {MIN_SIDE}, not {self.crop}")
        _require(0 <= self.rank < self.world_size, f"rank must be from 0 to {self.world_size - 1}, not {self.rank}")

    def samples(self, worker: int = 0, workers: int = 1, start: int = 0) -> Iterator[Sample]:
        """Return the samples of one of the `workers` of this process without end, from its sample `start` on.

        Raises `ImageError` if no image at all can be decoded.
        """
        stream, streams = worker * self.world_size + self.rank, workers * self.world_size
        # With fewer images than streams some are given to several, so that no stream runs dry.
        total = max(len(self.source), streams)
        images = len(range(stream, total, streams))
        # Between two uses of an image, distance * repeats others come by.
        repeats = self.options.crops_per_image
        distance = max(2, self.options.pool_size // (streams * repeats))
        max_pixels, size, masks = self.options.max_pixels, (self.crop, self.crop), mixed_preset(self.options.masks)
        decoded = lru_cache(distance * repeats + 1)(lambda index: self.source.read_if_whole(index, max_pixels))

        epoch, done = divmod(start, images * repeats)
        while True:
            order = rng_for(self.seed, f"epoch {epoch}").permutation(len(self.source))
            for k in range(done, images * repeats):
                step, repeat = divmod(k, repeats)
                position = (step - repeat * distance) % images * streams + stream
                index, image = self._first_whole(decoded, order, position % len(order))
                rng = rng_for(self.seed, f"{epoch}/{position}/{repeat}")
                crop = random_crop(image, self.crop, self.options.max_scale, rng)
                yield crop.transpose(2, 0, 1), masks.draw(size, rng)[None], self.source.name(index)
            epoch, done = epoch + 1, 0

    def _first_whole(
        self, decoded: Callable[[int], RGB | None], order: NDArray[np.int64], position: int
    ) -> tuple[int, RGB]:
        """Index and image at `position` of `order`, or of the first after it that can be decoded."""
        for ahead in range(len(order)):
            index = int(order[(position + ahead) % len(order)])
            if (image := decoded(index)) is not None:
                return index, image
        raise ImageError(f"none of the {len(order)} images can be read; {self.source.skipped[0].reason}")


def random_crop(image: RGB, crop: int, max_scale: float, rng: np.random.Generator) -> RGB:
    """Return a random `(crop, crop, 3)` part of a uint8 `(h, w, 3)` image, mirrored half of the time.

    It shows a square of `crop` to `max_scale * crop` pixels, log-uniform and at most the short side, reduced
    by area averaging. Where the image is smaller than `crop`, reflection extends it evenly on both ends.
    """
    import cv2

    h, w = image.shape[:2]
    window = max(crop, min(round(crop * max_scale ** rng.uniform()), h, w))
    seen_h, seen_w = min(window, h), min(window, w)
    top, left = int(rng.integers(h - seen_h + 1)), int(rng.integers(w - seen_w + 1))
    view = image[top : top + seen_h, left : left + seen_w]
    view = mirrored_outwards(view, window)
    if rng.integers(2):
        view = view[:, ::-1]
    view = np.ascontiguousarray(view)
    if window > crop:
        view = cv2.resize(view, (crop, crop), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    return view


def mirrored_outwards(image: RGB, side: int) -> RGB:
    """Return an `(h, w, 3)` image whose sides are at least so long: reflection extends it evenly on both ends."""
    short = [max(0, side - length) for length in image.shape[:2]]
    if any(short):
        image = np.pad(image, [(gap // 2, gap - gap // 2) for gap in short] + [(0, 0)], mode="symmetric")
    return image


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise OptionError(message)
