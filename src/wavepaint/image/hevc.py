"""HEIC by pillow-heif, for builds of libvips without the patented codec, HEVC; libvips itself reads the headers."""

from __future__ import annotations

import io
from importlib.util import find_spec
from typing import Any, BinaryIO

import numpy as np

from wavepaint.image.vips import libvips

ADVICE = "HEIC needs pillow-heif: pip install 'wavepaint[heic]'"
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def is_installed() -> bool:
    """Whether pillow-heif is; it is not imported."""
    return find_spec("pillow_heif") is not None


def libvips_decodes(raw: Any) -> bool:
    """Whether libvips has a decoder for a HEIC, which it opens without; where it has none, asking costs nothing."""
    try:
        raw.crop(0, 0, 1, 1).avg()
    except libvips().Error as error:
        return "not been built in" not in str(error)
    return True


def load(stream: BinaryIO, bands: int) -> Any:
    """Decode the primary image of a HEIC, upright.

    Args:
        stream: the file.
        bands: of the samples, 3 or 4, by its header.

    Returns:
        A libvips image of 8 or 16 bits, without metadata.

    Raises:
        Exception: whatever pillow-heif raises for a damaged file.
    """
    import pillow_heif

    samples = np.asarray(pillow_heif.open_heif(stream, convert_hdr_to_8bit=False))
    if samples.ndim == 2:  # libvips counts grey as three channels
        samples = samples[..., None].repeat(bands, axis=2)
    return libvips().Image.new_from_array(samples)


def encode(image: Any, bitdepth: int, Q: int = -1, lossless: bool = False, effort: int = 4, **_: Any) -> bytes:
    """Encode a libvips image with its EXIF, XMP and profile; the options are those of `heifsave`."""
    import pillow_heif

    fields = {"exif": "exif-data", "xmp": "xmp-data", "icc_profile": "icc-profile-data"}
    metadata = {name: image.get(field) for name, field in fields.items() if image.get_typeof(field)}
    if lossless:
        Q, metadata["matrix_coefficients"] = -1, 0
    mode = _MODES[image.bands] + ";16" * (image.format == "ushort")
    # For 0.27 megapixels 0.6 and 0.15 s of processor time, for files as large.
    preset = "medium" if effort >= 4 else "ultrafast"
    stream = io.BytesIO()
    pillow_heif.encode(
        mode, (image.width, image.height), image.write_to_memory(), stream,
        quality=Q, chroma=444, bit_depth=bitdepth, enc_params={"preset": preset}, **metadata,
    )  # fmt: skip
    return stream.getvalue()
