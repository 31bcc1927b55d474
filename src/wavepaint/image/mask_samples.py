"""A mask before its meaning is decided: samples in strips, from a file or an array of any type."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wavepaint.errors import MaskError
from wavepaint.image.formats.palette import Colour
from wavepaint.image.strips import strip_boxes
from wavepaint.image.types import Samples, Strips


@dataclass(frozen=True)
class SampledImage:
    """What is compared and read of a mask, and of the image that it belongs to.

    Attributes:
        name: what messages call it.
        width: pixels.
        height: pixels.
        full: value of white: 1 for floats, else an integer.
        strips: gives the samples, (height, width, 1 to 4 channels), from top to bottom in strips of `STRIP_ROWS` rows,
            each time it is called.
        base: of an image with a palette that is more than greys, the colour of index 0.
    """

    name: str
    width: int
    height: int
    full: float | int
    strips: Callable[[], Strips]
    base: Colour | None = None

    def eight_bits(self, samples: Samples) -> NDArray[np.uint8]:
        """Samples of this image, in 8 bits."""
        if samples.dtype == np.uint8:
            return samples * np.uint8(255) if self.full == 1 else samples
        if isinstance(self.full, float):
            return np.asarray(samples * 255 + 0.5).astype(np.uint8)
        if self.full == 1:
            return samples.astype(np.uint8) * np.uint8(255)
        return (samples >> 8 if self.full > 255 else samples).astype(np.uint8)


def sampled_array(samples: Samples) -> SampledImage:
    """Take an array as a mask.

    Args:
        samples: (H, W), (1, H, W) or (H, W, 1 to 4 channels): bool, any integer type, or floating: in [0, 1], or up to
            255 (whole numbers, or a largest value of at least 128). The range of integers is that of their type, where
            types of more than 16 bits hold 8 or 16-bit values, whichever suffices; an array with no value above 1 holds
            zeros and ones.

    Raises:
        MaskError: another shape or type, NaN, values outside the range, or no values at all.
    """
    if samples.size == 0:
        raise MaskError(f"mask: is empty, its shape is {samples.shape}")
    if samples.ndim == 3 and samples.shape[0] == 1 and samples.shape[2] > 4:
        samples = samples[0]
    if samples.ndim == 2:
        samples = samples[..., None]
    if samples.ndim != 3 or not 1 <= samples.shape[2] <= 4:
        raise MaskError(f"mask: a mask of shape {samples.shape} is neither grey nor colour")
    full: float | int = 1
    if samples.dtype == np.bool_:
        samples = samples.view(np.uint8)
        if samples.max() > 1:  # some programs store other bytes for True
            samples = np.minimum(samples, 1)
    elif np.issubdtype(samples.dtype, np.integer):
        full = _full_integer(samples)
    elif np.issubdtype(samples.dtype, np.floating):
        full = 1.0
        if _is_eight_bit(samples):
            full, samples = 255, np.rint(samples).astype(np.uint8)
    else:
        raise MaskError(f"mask: a mask cannot have samples of type {samples.dtype}")
    if not (samples.min() >= 0 and samples.max() <= full):
        raise MaskError(f"mask: the mask has values outside 0 to {full} (or NaN)")
    height, width = samples.shape[:2]
    return SampledImage("mask", width, height, full, lambda: strips_of(samples))


def from_bgr(samples: Samples) -> Samples:
    """Red, green, blue (and alpha) from blue, green, red, and the other way round; other samples as they are."""
    if samples.ndim < 3 or samples.shape[2] not in (3, 4):
        return samples
    return samples[..., ::-1] if samples.shape[2] == 3 else samples[..., [2, 1, 0, 3]]


def strips_of(samples: Samples) -> Strips:
    """The strips of (height, width, channels)."""
    return ((box, samples[box.slices]) for box in strip_boxes(samples.shape[1], samples.shape[0]))


def split_alpha(samples: Samples) -> tuple[list[Samples], Samples | None]:
    """The colours of (height, width, channels), (height, width) each, which are reduced three times as fast; alpha."""
    channels = [samples[..., channel] for channel in range(samples.shape[2])]
    return (channels[:-1], channels[-1]) if len(channels) in (2, 4) else (channels, None)


def _full_integer(samples: Samples) -> int:
    if samples.dtype.itemsize <= 2:
        return int(np.iinfo(samples.dtype).max)
    return 255 if samples.max() <= 255 else 65535


def _is_eight_bit(samples: Samples) -> bool:
    """Whether floats hold the range of 8 bits, as arrays do that were converted, perhaps resized, but not scaled.

    What reaches a little beyond 1 is no such array: resizing can do that.
    """
    largest = samples.max()
    return bool(1 < largest <= 255 and samples.min() >= 0 and (largest >= 128 or (samples == np.floor(samples)).all()))
