"""PIL images as arrays and back, for callers who have Pillow: this package neither needs nor imports it."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from wavepaint.errors import ImageError
from wavepaint.image.formats.palette import Colour

if TYPE_CHECKING:
    from PIL.Image import Image

_AS_THEY_ARE = ("L", "LA", "RGB", "RGBA")
_SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N")
_BECOMES = {"1": "L", "P": "RGB", "PA": "RGBA"}
_BECOMES_CLEAR = {"1": "LA", "L": "LA", "RGB": "RGBA", "P": "RGBA", "PA": "RGBA"}
_ORIENTATION = 274


def is_pil_image(value: object) -> TypeGuard[Image]:
    """Whether this is a PIL image; False without looking further where Pillow has not been imported."""
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(value, module.Image)


@dataclass(frozen=True)
class PilMetadata:
    """What a PIL image knows about itself besides its samples.

    Attributes:
        profile: ICC profile.
        exif: EXIF block, "Exif" prefix included.
        xmp: XMP packet.
        dpi: horizontal and vertical resolution.
        orientation: EXIF orientation of the samples, 1 to 8.
    """

    profile: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    orientation: int = 1


def metadata_of_pil(image: Image) -> PilMetadata:
    """Gather what `info` and the EXIF tags of a PIL image say; what makes no sense is left out."""
    # Before its samples: once they are loaded, Pillow has closed the file, and turned those of a TIFF upright.
    exif = image.getexif()
    block = exif.tobytes() if exif else None
    image.load()
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    return PilMetadata(
        profile=image.info.get("icc_profile") or None,
        exif=block,
        xmp=xmp.encode() if isinstance(xmp, str) else xmp or None,
        dpi=_dpi_of(image.info.get("dpi")),
        orientation=orientation_of_pil(image),
    )


def orientation_of_pil(image: Image) -> int:
    """The EXIF orientation, 1 to 8, of the samples of a PIL image."""
    image.load()  # Pillow turns those of a TIFF upright.
    orientation = image.getexif().get(_ORIENTATION, 1)
    return orientation if orientation in range(1, 9) else 1


def label_base_of_pil(image: Image) -> Colour | None:
    """The colour of index 0 of a palette that is more than greys; None for other images."""
    palette = image.getpalette("RGB") if image.mode in ("P", "PA") else None
    if palette is None or palette[::3] == palette[1::3] == palette[2::3]:
        return None
    clear = image.info.get("transparency", b"")
    alpha = 255 * (clear != 0) if isinstance(clear, int) else (clear[0] if clear else 255)
    return palette[0], palette[1], palette[2], alpha


def _dpi_of(value: Any) -> tuple[float, float] | None:
    try:
        across, down = (float(number) for number in value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (across, down) if 0 < across < math.inf and 0 < down < math.inf else None


def samples_of_pil(image: Image) -> NDArray[Any]:
    """The samples of a PIL image, uint8 or uint16, (H, W) or (H, W, C); an array of its own.

    Modes L, LA, RGB, RGBA and I;16 as they are; 1 becomes grey, and P becomes RGB. With a transparent colour, modes 1,
    L, RGB and P get an alpha channel: among the samples to come, that colour would be transparent too.

    Raises:
        ImageError: any other mode.
    """
    if image.mode in _SIXTEEN_BIT:
        return np.array(image).astype(np.uint16)
    becomes = _BECOMES_CLEAR if "transparency" in image.info else _BECOMES
    if image.mode in becomes:
        image = image.convert(becomes[image.mode])
    if image.mode not in _AS_THEY_ARE:
        known = ", ".join(("1", "P", *_AS_THEY_ARE, "I;16"))
        raise ImageError(f"image: PIL mode {image.mode} is not supported, only {known}")
    return np.array(image)


def pil_of_samples(samples: NDArray[Any], like: Image) -> Image:
    """A PIL image of samples as `samples_of_pil` gives them, with the `info` of another."""
    from PIL import Image as images

    result = images.fromarray(samples)
    result.info = dict(like.info)
    if result.mode not in _SIXTEEN_BIT:
        result.info.pop("transparency", None)  # now an alpha channel
    return result
