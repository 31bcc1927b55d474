"""Several images in one call: lists of images of any kind, and batches, arrays or tensors of one dimension more."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from wavepaint.errors import ImageError, MaskError, OptionError
from wavepaint.image.tensors import is_tensor


def images_of(value: Any) -> list[Any] | None:
    """The images of a list or batch; None for a single image.

    Raises:
        ImageError: there are none.
    """
    is_list = isinstance(value, (list, tuple)) and not any(isinstance(each, (list, tuple)) for each in value)
    if not is_list and not (_is_samples(value) and value.ndim == 4):
        return None
    if not len(value):
        raise ImageError("image: a list or batch without images")
    return list(value)


def masks_of(value: Any, count: int) -> list[Any]:
    """A mask for each of `count` images: of a list, a batch (N, H, W) or (N, H, W, C), or the same for all.

    Raises:
        MaskError: another number of masks.
    """
    several = isinstance(value, (list, tuple)) or (_is_samples(value) and value.ndim == 4)
    if not several and _is_samples(value) and value.ndim == 3:
        # (1, H, W) and (H, W, C) are single masks, as they are for a single image.
        several = len(value) == count or (len(value) > 1 and value.shape[2] > 4)
    if not several:
        return [value] * count
    if len(value) != count:
        raise MaskError(f"mask: there are {count} images, but {len(value)} masks")
    return list(value)


def outputs_of(value: Any, count: int) -> list[Any]:
    """A file to write for each of `count` images, or none; `OptionError` for another number."""
    if value is None:
        return [None] * count
    if not isinstance(value, (list, tuple)) or len(value) != count:
        raise OptionError(f"output: for {count} images it must be a list of {count} files")
    return list(value)


def joined(results: Iterator[Any], count: int, value: Any) -> Any:
    """The `count` results of the images of `value`: a list, or a batch if that is one.

    Raises:
        ImageError, MaskError: as one of them did, with its number.
    """
    taken = []
    for number in range(count):
        try:
            taken.append(next(results))
        except (ImageError, MaskError) as error:
            raise type(error)(f"{number + 1} of {count}: {error}") from None
    if is_tensor(value):
        return sys.modules["torch"].stack(taken)
    return np.stack(taken) if isinstance(value, np.ndarray) else taken


def _is_samples(value: Any) -> bool:
    return isinstance(value, np.ndarray) or is_tensor(value)
