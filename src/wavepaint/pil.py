"""PIL images as arrays and back, for callers who have Pillow: this package neither needs nor imports it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from wavepaint.errors import PhotoError

if TYPE_CHECKING:
    from PIL.Image import Image

_AS_THEY_ARE = ("L", "LA", "RGB", "RGBA")
_SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N")


def is_pil_image(value: object) -> TypeGuard[Image]:
    """Whether this is a PIL image; False without looking further where Pillow has not been imported."""
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(value, module.Image)


def samples_of_pil(image: Image) -> NDArray[Any]:
    """The samples of a PIL image, uint8 or uint16, (H, W) or (H, W, C); an array of its own.

    Modes L, LA, RGB, RGBA and I;16 as they are; 1 becomes grey, and P becomes RGB, or RGBA if it has transparency.

    Raises:
        PhotoError: any other mode.
    """
    if image.mode in _SIXTEEN_BIT:
        return np.array(image).astype(np.uint16)
    if image.mode == "1":
        image = image.convert("L")
    elif image.mode in ("P", "PA"):
        image = image.convert("RGBA" if image.mode == "PA" or "transparency" in image.info else "RGB")
    if image.mode not in _AS_THEY_ARE:
        known = ", ".join(("1", "P", *_AS_THEY_ARE, "I;16"))
        raise PhotoError(f"image: PIL mode {image.mode} is not supported, only {known}")
    return np.array(image)


def pil_of_samples(samples: NDArray[Any], like: Image) -> Image:
    """A PIL image of samples as `samples_of_pil` gives them, with the `info` of another."""
    from PIL import Image as images

    result = images.fromarray(samples)
    result.info = dict(like.info)
    return result
