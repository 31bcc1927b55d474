"""From whatever a caller calls a mask to one boolean array, True = hole."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wavepaint.errors import MaskError, OptionError
from wavepaint.fill.dilation import dilate
from wavepaint.image.file import ImageFile
from wavepaint.image.mask_reading import Reading, read_samples
from wavepaint.image.mask_samples import SampledImage, from_bgr, sampled_array
from wavepaint.image.orientation import to_upright
from wavepaint.image.pil import is_pil_image, label_base_of_pil, mask_samples_of_pil, orientation_of_pil
from wavepaint.image.sources import warn
from wavepaint.image.stored_file import without_stream
from wavepaint.image.tensors import array_of_tensor, is_tensor
from wavepaint.image.types import ReadableImage
from wavepaint.options import Options, as_boxes

Mask = NDArray[np.bool_]

MAX_SHARE = 0.95
"""Of the image: a larger hole has to be insisted on, as its opposite is more likely."""


def find_hole(image: ReadableImage, mask: Any, options: Options) -> Mask:
    """Decide which pixels of an image to fill.

    Args:
        image: gives the size, and the transparent pixels for `options.alpha`.
        mask: a file (path, bytes or open), an `ImageFile`, a PIL image, an array or a tensor: what it means,
            `read_samples` says; or None where `options.boxes` or `options.alpha` says what to fill.
        options: boxes, alpha, bgr, threshold, marked, mask_from, resize_mask, invert_mask and dilate, applied in this
            order.

    Returns:
        (H, W) bool, True = hole; an array of its own.

    Raises:
        ImageError: a mask file that cannot be read.
        MaskError: a mask that is none (another kind, shape or type; NaN; values outside the range; empty), has another
            size, marks almost everything, or leaves no pixel to fill from.
        OptionError: none or more than one of mask, boxes and alpha.

    Warns:
        ImageWarning: a mask that is read as a marked copy or as a label map, marks nothing or more than half, or seems
            to be swapped with the image.
    """
    if (mask is not None) + bool(options.boxes) + options.alpha != 1:
        raise OptionError(f"{image.name}: give either a mask, boxes or alpha, to say what to fill")
    if options.alpha:
        hole = image.alpha_holes()
    elif options.boxes:
        hole = _hole_of_boxes(image, options)
    else:
        hole = _hole_of_mask(image, open_mask(mask, options.bgr), options)
    if options.invert_mask and mask is None:
        hole = ~hole
    if options.dilate:  # saves a copy
        hole = dilate(hole, options.dilate)
    if hole.all():
        raise MaskError(f"{image.name}: the mask covers the whole image, nothing is left to fill it from")
    return hole


def excluded(image: ReadableImage, mask: Any, threshold: float = Options.threshold) -> Mask:
    """Read the mask of what not to copy from: (H, W) bool, True = not to copy from; it may be what `find_hole` takes.

    Raises:
        MaskError: a mask that cannot be read, or of another size than the image.
    """
    opened = open_mask(mask)
    if (opened.height, opened.width) != (image.height, image.width):
        raise MaskError(
            f"{opened.name}: the mask of what not to copy from is {opened.width}x{opened.height} pixels, but "
            f"{image.name} is {image.width}x{image.height}"
        )
    return read_samples(opened, threshold, _sampled(image)).hole


def open_mask(mask: Any, bgr: bool = False) -> SampledImage:
    """Open a mask of any kind, without deciding what it means; `find_hole` says what it may be, and the errors."""
    mask = without_stream(mask)
    if isinstance(mask, (str, bytes, Path)):
        mask = ImageFile.open(mask, name="mask" if isinstance(mask, bytes) else str(mask) or "the mask's file name")
    if isinstance(mask, ImageFile):
        return replace(_sampled(mask), strips=partial(mask.strips, False), base=mask.label_base())
    if is_pil_image(mask):
        samples = to_upright(mask_samples_of_pil(mask), orientation_of_pil(mask))
        return replace(sampled_array(samples), base=label_base_of_pil(mask))
    if is_tensor(mask):
        mask = array_of_tensor(mask)
    if not isinstance(mask, np.ndarray):
        known = "an array, a tensor, a PIL image, bytes, an open file or a path"
        raise MaskError(f"mask: must be {known}, not {type(mask).__name__}")
    return sampled_array(from_bgr(mask) if bgr else mask)


def _sampled(image: ReadableImage) -> SampledImage:
    full = int(np.iinfo(image.dtype).max) if np.issubdtype(image.dtype, np.integer) else 1.0
    return SampledImage(image.name, image.width, image.height, full, image.strips)


def _hole_of_mask(image: ReadableImage, mask: SampledImage, options: Options) -> Mask:
    fits = (mask.height, mask.width) == (image.height, image.width)
    if not fits and not options.resize_mask:
        raise MaskError(
            f"{mask.name}: the mask is {mask.width}x{mask.height} pixels, but {image.name} is "
            f"{image.width}x{image.height}; {_size_remedy(image, mask)}"
        )
    mask_from = "difference" if options.marked else options.mask_from
    reading = read_samples(mask, options.threshold, _sampled(image) if fits else None, mask_from)
    hole = reading.hole if fits else _resized(reading.hole, image)
    _warn_of_meaning(image, mask, reading, hole)
    if options.invert_mask:
        hole = ~hole
    _check_share(image, mask, reading, hole, options)
    return hole


def _size_remedy(image: ReadableImage, mask: SampledImage) -> str:
    if _is_turned(image, mask.height, mask.width):
        return "it fits the image as it is stored, before its EXIF orientation: --resize-mask turns it likewise"
    for first, second, relation in ((image, mask, "larger"), (mask, image, "smaller")):
        times, rest = divmod(first.width, second.width)
        if rest == 0 and first.height == times * second.height:
            return f"the image is {times} times {relation}: --resize-mask fits the mask to it"
    return "--resize-mask stretches it"


def _is_turned(image: ReadableImage, height: int, width: int) -> bool:
    return image.orientation >= 5 and (width, height) == (image.height, image.width)


def _resized(hole: Mask, image: ReadableImage) -> Mask:
    """The hole turned as the image is, or else stretched to its size: the nearest pixel."""
    height, width = hole.shape
    if _is_turned(image, height, width):
        return np.ascontiguousarray(to_upright(hole, image.orientation))
    rows = (2 * np.arange(image.height) + 1) * height // (2 * image.height)
    columns = (2 * np.arange(image.width) + 1) * width // (2 * image.width)
    resized: Mask = hole[rows][:, columns]
    return resized


def _warn_of_meaning(image: ReadableImage, mask: SampledImage, reading: Reading, hole: Mask) -> None:
    if reading.meaning == "difference" and hole.any():
        warn(
            f"{mask.name}: is a copy of {image.name} with {_percent(hole)} of it painted over or erased: that is the "
            "hole (--mask-from brightness reads it as a mask)"
        )
    if reading.meaning == "labels":
        warn(
            f"{mask.name}: has a palette and is read as a label map: every colour but that of index 0 is hole "
            "(--mask-from brightness reads it as a mask)"
        )
    if reading.seems_swapped:
        warn(f"{image.name}: is black and white, and the mask is not: are image and mask swapped?")


def _check_share(image: ReadableImage, mask: SampledImage, reading: Reading, hole: Mask, options: Options) -> None:
    """Point out, or refuse, a hole of which the opposite may be meant."""
    share = np.count_nonzero(hole) / hole.size
    if share == 0:
        warn(f"{mask.name}: marks nothing: {_why_nothing(image, reading, options)}")
    elif 0.5 < share < 1:
        line = f"{mask.name}: marks {_percent(hole)} of {image.name}"
        if options.invert_mask:
            warn(f"{line}, inverted: without --invert-mask it is the rest")
            return
        remedy = "if it marks what is to stay, use --invert-mask"
        if share > MAX_SHARE and not options.marked and options.mask_from is None:
            raise MaskError(f"{line}: {remedy}; if all of that is to be filled, --mask-from {reading.meaning}")
        warn(f"{line}: {remedy}")


def _why_nothing(image: ReadableImage, reading: Reading, options: Options) -> str:
    if options.invert_mask:
        return "it is inverted, and marks everything"
    if reading.meaning == "difference":
        return f"it is a copy of {image.name}, and differs from it nowhere"
    if reading.meaning == "labels":
        return "it has no colour but that of index 0"
    return (
        f"its largest value is {reading.largest:g} of {reading.full}, and a hole is what lies above "
        f"{options.threshold:g} of the range (--threshold)"
    )


def _percent(hole: Mask) -> str:
    # Rounded down: "100.0 %" is all of it.
    return f"{1000 * np.count_nonzero(hole) // hole.size / 10} %"


def _hole_of_boxes(image: ReadableImage, options: Options) -> Mask:
    hole = np.zeros((image.height, image.width), np.bool_)
    for box in as_boxes(options.boxes):
        inside = box.clip(image.width, image.height)
        if inside.is_empty:
            raise MaskError(
                f"{image.name}: the box {box.left},{box.top},{box.width},{box.height} lies outside the image of "
                f"{image.width}x{image.height} pixels"
            )
        hole[inside.slices] = True
    return hole
