"""Which parts of a hole are completed from the image itself, and how much of the image each of them looks at.

What is nowhere deeper than `THIN` samples is left to the guide, as there is nothing to be completed between two known
samples that are so near. The rest is divided into pieces: connected holes, solved as one however large they are, but
for long thin ones, which are cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from wavepaint.box import Box, overlay
from wavepaint.fill.patches import Mask, dilate, label
from wavepaint.fill.regions import CELL, Cells, box_of, divided, occupied_cells, parted

THIN = 2
"""Holes of at most twice this width, in samples, are left to the guide."""
LEAST_REACH = 64
"""How far around a piece samples may be copied from, at least, pixels; else as far as the piece is thick."""
MOST_REACH = 1024
LONG = 768
"""A box with a longer side, pixels, is cut if the hole in it is thin for its length."""
STRIP_ROWS = 16 * CELL
"""Rows of a mask that are looked at together."""
SPARSE = 0.25
"""Share of its box below which a hole is thin for its length."""


@dataclass(frozen=True, eq=False)
class Piece:
    """A part of a hole that is completed as one.

    Attributes:
        crop: the window of the image that it looks at.
        box: its box, inside the window.
        hole: (box.height, box.width) bool, True = to be completed.
    """

    crop: Box
    box: Box
    hole: Mask


def find_pieces(hole: Mask) -> list[Piece]:
    """Divide what is deep in a mask, (H, W) bool, True = hole, into pieces; they are disjoint."""
    height, width = hole.shape
    pieces = []
    for cells in _connected(_deep_cells(hole)):
        for part in divided(cells, _cut_if_long):
            box = box_of(part).clip(width, height)
            thickness = int(part[:, 2].sum()) // max(box.width, box.height)
            reach = min(max(thickness, LEAST_REACH), MOST_REACH)
            crop = box.grown(reach).clip(width, height)
            pieces.append(Piece(crop, box, _deep_part(hole, box) & _covered(part, box)))
    return pieces


def _covered(cells: Cells, box: Box) -> Mask:
    """(box.height, box.width) bool, True under the cells, which lie in the box."""
    covered = np.zeros((-(-box.height // CELL), -(-box.width // CELL)), np.bool_)
    covered[cells[:, 0] - box.top // CELL, cells[:, 1] - box.left // CELL] = True
    return covered.repeat(CELL, axis=0).repeat(CELL, axis=1)[: box.height, : box.width]


def _deep_cells(hole: Mask) -> Cells:
    """The cells of the deep part of a mask, found strip by strip, so that it is never held as a whole."""
    height, width = hole.shape
    strips = [np.empty((0, 3), np.int64)]
    for top in range(0, height, STRIP_ROWS):
        strip = Box(0, top, width, min(STRIP_ROWS, height - top))
        cells = occupied_cells(_deep_part(hole, strip))
        cells[:, 0] += top // CELL
        strips.append(cells)
    return np.concatenate(strips)


def _deep_part(hole: Mask, box: Box) -> Mask:
    """What of a box belongs to holes deeper than `THIN`: a morphological opening. Outside the image all is known."""
    if not hole[box.slices].any():
        return np.zeros((box.height, box.width), np.bool_)
    around = box.grown(3 * THIN)
    part = np.zeros((around.height, around.width), np.bool_)
    overlay(part, around, [(Box(0, 0, hole.shape[1], hole.shape[0]), hole)])
    part = dilate(~dilate(~part, THIN), THIN)
    return part[box.relative_to(around).slices] & hole[box.slices]


def _connected(cells: Cells) -> Iterator[Cells]:
    """Sets of cells that touch each other, corners included."""
    if not len(cells):
        return
    row, column = cells[:, :2].T
    occupied = np.zeros((row.max() + 1, column.max() + 1), np.bool_)
    occupied[row, column] = True
    own = label(occupied, corners=True)[row, column]
    order = np.argsort(own, kind="stable")
    for group in np.split(order, np.flatnonzero(np.diff(own[order])) + 1):
        yield cells[group]


def _cut_if_long(cells: Cells) -> tuple[Cells, Cells] | None:
    """The lower or right half, and the other, of a set of cells that is long and thin."""
    sides = (np.ptp(cells[:, :2], axis=0) + 1) * CELL
    axis = int(sides.argmax())
    if sides[axis] <= LONG or cells[:, 2].sum() > SPARSE * sides.prod():
        return None
    before, behind = parted(cells, axis, cells[:, axis].min() + sides[axis] // CELL // 2)
    return behind, before
