"""Which crops of an image a mask needs, and in which order to fill them.

The mask is reduced to a grid of small cells, and the occupied cells are divided by straight cuts, much as a
bounding-volume hierarchy is built: wherever the contexts of both sides stay apart, wherever cutting saves
work, and wherever a hole is too large for one crop. The pieces' boxes are therefore disjoint and together hold
every hole sample, be it one blob, a thousand scratches or one scratch across the whole image.

Pieces of one hole touch each other. They are filled from the outside in, and a later piece sees what its
neighbours have filled as known samples, so that nothing is guessed twice and no seam has two opinions.

Where a hole is wide, the network cannot see across it. There its interior, what is far from every known sample, is a
`wide.WideHole`: it comes from a reduced copy of the image around it, and is known to the crops along the border band.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from wavepaint.box import Box
from wavepaint.fill.patches import Mask, box_around
from wavepaint.runtime.base import BATCH_PIXELS

CELL = 16
"""Side of a grid cell, pixels: holes closer than this count as one."""
CONTEXT_SHARE = 0.5
"""Context on each side of a hole, as a share of the hole's thickness."""
MIN_CONTEXT = 64
MAX_CONTEXT = 192
MAX_HOLE = 640
"""Longest side of one piece, pixels (give or take a cell); with `MAX_CONTEXT` it bounds a crop, and so the memory."""
SIZE_STEP = 64
"""Sides of crops are rounded up to a multiple of this, so that crops come in few sizes and can share a batch."""
SPLIT_GAIN = 0.75
"""Holes whose contexts overlap share a crop unless separate crops cost less than this share of it."""


R = TypeVar("R", bound="HasCrop")
Cells = NDArray[np.int64]
"""(N, 3): row and column of an occupied cell, and its number of hole samples."""


class HasCrop(Protocol):
    """Something that is filled by reading one crop."""

    @property
    def crop(self) -> Box:
        """Inside the image."""
        ...


@dataclass(frozen=True)
class Region:
    """One crop for the network.

    Attributes:
        crop: what the network sees; it lies inside the image.
        holes: the part of it whose hole samples are pasted back.
        known: `holes` of touching regions that are filled before this one, and known samples for it.
    """

    crop: Box
    holes: Box
    known: tuple[Box, ...] = ()


def find_regions(mask: Mask) -> list[list[Region]]:
    """Divide the holes of a mask into crops.

    Args:
        mask: (H, W) bool, True = hole.

    Returns:
        Stages, to be filled one after the other; the regions of one stage do not depend on each other. The `holes`
        boxes of all regions are disjoint and cover every hole sample. Empty for an empty mask.
    """
    regions = []
    for cells in divided(occupied_cells(mask), _cut):
        holes = _tight_box(mask, cells)
        count = int(cells[:, 2].sum())
        context = int(_context(holes.height, holes.width, count))
        regions.append(Region(crop_around(holes, context, mask.shape), holes))
    return in_stages(regions, mask)


def batches(regions: Iterable[Region]) -> Iterator[list[Region]]:
    """Group regions with crops of equal size, for one run of the network each."""
    by_size: dict[tuple[int, int], list[Region]] = defaultdict(list)
    for region in regions:
        by_size[region.crop.height, region.crop.width].append(region)
    for equals in by_size.values():
        yield from in_groups(equals, BATCH_PIXELS)


def in_groups(regions: Iterable[R], limit: int) -> Iterator[list[R]]:
    """Divide regions, in their order, into groups of at most `limit` pixels, or of one region."""
    group: list[R] = []
    pixels = 0
    for region in regions:
        area = region.crop.area
        if group and pixels + area > limit:
            yield group
            group, pixels = [], 0
        group.append(region)
        pixels += area
    if group:
        yield group


def occupied_cells(mask: Mask) -> Cells:
    """The cells of a mask that hold hole samples."""
    # Strip by strip: empty ones cost next to nothing, and the others stay in the processor's cache.
    columns = np.arange(0, mask.shape[1], CELL)
    cells = [np.empty((0, 3), np.int64)]
    for row, top in enumerate(range(0, mask.shape[0], CELL)):
        strip = mask[top : top + CELL]
        if strip.any():
            counts = np.add.reduceat(strip.sum(axis=0, dtype=np.uint8), columns, dtype=np.int64)
            column = np.flatnonzero(counts)
            cells.append(np.stack((np.full_like(column, row), column, counts[column]), axis=1))
    return np.concatenate(cells)


def divided(cells: Cells, cut: Callable[[Cells], tuple[Cells, Cells] | None]) -> Iterator[Cells]:
    """Cut a set of cells in two, and its parts likewise, the second one first, until `cut` leaves them whole."""
    waiting = [cells] if len(cells) else []
    while waiting:
        cells = waiting.pop()
        parts = cut(cells)
        if parts is None:
            yield cells
        else:
            waiting += parts


def parted(cells: Cells, axis: int, position: int) -> tuple[Cells, Cells]:
    """The cells before a row (axis 0) or column, and the others."""
    before = cells[:, axis] < position
    return cells[before], cells[~before]


def box_of(cells: Cells) -> Box:
    """The pixels of the rows and columns that a set of cells spans, perhaps beyond the image."""
    top, left = (int(start) * CELL for start in cells[:, :2].min(axis=0))
    bottom, right = (int(stop + 1) * CELL for stop in cells[:, :2].max(axis=0))
    return Box.from_edges(left, top, right, bottom)


def _cut(cells: Cells) -> tuple[Cells, Cells] | None:
    """The two sides of the best cut, or None where one crop is better."""
    sides = np.ptp(cells[:, :2], axis=0) + 1
    if (sides.max() - 1) * CELL > MAX_HOLE:
        axis = int(sides.argmax())
        positions, work, _ = _cuts(cells, axis)
        # Towards pieces of equal, permitted length.
        pieces = -(-sides[axis] * CELL // MAX_HOLE)
        target = cells[:, axis].min() + sides[axis] * (pieces // 2) / pieces
        imbalance = np.abs(positions - target) / sides[axis]
        return parted(cells, axis, positions[np.argmin(work * (1 + imbalance))])

    whole = _work(sides[0] * CELL, sides[1] * CELL, cells[:, 2].sum())
    candidates = []
    for axis in (0, 1):
        if sides[axis] > 1:
            positions, work, apart = _cuts(cells, axis)
            best = np.lexsort((work, ~apart))[0]
            candidates.append((not apart[best], work[best], axis, positions[best]))
    if not candidates:
        return None
    together, least, axis, position = min(candidates)
    return None if together and least > SPLIT_GAIN * whole else parted(cells, axis, position)


def _cuts(cells: Cells, axis: int) -> tuple[NDArray[np.int64], NDArray[np.float64], Mask]:
    """Every way to cut a set of cells in two across one axis.

    Returns:
        (N,) the row or column behind each cut, pixels of both crops, and whether the two contexts do not meet.
    """
    cells = cells[np.argsort(cells[:, axis], kind="stable")]
    positions = cells[:, axis]
    first = np.flatnonzero(np.diff(positions)) + 1
    before = _running_sizes(cells, axis)[:, first - 1]
    behind = _running_sizes(cells[::-1], axis)[:, ::-1][:, first]
    gap = (positions[first] - positions[first - 1] - 1) * CELL
    return positions[first], _work(*before) + _work(*behind), gap >= _context(*before) + _context(*behind)


def _running_sizes(cells: Cells, axis: int) -> NDArray[np.int64]:
    """(3, N): extent along the axis, extent across it (pixels) and hole samples of the first 1, 2, .. N cells."""
    across = cells[:, 1 - axis]
    length = np.abs(cells[:, axis] - cells[0, axis]) + 1
    breadth = np.maximum.accumulate(across) - np.minimum.accumulate(across) + 1
    return np.stack((length * CELL, breadth * CELL, np.cumsum(cells[:, 2])))


def _context(height: Any, width: Any, count: Any) -> Any:
    """Context around `count` hole samples in a box, numbers or arrays: it grows with thickness, not with length."""
    thickness = count / np.maximum(height, width)
    return np.clip(CONTEXT_SHARE * thickness, MIN_CONTEXT, MAX_CONTEXT).astype(np.int64)


def _work(height: Any, width: Any, count: Any) -> Any:
    """Pixels of the crop for `count` hole samples in a box, numbers or arrays."""
    context = _context(height, width, count)
    return (height + 2.0 * context) * (width + 2.0 * context)


def _tight_box(mask: Mask, cells: Cells) -> Box:
    around = box_of(cells)
    rows, columns = box_around(mask[around.slices], 0)
    width, height = columns.stop - columns.start, rows.stop - rows.start
    return Box(around.left + columns.start, around.top + rows.start, width, height)


def crop_around(holes: Box, context: int, shape: Sequence[int]) -> Box:
    """The crop for a box of holes: `context` pixels more on every side, where the image of that shape has them."""
    top, height = _span(holes.top, holes.bottom, context, shape[0])
    left, width = _span(holes.left, holes.right, context, shape[1])
    return Box(left=left, top=top, width=width, height=height)


def _span(start: int, stop: int, context: int, limit: int) -> tuple[int, int]:
    """Start and length of a crop along one axis: context, rounded up as far as the image allows."""
    low, high = max(0, start - context), min(limit, stop + context)
    length = min(limit, -(-(high - low) // SIZE_STEP) * SIZE_STEP)
    low -= (length - (high - low)) // 2
    return min(max(0, low), limit - length), length


def in_stages(regions: list[Region], mask: Mask) -> list[list[Region]]:
    """Put each region into the first stage after all its touching predecessors, which it knows from then on.

    They are ordered by what is known around them; one that sees nothing known comes after a neighbour that does.
    """
    unknown = {region: float(mask[region.crop.slices].mean()) for region in regions}
    order = sorted((region for region in regions if unknown[region] < 1), key=unknown.__getitem__)
    inner = [region for region in regions if unknown[region] == 1]
    while inner:
        reached = edges_of(region.holes for region in order)
        # Only a mask without a known sample leaves regions that nothing reaches.
        layer = [region for region in inner if touching(reached, region.holes).any()] or inner
        order += layer
        inner = [region for region in inner if region not in layer]

    edges = edges_of(region.holes for region in order)
    depths: list[int] = []
    stages: list[list[Region]] = []
    for index, region in enumerate(order):
        earlier = np.flatnonzero(touching(edges[:index], region.holes)).tolist()
        depth = max((depths[other] + 1 for other in earlier), default=0)
        depths.append(depth)
        if depth == len(stages):
            stages.append([])
        stages[depth].append(replace(region, known=tuple(order[other].holes for other in earlier)))
    return stages


def edges_of(boxes: Iterable[Box]) -> NDArray[np.int64]:
    """(N, 4): left, top, right and bottom of each box."""
    return np.array([(box.left, box.top, box.right, box.bottom) for box in boxes], np.int64).reshape(-1, 4)


def touching(edges: NDArray[np.int64], box: Box) -> Mask:
    """(N,) bool, which of the boxes with these edges share samples with a box, or lie beside it."""
    left, top, right, bottom = edges.T
    touches: Mask = (left <= box.right) & (right >= box.left) & (top <= box.bottom) & (bottom >= box.top)
    return touches
