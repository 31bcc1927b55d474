"""The kinds of image that go into the main path, behind one interface: what comes out is what went in."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wavepaint.box import Box
from wavepaint.errors import ImageError, ImageWarning, OptionError, image_error
from wavepaint.files import replaceable_mode
from wavepaint.image.file import ImageFile
from wavepaint.image.mask_samples import from_bgr, strips_of
from wavepaint.image.metadata import Metadata
from wavepaint.image.orientation import to_stored, to_upright
from wavepaint.image.pil import is_pil_image, metadata_of_pil, orientation_of_pil, pil_of_samples, samples_of_pil
from wavepaint.image.stored_file import StoredFile, is_open_file, without_stream
from wavepaint.image.suffixes import FORMAT_OF_SUFFIX, format_of_name
from wavepaint.image.tensors import array_of_tensor, is_tensor
from wavepaint.image.types import InputImage, Patch, Samples, Strips
from wavepaint.image.vips import libvips
from wavepaint.options import Options

if TYPE_CHECKING:
    from PIL.Image import Image


def open_image(image: Any, output: str | Path | None = None, bgr: bool = False) -> InputImage:
    """Prepare an image of any kind.

    Args:
        image: array, tensor, PIL image, bytes of a file, open file, path, or a `BytesImage`, which stays as it is.
        bgr: the channels of arrays and tensors are blue, green, red.
        output: where `InputImage.finish` writes the result as a file; a path without it goes to `NAME-filled.EXT`.

    Raises:
        ImageError: a kind, file, array or target that cannot be used.
        OptionError: `output` is not a path.
    """
    if not isinstance(output, (str, Path, NoneType)):
        raise OptionError(f"output must be the path of a file, not {output!r}")
    target = None if output is None else Path(output)
    if isinstance(image, BytesImage):
        return image
    if isinstance(image, str) and not image:
        raise ImageError("image: the file name is empty")
    if isinstance(image, (str, Path)):
        return PathImage(Path(image), target)
    if isinstance(image, (bytes, bytearray, memoryview)) or is_open_file(image):
        return BytesImage(without_stream(image), target, getattr(image, "name", None))
    if is_pil_image(image):
        return PilImage(image, target)
    if is_tensor(image):
        return ArrayImage(array_of_tensor(image), target, bgr)
    if isinstance(image, np.ndarray):
        return ArrayImage(image, target, bgr)
    known = "an array, a tensor, a PIL image, bytes, an open file or a path"
    raise ImageError(f"image: must be {known}, not {type(image).__name__}")


class ArrayImage(InputImage):
    """An array (H, W), (H, W, 1), (H, W, 2), (H, W, 3) or (H, W, 4), upright; it is never written to."""

    def __init__(
        self,
        array: NDArray[Any],
        target: Path | None = None,
        bgr: bool = False,
        metadata: Metadata | None = None,
        orientation: int = 1,
    ) -> None:
        self.name = "image"
        self._in_order: Callable[[Samples], Samples] = from_bgr if bgr else lambda samples: samples
        _check_array(array)
        self._array, self._target, self._metadata = array, target, metadata or Metadata(container="array")
        self._samples = array[..., None] if array.ndim == 2 else array
        self.height, self.width, self.channels = self._samples.shape
        self.dtype, self.has_alpha = array.dtype, self.channels in (2, 4)
        self.orientation = orientation
        if target is not None:
            check_target(target)

    def read_boxes(self, boxes: Sequence[Box]) -> list[Samples]:
        """See `InputImage`."""
        return [self._in_order(self._samples[box.slices]).copy() for box in boxes]

    def strips(self) -> Strips:
        """See `InputImage`."""
        return ((box, self._in_order(samples)) for box, samples in strips_of(self._samples))

    def finish(self, patches: list[Patch], options: Options) -> Any:
        """See `InputImage`."""
        result = self._array.copy()
        samples = result[..., None] if result.ndim == 2 else result
        for box, patch in patches:
            samples[box.slices] = self._in_order(patch)
        if self._target is not None:
            stored = to_stored(self._in_order(samples), self.orientation)
            file = ImageFile.open(_tiff_of(stored, self._metadata, self.orientation), name=self.name)
            warn(*file.conversion_warnings(file.output_format(self._target), options.quality))
            file.save(self._target, quality=options.quality)
        return result


class PilImage(ArrayImage):
    """A PIL image of the modes that `samples_of_pil` knows.

    Masks and boxes refer to the upright image, as those of a file do; the result is stored like the image.
    """

    def __init__(self, image: Image, target: Path | None = None) -> None:
        orientation = orientation_of_pil(image)
        metadata = None if target is None else metadata_of_pil(image)
        upright = to_upright(samples_of_pil(image), orientation)
        super().__init__(upright, target, metadata=metadata, orientation=orientation)
        if image.mode == "CMYK":
            warn(f"{self.name}: CMYK is converted to sRGB")
        if orientation != 1:
            warn(f"{self.name}: its EXIF orientation is applied: mask and boxes refer to the upright image")
        self._image = image

    def finish(self, patches: list[Patch], options: Options) -> Any:
        """See `InputImage`."""
        samples = np.ascontiguousarray(to_stored(super().finish(patches, options), self.orientation))
        return pil_of_samples(samples, self._image) if patches else self._image.copy()


class EncodedImage(ImageFile):
    """A file, or the bytes of one, to fill.

    Attributes:
        source: the file, or its bytes.
        target: the file to write, if any.
    """

    def __init__(self, source: Path | bytes, target: Path | None = None, name: str | None = None) -> None:
        super().__init__(StoredFile(source, name))
        self.source, self.target = source, target
        if target is not None:
            check_target(target)
            self.output_format(target)

    def _stays(self, format: str, patches: list[Patch], options: Options) -> bool:
        """Whether the result is the very file that was given."""
        same = options.quality is None or format in ("png", "tiff")  # which have no quality
        return not patches and same and format == self.format

    def result_pages(self, format: str | None) -> int:
        """How many pages the result has: all of a TIFF that becomes a TIFF, the first of anything else.

        Args:
            format: asked for, if any, where no file name says it.
        """
        written = format or self.format
        if self.target is not None:
            written = self.output_format(self.target)
        return self.pages if self.format == written == "tiff" else 1

    def _save(self, target: Path, patches: list[Patch], options: Options) -> None:
        format = self.output_format(target)
        if self._stays(format, patches, options):
            self.copy(target)
            return
        warn(*self.warnings, *self.conversion_warnings(format, options.quality))
        self.save(target, patches, options.quality)


class BytesImage(EncodedImage):
    """The contents of an image file; `name` is what messages call it."""

    source: bytes

    def finish(self, patches: list[Patch], options: Options) -> bytes:
        """See `InputImage`; without patches, and without another format or quality asked for, the very same bytes."""
        if self.target is not None:
            self._save(self.target, patches, options)
        if self._stays(options.format or self.format, patches, options):
            return self.source
        losses = self.conversion_warnings(options.format or self.format, options.quality)
        warn(*(losses if self.target else self.warnings + losses))
        return self.encode(patches, options.format, options.quality)


class PathImage(EncodedImage):
    """An image file; the result is another file (or the same, if that is the target)."""

    target: Path

    def __init__(self, path: Path, target: Path | None = None) -> None:
        super().__init__(path, target or filled_name(path))
        if target is None and os.path.lexists(self.target):
            raise ImageError(f"{self.target}: exists already; overwrite=True replaces it, or name an output")

    def finish(self, patches: list[Patch], options: Options) -> Path:
        """See `InputImage`."""
        self._save(self.target, patches, options)
        return self.target


def filled_name(path: Path) -> Path:
    """`NAME-filled.EXT` beside an image; PNG for suffixes that are only read, and none where there was none."""
    suffix = path.suffix if path.suffix.lower() in {"", *FORMAT_OF_SUFFIX} else ".png"
    return path.with_name(f"{path.stem}-filled{suffix}")


def _check_array(array: NDArray[Any]) -> None:
    shape = array.shape
    if array.ndim not in (2, 3) or (array.ndim == 3 and not 1 <= shape[2] <= 4):
        raise ImageError(f"image: must be of shape (H, W) or (H, W, 1 to 4), got {shape}")
    if array.size == 0:
        raise ImageError(f"image: is empty, its shape is {shape}")
    if np.issubdtype(array.dtype, np.floating):
        low, high = array.min(), array.max()
        if not (np.isfinite(low) and np.isfinite(high)):
            raise ImageError("image: holds NaN or infinite values")
        if low < 0 or high > 1:
            raise ImageError(f"image: float samples must be in [0, 1], got {low!s} to {high!s}")
    elif array.dtype.type not in (np.uint8, np.uint16):
        raise ImageError(f"image: samples must be uint8, uint16 or float, not {array.dtype}")


def check_target(target: Path) -> None:
    """Raise `ImageError` for a file that cannot be written, before the work, not after it."""
    with image_error(f"{target}: cannot be written", OSError):
        replaceable_mode(target)
    parent = os.path.dirname(os.path.realpath(target))
    if not os.path.isdir(parent):
        raise ImageError(f"{target}: there is no directory {target.parent}")
    format_of_name(target)


def _tiff_of(samples: Samples, metadata: Metadata, orientation: int) -> bytes:
    """An uncompressed TIFF of an array, as an image to write in any format; floats become 16-bit."""
    if np.issubdtype(samples.dtype, np.floating):
        samples = np.floor(samples * 65535.0 + 0.5).astype(np.uint16)
    samples = np.ascontiguousarray(samples, samples.dtype.newbyteorder("="))
    narrow, wide = ("b-w", "grey16") if samples.shape[2] < 3 else ("srgb", "rgb16")
    interpretation = wide if samples.dtype == np.uint16 else narrow
    turned = None if orientation == 1 else orientation
    # libvips states a resolution in any case.
    metadata = replace(metadata, resolution=metadata.resolution or (1.0, 1.0))
    image = metadata.attach(libvips().Image.new_from_array(samples), "tiff", interpretation, turned)
    stream = io.BytesIO(image.tiffsave_buffer(compression="none"))
    metadata.complete(stream, "tiff", image, turned)
    return stream.getvalue()


def warn(*messages: str) -> None:
    """Say each of them as an `ImageWarning`."""
    for message in messages:
        warnings.warn(message, ImageWarning, stacklevel=2)
