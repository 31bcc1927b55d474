"""PIL images as arrays and back, for callers who have Pillow: this package neither needs nor imports it."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from wavepaint.errors import ImageError
from wavepaint.image.formats.palette import Colour, base_of
from wavepaint.image.header import to_srgb
from wavepaint.image.metadata import Metadata
from wavepaint.image.vips import libvips

if TYPE_CHECKING:
    from PIL.Image import Image

_AS_THEY_ARE = ("L", "LA", "RGB", "RGBA")
_SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N")
_CONVERTED_BACK = ("YCbCr", "I", "F")
_BECOMES = {"1": "L", "P": "RGB", "PA": "RGBA", "YCbCr": "RGB"}
_BECOMES_CLEAR = {"1": "LA", "L": "LA", "RGB": "RGBA", "P": "RGBA", "PA": "RGBA"}
_ORIENTATION = 274


def is_pil_image(value: object) -> TypeGuard[Image]:
    """Whether this is a PIL image; False without looking further where Pillow has not been imported."""
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(value, module.Image)


def metadata_of_pil(image: Image) -> Metadata:
    """Gather what `info` and the EXIF tags of a PIL image say; what makes no sense is left out."""
    # Before its samples: once they are loaded, Pillow has closed the file, and turned those of a TIFF upright.
    exif = image.getexif()
    block = exif.tobytes() if exif else None
    image.load()
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    fields: dict[str, tuple[int, Any]] = {}
    if (profile := image.info.get("icc_profile")) and image.mode != "CMYK":
        fields["icc-profile-data"] = libvips().GValue.blob_type, profile
    resolution = _resolution_of(image.info.get("dpi"))
    if resolution is not None:
        fields["resolution-unit"] = libvips().GValue.gstr_type, "in"
    return Metadata(
        container="pil",
        exif=block,
        xmp=xmp.encode() if isinstance(xmp, str) else xmp or None,
        fields=fields,
        resolution=resolution,
    )


def orientation_of_pil(image: Image) -> int:
    """The EXIF orientation, 1 to 8, of the samples of a PIL image."""
    image.load()  # Pillow turns those of a TIFF upright.
    orientation = image.getexif().get(_ORIENTATION, 1)
    return orientation if orientation in range(1, 9) else 1


def label_base_of_pil(image: Image) -> Colour | None:
    """The colour of index 0 of a palette that is more than greys; None for other images."""
    palette = image.getpalette("RGB") if image.mode in ("P", "PA") else None
    clear = image.info.get("transparency", b"")
    alpha = 255 * (clear != 0) if isinstance(clear, int) else (clear[0] if clear else 255)
    return base_of(palette or [], alpha)


def _resolution_of(dpi: Any) -> tuple[float, float] | None:
    """Pixels a millimetre, horizontal and vertical."""
    try:
        across, down = (float(number) for number in dpi)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (across / 25.4, down / 25.4) if 0 < across < math.inf and 0 < down < math.inf else None


def samples_of_pil(image: Image) -> NDArray[Any]:
    """The samples of a PIL image, uint8, uint16 or float32 in [0, 1], (H, W) or (H, W, C); an array of its own.

    Modes L, LA, RGB, RGBA and I;16 as they are; 1 becomes grey, P and YCbCr become RGB, and so does CMYK through its
    profile. I holds 16 bits; F holds 0 to 1, or 0 to 255 if any value is above 1. With a transparent colour, modes 1,
    L, RGB and P get an alpha channel: among the samples to come, that colour would be transparent too.

    Raises:
        ImageError: any other mode, values outside the range of I or F, or a CMYK profile that cannot be used.
    """
    if image.mode in _SIXTEEN_BIT:
        return np.array(image).astype(np.uint16)
    if image.mode in ("I", "F"):
        values = np.array(image)
        full = 65535 if image.mode == "I" else _full_of(values)
        if not (values.min() >= 0 and values.max() <= full):
            span = f"{values.min()} to {values.max()}"
            raise ImageError(f"image: samples of PIL mode {image.mode} must be from 0 to {full}, not {span}")
        return values.astype(np.uint16) if image.mode == "I" else values / np.float32(full)
    if image.mode == "CMYK":
        return _srgb_of_cmyk(image)
    becomes = _BECOMES_CLEAR if "transparency" in image.info else _BECOMES
    if image.mode in becomes:
        image = image.convert(becomes[image.mode])
    if image.mode not in _AS_THEY_ARE:
        known = ", ".join(("1", "P", *_AS_THEY_ARE, "CMYK", "YCbCr", "I", "I;16", "F"))
        raise ImageError(f"image: PIL mode {image.mode} is not supported, only {known}")
    return np.array(image)


def mask_samples_of_pil(image: Image) -> NDArray[Any]:
    """The same of a mask, whose range is decided by its values as those of an array are."""
    return np.array(image) if image.mode in ("I", "F") else samples_of_pil(image)


def pil_of_samples(samples: NDArray[Any], like: Image) -> Image:
    """A PIL image of samples as `samples_of_pil` gives them, with the `info` of another.

    In modes that were converted and can be converted back, samples that have not changed are those of the other image.
    """
    from PIL import Image as images

    if like.mode in _CONVERTED_BACK:
        result = images.fromarray(_converted_back(samples, like), like.mode)
    else:
        result = images.fromarray(samples)
    result.info = dict(like.info)
    if result.mode not in _SIXTEEN_BIT:
        result.info.pop("transparency", None)  # now an alpha channel
    if like.mode == "CMYK":
        result.info.pop("icc_profile", None)
    return result


def _converted_back(samples: NDArray[Any], like: Image) -> NDArray[Any]:
    from PIL import Image as images

    values = np.array(like)
    changed = samples != samples_of_pil(like)
    if like.mode == "YCbCr":
        changed = changed.any(axis=2)
        samples = np.array(images.fromarray(samples).convert("YCbCr"))
    elif like.mode == "F":
        samples = samples * _full_of(values)
    values[changed] = samples[changed]
    return values


def _full_of(values: NDArray[np.float32]) -> int:
    return 255 if values.max() > 1 else 1


def _srgb_of_cmyk(image: Image) -> NDArray[Any]:
    vips = libvips()
    raw = vips.Image.new_from_array(np.array(image), interpretation="cmyk")
    if profile := image.info.get("icc_profile"):
        raw.set_type(vips.GValue.blob_type, "icc-profile-data", profile)
    try:
        samples: NDArray[Any] = to_srgb(raw).numpy()
    except vips.Error:
        raise ImageError("image: its CMYK profile cannot be used") from None
    return samples
