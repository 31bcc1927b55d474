"""With which options libvips writes a result, so that it is stored as its source was.

Pure functions of what the source file says (`Stored`), the format wanted and the patches.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wavepaint.image.formats import tiff
from wavepaint.image.formats.jpeg import JpegEncoding

JPEG_QUALITY = 95
"""Quality of a JPEG made from another format; one made from a JPEG has the quality of its source."""
WEBP_QUALITY = 90
"""Quality of a WebP that is not lossless."""
AVIF_QUALITY = 80
"""Quality of an AVIF or HEIC that is not lossless."""
JXL_QUALITY = 90
"""Quality of a JPEG XL that is not lossless."""
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
BIGTIFF_BYTES = 3 * 2**30
"""A TIFF of more decoded bytes than this, of all its pages, becomes a BigTIFF: others address 4 GiB."""

# Values of the tags of a TIFF.
_LOSSLESS_COMPRESSION = {1: "none", 5: "lzw", 8: "deflate", 32773: "packbits", 32946: "deflate", 50000: "zstd"}
_LOSSY_COMPRESSION = {6, 7, 33003, 33005, 34712, 50001}  # two kinds of JPEG, the JPEG 2000 family, WebP
_FAX_COMPRESSION = {2, 3, 4}
_HORIZONTAL = 2


@dataclass(frozen=True)
class Stored:
    """An image and how its file stores it.

    Attributes:
        container: what `formats.sniff` says.
        bits: per sample, before they are spread over 8 or 16.
        channels: of the image as it is read.
        decoded_bytes: of all its samples.
        streamed: whether it is too large to be held in memory as a whole.
        progressive: whether a JPEG is.
        tile: width and height of the tiles of a TIFF; zeros without.
        jpeg: of a JPEG.
        tags: integer tags of a TIFF.
        bigtiff: whether a TIFF is a BigTIFF.
        lossless_webp: whether it is a lossless WebP.
    """

    container: str
    bits: int
    channels: int
    decoded_bytes: int
    streamed: bool
    progressive: bool = False
    tile: tuple[int, int] = (0, 0)
    jpeg: JpegEncoding | None = None
    tags: dict[int, int] = field(default_factory=dict)
    bigtiff: bool = False
    lossless_webp: bool = False

    @property
    def lossless(self) -> bool:
        """Whether the file stores its samples exactly."""
        if self.tags.get(tiff.COMPRESSION) in _LOSSY_COMPRESSION:
            return False
        return self.container in ("png", "gif", "tiff", "bmp") or self.lossless_webp


def saver_options(stored: Stored, format: str, quality: int | None, patches: Iterable[NDArray[Any]]) -> dict[str, Any]:
    """Return the options of the libvips saver of `format`.

    quality: 1-100, or None for what suits the source; not used by PNG and TIFF.
    patches: the samples that replace some of the image's; they decide whether few bits a sample will do.
    """
    if format == "png":
        effort = _FAST_PNG if stored.decoded_bytes > _FAST_PNG_BYTES else _SMALL_PNG
        return {**effort, "bitdepth": _depth_to_keep(stored, patches, (1, 2, 4)), "keep": ALL_BUT_EXIF}
    if format == "tiff":
        # The TIFF encoder of libvips gets the last column of odd widths wrong with 4 bits.
        return _tiff_options(stored, _depth_to_keep(stored, patches, (1,)))
    if format == "jpeg":
        return _jpeg_options(stored, quality)
    if format in SAVER_FORMAT:
        return dict(SAVER_FORMAT[format])
    lossless = stored.lossless and quality is None
    if format == "jxl":
        return {"lossless": True} if lossless else {"Q": quality or JXL_QUALITY}
    if format == "webp":
        # "exact" keeps the colours of transparent pixels.
        exact = {"lossless": True, "exact": True}
        return (exact if lossless else {"Q": quality or WEBP_QUALITY, "alpha_q": 100}) | {"keep": ALL_BUT_EXIF}
    return {
        "compression": HEIF_COMPRESSION[format],
        "bitdepth": min(max(stored.bits, 8), 12),
        "subsample_mode": "off",
        "effort": next((effort for limit, effort in _HEIF_EFFORTS.items() if stored.decoded_bytes <= limit), 0),
        **({"lossless": True} if lossless else {"Q": quality or AVIF_QUALITY}),
    }


def _jpeg_options(stored: Stored, quality: int | None) -> dict[str, Any]:
    if stored.jpeg is not None:
        subsample = stored.jpeg.subsampling == "4:2:0"
        quality = quality or stored.jpeg.quality
    else:
        quality = quality or JPEG_QUALITY
        subsample = quality < _FULL_CHROMA_QUALITY
    return {
        "Q": quality,
        "subsample_mode": "on" if subsample else "off",
        # The encoder of a progressive file holds the whole image.
        "interlace": stored.progressive and not stored.streamed,
        "keep": ALL_BUT_EXIF,
    }


def _tiff_options(stored: Stored, depth: int) -> dict[str, Any]:
    compression = stored.tags.get(tiff.COMPRESSION, 0)
    fax = depth == 1 and compression in _FAX_COMPRESSION
    predicted = stored.tags.get(tiff.PREDICTOR, 1) == _HORIZONTAL if stored.tags else True
    options: dict[str, Any] = {
        "compression": "ccittfax4" if fax else _LOSSLESS_COMPRESSION.get(compression, "deflate"),
        "predictor": "horizontal" if predicted and depth >= 8 else "none",
        "bigtiff": stored.bigtiff or stored.decoded_bytes > BIGTIFF_BYTES,
    }
    if depth < 8:
        options["bitdepth"] = depth
    if min(stored.tile) > 0:
        options |= {"tile": True, "tile_width": stored.tile[0], "tile_height": stored.tile[1]}
    return options


def _depth_to_keep(stored: Stored, patches: Iterable[NDArray[Any]], depths: Container[int]) -> int:
    """Return the bits a sample needs: one of `depths` only where the source and all patches manage with it."""
    if stored.bits >= 8 or stored.bits not in depths or stored.channels != 1:
        return 16 if stored.bits > 8 else 8
    step = 255 // (2**stored.bits - 1)
    return stored.bits if all(np.all(samples % step == 0) for samples in patches) else 8
