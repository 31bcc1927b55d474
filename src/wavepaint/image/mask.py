"""From whatever a caller calls a mask to one boolean array, True = hole."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from wavepaint.errors import ImageError, MaskError, OptionError
from wavepaint.fill.dilation import dilate
from wavepaint.image.file import ImageFile
from wavepaint.image.mask_reading import mask_from_samples, read_mask
from wavepaint.image.pil import is_pil_image, samples_of_pil
from wavepaint.options import Options, as_boxes

Mask = NDArray[np.bool_]


class Maskable(Protocol):
    """The picture a mask belongs to."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    @property
    def width(self) -> int:
        """Pixels."""
        ...

    @property
    def height(self) -> int:
        """Pixels."""
        ...

    def alpha_holes(self) -> Mask:
        """(H, W) bool, True where the picture is fully transparent."""
        ...


def find_hole(picture: Maskable, mask: Any, options: Options) -> Mask:
    """Decide which pixels of a picture to fill.

    Args:
        picture: gives the size, and the transparent pixels for `options.alpha`.
        mask: what `hole_of` takes, or None where `options.boxes` or `options.alpha` says what to fill.
        options: boxes, alpha, threshold, invert_mask and dilate, applied in this order.

    Returns:
        (H, W) bool, True = hole; perhaps the caller's own array, so do not write to it.

    Raises:
        MaskError: a mask that cannot be read or has another size, or one that leaves no pixel to fill from.
        OptionError: none or more than one of mask, boxes and alpha.
    """
    if (mask is not None) + bool(options.boxes) + options.alpha != 1:
        raise OptionError(f"{picture.name}: give either a mask, boxes or alpha, to say what to fill")
    if options.alpha:
        hole = picture.alpha_holes()
    elif options.boxes:
        hole = _hole_of_boxes(picture, options)
    else:
        hole = hole_of(mask, options.threshold)
        if hole.shape != (picture.height, picture.width):
            raise MaskError(
                f"{_name_of(mask)}: the mask is {hole.shape[1]}x{hole.shape[0]} pixels, but {picture.name} is "
                f"{picture.width}x{picture.height}"
            )
    if options.invert_mask:
        hole = ~hole
    if options.dilate:
        hole = dilate(hole, options.dilate)
    if hole.all():
        raise MaskError(f"{picture.name}: the mask covers the whole picture, nothing is left to fill it from")
    return hole


def excluded(picture: Maskable, mask: Any, threshold: float = Options.threshold) -> Mask:
    """Read the mask of what not to copy from: (H, W) bool, True = not to copy from; for the rest see `hole_of`.

    Raises:
        MaskError: a mask that cannot be read, or of another size than the image.
    """
    places = hole_of(mask, threshold)
    if places.shape != (picture.height, picture.width):
        raise MaskError(
            f"{_name_of(mask)}: the mask of what not to copy from is {places.shape[1]}x{places.shape[0]} pixels, but "
            f"{picture.name} is {picture.width}x{picture.height}"
        )
    return places


def hole_of(mask: Any, threshold: float = Options.threshold) -> Mask:
    """Read a mask.

    Args:
        mask: a picture file (path or bytes), a PIL image, or an array; `photo.mask_from_samples` says what counts.
        threshold: where the upper part of the range begins, as a share of it.

    Returns:
        (H, W) bool, True = hole.

    Raises:
        MaskError: not a mask: another kind, shape or type; NaN; values outside the range; empty.
        ImageError: a file that cannot be read.

    Warns:
        ImageWarning: a file that marks nothing.
    """
    if isinstance(mask, (bytearray, memoryview)):
        mask = bytes(mask)
    if isinstance(mask, (str, bytes, Path)):
        return read_mask(mask, threshold=threshold, name=_name_of(mask))
    if is_pil_image(mask):
        mask = samples_of_pil(mask)
    if not isinstance(mask, np.ndarray):
        raise MaskError(f"mask: must be an array, a PIL image, bytes or a path, not {type(mask).__name__}")
    if mask.size == 0:
        raise MaskError(f"mask: is empty, its shape is {mask.shape}")
    try:
        return mask_from_samples(mask, threshold)
    except MaskError as error:
        raise MaskError(f"mask: {error}") from None


def seems_to_fit(mask: Any, picture: Maskable) -> bool:
    """Whether a mask is a file, or the bytes of one, of the picture's size: by its header, before it is decoded."""
    if isinstance(mask, (bytearray, memoryview)):
        mask = bytes(mask)
    if not isinstance(mask, (str, bytes, Path)):
        return False
    try:
        photo = ImageFile.open(mask)
    except ImageError:
        return False
    return (photo.height, photo.width) == (picture.height, picture.width)


def _hole_of_boxes(picture: Maskable, options: Options) -> Mask:
    hole = np.zeros((picture.height, picture.width), np.bool_)
    for box in as_boxes(options.boxes):
        inside = box.clip(picture.width, picture.height)
        if inside.is_empty:
            raise MaskError(
                f"{picture.name}: the box {box.left},{box.top},{box.width},{box.height} lies outside the picture of "
                f"{picture.width}x{picture.height} pixels"
            )
        hole[inside.slices] = True
    return hole


def _name_of(mask: Any) -> str:
    return str(mask) or "the mask's file name" if isinstance(mask, (str, Path)) else "mask"
