"""What a file says about its image before anything is decoded, and what of it cannot be used."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from wavepaint.box import Box
from wavepaint.errors import ImageError
from wavepaint.image import hevc
from wavepaint.image.formats import jpeg, png, tiff, webp
from wavepaint.image.formats.signature import has_gain_map, is_heif_sequence, sniff
from wavepaint.image.limits import LIMITS, check_plausible
from wavepaint.image.metadata import Metadata, metadata_of
from wavepaint.image.orientation import box_to_stored
from wavepaint.image.stored_file import StoredFile
from wavepaint.image.vips import has_field, has_operation, integer_field

DTYPES: dict[str, np.dtype[Any]] = {"uchar": np.dtype(np.uint8), "ushort": np.dtype(np.uint16)}
"""By the sample format of libvips."""

# Only these decoders ever see a file: libvips may know more (SVG, PDF, raw memory dumps), none of them for images.
_LOADERS = {
    "png": "pngload",
    "jpeg": "jpegload",
    "webp": "webpload",
    "tiff": "tiffload",
    "gif": "gifload",
    "heif": "heifload",
    "jxl": "jxlload",
    "bmp": "magickload",
}
_NAMES = {"jxl": "JPEG XL", "bmp": "BMP"}
_CIELAB = {8, 9, 10}
_YCBCR = 6
_JPEG_COMPRESSION = {6, 7}
_LOSSY_COMPRESSION = {6, 7, 33003, 33005, 34712, 50001}  # two kinds of JPEG, the JPEG 2000 family, WebP
_LOSSLESS = ("png", "gif", "tiff", "bmp")
_PREMULTIPLIED, _UNSPECIFIED = 1, 0


@dataclass(frozen=True, kw_only=True)
class Header:
    """One image of a file, upright and in the colours in which it is handed out; and how it is stored.

    Attributes:
        container: what `formats.signature.sniff` says.
        directory: number, from 0, by which libvips knows the page.
        tiff_pages: what a TIFF consists of.
        tags: integer tags of the page of a TIFF.
        extra_samples: what the channels of a TIFF mean that are no colours.
        jpeg: how a JPEG was written.
        format: one of `options.FORMATS`, or "gif".
        lossless: whether the file stores its samples exactly.
        width: pixels.
        height: pixels.
        channels: of the image as it is read.
        bits: per sample, before they are spread over 8 or 16.
        dtype: uint8 or uint16.
        has_alpha: whether the last channel is transparency, and not one of unspecified meaning, such as infrared.
        interpretation: of libvips, of the samples.
        pages: images in the file.
        streamed: whether it is too large to be held in memory as a whole.
        progressive: whether a JPEG is.
        tile: width and height of the tiles of a TIFF; zeros without.
        orientation: EXIF orientation of the image as it is stored.
        is_cmyk: whether it is stored as CMYK.
        loader: operation of libvips that decodes it, or "hevc" where that has none.
    """

    container: str
    directory: int
    tiff_pages: tiff.Pages
    tags: dict[int, int]
    extra_samples: list[int]
    jpeg: jpeg.JpegEncoding | None
    format: str
    lossless: bool
    width: int
    height: int
    channels: int
    bits: int
    dtype: np.dtype[Any]
    has_alpha: bool
    interpretation: str
    pages: int
    streamed: bool
    progressive: bool
    tile: tuple[int, int]
    orientation: int
    is_cmyk: bool
    loader: str

    @property
    def box(self) -> Box:
        """Of the whole image."""
        return Box(0, 0, self.width, self.height)

    def stored(self, box: Box) -> Box:
        """Where a box of the upright image lies in the file."""
        return box_to_stored(box, self.width, self.height, self.orientation)

    @property
    def decoded_bytes(self) -> int:
        """Of all samples."""
        return self.width * self.height * self.channels * self.dtype.itemsize

    @property
    def is_tiled(self) -> bool:
        """Whether it is stored in tiles, as only a TIFF can be."""
        return min(self.tile) > 0


def read_header(
    file: StoredFile, page: int | None = None, tiff_pages: tiff.Pages | None = None
) -> tuple[Header, Metadata, tuple[str, ...]]:
    """Read the header of one page, from 0, of a file, and what a user should know about how it is read, in lines.

    Args:
        file: to read.
        page: which of its pages, for whoever uses them all; None for the first, with a line about the others.
        tiff_pages: what the file consists of, if that is known from another page.

    Raises:
        ImageError: see `ImageFile.open`.
    """
    with file.decoding(), file.open() as stream:
        container = _container_of(file.name, stream.read(16))
        directory, pages = page or 0, tiff_pages or tiff.Pages()
        tags: tiff.Directory = {}
        if container == "tiff":
            pages = tiff_pages or tiff.read_pages(stream)
            directory = pages.directories[directory]
            tags = tiff.read_directory(stream, directory)
            _check_tags(file.name, tiff.integer_tags(tags))
        raw = file.load(_LOADERS[container], **load_options("sequential", directory))
        if raw.format not in DTYPES:
            reason = f"samples of type {raw.format} are not supported, only 8 and 16 bit integers"
            raise ImageError(f"{file.name}: {reason}")
        bits, file_bytes = integer_field(raw, "bits-per-sample", 8), stream.seek(0, io.SEEK_END)
        check_plausible(file.name, container, raw.width * raw.height, bits, file_bytes)
        upright = to_srgb(raw).autorot()
        channels, dtype, integers = upright.bands, DTYPES[upright.format], tiff.integer_tags(tags)
        if not 1 <= channels <= 4:
            raise ImageError(f"{file.name}: images of {channels} channels are not supported, only of one to four")
        extra_samples = tiff.integers(tags.get(tiff.EXTRA_SAMPLES)).tolist()
        is_lossless = container in _LOSSLESS or (container == "webp" and webp.is_lossless(stream))
        header = Header(
            container=container,
            directory=directory,
            tiff_pages=pages,
            tags=integers,
            extra_samples=extra_samples,
            jpeg=jpeg.read_encoding(stream) if container == "jpeg" else None,
            format=_heif_format(raw) if container == "heif" else container,
            lossless=is_lossless and integers.get(tiff.COMPRESSION) not in _LOSSY_COMPRESSION,
            width=upright.width,
            height=upright.height,
            channels=channels,
            bits=integer_field(raw, "bits-per-sample", 8 * dtype.itemsize),
            dtype=dtype,
            has_alpha=channels in (2, 4) and extra_samples[-1:] != [_UNSPECIFIED],
            interpretation=str(upright.interpretation),
            pages=len(pages.directories) if container == "tiff" else integer_field(raw, "n-pages", 1),
            streamed=upright.width * upright.height * channels * dtype.itemsize > LIMITS.get().held_bytes,
            progressive=bool(integer_field(raw, "interlaced", 0)),
            tile=(integer_field(raw, "tile-width", 0), integer_field(raw, "tile-height", 0)),
            orientation=integer_field(raw, "orientation", 1),
            is_cmyk=raw.interpretation == "cmyk",
            loader=_loader_of(file.name, raw, container),
        )
        notes = tuple(_reading_notes(file.name, stream, raw, header, page is None))
        return header, metadata_of(raw, upright, container, stream, tags), notes


def to_srgb(raw: Any) -> Any:
    """Convert the libvips image of stored samples, or of some of them, to the colours in which it is handed out."""
    if raw.interpretation != "cmyk":
        return raw
    return raw.icc_transform(
        "srgb",
        embedded=True,
        input_profile="cmyk",
        intent="relative",
        black_point_compensation=True,
        depth=8 * DTYPES[raw.format].itemsize,
    )


def load_options(access: str, directory: int) -> dict[str, Any]:
    """The options of a loader of libvips."""
    return {"access": access, "fail_on": "error", **({"page": directory} if directory else {})}


def _container_of(name: str, head: bytes) -> str:
    if not head:
        raise ImageError(f"{name}: is empty")
    container = sniff(head)
    if container is None:
        raise ImageError(f"{name}: is not a PNG, JPEG, WebP, TIFF, AVIF, HEIC, GIF, JPEG XL or BMP image")
    if container in _NAMES and not has_operation(f"{_LOADERS[container]}_buffer"):
        kind = _NAMES[container]
        raise ImageError(f"{name}: is a {kind} image, which this build of libvips cannot read; convert it to PNG first")
    return container


def _check_tags(name: str, tags: dict[int, int]) -> None:
    # Only the first of all pages can be one: see `tiff.Pages`.
    if tiff.DNG_VERSION in tags or tiff.is_reduced(tags):
        raise ImageError(f"{name}: is a camera raw file; develop it to a TIFF, PNG or JPEG first")
    if tags.get(tiff.PHOTOMETRIC) in _CIELAB:
        raise ImageError(f"{name}: CIELAB images are not supported, only grey, RGB and CMYK")
    if tags.get(tiff.PHOTOMETRIC) == _YCBCR and tags.get(tiff.COMPRESSION) not in _JPEG_COMPRESSION:
        raise ImageError(f"{name}: YCbCr outside JPEG compression is not supported; convert it to RGB first")


def _loader_of(name: str, raw: Any, container: str) -> str:
    if container != "heif" or _heif_format(raw) == "avif":
        return _LOADERS[container]
    if hevc.is_installed():
        return "hevc"
    if not hevc.libvips_decodes(raw):
        raise ImageError(f"{name}: {hevc.ADVICE}")
    return _LOADERS[container]


def _heif_format(raw: Any) -> str:
    return "avif" if raw.get("heif-compression") == "av1" else "heic"


def _reading_notes(name: str, stream: BinaryIO, raw: Any, header: Header, is_alone: bool) -> Iterator[str]:
    if header.is_cmyk:
        profile = "its profile" if has_field(raw, "icc-profile-data") else "the default profile"
        yield f"{name}: CMYK is converted to sRGB through {profile}"
    if header.extra_samples[:1] == [_PREMULTIPLIED]:
        yield f"{name}: colours that were multiplied by their transparency are stored straight"
    if header.pages > 1 and is_alone:
        yield f"{name}: has {header.pages} pages, only page 1 is used"
    if header.container == "heif" and header.pages == 1 and is_heif_sequence(stream):
        yield f"{name}: is an animation, only its first image is used"
    if header.container == "heif" and has_gain_map(stream):
        yield f"{name}: its gain map, which brightens the image on HDR screens, is left out"
    if header.tiff_pages.reduced_copies:
        yield f"{name}: reduced copies, such as pyramid levels and previews, are left out"
    if header.container == "png" and (frames := png.frames(stream)) > 1:
        yield f"{name}: is an animation of {frames} frames, only its still image is used"


def check_inside(name: str, box: Box, header: Header) -> None:
    """Refuse a box that is empty or reaches outside the image: `ImageError`."""
    if box.is_empty or box.intersection(header.box) != box:
        raise ImageError(f"{name}: {box} is not inside the {header.width} x {header.height} image")
