"""Which crops of a photograph a mask needs, and in which order to fill them.

The mask is reduced to a grid of small cells, and the occupied cells are divided by straight cuts, much as a
bounding-volume hierarchy is built: wherever the contexts of both sides stay apart, wherever cutting saves
work, and wherever a hole is too large for one crop. The pieces' boxes are therefore disjoint and together hold
every hole sample, be it one blob, a thousand scratches or one scratch across the whole picture.

Pieces of one hole touch each other. They are filled from the outside in, and a later piece sees what its
neighbours have filled as known samples, so that nothing is guessed twice and no seam has two opinions.

Where a hole is wide, the network cannot see across it. There its depth, what is far from every known sample, is a
`WideHole`: it comes from a reduced copy of the photograph around it, and counts as known for the crops along the rim.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from wavepaint.box import Box

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
BATCH_PIXELS = (MAX_HOLE + 2 * MAX_CONTEXT) ** 2
"""A batch holds at most as many pixels as the largest crop."""

WIDE = 256
"""Side of the squares that make a hole wide, pixels (give or take a cell), a multiple of `CELL`.

Below it a crop of the hole as a whole is as good, and no dearer: docs/large-photographs.md has the measurement.
"""
RIM = 32
"""Width of the rim that is filled at full resolution around the depth of a wide hole, pixels."""
FEATHER = 16
"""Width of the inner part of the rim, across which it blends with the depth, pixels; even."""
DEEP = 28
"""How far a hole sample must be from every known one for its crop to be filled at half the resolution first, pixels.

Twice as far, a quarter comes before the half. docs/training-default.md has the measurement.
"""
SMALLEST = 16
"""Shortest side of a crop that is still worth filling, pixels."""
MAX_WIDE = 2048
"""Longest side of one piece of a wide hole, pixels; with `MAX_WIDE_CONTEXT` it bounds the memory a hole needs."""
MAX_WIDE_CONTEXT = 1024

T = TypeVar("T", bound=np.generic)
R = TypeVar("R", "Region", "WideHole")
Mask = NDArray[np.bool_]
Cells = NDArray[np.int64]
"""(N, 3): row and column of an occupied cell, and its number of hole samples."""
Piece = tuple[Box, Box]
"""Crop and holes of a region to be."""


@dataclass(frozen=True)
class Region:
    """One crop for the network.

    Attributes:
        crop: what the network sees; it lies inside the picture.
        holes: the part of it whose hole samples are pasted back.
        known: `holes` of touching regions that are filled before this one, and known samples for it.
    """

    crop: Box
    holes: Box
    known: tuple[Box, ...] = ()


@dataclass(frozen=True, eq=False)
class WideHole:
    """A piece of a wide hole whose depth is filled from a reduced copy.

    Attributes:
        crop: the window that is reduced; it lies inside the picture.
        box: the piece.
        share: (box.height, box.width) float32, what the reduced copy contributes to each sample: 1 in the depth, more
            than `RIM` rows or columns from every known sample, 0 at the outer edge of the rim, between them in steps.
    """

    crop: Box
    box: Box
    share: NDArray[np.float32]

    @property
    def deep(self) -> Mask:
        """(box.height, box.width) bool: the depth."""
        deep: Mask = self.share == 1
        return deep


def find_wide(mask: Mask) -> list[WideHole]:
    """Find where a hole is so wide that its depth is better filled from a reduced copy.

    Args:
        mask: (H, W) bool, True = hole.

    Returns:
        Pieces in the order in which to fill them: each sees known samples in its window, once the depths of those
        before it are known. Their boxes are disjoint. Empty if no square of `WIDE` fits into a hole.
    """
    pieces: list[Piece] = []
    for cells in _divide(_wide_cells(mask)):
        top, left = (int(start) * CELL for start in cells[:, :2].min(axis=0))
        bottom, right = (int(stop + 1) * CELL for stop in cells[:, :2].max(axis=0))
        box = Box.from_edges(left, top, right, bottom).clip(mask.shape[1], mask.shape[0])
        context = int(min(CONTEXT_SHARE * cells[:, 2].sum() / max(box.width, box.height), MAX_WIDE_CONTEXT))
        pieces.append((_crop(box, context, mask.shape), box))
    ordered = (region for wave in _waves(_from_outside_in(pieces, mask)) for region in wave)
    return [WideHole(region.crop, region.holes, _share(mask, region.holes)) for region in ordered]


def find_regions(mask: Mask) -> list[list[Region]]:
    """Divide the holes of a mask into crops.

    Args:
        mask: (H, W) bool, True = hole.

    Returns:
        Waves, to be filled one after the other; the regions of one wave do not depend on each other. The `holes`
        boxes of all regions are disjoint and cover every hole sample. Empty for an empty mask.
    """
    pieces: list[Piece] = []
    for cells in _split(_occupied_cells(mask)):
        holes = _tight_box(mask, cells)
        count = int(cells[:, 2].sum())
        pieces.append((_crop(holes, int(_context(holes.height, holes.width, count)), mask.shape), holes))
    return _waves(_from_outside_in(pieces, mask))


def octaves_of(hole: Mask, most: int) -> int:
    """How many halvings a crop is filled at first, each result the guess of the next.

    Args:
        hole: (H, W) bool, True = hole. What lies outside the crop counts as unknown: a hole meets the edge of its crop
            only where the picture ends, or the hole goes on.
        most: what the network has learned; see `WavePaintConfig.octaves`.
    """
    octaves = 0
    while octaves < most and min(hole.shape) >> (octaves + 1) >= SMALLEST and _is_deeper(hole, DEEP << octaves):
        octaves += 1
    return octaves


def _is_deeper(hole: Mask, depth: int) -> bool:
    """Whether a hole sample has no known one nearer than `depth` rows and columns."""
    return bool((_box_sums(~np.pad(hole, depth - 1, constant_values=True), 2 * depth - 1) == 0).any())


def pixels_at(hole: Mask, most: int) -> float:
    """What filling a crop costs: its pixels, those of its octaves included."""
    return hole.size * sum(0.25**octave for octave in range(octaves_of(hole, most) + 1))


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


def _occupied_cells(mask: Mask) -> Cells:
    # Strip by strip: empty ones cost next to nothing, and the others stay in the processor's cache.
    columns = np.arange(0, mask.shape[1], CELL)
    found = [np.empty((0, 3), np.int64)]
    for row, top in enumerate(range(0, mask.shape[0], CELL)):
        strip = mask[top : top + CELL]
        if strip.any():
            counts = np.add.reduceat(strip.sum(axis=0, dtype=np.uint8), columns, dtype=np.int64)
            column = np.flatnonzero(counts)
            found.append(np.stack((np.full_like(column, row), column, counts[column]), axis=1))
    return np.concatenate(found)


def _wide_cells(mask: Mask) -> Cells:
    """The cells under all squares of `WIDE` that are hole as a whole: a morphological opening."""
    cells = _occupied_cells(mask)
    # At the right and the lower edge of the picture a cell may be smaller.
    sides = np.minimum(CELL, np.array(mask.shape) - cells[:, :2] * CELL)
    cells = cells[cells[:, 2] == sides.prod(axis=1)]
    side = WIDE // CELL
    if len(cells) < side**2:
        return np.empty((0, 3), np.int64)
    rows, columns = cells[:, :2].max(axis=0) + 1
    full = np.zeros((rows, columns), np.bool_)
    full[cells[:, 0], cells[:, 1]] = True
    corners = _box_sums(full, side) == side**2
    # A cell is under a square whose corner is at most `side - 1` cells above and left of it.
    opened = _box_sums(np.pad(corners, side - 1), side) > 0
    wide: Cells = cells[opened[cells[:, 0], cells[:, 1]]]
    return wide


def _divide(cells: Cells) -> Iterator[Cells]:
    """Divide cells into sets with disjoint boxes: at gaps, and where a box is longer than `MAX_WIDE`."""
    waiting = [cells] if len(cells) else []
    while waiting:
        cells = waiting.pop()
        cut = _gap_or_middle(cells)
        if cut is None:
            yield cells
        else:
            axis, position = cut
            before = cells[:, axis] < position
            waiting += [cells[before], cells[~before]]


def _gap_or_middle(cells: Cells) -> tuple[int, int] | None:
    """Axis and coordinate where to cut a set of cells, if anywhere."""
    for axis in (0, 1):
        occupied = np.unique(cells[:, axis])
        gaps = np.flatnonzero(np.diff(occupied) > 1)
        if len(gaps):
            return axis, int(occupied[gaps[0] + 1])
    sides = np.ptp(cells[:, :2], axis=0) + 1
    axis = int(sides.argmax())
    if sides[axis] * CELL <= MAX_WIDE:
        return None
    return axis, int(cells[:, axis].min() + sides[axis] // 2)


def _share(mask: Mask, box: Box) -> NDArray[np.float32]:
    """See `WideHole.share`; outside the picture nothing is known."""
    height, width = mask.shape
    around = Box(box.left - RIM, box.top - RIM, box.width + 2 * RIM, box.height + 2 * RIM)
    inside = around.clip(width, height)
    known = np.zeros((around.height, around.width), np.bool_)
    known[inside.relative_to(around).slices] = ~mask[inside.slices]
    sums = _sums(known)
    radii = range(RIM, RIM - FEATHER, -2)
    share = np.zeros((box.height, box.width), np.float32)
    for radius in radii:
        margin = RIM - radius
        part = sums[margin : len(sums) - margin, margin : sums.shape[1] - margin]
        share += _squares(part, 2 * radius + 1) == 0
    return share / np.float32(len(radii))


def _box_sums(marks: Mask, side: int) -> NDArray[np.int32]:
    """Count the marks in every square of `side` that lies inside: (H, W) -> (H - side + 1, W - side + 1)."""
    return _squares(_sums(marks), side)


def _sums(marks: Mask) -> NDArray[np.int32]:
    """A summed-area table: (H, W) -> (H + 1, W + 1), the marks above and left of every corner."""
    return np.pad(marks.cumsum(axis=0, dtype=np.int32).cumsum(axis=1, dtype=np.int32), ((1, 0), (1, 0)))


def _squares(sums: NDArray[np.int32], side: int) -> NDArray[np.int32]:
    counts: NDArray[np.int32] = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    return counts


def _split(cells: Cells) -> list[Cells]:
    """Cut a set of cells into the sets that get a crop each."""
    pieces, waiting = [], [cells] if len(cells) else []
    while waiting:
        cells = waiting.pop()
        parts = _cut(cells)
        if parts is None:
            pieces.append(cells)
        else:
            waiting.extend(parts)
    return pieces


def _cut(cells: Cells) -> tuple[Cells, Cells] | None:
    """The two sides of the best cut, or None where one crop is better."""
    sides = np.ptp(cells[:, :2], axis=0) + 1
    if (sides.max() - 1) * CELL > MAX_HOLE:
        cuts = _Cuts.along(cells, int(sides.argmax()))
        return cuts.sides(int(np.argmin(cuts.work * (1 + cuts.imbalance()))))

    whole = _work(sides[0] * CELL, sides[1] * CELL, cells[:, 2].sum())
    candidates = []
    for axis in (0, 1):
        if sides[axis] > 1:
            cuts = _Cuts.along(cells, axis)
            best = int(np.lexsort((cuts.work, ~cuts.apart))[0])
            candidates.append((not cuts.apart[best], cuts.work[best], axis, cuts, best))
    if not candidates:
        return None
    together, work, _, cuts, best = min(candidates, key=lambda candidate: candidate[:3])
    return None if together and work > SPLIT_GAIN * whole else cuts.sides(best)


@dataclass(frozen=True, eq=False)
class _Cuts:
    """Every way to cut a set of cells in two across one axis.

    Attributes:
        cells: sorted along the axis.
        first: index of the first cell behind each cut.
        positions: the cells' coordinates along the axis.
        work: pixels of both crops.
        apart: whether the two contexts do not meet.
    """

    cells: Cells
    first: NDArray[np.int64]
    positions: NDArray[np.int64]
    work: NDArray[np.float64]
    apart: NDArray[np.bool_]

    @classmethod
    def along(cls, cells: Cells, axis: int) -> _Cuts:
        cells = cells[np.argsort(cells[:, axis], kind="stable")]
        positions = cells[:, axis]
        first = np.flatnonzero(np.diff(positions)) + 1
        before = _running_sizes(cells, axis)[:, first - 1]
        behind = _running_sizes(cells[::-1], axis)[:, ::-1][:, first]
        gap = (positions[first] - positions[first - 1] - 1) * CELL
        return cls(
            cells=cells,
            first=first,
            positions=positions,
            work=_work(*before) + _work(*behind),
            apart=gap >= _context(*before) + _context(*behind),
        )

    def imbalance(self) -> NDArray[np.float64]:
        """Distance of each cut from the one that leaves pieces of equal, permitted length; 1 = whole length."""
        start, stop = self.positions[0], self.positions[-1] + 1
        pieces = -(-(stop - start) * CELL // MAX_HOLE)
        target = start + (stop - start) * (pieces // 2) / pieces
        imbalance: NDArray[np.float64] = np.abs(self.positions[self.first] - target) / (stop - start)
        return imbalance

    def sides(self, cut: int) -> tuple[Cells, Cells]:
        return self.cells[: self.first[cut]], self.cells[self.first[cut] :]


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
    top, left = (int(start) * CELL for start in cells[:, :2].min(axis=0))
    bottom, right = (int(stop + 1) * CELL for stop in cells[:, :2].max(axis=0))
    part = mask[top:bottom, left:right]
    rows, columns = np.flatnonzero(part.any(axis=1)).tolist(), np.flatnonzero(part.any(axis=0)).tolist()
    return Box(left + columns[0], top + rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1)


def _crop(holes: Box, context: int, shape: Sequence[int]) -> Box:
    top, height = _span(holes.top, holes.bottom, context, shape[0])
    left, width = _span(holes.left, holes.right, context, shape[1])
    return Box(left=left, top=top, width=width, height=height)


def _span(start: int, stop: int, context: int, limit: int) -> tuple[int, int]:
    """Start and length of a crop along one axis: context, rounded up as far as the picture allows."""
    low, high = max(0, start - context), min(limit, stop + context)
    length = min(limit, -(-(high - low) // SIZE_STEP) * SIZE_STEP)
    low -= (length - (high - low)) // 2
    return min(max(0, low), limit - length), length


def _from_outside_in(pieces: list[Piece], mask: Mask) -> list[Piece]:
    """Order pieces by what is known around them; one that sees nothing known comes after a neighbour that does."""
    unknown = [float(mask[crop.slices].mean()) for crop, _ in pieces]
    order = sorted((index for index, share in enumerate(unknown) if share < 1), key=unknown.__getitem__)
    inner = [index for index, share in enumerate(unknown) if share == 1]
    while inner:
        reached = _edges([pieces[index] for index in order])
        layer = [index for index in inner if _touching(reached, pieces[index][1]).any()]
        # Only a mask without a known sample leaves pieces that nothing reaches.
        order += layer or inner
        inner = [index for index in inner if index not in layer] if layer else []
    return [pieces[index] for index in order]


def _waves(pieces: list[Piece]) -> list[list[Region]]:
    """Put each piece into the first wave after all its touching predecessors."""
    edges = _edges(pieces)
    depths: list[int] = []
    waves: list[list[Region]] = []
    for index, (crop, holes) in enumerate(pieces):
        earlier = np.flatnonzero(_touching(edges[:index], holes)).tolist()
        depth = max((depths[other] + 1 for other in earlier), default=0)
        depths.append(depth)
        if depth == len(waves):
            waves.append([])
        waves[depth].append(Region(crop, holes, tuple(pieces[other][1] for other in earlier)))
    return waves


def _edges(pieces: list[Piece]) -> NDArray[np.int64]:
    """(N, 4): left, top, right and bottom of each piece's holes."""
    return np.array([(box.left, box.top, box.right, box.bottom) for _, box in pieces], np.int64).reshape(-1, 4)


def _touching(edges: NDArray[np.int64], box: Box) -> Mask:
    left, top, right, bottom = edges.T
    touching: Mask = (left <= box.right) & (right >= box.left) & (top <= box.bottom) & (bottom >= box.top)
    return touching


@dataclass(frozen=True)
class Padding:
    """Rows and columns to add below and to the right so that both sides are multiples of a number."""

    bottom: int
    right: int

    @classmethod
    def to_multiple(cls, height: int, width: int, multiple: int) -> Padding:
        """The least padding that makes both sides multiples of `multiple`."""
        return cls(bottom=-height % multiple, right=-width % multiple)

    def apply(self, planes: NDArray[T]) -> NDArray[T]:
        """Pad the last two axes by reflection; where an axis is too short for it, by repeating the edge."""
        for axis, amount in ((-2, self.bottom), (-1, self.right)):
            if amount:
                widths = [(0, 0)] * planes.ndim
                widths[axis] = (0, amount)
                planes = np.pad(planes, widths, mode="reflect" if amount < planes.shape[axis] else "edge")
        return planes

    def crop(self, planes: NDArray[T]) -> NDArray[T]:
        """Undo `apply`: a view."""
        height, width = planes.shape[-2:]
        return planes[..., : height - self.bottom, : width - self.right]
