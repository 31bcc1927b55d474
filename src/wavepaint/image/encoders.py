"""With which options libvips writes a result, so that it is stored as its source was.

Pure functions of the header of the source file, the format wanted and the patches.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wavepaint.image.formats import tiff
from wavepaint.image.header import Header
from wavepaint.image.limits import LIMITS

QUALITIES = {"jpeg": 95, "webp": 90, "avif": 80, "heic": 80, "jxl": 90}
"""Of what is not lossless, by its format; a JPEG made from a JPEG has the quality of its source."""
_FULL_CHROMA_QUALITY = 90
JPEG_SUBSAMPLINGS = ("4:4:4", "4:2:0")
"""What libvips can write; rarer kinds of chroma subsampling get the former, which loses nothing."""

SAVERS = {
    "png": "pngsave",
    "jpeg": "jpegsave",
    "webp": "webpsave",
    "tiff": "tiffsave",
    "avif": "heifsave",
    "heic": "heifsave",
    "jxl": "jxlsave",
    "bmp": "magicksave",
}
"""The operations of libvips that write each of `options.FORMATS`."""
SAVER_FORMAT = {"bmp": {"format": "bmp"}}
"""What an operation that writes many formats needs besides."""
# Of VipsForeignKeep: XMP, IPTC, profile, other. Of an EXIF block libvips writes only what it understands.
ALL_BUT_EXIF = 2 | 4 | 8 | 16
HEIF_COMPRESSION = {"avif": "av1", "heic": "hevc"}

# Level 1 of the PNG encoder takes 0.4 s for 12 megapixels and level 2 takes 0.7 s for files a fifth smaller; a small
# image may have the best at no noticeable cost.
_FAST_PNG = {"compression": 1, "filter": "up"}
_SMALL_PNG = {"compression": 6, "filter": "all"}
_FAST_PNG_BYTES = 4 * 2**20
# The usual effort, 4, takes 5 to 23 s of processor time for a megapixel; 1 takes 0.4 s, for files as large and 1 dB
# worse; 0 takes 0.3 s, 0.8 s without loss, for files a twentieth larger.
_HEIF_EFFORTS = {2**20: 4, 12 * 2**20: 1}
"""Effort by the largest number of decoded bytes; 0 above."""

# Values of the tags of a TIFF.
_LOSSLESS_COMPRESSION = {1: "none", 5: "lzw", 8: "deflate", 32773: "packbits", 32946: "deflate", 50000: "zstd"}
_FAX_COMPRESSION = {2, 3, 4}
_HORIZONTAL = 2


def saver_options(header: Header, format: str, quality: int | None, patches: Iterable[NDArray[Any]]) -> dict[str, Any]:
    """Return the options of the libvips saver of `format`.

    quality: 1-100, or None for what suits the source; not used by PNG and TIFF.
    patches: the samples that replace some of the image's; they decide whether few bits a sample will do.
    """
    if format == "png":
        effort = _FAST_PNG if header.decoded_bytes > _FAST_PNG_BYTES else _SMALL_PNG
        return {**effort, "bitdepth": _depth_to_keep(header, patches, (1, 2, 4)), "keep": ALL_BUT_EXIF}
    if format == "tiff":
        # The TIFF encoder of libvips gets the last column of odd widths wrong with 4 bits.
        return _tiff_options(header, _depth_to_keep(header, patches, (1,)))
    if format == "jpeg":
        return _jpeg_options(header, quality)
    if format in SAVER_FORMAT:
        return dict(SAVER_FORMAT[format])
    lossless = header.lossless and quality is None
    exactness = {"lossless": True} if lossless else {"Q": quality or QUALITIES[format]}
    if format == "jxl":
        return exactness
    if format == "webp":
        # "exact" keeps the colours of transparent pixels.
        return {**exactness, **({"exact": True} if lossless else {"alpha_q": 100}), "keep": ALL_BUT_EXIF}
    return {
        "compression": HEIF_COMPRESSION[format],
        "bitdepth": min(max(header.bits, 8), 12),
        "subsample_mode": "off",
        "effort": next((effort for limit, effort in _HEIF_EFFORTS.items() if header.decoded_bytes <= limit), 0),
        **exactness,
    }


def _jpeg_options(header: Header, quality: int | None) -> dict[str, Any]:
    if header.jpeg is not None:
        subsample = header.jpeg.subsampling == "4:2:0"
        quality = quality or header.jpeg.quality
    else:
        quality = quality or QUALITIES["jpeg"]
        subsample = quality < _FULL_CHROMA_QUALITY
    return {
        "Q": quality,
        "subsample_mode": "on" if subsample else "off",
        # The encoder of a progressive file holds the whole image.
        "interlace": header.progressive and not header.streamed,
        "keep": ALL_BUT_EXIF,
    }


def _tiff_options(header: Header, depth: int) -> dict[str, Any]:
    compression = header.tags.get(tiff.COMPRESSION, 0)
    fax = depth == 1 and compression in _FAX_COMPRESSION
    predicted = header.tags.get(tiff.PREDICTOR, 1) == _HORIZONTAL if header.tags else True
    options: dict[str, Any] = {
        "compression": "ccittfax4" if fax else _LOSSLESS_COMPRESSION.get(compression, "deflate"),
        "predictor": "horizontal" if predicted and depth >= 8 else "none",
        "bigtiff": header.tiff_pages.bigtiff or header.decoded_bytes > LIMITS.get().tiff_bytes,
    }
    if depth < 8:
        options["bitdepth"] = depth
    if header.is_tiled:
        options |= {"tile": True, "tile_width": header.tile[0], "tile_height": header.tile[1]}
    return options


def _depth_to_keep(header: Header, patches: Iterable[NDArray[Any]], depths: Container[int]) -> int:
    """Return the bits a sample needs: one of `depths` only where the source and all patches manage with it."""
    if header.bits >= 8 or header.bits not in depths or header.channels != 1:
        return 16 if header.bits > 8 else 8
    step = 255 // (2**header.bits - 1)
    return header.bits if all(np.all(samples % step == 0) for samples in patches) else 8
