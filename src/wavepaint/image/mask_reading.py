"""From the samples of a mask to one boolean array, True = hole, strip by strip."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from wavepaint.box import Box
from wavepaint.errors import ImageWarning, MaskError
from wavepaint.image.file import ImageFile
from wavepaint.image.strips import STRIP_ROWS
from wavepaint.image.types import Samples, Source
from wavepaint.options import Options, check_threshold


def mask_from_samples(samples: Samples, threshold: float = Options.threshold) -> NDArray[np.bool_]:
    """Turn any kind of mask array into holes.

    Args:
        samples: (height, width) or (height, width, 1 to 4 channels); bool, any integer type, or float in [0, 1].
            Colours count by their brightest channel, so that a hole may be painted in red or blue as well as in
            white. With alpha: if everything visible has one colour, the drawing is in the alpha channel and alpha is
            the value; otherwise transparent pixels are black. Opaque alpha means nothing.
        threshold: share of the range, 0 <= threshold < 1, above which a value is a hole.

    The range of an integer mask is that of its type, where types of more than 16 bits hold 8 or 16-bit values
    (whichever suffices). An integer mask with no value above 1 is boolean, whatever the threshold.

    Returns:
        (height, width) bool, True = hole; an array of its own.

    Raises:
        MaskError: another shape or type, NaN, or values outside the range.
        OptionError: a threshold outside [0, 1).
    """
    check_threshold(threshold)
    if samples.ndim == 2:
        samples = samples[..., None]
    if samples.ndim != 3 or not 1 <= samples.shape[2] <= 4:
        raise MaskError(f"a mask of shape {samples.shape} is neither grey nor colour")
    full: float | int = 1
    if samples.dtype == np.bool_:
        samples = samples.view(np.uint8)
    elif np.issubdtype(samples.dtype, np.integer) or np.issubdtype(samples.dtype, np.floating):
        full = _full_range(samples)
    else:
        raise MaskError(f"a mask cannot have samples of type {samples.dtype}")
    if samples.size and not (samples.min() >= 0 and samples.max() <= full):
        raise MaskError(f"the mask has values outside 0 to {full} (or NaN)")
    height, width = samples.shape[:2]

    def strips() -> Iterator[tuple[Box, Samples]]:
        for top in range(0, height if width else 0, STRIP_ROWS):
            box = Box(0, top, width, min(STRIP_ROWS, height - top))
            yield box, samples[box.slices]

    holes, _ = _holes_of(strips, (height, width), full, threshold)
    return holes


def read_mask(
    source: Source, *, threshold: float = Options.threshold, name: str | None = None, page: int = 0
) -> NDArray[np.bool_]:
    """Read a mask from a picture file: (height, width) bool, True = hole.

    Any page, from 0, of any file that `ImageFile.open` takes, of any depth, grey or colour, upright as viewers show it.
    For `threshold` and what counts as a hole see `mask_from_samples`. Raises `ImageError`, `MaskError` and
    `OptionError`; warns, with a `ImageWarning`, where nothing is hole.
    """
    check_threshold(threshold)
    return mask_of(ImageFile.open(source, name=name, page=page), threshold)


def mask_of(photo: ImageFile, threshold: float = Options.threshold) -> NDArray[np.bool_]:
    """The mask that an opened picture is; see `read_mask`."""
    full = int(np.iinfo(photo.dtype).max)
    holes, largest = _holes_of(photo.stream, (photo.height, photo.width), full, threshold)
    if not holes.any():
        warnings.warn(
            f"{photo.name}: marks nothing: its largest value is {largest} of {full}, and a hole is what lies above "
            f"{threshold:g} of the range (--threshold)",
            ImageWarning,
            stacklevel=3,
        )
    return holes


def _full_range(samples: Samples) -> float | int:
    """Return the value of a full hole for arrays of this type."""
    if np.issubdtype(samples.dtype, np.floating):
        return 1.0
    if samples.dtype.itemsize <= 2:
        return int(np.iinfo(samples.dtype).max)
    return 255 if samples.size == 0 or samples.max() <= 255 else 65535


def _holes_of(
    strips: Callable[[], Iterator[tuple[Box, Samples]]], shape: tuple[int, int], full: float | int, threshold: float
) -> tuple[NDArray[np.bool_], float]:
    """Find the holes of a mask in memory of its own size in bytes, whatever the depth and channels of its samples.

    Args:
        strips: gives the strips of the mask, from top to bottom, each time it is called.
        shape: of the mask, (height, width).
        full: value of a full hole.
        threshold: share of it above which a value is a hole.

    Returns:
        (height, width) bool, and the largest value.
    """
    holes = np.zeros(shape, np.bool_)
    evidence = _Evidence(full)

    def mark(strips: Iterator[tuple[Box, Samples]], layer: str, limit: float) -> float:
        largest: float = 0
        for box, samples in strips:
            values = _values(samples, layer, full)
            np.greater(values, limit, out=holes[box.slices])
            largest = max(largest, values.max())
        return largest

    limit = full * threshold if isinstance(full, float) else int(full * threshold)
    largest = mark(evidence.watch(strips()), "colours", limit)
    if evidence.layer != "colours" or evidence.boolean:
        largest = mark(strips(), evidence.layer, 0 if evidence.boolean else limit)
    return holes, largest


class _Evidence:
    """What the samples of a mask tell about how it was drawn, gathered strip by strip."""

    def __init__(self, full: float | int) -> None:
        self._full = full
        self._largest: float = 0
        self._opaque = self._one_colour = True
        self._colour: Samples | None = None

    def watch(self, strips: Iterator[tuple[Box, Samples]]) -> Iterator[tuple[Box, Samples]]:
        for box, samples in strips:
            self._largest = max(self._largest, samples.max())
            if samples.shape[2] in (2, 4):
                self._look_at_alpha(samples[..., :-1], samples[..., -1])
            yield box, samples

    def _look_at_alpha(self, colours: Samples, alpha: Samples) -> None:
        self._opaque = self._opaque and bool((alpha == self._full).all())
        if self._one_colour and len(visible := colours[alpha > 0]):
            if self._colour is None:
                self._colour = visible[0].copy()
            self._one_colour = bool((visible == self._colour).all())

    @property
    def boolean(self) -> bool:
        """Whether the values can only be meant as no and yes."""
        return not isinstance(self._full, float) and self._largest <= 1

    @property
    def layer(self) -> str:
        """Where the drawing is: in the "colours", in "alpha", or in "both"."""
        if self._opaque:
            return "colours"
        return "alpha" if self._one_colour else "both"


def _values(samples: Samples, layer: str, full: float) -> Samples:
    """Reduce (height, width, channels) to (height, width): the brightest channel, or what is drawn in alpha."""
    channels = samples.shape[2]
    if channels == 1:
        return samples[..., 0]
    if channels == 3:
        return np.asarray(samples.max(axis=2))
    alpha, values = samples[..., -1], np.asarray(samples[..., :-1].max(axis=2))
    if layer == "alpha":
        return alpha
    if layer == "colours":
        return values
    return np.where(alpha == full, values, values * (alpha / full)).astype(samples.dtype)
