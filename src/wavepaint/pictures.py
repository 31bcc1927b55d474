"""The kinds of picture that go into the main path, behind one interface: what comes out is what went in."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from wavepaint.box import Box
from wavepaint.errors import MaskError, PhotoError
from wavepaint.options import Options
from wavepaint.photo import FORMAT_OF_SUFFIX, Patch, Photo, Samples
from wavepaint.pil import is_pil_image, pil_of_samples, samples_of_pil

if TYPE_CHECKING:
    from PIL.Image import Image


class PhotoWarning(UserWarning):
    """Something about a file that the result cannot keep, or that was converted on reading."""


class Picture(Protocol):
    """A picture to fill, of any kind.

    Attributes:
        name: what messages call it.
        channels: 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha.
        dtype: uint8, uint16 or floating (then in [0, 1]).
    """

    name: str
    width: int
    height: int
    channels: int
    dtype: np.dtype[Any]

    def read_boxes(self, boxes: Sequence[Box]) -> list[Samples]:
        """The samples of boxes inside the picture, (height, width, channels) of `dtype`, arrays of their own."""
        ...

    def alpha_holes(self) -> NDArray[np.bool_]:
        """(H, W) bool, True where alpha is 0; `MaskError` without an alpha channel."""
        ...

    def finish(self, patches: list[Patch], options: Options) -> Any:
        """The picture with some boxes replaced, of the kind it was given as, and written where that was asked for."""
        ...


def open_picture(picture: Any, output: str | Path | None = None) -> Picture:
    """Prepare a picture of any kind.

    Args:
        picture: array, PIL image, bytes of a file, or path.
        output: where `Picture.finish` writes the result as a file; a path without it goes to `NAME-filled.EXT`.

    Raises:
        PhotoError: a kind, file, array or target that cannot be used.
    """
    target = None if output is None else Path(output)
    if isinstance(picture, (str, Path)):
        return FilePicture(Path(picture), target)
    if isinstance(picture, (bytes, bytearray, memoryview)):
        return BytesPicture(bytes(picture), target)
    if is_pil_image(picture):
        return PilPicture(picture, target)
    if isinstance(picture, np.ndarray):
        return ArrayPicture(picture, target)
    raise PhotoError(f"image: must be an array, a PIL image, bytes or a path, not {type(picture).__name__}")


class ArrayPicture:
    """An array (H, W), (H, W, 1), (H, W, 2), (H, W, 3) or (H, W, 4); it is never written to."""

    def __init__(self, array: NDArray[Any], target: Path | None = None) -> None:
        self.name = "image"
        _check_array(array)
        self._array, self._target = array, target
        self._samples = array[..., None] if array.ndim == 2 else array
        self.height, self.width, self.channels = self._samples.shape
        self.dtype = array.dtype
        if target is not None:
            _check_target(target)

    def read_boxes(self, boxes: Sequence[Box]) -> list[Samples]:
        """See `Picture`."""
        return [self._samples[box.slices].copy() for box in boxes]

    def alpha_holes(self) -> NDArray[np.bool_]:
        """See `Picture`."""
        if self.channels not in (2, 4):
            raise MaskError(f"{self.name}: has no transparency to take the mask from")
        return self._samples[..., -1] == 0  # type: ignore[no-any-return]

    def finish(self, patches: list[Patch], options: Options) -> NDArray[Any]:
        """See `Picture`."""
        result = self._array.copy()
        samples = result[..., None] if result.ndim == 2 else result
        for box, patch in patches:
            samples[box.slices] = patch
        if self._target is not None:
            photo = Photo.open(_tiff_of(samples))
            _warn(photo.losses(photo.output_format(self._target)))
            photo.save(self._target, quality=options.quality)
        return result


class PilPicture(ArrayPicture):
    """A PIL image of the modes that `samples_of_pil` knows."""

    def __init__(self, image: Image, target: Path | None = None) -> None:
        super().__init__(samples_of_pil(image), target)
        self._image = image

    def finish(self, patches: list[Patch], options: Options) -> Any:
        """See `Picture`."""
        samples = super().finish(patches, options)
        return pil_of_samples(samples, self._image) if patches else self._image.copy()


class _PhotoPicture:
    """What files and bytes of files have in common."""

    def __init__(self, source: Path | bytes) -> None:
        self._photo = Photo.open(source)
        self.name = self._photo.name
        self.width, self.height, self.channels = self._photo.width, self._photo.height, self._photo.channels
        self.dtype = self._photo.dtype

    def read_boxes(self, boxes: Sequence[Box]) -> list[Samples]:
        """See `Picture`."""
        return self._photo.read_boxes(boxes)

    def alpha_holes(self) -> NDArray[np.bool_]:
        """See `Picture`."""
        return self._photo.alpha_holes()

    def _save(self, target: Path, patches: list[Patch], options: Options) -> None:
        _warn(self._photo.warnings + self._photo.losses(self._photo.output_format(target)))
        self._photo.save(target, patches, options.quality)


class BytesPicture(_PhotoPicture):
    """The contents of a picture file."""

    def __init__(self, data: bytes, target: Path | None = None) -> None:
        super().__init__(data)
        self._data, self._target = data, target
        if target is not None:
            _check_target(target)

    def finish(self, patches: list[Patch], options: Options) -> bytes:
        """See `Picture`; without patches, and without another format asked for, the very same bytes."""
        if self._target is not None:
            self._save(self._target, patches, options)
        if not patches and options.format in (None, self._photo.format):
            return self._data
        if options.format is not None:
            _warn(self._photo.losses(options.format))
        return self._photo.encode(patches, options.format, options.quality)


class FilePicture(_PhotoPicture):
    """A picture file; the result is another file (or the same, if that is the target)."""

    def __init__(self, path: Path, target: Path | None = None) -> None:
        if target is None:
            target = filled_name(path)
            if target.exists():
                raise PhotoError(f"{target}: exists already; name an output to write to")
        _check_target(target)
        super().__init__(path)
        self._target = target

    def finish(self, patches: list[Patch], options: Options) -> Path:
        """See `Picture`."""
        self._save(self._target, patches, options)
        return self._target


def filled_name(path: Path) -> Path:
    """`NAME-filled.EXT` beside a photograph; PNG for formats that are only read."""
    suffix = path.suffix if path.suffix.lower() in FORMAT_OF_SUFFIX else ".png"
    return path.with_name(f"{path.stem}-filled{suffix}")


def _check_array(array: NDArray[Any]) -> None:
    shape = array.shape
    if array.ndim not in (2, 3) or (array.ndim == 3 and not 1 <= shape[2] <= 4):
        raise PhotoError(f"image: must be of shape (H, W) or (H, W, 1 to 4), got {shape}")
    if array.size == 0:
        raise PhotoError(f"image: is empty, its shape is {shape}")
    if np.issubdtype(array.dtype, np.floating):
        low, high = array.min(), array.max()
        if not (np.isfinite(low) and np.isfinite(high)):
            raise PhotoError("image: holds NaN or infinite values")
        if low < 0 or high > 1:
            raise PhotoError(f"image: float samples must be in [0, 1], got {low:g} to {high:g}")
    elif array.dtype.type not in (np.uint8, np.uint16):
        raise PhotoError(f"image: samples must be uint8, uint16 or float, not {array.dtype}")


def _check_target(target: Path) -> None:
    """Fail before the work, not after it."""
    if target.is_dir():
        raise PhotoError(f"{target}: is a directory")
    if not target.parent.is_dir():
        raise PhotoError(f"{target}: there is no directory {target.parent}")
    suffix = target.suffix.lower()
    if suffix and suffix not in FORMAT_OF_SUFFIX:
        raise PhotoError(f"{target}: cannot write {suffix} files, only {', '.join(FORMAT_OF_SUFFIX)}")


def _tiff_of(samples: Samples) -> bytes:
    """An uncompressed TIFF of an array, as a photograph to write in any format; floats become 16-bit."""
    import pyvips

    if np.issubdtype(samples.dtype, np.floating):
        samples = np.floor(samples * 65535.0 + 0.5).astype(np.uint16)
    samples = np.ascontiguousarray(samples, samples.dtype.newbyteorder("="))
    narrow, wide = ("b-w", "grey16") if samples.shape[2] < 3 else ("srgb", "rgb16")
    interpretation = wide if samples.dtype == np.uint16 else narrow
    image = pyvips.Image.new_from_array(samples, interpretation=interpretation)
    data: bytes = image.tiffsave_buffer(compression="none")
    return data


def _warn(messages: Sequence[str]) -> None:
    for message in messages:
        warnings.warn(message, PhotoWarning, stacklevel=2)
