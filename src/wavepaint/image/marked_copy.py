"""A mask that is a copy of the image itself, with the hole painted over or erased to transparency.

The browser has the same rules: see `web/src/image/marked_copy.ts`, and `tests/vectors/masks` for what both must give.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from wavepaint.box import Box
from wavepaint.fill.patches import dilate
from wavepaint.image.mask_samples import SampledImage, split_alpha

Bytes = NDArray[np.uint8]

NEAR = 24
"""Samples that differ by no more, in steps of 8 bits, may be the same before and after lossy compression."""
MIN_MIDDLE_SHARE = 1 / 200
"""Of the pixels that are neither black nor white: a mask with fewer of them is no copy of the image."""
_FAINT = 4
_NOISE_LIMITS = (40, 72)
_MARGIN = 3


def middle_of(darkest: Bytes, brightest: Bytes) -> NDArray[np.bool_]:
    """Where a pixel is neither black nor white, by the least and the largest of its colours."""
    return np.asarray((brightest > NEAR) & (darkest < 255 - NEAR))


@dataclass(frozen=True)
class Comparison:
    """How a mask differs from the image that it belongs to.

    Attributes:
        counts: (256,) of the pixels, by their difference in steps of 8 bits; see `_difference`.
        middle: of the mask's visible pixels that are neither black nor white.
        same_middle: of those that equal the image.
        image_middle: of the image's pixels that are neither black nor white.
    """

    counts: NDArray[np.int64]
    middle: int
    same_middle: int
    image_middle: int

    @property
    def is_copy(self) -> bool:
        """Whether most of the mask equals the image, and not only because both are black, or both white."""
        pixels = int(self.counts.sum())
        same = int(self.counts[: NEAR + 1].sum())
        return (
            2 * same > pixels
            and 4 * self.same_middle > self.middle
            and self.same_middle >= max(1, pixels * MIN_MIDDLE_SHARE / 4)
        )

    @property
    def tolerance(self) -> int:
        """The largest difference that lossy compression has left outside the hole; 0 if the copy is exact.

        Compression changes many samples a little, a brush few of them much.
        """
        faint, strong = int(self.counts[1 : _FAINT + 1].sum()), int(self.counts[_FAINT + 1 :].sum())
        if 4 * faint <= strong:
            return 0
        median = int(np.searchsorted(np.cumsum(self.counts), (int(self.counts.sum()) + 1) // 2))
        least, most = _NOISE_LIMITS
        return min(max(8 * median + 24, least), most)


def compare(mask: SampledImage, image: SampledImage) -> Comparison:
    """Compare a mask with an image of the same size, strip by strip."""
    counts = np.zeros(256, np.int64)
    middle = same_middle = image_middle = 0
    for _, own, other in _both(mask, image):
        difference = _difference(own, other)
        counts += np.bincount(difference.ravel(), minlength=256)
        here = _middle_pixels(own)
        middle += int(np.count_nonzero(here))
        same_middle += int(np.count_nonzero(here & (difference <= NEAR)))
        image_middle += int(np.count_nonzero(_middle_pixels(other)))
    return Comparison(counts, middle, same_middle, image_middle)


def marks_of(mask: SampledImage, image: SampledImage, tolerance: int) -> NDArray[np.bool_]:
    """Where a marked copy differs from the image.

    Args:
        mask: the copy, of the image's size.
        image: that it was made from.
        tolerance: see `Comparison.tolerance`; above 0 single pixels are left out, and a margin is added for what the
            compression has smeared.

    Returns:
        (H, W) bool, True = hole.
    """
    marks = np.empty((mask.height, mask.width), np.bool_)
    for box, own, other in _both(mask, image):
        np.greater(_difference(own, other), tolerance, out=marks[box.slices])
    return dilate(_majority(marks), _MARGIN) if tolerance else marks


def _both(mask: SampledImage, image: SampledImage) -> Iterator[tuple[Box, Bytes, Bytes]]:
    for (box, own), (_, other) in zip(mask.strips(), image.strips(), strict=True):
        yield box, mask.eight_bits(own), image.eight_bits(other)


def _difference(own: Bytes, other: Bytes) -> Bytes:
    """(H, W): the largest difference of any colour where both are visible, or of alpha."""
    own_colours, own_alpha = split_alpha(own)
    other_colours, other_alpha = split_alpha(other)
    largest = np.zeros(own.shape[:2], np.uint8)
    for channel in range(max(len(own_colours), len(other_colours))):
        first, second = own_colours[channel % len(own_colours)], other_colours[channel % len(other_colours)]
        np.maximum(largest, _distance(first, second), out=largest)
    if own_alpha is None and other_alpha is None:
        return largest
    opaque = np.broadcast_to(np.uint8(255), largest.shape)
    first = opaque if own_alpha is None else own_alpha
    second = opaque if other_alpha is None else other_alpha
    # Colours that nobody sees are whatever a program leaves there.
    largest[(first < 128) | (second < 128)] = 0
    return np.maximum(largest, _distance(first, second))


def _distance(first: Bytes, second: Bytes) -> Bytes:
    return np.maximum(first, second) - np.minimum(first, second)


def _middle_pixels(samples: Bytes) -> NDArray[np.bool_]:
    colours, alpha = split_alpha(samples)
    middle = middle_of(reduce(np.minimum, colours), reduce(np.maximum, colours))
    return middle if alpha is None else middle & (alpha >= 128)


def _majority(marks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """True where at least 5 of the 3x3 pixels around are; outside lies nothing."""
    height, width = marks.shape
    padded = np.zeros((height + 2, width + 2), np.uint8)
    padded[1:-1, 1:-1] = marks
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    return np.asarray(rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:] >= 5)
