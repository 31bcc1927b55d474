"""Padding to the multiples that a network needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T", bound=np.generic)


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
