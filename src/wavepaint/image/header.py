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
from wavepaint.image.encoders import Stored
from wavepaint.image.formats import jpeg, png, tiff, webp
from wavepaint.image.formats.signature import has_gain_map, is_heif_sequence, sniff
from wavepaint.image.limits import check_plausible
from wavepaint.image.metadata import Metadata, metadata_of
from wavepaint.image.stored_file import StoredFile
from wavepaint.image.vips import has_field, has_operation, integer_field

DECODED_LIMIT = 256 * 2**20
"""Images of more decoded bytes than this are streamed instead of held in memory."""

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
_PREMULTIPLIED, _UNSPECIFIED = 1, 0


@dataclass(frozen=True, kw_only=True)
class Header(Stored):
    """One image of a file, upright and in the colours in which it is handed out; and how it is stored.

    Attributes:
        format: one of `options.FORMATS`, or "gif".
        width: pixels.
        height: pixels.
        has_alpha: whether the last channel is transparency, and not one of unspecified meaning, such as infrared.
        dtype: uint8 or uint16.
        interpretation: of libvips, of the samples.
        pages: images in the file.
        directory: number, from 0, by which libvips knows this one.
        tiff_pages: what a TIFF consists of.
        orientation: EXIF orientation of the image as it is stored.
        is_cmyk: whether it is stored as CMYK.
        loader: operation of libvips that decodes it, or "hevc" where that has none.
        warnings: what a user should know about how it is read, one line each.
    """

    format: str
    width: int
    height: int
    has_alpha: bool
    dtype: np.dtype[Any]
    interpretation: str
    pages: int
    directory: int
    tiff_pages: tiff.Pages
    orientation: int
    is_cmyk: bool
    loader: str
    warnings: tuple[str, ...]

    @property
    def is_tiled(self) -> bool:
        """Whether it is stored in tiles, as only a TIFF can be."""
        return min(self.tile) > 0


@dataclass(frozen=True, slots=True)
class _Markers:
    """What is read of a file without libvips."""

    container: str
    file_bytes: int
    directory: int
    tiff_pages: tiff.Pages
    tags: tiff.Directory
    jpeg: jpeg.JpegEncoding | None
    lossless_webp: bool
    png_frames: int
    is_sequence: bool
    gain_map: bool


def read_header(
    file: StoredFile, page: int, every_page: bool = False, tiff_pages: tiff.Pages | None = None
) -> tuple[Header, Metadata]:
    """Read the header of one page, from 0, of a file.

    Args:
        file: to read.
        page: which of its pages.
        every_page: the other pages are used, too: no warning about them.
        tiff_pages: what the file consists of, if that is known from another page.

    Raises:
        ImageError: see `ImageFile.open`.
    """
    with file.decoding():
        with file.open() as stream:
            markers = _read_markers(file.name, stream, page, tiff_pages)
        _check_tags(file.name, tiff.integer_tags(markers.tags))
        raw = file.load(_LOADERS[markers.container], **load_options("sequential", markers.directory))
        _check_samples(file.name, raw)
        bits = integer_field(raw, "bits-per-sample", 8)
        check_plausible(file.name, markers.container, raw.width * raw.height, bits, markers.file_bytes)
        upright = to_srgb(raw).autorot()
        header = _header_of(file.name, raw, upright, markers, None if every_page else page)
        return header, metadata_of(raw, upright, markers.container, file, markers.directory)


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


def _read_markers(name: str, stream: BinaryIO, page: int, tiff_pages: tiff.Pages | None) -> _Markers:
    head = stream.read(16)
    container = _container_of(name, head, page)
    directory = page
    tags: tiff.Directory = {}
    if container == "tiff":
        tiff_pages = tiff_pages or tiff.read_pages(stream)
        if page >= len(tiff_pages.directories):
            raise ImageError(f"{name}: has {len(tiff_pages.directories)} pages, there is no page {page}")
        directory = tiff_pages.directories[page]
        tags = tiff.read_directory(stream, directory)
    return _Markers(
        container=container,
        file_bytes=stream.seek(0, io.SEEK_END),
        directory=directory,
        tiff_pages=tiff_pages or tiff.Pages(),
        tags=tags,
        jpeg=jpeg.read_encoding(stream) if container == "jpeg" else None,
        lossless_webp=container == "webp" and webp.is_lossless(stream),
        png_frames=png.frames(stream) if container == "png" else 0,
        is_sequence=container == "heif" and is_heif_sequence(head),
        gain_map=container == "heif" and has_gain_map(stream),
    )


def _container_of(name: str, head: bytes, page: int) -> str:
    if not head:
        raise ImageError(f"{name}: is empty")
    container = sniff(head)
    if container is None:
        raise ImageError(f"{name}: is not a PNG, JPEG, WebP, TIFF, AVIF, HEIC, GIF, JPEG XL or BMP image")
    if container in _NAMES and not has_operation(f"{_LOADERS[container]}_buffer"):
        kind = _NAMES[container]
        raise ImageError(f"{name}: is a {kind} image, which this build of libvips cannot read; convert it to PNG first")
    if container in ("png", "jpeg", "bmp", "jxl") and page:
        raise ImageError(f"{name}: has one page only, there is no page {page}")
    return container


def _check_tags(name: str, tags: dict[int, int]) -> None:
    # Only the first of all pages can be one: see `tiff.Pages`.
    if tiff.DNG_VERSION in tags or tiff.is_reduced(tags):
        raise ImageError(f"{name}: is a camera raw file; develop it to a TIFF, PNG or JPEG first")
    if tags.get(tiff.PHOTOMETRIC) in _CIELAB:
        raise ImageError(f"{name}: CIELAB images are not supported, only grey, RGB and CMYK")
    if tags.get(tiff.PHOTOMETRIC) == _YCBCR and tags.get(tiff.COMPRESSION) not in _JPEG_COMPRESSION:
        raise ImageError(f"{name}: YCbCr outside JPEG compression is not supported; convert it to RGB first")


def _check_samples(name: str, raw: Any) -> None:
    if raw.format not in DTYPES:
        raise ImageError(f"{name}: samples of type {raw.format} are not supported, only 8 and 16 bit integers")


def _header_of(name: str, raw: Any, upright: Any, markers: _Markers, only_page: int | None) -> Header:
    container, tags = markers.container, tiff.integer_tags(markers.tags)
    width, height, channels = upright.width, upright.height, upright.bands
    if not 1 <= channels <= 4:
        raise ImageError(f"{name}: images of {channels} channels are not supported, only of one to four")
    dtype = DTYPES[upright.format]
    decoded_bytes = width * height * channels * dtype.itemsize
    pages = len(markers.tiff_pages.directories) if container == "tiff" else integer_field(raw, "n-pages", 1)
    return Header(
        container=container,
        bits=integer_field(raw, "bits-per-sample", 8 * dtype.itemsize),
        channels=channels,
        decoded_bytes=decoded_bytes,
        streamed=decoded_bytes > DECODED_LIMIT,
        progressive=bool(integer_field(raw, "interlaced", 0)),
        tile=(integer_field(raw, "tile-width", 0), integer_field(raw, "tile-height", 0)),
        jpeg=markers.jpeg,
        tags=tags,
        bigtiff=markers.tiff_pages.bigtiff,
        lossless_webp=markers.lossless_webp,
        format=_heif_format(raw) if container == "heif" else container,
        width=width,
        height=height,
        has_alpha=channels in (2, 4) and not _ends_unspecified(markers.tags),
        dtype=dtype,
        interpretation=str(upright.interpretation),
        pages=pages,
        directory=markers.directory,
        tiff_pages=markers.tiff_pages,
        orientation=integer_field(raw, "orientation", 1),
        is_cmyk=raw.interpretation == "cmyk",
        loader=_loader_of(name, raw, container),
        warnings=tuple(_reading_notes(name, raw, markers, pages, only_page)),
    )


def _ends_unspecified(tags: tiff.Directory) -> bool:
    extra = tiff.integers(tags.get(tiff.EXTRA_SAMPLES))
    return len(extra) > 0 and extra[-1] == _UNSPECIFIED


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


def _reading_notes(name: str, raw: Any, markers: _Markers, pages: int, only_page: int | None) -> Iterator[str]:
    if raw.interpretation == "cmyk":
        profile = "its profile" if has_field(raw, "icc-profile-data") else "the default profile"
        yield f"{name}: CMYK is converted to sRGB through {profile}"
    if tiff.integer_tags(markers.tags).get(tiff.EXTRA_SAMPLES) == _PREMULTIPLIED:
        yield f"{name}: colours that were multiplied by their transparency are stored straight"
    if pages > 1 and only_page is not None:
        yield f"{name}: has {pages} pages, only page {only_page + 1} is used"
    if markers.is_sequence and pages == 1:
        yield f"{name}: is an animation, only its first image is used"
    if markers.gain_map:
        yield f"{name}: its gain map, which brightens the image on HDR screens, is left out"
    if markers.tiff_pages.reduced_copies:
        yield f"{name}: reduced copies, such as pyramid levels and previews, are left out"
    if markers.png_frames > 1:
        yield f"{name}: is an animation of {markers.png_frames} frames, only its still image is used"


def check_inside(name: str, box: Box, header: Header) -> None:
    """Refuse a box that is empty or reaches outside the image: `ImageError`."""
    if box.is_empty or box.clip(header.width, header.height) != box:
        raise ImageError(f"{name}: {box} is not inside the {header.width} x {header.height} image")
