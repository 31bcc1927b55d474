"""The names of what goes in and out of an image."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from wavepaint.box import Box
from wavepaint.errors import MaskError
from wavepaint.fill.guide import Patch as Patch
from wavepaint.fill.guide import Readable
from wavepaint.fill.guide import Samples as Samples
from wavepaint.options import Options

Source: TypeAlias = str | Path | bytes
"""The path of a file, or its contents."""
Strips: TypeAlias = Iterator[tuple[Box, Samples]]
"""Boxes of full width from top to bottom, and their samples."""


class ReadableImage(Readable, Protocol):
    """An image of any kind.

    Attributes:
        name: what messages call it.
        channels: 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha.
        has_alpha: whether the last channel is transparency; in a TIFF it may be of unspecified meaning.
        dtype: uint8, uint16 or floating (then in [0, 1]).
        orientation: EXIF orientation of the stored samples; everything here is upright.
    """

    name: str
    width: int
    height: int
    channels: int
    has_alpha: bool
    dtype: np.dtype[Any]
    orientation: int

    def alpha_holes(self) -> NDArray[np.bool_]:
        """(H, W) bool, True where alpha is 0; `MaskError` without an alpha channel."""
        if not self.has_alpha:
            raise MaskError(f"{self.name}: has no transparency to take the mask from")
        holes = np.empty((self.height, self.width), np.bool_)
        for box, samples in self.strips():
            holes[box.slices] = samples[..., -1] == 0
        return holes

    def strips(self) -> Strips:
        """All samples, in strips of full width from top to bottom; not to be written to."""
        ...


class InputImage(ReadableImage, Protocol):
    """An image to fill."""

    def finish(self, patches: list[Patch], options: Options) -> Any:
        """The image with some boxes replaced, of the kind it was given as, and written where that was asked for."""
        ...
