"""A rectangle of pixels, the common currency of images, masks and crops."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Box:
    """`width` x `height` pixels whose upper left corner is column `left`, row `top`.

    `right` and `bottom` are exclusive. Boxes may reach outside an image until they are clipped; width and
    height are never negative.
    """

    left: int
    top: int
    width: int
    height: int

    def __post_init__(self) -> None:
        if self.width < 0 or self.height < 0:
            raise ValueError(f"a box cannot be {self.width} x {self.height} pixels")

    @classmethod
    def from_edges(cls, left: int, top: int, right: int, bottom: int) -> Box:
        """Return the box between two corners; empty where they are in the wrong order."""
        return cls(left, top, max(right - left, 0), max(bottom - top, 0))

    @property
    def right(self) -> int:
        """First column to the right of the box."""
        return self.left + self.width

    @property
    def bottom(self) -> int:
        """First row below the box."""
        return self.top + self.height

    @property
    def area(self) -> int:
        """Pixels."""
        return self.width * self.height

    @property
    def is_empty(self) -> bool:
        """Whether the box holds no pixel."""
        return self.width == 0 or self.height == 0

    @property
    def slices(self) -> tuple[slice, slice]:
        """Row and column slices: `samples[box.slices]`. Only for boxes that start inside the image."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def grown(self, margin: int) -> Box:
        """Return the box with so many more pixels on every side."""
        return Box.from_edges(self.left - margin, self.top - margin, self.right + margin, self.bottom + margin)

    def intersection(self, other: Box) -> Box:
        """Return the pixels that both boxes hold (perhaps none)."""
        return Box.from_edges(
            max(self.left, other.left),
            max(self.top, other.top),
            min(self.right, other.right),
            min(self.bottom, other.bottom),
        )

    def clip(self, width: int, height: int) -> Box:
        """Return the part inside an image of `width` x `height` pixels (perhaps empty)."""
        return self.intersection(Box(0, 0, width, height))

    def relative_to(self, other: Box) -> Box:
        """Return the same pixels counted from the corner of `other`."""
        return Box(self.left - other.left, self.top - other.top, self.width, self.height)


def overlay(samples: Any, box: Box, patches: Iterable[tuple[Box, Any]]) -> None:
    """Paste into the samples of a box, (box.height, box.width, ...), what patches, boxes and samples, hold of it."""
    for target, patch in patches:
        common = target.intersection(box)
        if not common.is_empty:
            samples[common.relative_to(box).slices] = patch[common.relative_to(target).slices]
