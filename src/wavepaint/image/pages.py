"""TIFF files of several pages: every page is an image of its own, and the result has them all."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from wavepaint.cancellation import check_cancelled
from wavepaint.errors import MaskError, image_error, prefixed
from wavepaint.files import scratch_folder
from wavepaint.image.encoding import writing
from wavepaint.image.file import ImageFile
from wavepaint.image.formats import tiff
from wavepaint.image.limits import LIMITS
from wavepaint.image.mask import Mask, find_hole
from wavepaint.image.sources import EncodedImage, warn
from wavepaint.image.types import Patch, ReadableImage
from wavepaint.options import Options

Fill = Callable[[ReadableImage, Mask], list[Patch]]


def fill_pages(image: EncodedImage, pages: int, mask: Any, options: Options, fill: Fill) -> Path | bytes:
    """Fill every page of a TIFF.

    Args:
        image: the file, or the bytes of one.
        pages: how many it has.
        mask: as in `find_hole`, for all pages; or an image file with as many pages as the image, one for each.
        options: for all pages.
        fill: finds the patches of a page.

    Returns:
        What `EncodedImage.finish` returns for one page: the path of the result, or its bytes. Each page keeps its own
        size, depth, compression and metadata; pyramid levels and previews are left out, with a warning. With nothing to
        fill on any page the file stays as it is.

    Raises:
        ImageError, MaskError: as for one page, with the number of the page.
    """
    mask_pages = _mask_of_pages(mask)
    if mask_pages is not None and mask_pages.pages != pages:
        raise MaskError(f"the mask has {mask_pages.pages} pages, but {image.name} has {pages}")

    # Decided once for all pages, as a file has room for one kind of directory only.
    decoded_bytes = 0
    for page in range(pages):
        check_cancelled()
        with prefixed(f"page {page + 1}"):
            decoded_bytes += image.at_page(page).decoded_bytes
    bigtiff = decoded_bytes > LIMITS.get().tiff_bytes

    def write(stream: BinaryIO) -> None:
        filled = False
        notes: dict[str, None] = {}
        with scratch_folder() as folder:
            for page in range(pages):
                check_cancelled()
                with prefixed(f"page {page + 1}"):
                    page_file = image.at_page(page)
                    page_mask = mask if mask_pages is None else mask_pages.at_page(page)
                    patches = fill(page_file, find_hole(page_file, page_mask, options))
                    filled = filled or bool(patches)
                    notes |= dict.fromkeys(page_file.warnings + page_file.conversion_warnings("tiff"))
                    page_path = Path(folder) / "page.tif"
                    page_file.save(page_path, patches, options.quality, bigtiff, str(image.target or image.name))
                    with open(page_path, "rb") as file, image_error(f"{page_file.name}: cannot be written", ValueError):
                        tiff.append_page(stream, file)
        if filled:
            warn(*notes)
        else:
            stream.seek(0)
            stream.truncate()
            image.copy_into(stream)

    if image.target is None:
        stream = io.BytesIO()
        write(stream)
        return stream.getvalue()
    with writing(image.target, str(image.target)) as unfinished, open(unfinished, "r+b") as file:
        write(file)
    return image.target if isinstance(image.source, Path) else image.target.read_bytes()


def _mask_of_pages(mask: Any) -> ImageFile | None:
    """A mask that is a file of several pages."""
    if not isinstance(mask, (str, bytes, Path)):
        return None
    page_file = ImageFile.open(mask)
    return page_file if page_file.format == "tiff" and page_file.pages > 1 else None
