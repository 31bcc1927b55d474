"""What a mask means: from samples of any kind to one boolean array, True = hole.

The browser has the same rules: see `web/src/image/mask_reading.ts`, and `tests/vectors/masks` for what both must give.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from wavepaint.errors import MaskError
from wavepaint.image.marked_copy import MIN_MIDDLE_SHARE, NEAR, Comparison, compare, marks_of, middle_of
from wavepaint.image.mask_samples import SampledImage, split_alpha
from wavepaint.image.types import Samples
from wavepaint.options import MaskFrom

ONE_COLOUR_STEPS = 16
"""Colours are one if no channel varies by more than this part of its range."""


@dataclass(frozen=True)
class Reading:
    """What was read of a mask.

    Attributes:
        hole: (H, W) bool, True = hole; an array of its own.
        meaning: how it was read.
        largest: value of the mask, where the meaning is "alpha" or "brightness".
        full: value of white.
        seems_swapped: whether the mask looks like an image and the image like a mask.
    """

    hole: NDArray[np.bool_]
    meaning: MaskFrom
    largest: float
    full: float | int
    seems_swapped: bool = False


def read_samples(
    mask: SampledImage, threshold: float, image: SampledImage | None = None, mask_from: MaskFrom | None = None
) -> Reading:
    """Read a mask, in memory of a byte for each pixel beside its strips.

    - Two tones, or shades: values above the threshold are hole. Of colours the brightest channel counts, so that a hole
      may be painted in red as well as in white. A mask with no value above 1 holds zeros and ones, and one of 16 bits
      with none above 255, and no transparency, the values of 8 bits.
    - With transparency: if everything visible has one colour, the drawing is the hole, whatever its colour; otherwise
      transparent pixels are black.
    - With a palette that is more than greys: every colour but that of index 0 is hole.
    - A copy of the image with the hole painted over, or erased: the hole is where the two differ.

    Args:
        mask: to read.
        threshold: share of the range, 0 <= threshold < 1.
        image: that the mask belongs to, of the same size, if it may be a copy of it.
        mask_from: insists on one of these readings.

    Raises:
        MaskError: `mask_from` does not apply.
    """
    hole = np.zeros((mask.height, mask.width), np.bool_)
    evidence = _Evidence(mask)
    limit = _limit(mask.full, threshold)
    for box, samples in mask.strips():
        np.greater(evidence.add(samples), limit, out=hole[box.slices])
    if evidence.full != mask.full:
        return read_samples(replace(mask, full=evidence.full), threshold, image, mask_from)

    comparison = None
    may_be_copy = evidence.middle >= max(1, MIN_MIDDLE_SHARE * hole.size)
    if image is not None and (mask_from == "difference" or (mask_from is None and may_be_copy)):
        comparison = compare(mask, image)
    meaning: MaskFrom = mask_from or _meaning(mask, evidence, comparison)
    if meaning == "difference":
        if comparison is None or image is None:
            raise MaskError(f"{mask.name}: only a mask of the size of its image can be compared with it")
        return Reading(marks_of(mask, image, comparison.tolerance), meaning, 0, mask.full)
    if meaning == "alpha" and not evidence.has_alpha:
        raise MaskError(f"{mask.name}: has no transparency to take the mask from")
    if meaning == "labels" and mask.base is None:
        raise MaskError(f"{mask.name}: has no palette of colours to take labels from")
    largest = evidence.largest_colour
    if meaning != "brightness" or not evidence.is_opaque:
        largest = 0
        for box, samples in mask.strips():
            values = _values(mask, samples, meaning)
            np.greater(values, 0 if meaning == "labels" else limit, out=hole[box.slices])
            largest = max(largest, float(values.max()))
    swapped = (
        comparison is not None
        and not comparison.is_copy
        and 2 * evidence.middle > hole.size
        and comparison.image_middle < MIN_MIDDLE_SHARE * hole.size
    )
    return Reading(hole, meaning, largest, mask.full, swapped)


def _limit(full: float | int, threshold: float) -> float:
    if full == 1 and not isinstance(full, float):
        return 0
    # A level of 255 comes as a share, which may fall short of it by rounding.
    return full * threshold if isinstance(full, float) else int(full * threshold + 1e-6)


def _meaning(mask: SampledImage, evidence: _Evidence, comparison: Comparison | None) -> MaskFrom:
    if comparison is not None and comparison.is_copy:
        return "difference"
    if not evidence.is_opaque and evidence.is_one_colour:
        return "alpha"
    return "brightness" if mask.base is None else "labels"


class _Evidence:
    """What the samples of a mask say about how it was drawn, gathered strip by strip."""

    def __init__(self, mask: SampledImage) -> None:
        self._mask = mask
        self.middle = 0
        """Visible pixels that are neither black nor white: shades or colours, as an image has them."""
        self._largest_alpha: float = 0
        self._least_alpha: float = mask.full
        self._least, self._most = np.array(np.inf), np.array(-np.inf)
        self.largest_colour: float = 0
        self.has_alpha = False

    def add(self, samples: Samples) -> Samples:
        """Take in a strip, (H, W, channels), and give its brightest channel, (H, W)."""
        colours, alpha = split_alpha(samples)
        brightest, darkest = reduce(np.maximum, colours), reduce(np.minimum, colours)
        largest = brightest.max()
        self.largest_colour = max(self.largest_colour, float(largest))
        self.has_alpha = alpha is not None
        if alpha is not None:
            self._note_alpha(samples[..., :-1], alpha)
        eight_bits = self._mask.eight_bits
        if eight_bits(largest) > NEAR:
            middle = middle_of(eight_bits(darkest), eight_bits(brightest))
            if not self.is_opaque:
                middle &= samples[..., -1] > self._mask.full / 2
            self.middle += int(np.count_nonzero(middle))
        return brightest

    def _note_alpha(self, colours: Samples, alpha: Samples) -> None:
        self._largest_alpha = max(self._largest_alpha, float(alpha.max()))
        self._least_alpha = min(self._least_alpha, float(alpha.min()))
        visible = colours[alpha > self._mask.full / 2]
        if len(visible):
            self._least = np.minimum(self._least, visible.min(axis=0))
            self._most = np.maximum(self._most, visible.max(axis=0))

    @property
    def full(self) -> float | int:
        """The value of white: 1 where the values can only be meant as no and yes, 255 where 8 bits are in 16."""
        full = self._mask.full
        if isinstance(full, float):
            return full
        if self.largest_colour <= 1 and (self._largest_alpha <= 1 or self.is_opaque):
            return 1
        return 255 if full > 255 and self.largest_colour <= 255 and not self.has_alpha else full

    @property
    def is_opaque(self) -> bool:
        return self._least_alpha >= self._mask.full

    @property
    def is_one_colour(self) -> bool:
        """Whether everything visible has one colour, or nothing is visible."""
        return bool(((self._most - self._least) * ONE_COLOUR_STEPS <= self._mask.full).all())


def _values(mask: SampledImage, samples: Samples, meaning: MaskFrom) -> Samples:
    """Reduce (H, W, channels) to (H, W): the brightest channel, what is drawn in alpha, or 1 for other labels."""
    if meaning == "labels":
        return _labelled(mask, samples)
    colours, alpha = split_alpha(samples)
    if alpha is not None and meaning == "alpha":
        return alpha
    values: Samples = reduce(np.maximum, colours)
    if alpha is not None:
        values = np.where(alpha == mask.full, values, values * (alpha / mask.full)).astype(samples.dtype)
    return values


def _labelled(mask: SampledImage, samples: Samples) -> Samples:
    assert mask.base is not None
    *colour, alpha = mask.base
    others: NDArray[np.bool_] = (samples[..., :3] != colour[: samples.shape[2]]).any(axis=2)
    if samples.shape[2] == 4:
        others = (samples[..., -1] >= 128) & (others | (alpha < 128))
    return others.view(np.uint8)
