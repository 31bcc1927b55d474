"""The network's fill of every hole of an image: windows, coarse to fine, blended over what is known.

Wide holes are filled on a reduced copy first (their interior), then at full resolution (the border band); `regions`
says how a hole is cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from wavepaint.box import Box, overlay
from wavepaint.cancellation import check_cancelled
from wavepaint.fill.depth import coarse_levels_of, work_pixels
from wavepaint.fill.flat import fill_flat
from wavepaint.fill.grain import draw_grain, grain_of, missing_grain
from wavepaint.fill.padding import Padding
from wavepaint.fill.patches import Floats, Mask
from wavepaint.fill.pyramid import enlarge, haar_fill, halve_known
from wavepaint.fill.regions import Region, batches, find_regions, in_groups
from wavepaint.fill.units import colours_of, from_unit, to_unit
from wavepaint.fill.wide import WideHole, WideSizes, find_wide
from wavepaint.runtime.base import GUESSED, Runtime

READ_PIXELS = 2**24
"""Crops of at most this many pixels are read in one pass over a file, and held together."""
GRAIN_PIXELS = 2**20
"""Pixels around a wide hole whose grain is measured."""
GRAIN_ROWS = 16
"""Rows that are measured together: a multiple of the largest block of `grain_of`."""

Samples: TypeAlias = NDArray[Any]
Patch: TypeAlias = tuple[Box, Samples]
"""A box, and the samples (box.height, box.width, channels) that replace those of the image there."""
Crop: TypeAlias = tuple[Samples, Mask, Box]
"""Samples (h, w, channels), what of them is hole, (h, w) bool, and where they lie."""


class Readable(Protocol):
    """What filling asks of an image."""

    def read_boxes(self, boxes: Sequence[Box]) -> list[Samples]:
        """Samples (height, width, channels) of each box, arrays of their own."""
        ...


@dataclass(frozen=True, eq=False)
class Plan:
    """How the holes of a mask are cut.

    Attributes:
        hole: (H, W) bool, True = hole.
        wide: the pieces of wide holes whose interiors come first, in order.
        rest: (H, W) bool, what is left of the hole once these interiors are known.
        stages: the regions of the rest, to be filled one stage after the other.
        sizes: at which wide holes are cut, on reduced copies, too.
        read_pixels: crops of at most so many are read in one pass over a file.
    """

    hole: Mask
    wide: Sequence[WideHole]
    rest: Mask
    stages: Sequence[Sequence[Region]]
    sizes: WideSizes
    read_pixels: int

    @classmethod
    def of(cls, hole: Mask, sizes: WideSizes = WideSizes(), read_pixels: int = READ_PIXELS) -> Plan:
        """The plan for a mask, (H, W) bool, True = hole."""
        wide = find_wide(hole, sizes)
        height, width = hole.shape
        rest = _unknown(hole, Box(0, 0, width, height), wide) if wide else hole
        return cls(hole, wide, rest, find_regions(rest), sizes, read_pixels)

    def pixels(self, coarse_levels: int) -> float:
        """Pixels that a network of so many coarse levels is run on, in all."""
        # A quarter of a window is what its reduced copy holds.
        reduced = sum(piece.crop.area / 4 for piece in self.wide)
        regions = (region for stage in self.stages for region in stage)
        return reduced + sum(work_pixels(self.rest[region.crop.slices], coarse_levels) for region in regions)


def fill_holes(runtime: Runtime, image: Readable, plan: Plan, grain: bool) -> list[Patch]:
    """Fill the interiors of wide holes first, then the rest.

    Args:
        runtime: the network.
        image: read in boxes; what it holds inside the hole is ignored.
        plan: of its hole.
        grain: add noise like that of the surroundings.

    Returns:
        Boxes to paste: filled inside the hole, the image's own samples around it; of the image's dtype.
    """
    interiors = _fill_interiors(runtime, image, plan, grain)
    borders = _fill_regions(runtime, image, plan, interiors, grain)
    for piece, (_, guess) in zip(plan.wide, interiors, strict=True):
        for box, patch in borders:
            _feather(box, patch, piece, guess)
    return interiors + borders


def _feather(box: Box, patch: Samples, piece: WideHole, guess: Samples) -> None:
    """Blend a filled border band into the interior behind it, so that no edge shows between them."""
    common = box.intersection(piece.box)
    if common.is_empty:
        return
    share = piece.share[common.relative_to(piece.box).slices][..., None]
    here = common.relative_to(box).slices
    near, far = to_unit(patch[here]), to_unit(guess[common.relative_to(piece.box).slices])
    blended = from_unit(near + share * (far - near), patch.dtype)
    patch[here] = np.where(share > 0, blended, patch[here])


def _fill_interiors(runtime: Runtime, image: Readable, plan: Plan, grain: bool) -> list[Patch]:
    """The boxes of wide holes, filled wherever the reduced copy has a share; the rest is the image's own."""
    patches: list[Patch] = []
    for group in in_groups(plan.wide, plan.read_pixels):
        windows = image.read_boxes([piece.crop for piece in group])
        for piece, samples in zip(group, windows, strict=True):
            overlay(samples, piece.crop, patches)
            unknown = _unknown(plan.hole, piece.crop, plan.wide[: len(patches)])
            patch = samples[piece.box.relative_to(piece.crop).slices].copy()
            guess = _fill_reduced(runtime, samples, unknown, piece.box.relative_to(piece.crop), plan.sizes)
            if grain:
                guess += _grain_for(piece, samples, unknown)
            shared = piece.share > 0
            patch[shared] = from_unit(guess[shared], patch.dtype)
            patches.append((piece.box, patch))
    return patches


def _fill_reduced(runtime: Runtime, samples: Samples, unknown: Mask, box: Box, sizes: WideSizes) -> Floats:
    """Fill an image at half its resolution, however wide its holes still are there; return a part, enlarged."""
    reduced, hole = halve_known(samples, unknown)
    whole = Box(0, 0, hole.shape[1], hole.shape[0])
    overlay(reduced, whole, fill_holes(runtime, _Window(reduced), Plan.of(hole, sizes), grain=False))
    return enlarge(reduced, box)


def _unknown(hole: Mask, box: Box, known: Iterable[WideHole]) -> Mask:
    """What is left of a hole in a box once the interiors of some wide pieces are known; an array of its own."""
    unknown = hole[box.slices].copy()
    for piece in known:
        common = piece.box.intersection(box)
        if not common.is_empty:
            unknown[common.relative_to(box).slices] &= piece.share[common.relative_to(piece.box).slices] < 1
    return unknown


def _fill_regions(
    runtime: Runtime, image: Readable, plan: Plan, interiors: Sequence[Patch], grain: bool
) -> list[Patch]:
    """The boxes of regions, filled one stage after the other."""
    filled: dict[Box, Samples] = {}
    stage_of = {region: number for number, stage in enumerate(plan.stages) for region in stage}
    # Across stages, as every group costs a pass over a streamed file.
    for group in in_groups(stage_of, plan.read_pixels):
        samples = dict(zip(group, image.read_boxes([region.crop for region in group]), strict=True))
        for _, stage in groupby(group, key=stage_of.__getitem__):
            crops: dict[Region, Crop] = {}
            for region in stage:
                crop, unknown = region.crop, plan.rest[region.crop.slices].copy()
                # What its neighbours have filled counts as known.
                overlay(samples[region], crop, [*interiors, *((box, filled[box]) for box in region.known)])
                for box in region.known:
                    unknown[box.intersection(crop).relative_to(crop).slices] = False
                crops[region] = samples[region], unknown, crop
            for batch in batches(crops):
                results = _run(runtime, [crops[region] for region in batch], grain)
                filled |= {
                    # Copied, so that the much larger crop does not stay in memory.
                    region.holes: result[region.holes.relative_to(region.crop).slices].copy()
                    for region, result in zip(batch, results, strict=True)
                }
    return list(filled.items())


@dataclass(frozen=True, eq=False)
class _Window:
    """An array as something to read boxes of."""

    samples: Samples

    def read_boxes(self, boxes: Sequence[Box]) -> list[Samples]:
        return [self.samples[box.slices].copy() for box in boxes]


def _run(runtime: Runtime, crops: list[Crop], grain: bool) -> list[Samples]:
    """Fill crops of equal size, those that are as deep in one run: their samples, with those of the hole replaced."""
    levels = [coarse_levels_of(hole, runtime.coarse_levels) for _, hole, _ in crops]
    filled: dict[int, Samples] = {}
    for depth in sorted(set(levels)):
        chosen = [index for index, each in enumerate(levels) if each == depth]
        image = np.stack([_to_planes(crops[index][0]) for index in chosen])
        hole = np.stack([crops[index][1] for index in chosen])
        guesses = fill_planes(runtime, image, hole, depth)
        filled |= {index: _blend(*crops[index], guess, grain) for index, guess in zip(chosen, guesses, strict=True)}
    return [filled[index] for index in range(len(crops))]


def _blend(samples: Samples, hole: Mask, box: Box, guess: Floats, grain: bool) -> Samples:
    """Replace the hole samples of a crop by the network's, and their alpha by a smooth continuation.

    What lies in one colour, or in a gradient plane, continues it exactly, unless grain is wanted.
    """
    colours = colours_of(samples)
    planes: Floats = guess.mean(axis=0, keepdims=True) if colours == 1 else guess
    if grain:
        around = grain_of(to_unit(samples[..., :colours]).transpose(2, 0, 1), ~hole)
        planes = planes + _noise(around, grain_of(planes, hole), box)
    if samples.shape[2] > colours:
        alpha = haar_fill(to_unit(samples[..., -1]), hole)
        planes = np.concatenate((planes, alpha[None]))
    blended: Samples = np.where(hole[..., None], from_unit(planes.transpose(1, 2, 0), samples.dtype), samples)
    if not grain:
        plain, flat = fill_flat(samples, hole)
        blended[flat] = plain[flat]
    return blended


def _grain_for(piece: WideHole, samples: Samples, unknown: Mask) -> Floats:
    """The grain that the interior of a wide hole lacks, (box.height, box.width, channels); none in alpha.

    Measured in bands of whole rows of blocks, evenly spread over the window, `GRAIN_PIXELS` in all.
    """
    step = -(-unknown.size // GRAIN_PIXELS)
    rows = np.flatnonzero(np.arange(len(unknown)) // GRAIN_ROWS % step == 0)
    colours = colours_of(samples)
    around = grain_of(to_unit(samples[rows, :, :colours]).transpose(2, 0, 1), ~unknown[rows])
    # An enlarged image has no grain of its own.
    noise = _noise(around, np.zeros_like(around), piece.box)
    # It is to be 1 throughout where it fades into the border's. Two grains that know nothing of each other, weighted
    # 1 - s and s, add up to sqrt((1 - s)^2 + s^2) of either, so the second one is sqrt((2 - s) / s) times as strong.
    share = np.where(piece.share > 0, piece.share, np.float32(1))[..., None]
    grain = noise.transpose(1, 2, 0) * np.sqrt((2 - share) / share)
    return np.pad(grain, ((0, 0), (0, 0), (0, samples.shape[2] - colours)))


def _noise(around: Floats, inside: Floats, box: Box) -> Floats:
    """What the samples of a box lack of the grain around them; it differs from place to place, but not between runs."""
    return draw_grain(missing_grain(around, inside), box.height, box.width, (box.left, box.top))


def _to_planes(samples: Samples) -> Floats:
    """(h, w, channels) of any kind -> (3, h, w) in [0, 1]: grey as three equal planes, without alpha."""
    planes = to_unit(samples[..., : colours_of(samples)]).transpose(2, 0, 1)
    return np.broadcast_to(planes, (3, *planes.shape[1:]))


def fill_planes(runtime: Runtime, image: Floats, hole: Mask, levels: int) -> Floats:
    """Run a network on crops, at lower resolutions first.

    Args:
        runtime: any network.
        image: (N, 3, h, w) float32 in [0, 1]; what it holds inside the holes is ignored.
        hole: (N, h, w) bool, True = hole.
        levels: halvings; see `depth.coarse_levels_of`.

    Returns:
        (N, 3, h, w) float32, not clipped.
    """
    check_cancelled()
    mask = hole[:, None].astype(np.float32)
    if levels:
        halved = [halve_known(np.moveaxis(planes, 0, 2), each) for planes, each in zip(image, hole, strict=True)]
        reduced = np.stack([np.moveaxis(samples, 2, 0) for samples, _ in halved])
        coarse = fill_planes(runtime, reduced, np.stack([each for _, each in halved]), levels - 1)
        whole = Box(0, 0, hole.shape[2], hole.shape[1])
        guess = np.stack([np.moveaxis(enlarge(np.moveaxis(planes, 0, 2), whole), 2, 0) for planes in coarse])
        image = np.where(hole[:, None], guess, image)
        mask = mask * GUESSED
    padding = Padding.to_multiple(hole.shape[1], hole.shape[2], runtime.multiple)
    return padding.crop(runtime(padding.apply(image), padding.apply(mask)))
