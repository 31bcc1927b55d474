"""Training samples from images that are decoded once and stay in memory, where crops and masks cost next to nothing.

A few thousand images of 256 to 512 pixels are some gigabytes as bytes: they fit beside the network on an accelerator,
and in the memory of a laptop.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from wavepaint.cores import available_cores
from wavepaint.data.crops import Batch, CropSource
from wavepaint.data.images import ImageSource
from wavepaint.data.masks import mixed_preset
from wavepaint.data.seeding import rng_for
from wavepaint.errors import OptionError

_SAMPLED = 32
"""Images from which the memory of all is estimated."""
_MEMORY_SHARE = 0.5
"""Of the free memory, at most, for the images."""


class ImageBank:
    """Images of any size as one flat uint8 tensor on a device.

    Args:
        images: uint8 RGB `(h, w, 3)`.
        device: where they stay.

    Raises:
        OptionError: there are none.
    """

    def __init__(self, images: Iterable[NDArray[np.uint8]], device: torch.device) -> None:
        decoded = list(images)
        if not decoded:
            raise OptionError("no images to train on")
        sizes = [image.shape[:2] for image in decoded]
        lengths = np.array([image.size for image in decoded])
        offsets = np.cumsum(lengths) - lengths
        self.samples = torch.empty(int(lengths.sum()), dtype=torch.uint8, device=device)
        # From the last on, each forgotten once it is copied: memory holds them about once.
        for offset, length in zip(offsets[::-1], lengths[::-1], strict=True):
            image = torch.from_numpy(np.ascontiguousarray(decoded.pop()).reshape(-1))
            self.samples[int(offset) : int(offset + length)] = image.to(device)
        self.offsets = torch.from_numpy(offsets).to(device)
        self.sizes = torch.tensor(sizes, device=device)

    def __len__(self) -> int:
        return len(self.sizes)

    def crops(self, batch: int, side: int, scale: float, generator: torch.Generator) -> Tensor:
        """Random crops of `side * scale` pixels reduced to `side`, flipped at random.

        Images smaller than the crop are continued by reflection.

        Returns:
            (batch, 3, side, side) float32 in [0, 1].
        """
        device, span = self.samples.device, max(side, round(side * scale))
        chosen = torch.randint(len(self), (batch,), generator=generator, device=device)
        sizes = self.sizes[chosen]  # (batch, 2)
        room = (sizes - span + 1).clamp_min(1)
        corner = (torch.rand((batch, 2), generator=generator, device=device) * room).long()
        steps = torch.arange(span, device=device)
        rows = _reflect(corner[:, :1] + steps, sizes[:, :1])
        columns = _reflect(corner[:, 1:] + steps, sizes[:, 1:])
        flip = torch.rand((batch, 1), generator=generator, device=device) < 0.5
        columns = torch.where(flip, columns.flip(1), columns)
        pixel = rows[:, :, None] * sizes[:, 1, None, None] + columns[:, None, :]
        index = self.offsets[chosen, None, None] + 3 * pixel  # (batch, span, span)
        image = self.samples[index[:, None] + torch.arange(3, device=device).view(1, 3, 1, 1)].float() / 255
        if span != side:
            image = F.interpolate(image, size=(side, side), mode="bilinear", antialias=True)
        return image


def _reflect(index: Tensor, size: Tensor) -> Tensor:
    """Fold indices beyond the border back inside, however far out they are."""
    period = (2 * size - 2).clamp_min(1)
    folded = index % period
    return torch.where(folded >= size, period - folded, folded).clamp_max(size - 1)


class MaskBank:
    """Masks of 256 pixels, drawn once, from which steps take crops, flips and rotations.

    Args:
        weights: mask presets and how often each is drawn.
        count: masks.
        seed: of all of them.
        device: where they stay.
    """

    SIDE = 256

    def __init__(self, weights: Mapping[str, int], count: int, seed: int, device: torch.device) -> None:
        preset, size = mixed_preset(weights), (self.SIDE, self.SIDE)
        masks = [preset.draw(size, rng_for(seed, f"mask {number}")) for number in range(count)]
        self.masks = torch.from_numpy(np.stack(masks)).to(device)

    def crops(self, batch: int, side: int, generator: torch.Generator) -> Tensor:
        """(batch, 1, side, side) float32, 1 = hole; each has at least one known and one hole sample."""
        device = self.masks.device
        # Between a plain crop and the whole mask reduced: small crops too should meet whole shapes.
        smallest = min(side, self.SIDE)
        span = int(torch.randint(smallest, self.SIDE + 1, (1,), generator=generator, device=device))
        chosen = torch.randint(len(self.masks), (4 * batch,), generator=generator, device=device)
        top, left = torch.randint(self.SIDE - span + 1, (2, 4 * batch, 1), generator=generator, device=device)
        steps = torch.arange(side, device=device) * span // side
        masks = self.masks[chosen[:, None, None], (top + steps)[:, :, None], (left + steps)[:, None, :]]
        turned, *flipped = (bool(torch.rand((), generator=generator, device=device) < 0.5) for _ in range(3))
        masks = masks.transpose(1, 2) if turned else masks
        masks = masks.flip([axis for axis, each in zip((1, 2), flipped, strict=True) if each])
        # Of four candidates per crop, take those whose area is neither nothing nor nearly everything.
        area = masks.float().mean((1, 2))
        fit = (area > 0.005) & (area < 0.6)
        order = torch.argsort(fit.int(), descending=True, stable=True)[:batch]
        masks = masks[order].clone()
        masks[:, 0, 0] &= area[order] < 1
        masks[:, -1, -1] |= area[order] == 0
        return masks.unsqueeze(1).float()


class ResidentCrops(CropSource):
    """Batches from images and masks in memory: batch k follows from the seed, k and the process's number alone.

    Args:
        images: to crop.
        masks: to crop.
        batch_size: crops in a batch.
        seed: of the run.
        max_scale: crops show up to this times their side, reduced.
        rank: number of this process.
    """

    def __init__(
        self, images: ImageBank, masks: MaskBank, batch_size: int, seed: int, max_scale: float, rank: int = 0
    ) -> None:
        self._images, self._masks = images, masks
        self._batch_size, self._seed, self._max_scale, self._rank = batch_size, seed, max_scale, rank
        self._generator = torch.Generator(images.samples.device)
        self._done = 0

    def next(self, side: int) -> Batch:
        """The next batch of crops of this side."""
        rng = rng_for(self._seed, f"batch {self._done} of process {self._rank}")
        self._generator.manual_seed(int(rng.integers(2**63)))
        scale = self._max_scale ** rng.uniform()
        image = self._images.crops(self._batch_size, side, scale, self._generator)
        mask = self._masks.crops(self._batch_size, side, self._generator)
        self._done += 1
        return Batch(image=(image * 255 + 0.5).to(torch.uint8), mask=mask > 0, name=[])

    def state_dict(self) -> dict[str, Any]:
        """Where it is, in plain values."""
        return {"source": "memory", "done": self._done, "batch_size": self._batch_size}

    def load_state_dict(self, state: dict[str, Any]) -> bool:
        """Continue after a state; whether exactly."""
        self._done = state["done"]
        return state == self.state_dict()


def decoded_images(source: ImageSource, max_pixels: int) -> list[NDArray[np.uint8]]:
    """Decode all images, several at a time; broken ones are left out, and named in `source.skipped`."""
    with ThreadPoolExecutor(available_cores()) as pool:
        images = pool.map(lambda index: source.read_if_whole(index, max_pixels), range(len(source)))
        return [image for image in images if image is not None]


def too_large_for_memory(source: ImageSource, max_pixels: int) -> str | None:
    """Why the decoded images should not stay in memory, from the mean size of a few; None if they may."""
    sampled = np.linspace(0, len(source) - 1, min(_SAMPLED, len(source))).astype(int).tolist()
    sizes = [image.size for index in sampled if (image := source.read_if_whole(index, max_pixels)) is not None]
    free = _free_memory()
    needed = len(source) * float(np.mean(sizes or [0]))
    if free is None or needed <= _MEMORY_SHARE * free:
        return None
    return f"{len(source)} images need {needed / 2**30:.1f} GiB in memory, of which {free / 2**30:.1f} GiB are free"


def _free_memory() -> float | None:
    """Bytes that can be had without swapping; None where the system does not say."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            values = dict(line.split(":") for line in file)
        return float(values["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None
