"""TIFF files of several pages: every page is a photograph of its own, and the result has them all."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from wavepaint.cancellation import check_cancelled
from wavepaint.errors import MaskError, PhotoError
from wavepaint.files import replacing, scratch_folder
from wavepaint.image.encoders import BIGTIFF_BYTES
from wavepaint.image.formats import tiff
from wavepaint.image.mask import Mask, find_hole
from wavepaint.image.mask_reading import mask_of
from wavepaint.image.photo import Patch, Photo
from wavepaint.image.sources import PhotoPicture, warn
from wavepaint.options import Options

Fill = Callable[[PhotoPicture, Mask], list[Patch]]


def fill_pages(picture: PhotoPicture, pages: int, mask: Any, options: Options, fill: Fill) -> Path | bytes:
    """Fill every page of a TIFF.

    Args:
        picture: the file, or the bytes of one.
        pages: how many it has.
        mask: as in `find_hole`, for all pages; or a picture file with as many pages as the photograph, one for each.
        options: for all pages.
        fill: finds the patches of a page.

    Returns:
        What `picture.finish` returns for one page: the path of the result, or its bytes. Each page keeps its own size,
        depth, compression and metadata; pyramid levels and previews are left out, with a warning. With nothing to fill
        on any page the file stays as it is.

    Raises:
        PhotoError, MaskError: as for one page, with the number of the page.
    """
    mask_pages = _mask_of_pages(mask)
    if mask_pages is not None and mask_pages.pages != pages:
        raise MaskError(f"the mask has {mask_pages.pages} pages, but {picture.name} has {pages}")

    bigtiff = _needs_bigtiff(picture, pages)

    def write(stream: BinaryIO) -> None:
        filled = False
        notes: dict[str, None] = {}
        with scratch_folder() as folder:
            for page in range(pages):
                check_cancelled()
                with _naming_page(page):
                    photo = picture.turn_to(page)
                    patches = fill(
                        picture,
                        _hole_of_page(picture, mask if mask_pages is None else mask_pages.at_page(page), options),
                    )
                    filled = filled or bool(patches)
                    notes |= dict.fromkeys(photo.warnings)
                    place = Path(folder) / "page.tif"
                    photo.save(place, patches, options.quality, bigtiff)
                    _append(stream, place, photo.name)
        if filled:
            warn(list(notes))
        else:
            _copy(picture.source, stream)

    if picture.target is None:
        stream = io.BytesIO()
        write(stream)
        return stream.getvalue()
    try:
        with replacing(picture.target) as unfinished, open(unfinished, "r+b") as file:
            write(file)
    except OSError as error:
        raise PhotoError(f"{picture.target}: cannot be written: {error.strerror or error}") from None
    return picture.target if isinstance(picture.source, Path) else picture.target.read_bytes()


def _hole_of_page(picture: PhotoPicture, mask: Any, options: Options) -> Mask:
    """The hole of the page that the picture has turned to; `mask` is the page for it, or what is for all."""
    return find_hole(picture, mask_of(mask, options.threshold) if isinstance(mask, Photo) else mask, options)


def _needs_bigtiff(picture: PhotoPicture, pages: int) -> bool:
    """Decided once for all pages, as a file has room for one kind of directory only."""
    decoded_bytes = 0
    for page in range(pages):
        check_cancelled()
        with _naming_page(page):
            decoded_bytes += picture.turn_to(page).decoded_bytes
    return decoded_bytes > BIGTIFF_BYTES


def _append(stream: BinaryIO, place: Path, name: str) -> None:
    with open(place, "rb") as page:
        try:
            tiff.append_page(stream, page)
        except ValueError as error:
            raise PhotoError(f"{name}: cannot be written: {error}") from None


def _copy(source: Path | bytes, stream: BinaryIO) -> None:
    """Replace what a stream holds by a file."""
    stream.seek(0)
    stream.truncate()
    with io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb") as file:
        shutil.copyfileobj(file, stream)


def _mask_of_pages(mask: Any) -> Photo | None:
    """A mask that is a file of several pages."""
    if isinstance(mask, (bytearray, memoryview)):
        mask = bytes(mask)
    if not isinstance(mask, (str, bytes, Path)):
        return None
    photo = Photo.open(mask, every_page=True)
    return photo if photo.format == "tiff" and photo.pages > 1 else None


@contextmanager
def _naming_page(page: int) -> Iterator[None]:
    try:
        yield
    except (PhotoError, MaskError) as error:
        raise type(error)(f"page {page + 1}: {error}") from None
