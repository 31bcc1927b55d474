"""What callers may give and what comes back, for type checkers; and several images in one call.

Several are a list of images of any kind, or a batch: an array or tensor of one dimension more.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, ParamSpec, Protocol, TypeAlias, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from wavepaint.errors import ImageError, MaskError, OptionError, prefixed
from wavepaint.image.tensors import is_tensor

P = ParamSpec("P")


class PilImage(Protocol):
    """An image of Pillow, which need not be installed."""

    @property
    def mode(self) -> str: ...  # noqa: D102
    def getbands(self) -> tuple[str, ...]: ...  # noqa: D102


class Tensor(Protocol):
    """A tensor of PyTorch, which need not be installed."""

    def detach(self) -> Any: ...  # noqa: D102
    def element_size(self) -> int: ...  # noqa: D102


ImageLike: TypeAlias = NDArray[Any] | PilImage | Tensor | bytes | Path | IO[bytes]
MaskLike: TypeAlias = NDArray[Any] | PilImage | Tensor | bytes | bytearray | memoryview | str | Path | IO[bytes]
ImageT = TypeVar("ImageT", bound=NDArray[Any] | PilImage | Tensor | bytes | Path)
Masks: TypeAlias = MaskLike | Sequence[MaskLike] | None
Output: TypeAlias = str | Path | None


class Fill(Protocol[P]):
    """The type of `inpaint` and of `Inpainter.__call__`: the kind of image that is given comes back."""

    @overload
    def __call__(
        self,
        image: str,
        mask: MaskLike | None = None,
        output: Output = None,
        overwrite: bool = False,
        *args: P.args,
        **options: P.kwargs,
    ) -> Path: ...
    @overload
    def __call__(
        self,
        image: ImageT,
        mask: Masks = None,
        output: Output | Sequence[Output] = None,
        overwrite: bool = False,
        *args: P.args,
        **options: P.kwargs,
    ) -> ImageT: ...
    @overload
    def __call__(
        self,
        image: IO[bytes] | Sequence[ImageLike | str],
        mask: Masks = None,
        output: Output | Sequence[Output] = None,
        overwrite: bool = False,
        *args: P.args,
        **options: P.kwargs,
    ) -> Any: ...


class Map(Protocol[P]):
    """The type of `Inpainter.map`, likewise."""

    @overload
    def __call__(
        self,
        pairs: Iterable[tuple[str, MaskLike | None]] | Iterable[tuple[str, MaskLike | None, str | Path]],
        threads: int | None = None,
        overwrite: bool = False,
        *args: P.args,
        **options: P.kwargs,
    ) -> Iterator[Path]: ...
    @overload
    def __call__(
        self,
        pairs: Iterable[tuple[ImageT, MaskLike | None]] | Iterable[tuple[ImageT, MaskLike | None, str | Path]],
        threads: int | None = None,
        overwrite: bool = False,
        *args: P.args,
        **options: P.kwargs,
    ) -> Iterator[ImageT]: ...


def images_of(value: Any) -> list[Any] | None:
    """The images of a list or batch; None for a single image.

    Raises:
        ImageError: there are none.
    """
    is_list = isinstance(value, (list, tuple)) and not any(isinstance(each, (list, tuple)) for each in value)
    if not is_list and not (_is_samples(value) and value.ndim == 4):
        return None
    if not len(value):
        raise ImageError("image: a list or batch without images")
    return list(value)


def masks_of(value: Any, count: int) -> list[Any]:
    """A mask for each of `count` images: of a list, a batch (N, H, W) or (N, H, W, C), or the same for all.

    Raises:
        MaskError: another number of masks.
    """
    several = isinstance(value, (list, tuple)) or (_is_samples(value) and value.ndim == 4)
    if not several and _is_samples(value) and value.ndim == 3:
        # (1, H, W) and (H, W, C) are single masks, as they are for a single image.
        several = len(value) == count or (len(value) > 1 and value.shape[2] > 4)
    if not several:
        return [value] * count
    if len(value) != count:
        raise MaskError(f"mask: there are {count} images, but {len(value)} masks")
    return list(value)


def outputs_of(value: Any, count: int) -> list[Any]:
    """A file to write for each of `count` images, or none; `OptionError` for another number."""
    if value is None:
        return [None] * count
    if not isinstance(value, (list, tuple)) or len(value) != count:
        raise OptionError(f"output: for {count} images it must be a list of {count} files")
    return list(value)


def joined(results: Iterator[Any], count: int, value: Any) -> Any:
    """The `count` results of the images of `value`: a list, or a batch if that is one.

    Raises:
        ImageError, MaskError: as one of them did, with its number.
    """
    taken = []
    for number in range(count):
        with prefixed(f"{number + 1} of {count}"):
            taken.append(next(results))
    if is_tensor(value):
        return sys.modules["torch"].stack(taken)
    return np.stack(taken) if isinstance(value, np.ndarray) else taken


def _is_samples(value: Any) -> bool:
    return isinstance(value, np.ndarray) or is_tensor(value)
