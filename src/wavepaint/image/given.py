"""What callers may give and what comes back, for type checkers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, ParamSpec, Protocol, TypeAlias, TypeVar, overload

from numpy.typing import NDArray

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
