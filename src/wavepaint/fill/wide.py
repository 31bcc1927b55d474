"""Where a hole is so wide that its interior is filled from a reduced copy of the image, and how both parts blend."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from wavepaint.box import Box
from wavepaint.fill.patches import Mask
from wavepaint.fill.regions import (
    CELL,
    CONTEXT_SHARE,
    Cells,
    Piece,
    box_of,
    crop_around,
    divided,
    from_outside_in,
    in_stages,
    occupied_cells,
    parted,
)


@dataclass(frozen=True)
class WideSizes:
    """From which size on a hole is wide, and how it is cut; in pixels.

    Attributes:
        wide: side of the squares that make a hole wide (give or take a cell), a multiple of `CELL`. Below it a crop of
            the hole as a whole is as good, and no dearer: lab/notes/large-images.md has the measurement.
        border: width of the border band that is filled at full resolution around the interior of a wide hole.
        feather: width of the inner part of the border band, across which it blends with the interior; even.
        longest: side of one piece of a wide hole; with `context` it bounds the memory a hole needs.
        context: most of it on each side of a piece.
    """

    wide: int = 256
    border: int = 32
    feather: int = 16
    longest: int = 2048
    context: int = 1024


@dataclass(frozen=True, eq=False)
class WideHole:
    """A piece of a wide hole whose interior is filled from a reduced copy.

    Attributes:
        crop: the window that is reduced; it lies inside the image.
        box: the piece.
        share: (box.height, box.width) float32, what the reduced copy contributes to each sample: 1 in the interior,
            more than `WideSizes.border` rows or columns from every known sample, 0 at the outer edge of the border
            band, between them in steps.
    """

    crop: Box
    box: Box
    share: NDArray[np.float32]


def find_wide(mask: Mask, sizes: WideSizes = WideSizes()) -> list[WideHole]:
    """Find where a hole is so wide that its interior is better filled from a reduced copy.

    Args:
        mask: (H, W) bool, True = hole.
        sizes: see `WideSizes`.

    Returns:
        Pieces in the order in which to fill them: each sees known samples in its window, once the interiors of those
        before it are known. Their boxes are disjoint. Empty if no square of `sizes.wide` fits into a hole.
    """
    pieces: list[Piece] = []
    for cells in divided(_wide_cells(mask, sizes.wide), partial(_cut, longest=sizes.longest)):
        box = box_of(cells).clip(mask.shape[1], mask.shape[0])
        context = int(min(CONTEXT_SHARE * cells[:, 2].sum() / max(box.width, box.height), sizes.context))
        pieces.append((crop_around(box, context, mask.shape), box))
    ordered = (region for stage in in_stages(from_outside_in(pieces, mask)) for region in stage)
    return [WideHole(region.crop, region.holes, _share(mask, region.holes, sizes)) for region in ordered]


def _wide_cells(mask: Mask, wide: int) -> Cells:
    """The cells under all squares of `wide` pixels that are hole as a whole: a morphological opening."""
    cells = occupied_cells(mask)
    # At the right and the lower edge of the image a cell may be smaller.
    sides = np.minimum(CELL, np.array(mask.shape) - cells[:, :2] * CELL)
    cells = cells[cells[:, 2] == sides.prod(axis=1)]
    side = wide // CELL
    if len(cells) < side**2:
        return np.empty((0, 3), np.int64)
    rows, columns = cells[:, :2].max(axis=0) + 1
    full = np.zeros((rows, columns), np.bool_)
    full[cells[:, 0], cells[:, 1]] = True
    corners = square_sums(summed_area_table(full), side) == side**2
    # A cell is under a square whose corner is at most `side - 1` cells above and left of it.
    opened = square_sums(summed_area_table(np.pad(corners, side - 1)), side) > 0
    under: Cells = cells[opened[cells[:, 0], cells[:, 1]]]
    return under


def _cut(cells: Cells, longest: int) -> tuple[Cells, Cells] | None:
    """Both sides of a gap, or of the middle of a box with a side above `longest`: sets with disjoint boxes."""
    for axis in (0, 1):
        occupied = np.unique(cells[:, axis])
        gaps = np.flatnonzero(np.diff(occupied) > 1)
        if len(gaps):
            return parted(cells, axis, occupied[gaps[0] + 1])
    sides = np.ptp(cells[:, :2], axis=0) + 1
    axis = int(sides.argmax())
    if sides[axis] * CELL <= longest:
        return None
    return parted(cells, axis, cells[:, axis].min() + sides[axis] // 2)


def _share(mask: Mask, box: Box, sizes: WideSizes) -> NDArray[np.float32]:
    """See `WideHole.share`; outside the image nothing is known."""
    height, width = mask.shape
    around = box.grown(sizes.border)
    inside = around.clip(width, height)
    known = np.zeros((around.height, around.width), np.bool_)
    known[inside.relative_to(around).slices] = ~mask[inside.slices]
    sums = summed_area_table(known)
    radii = range(sizes.border, sizes.border - sizes.feather, -2)
    share = np.zeros((box.height, box.width), np.float32)
    for radius in radii:
        margin = sizes.border - radius
        part = sums[margin : len(sums) - margin, margin : sums.shape[1] - margin]
        share += square_sums(part, 2 * radius + 1) == 0
    return share / np.float32(len(radii))


def summed_area_table(marks: Mask) -> NDArray[np.int32]:
    """A summed-area table (Crow 1984): (H, W) -> (H + 1, W + 1), the marks above and left of every corner."""
    return np.pad(marks.cumsum(axis=0, dtype=np.int32).cumsum(axis=1, dtype=np.int32), ((1, 0), (1, 0)))


def square_sums(sums: NDArray[np.int32], side: int) -> NDArray[np.int32]:
    """The marks in every square of `side` that lies inside, from a table: (H + 1, W + 1) -> (H - side + 1, ...)."""
    counts: NDArray[np.int32] = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    return counts
