"""Where a hole is so wide that its interior is filled from a reduced copy of the image, and how both parts blend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from wavepaint.box import Box, overlay
from wavepaint.fill.patches import Mask, dilate
from wavepaint.fill.regions import (
    CELL,
    CONTEXT_SHARE,
    Cells,
    Region,
    box_of,
    crop_around,
    divided,
    in_stages,
    occupied_cells,
    parted,
)


@dataclass(frozen=True)
class WideSizes:
    """From which size on a hole is wide, and how it is cut; in pixels."""

    # Side of the squares that make a hole wide (give or take a cell), a multiple of `CELL`. Below it a crop of the hole
    # as a whole is as good, and no dearer: lab/notes/large-images.md has the measurement.
    wide: int = 256
    border: int = 32  # width of the border band that is filled at full resolution around the interior
    feather: int = 16  # width of the band's inner part, across which it blends with the interior; even
    longest: int = 2048  # longest side of one piece; with `context` it bounds the memory a hole needs
    context: int = 1024  # most context on each side of a piece


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
    pieces = []
    for cells in divided(_wide_cells(mask, sizes.wide), partial(_cut, longest=sizes.longest)):
        box = box_of(cells).clip(mask.shape[1], mask.shape[0])
        context = int(min(CONTEXT_SHARE * cells[:, 2].sum() / max(box.width, box.height), sizes.context))
        pieces.append(Region(crop_around(box, context, mask.shape), box))
    ordered = (piece for stage in in_stages(pieces, mask) for piece in stage)
    return [WideHole(piece.crop, piece.holes, _share(mask, piece.holes, sizes)) for piece in ordered]


def _wide_cells(mask: Mask, wide: int) -> Cells:
    """The cells under all squares of `wide` pixels that are hole as a whole: a morphological opening."""
    cells = occupied_cells(mask)
    # At the right and the lower edge of the image a cell may be smaller.
    sides = np.minimum(CELL, np.array(mask.shape) - cells[:, :2] * CELL)
    cells = cells[cells[:, 2] == sides.prod(axis=1)]
    side = wide // CELL
    rows, columns = cells[:, :2].max(axis=0, initial=-1) + 1
    if min(rows, columns) < side:
        return np.empty((0, 3), np.int64)
    full = np.zeros((rows, columns), np.bool_)
    full[cells[:, 0], cells[:, 1]] = True
    # Where a square begins; a cell is under one that begins at most `side - 1` cells above and left of it.
    corners = _windows(full, side, np.all)
    opened = _windows(np.pad(corners, side - 1), side, np.any)
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
    border = sizes.border
    around = box.grown(border)
    unknown = np.ones((around.height, around.width), np.bool_)
    overlay(unknown, around, [(Box(0, 0, mask.shape[1], mask.shape[0]), mask)])
    known = ~unknown
    share = np.zeros((box.height, box.width), np.float32)
    radii = range(border, border - sizes.feather, -2)
    for radius in radii:
        share += ~dilate(known, radius)[border:-border, border:-border]
    return share / np.float32(len(radii))


def _windows(marks: Mask, side: int, reduce: Callable[..., Any]) -> Mask:
    """Whether all, or any, of the marks in every square of `side` that lies inside are set."""
    for axis in (0, 1):
        marks = reduce(sliding_window_view(marks, side, axis), axis=2)
    return marks
