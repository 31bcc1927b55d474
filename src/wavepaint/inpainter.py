"""The main path, top to bottom: a picture, its hole, the crops around it, the network, the result."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ParamSpec, Protocol, TypeAlias, TypeVar, overload

from numpy.typing import NDArray

from wavepaint.fill.guide import Patch, Plan, fill_holes
from wavepaint.image.mask import Mask, find_hole, seems_to_fit
from wavepaint.image.pages import fill_pages
from wavepaint.image.sources import PhotoPicture, Picture, open_picture
from wavepaint.options import Engine, Options, RuntimeName, take_options
from wavepaint.runtime import Runtime, load_runtime, model_file, runs_in_onnx_runtime

P = ParamSpec("P")


class PilImage(Protocol):
    """An image of Pillow, which need not be installed."""

    @property
    def mode(self) -> str: ...  # noqa: D102
    def getbands(self) -> tuple[str, ...]: ...  # noqa: D102


ImageLike: TypeAlias = NDArray[Any] | PilImage | bytes | Path
MaskLike: TypeAlias = NDArray[Any] | PilImage | bytes | bytearray | memoryview | str | Path
ImageT = TypeVar("ImageT", bound=ImageLike)


class Fill(Protocol[P]):
    """The type of `inpaint` and of `Inpainter.__call__`: the kind of image that is given comes back."""

    @overload
    def __call__(
        self,
        image: str,
        mask: MaskLike | None = None,
        output: str | Path | None = None,
        *args: P.args,
        **options: P.kwargs,
    ) -> Path: ...
    @overload
    def __call__(
        self,
        image: ImageT,
        mask: MaskLike | None = None,
        output: str | Path | None = None,
        *args: P.args,
        **options: P.kwargs,
    ) -> ImageT: ...


def _takes(kind: Callable[P, Any]) -> Callable[[Callable[..., Any]], Fill[P]]:
    """`options.take_options`, as type checkers and editors understand it."""
    return take_options(kind)  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class _Everything(Engine, Options):
    """The options of `inpaint`."""


MOST_LEVELS = 3
"""Coarser levels that the packaged network is run at: assumed until a network is loaded."""
CROP_PIXELS = 256 * 256
"""The unit in which runtimes are given the amount of work."""


class Inpainter:
    """Fills holes in photographs with one network, loaded when it is first needed.

    Calls are safe from several threads at once. `runtime` "auto" decides at the first call, by the work in that picture
    alone: before a long loop, `load(expected_crops=...)` has it decide by all the work to come.

    Args:
        model: None for the packaged network, an `.onnx` file, or a checkpoint.
        runtime: "auto", "onnxruntime", "openvino" or "torch"; `runtime.load_runtime` says what "auto" does.
        threads: threads for the network; None = every core.

    Raises:
        OptionError: no such runtime, or `threads` that make no sense.
        CheckpointError: there is no such file as `model`; whether it is a network shows when it is loaded.
    """

    def __init__(
        self,
        model: str | Path | None = Engine.model,
        runtime: RuntimeName = Engine.runtime,
        threads: int | None = Engine.threads,
    ) -> None:
        self._engine = Engine(model=model, runtime=runtime, threads=threads)
        model_file(model)
        self._runtime: Runtime | None = None
        self._loading = threading.Lock()

    @_takes(Options)
    def __call__(
        self, image: ImageLike | str, mask: MaskLike | None = None, output: str | Path | None = None, **options: Any
    ) -> Any:
        """Fill the hole of one image with the network of this inpainter; for the rest see `inpaint`.

        Args:
            image: array, PIL image, bytes of an image file, or path.
            mask: likewise, of the same size; 1 or white = hole. None where `boxes` or `alpha` says what to fill.
            output: also write the result to this file.
            {options}

        Example:
            >>> inpainter = wavepaint.Inpainter(threads=2)  # doctest: +SKIP
            >>> filled = [inpainter(image, mask, dilate=4) for image, mask in pairs]  # doctest: +SKIP
        """
        return self.fill(image, mask, Options(**options), output)

    def fill(self, image: Any, mask: Any, options: Options, output: str | Path | None = None) -> Any:
        """`__call__` for callers that hold their options in one value; same arguments, result and errors."""
        picture = open_picture(image, output)
        if isinstance(picture, PhotoPicture) and (pages := picture.pages(options.format)) > 1:
            return fill_pages(picture, pages, mask, options, partial(self._patches, options=options))
        with ThreadPoolExecutor(2) as early:
            if self._runtime is None and seems_to_fit(mask, picture):
                # A first picture, perhaps the only one: mask, photograph and network take a like time each, side by
                # side. What fails here fails again where it is needed, and is told there.
                if runs_in_onnx_runtime(self._engine.model, self._engine.runtime):
                    early.submit(self.load)
                early.submit(picture.read_boxes, [])
            # The hole, a byte for each pixel, is gone before the result is written.
            patches = self._patches(picture, find_hole(picture, mask, options), options)
        return picture.finish(patches, options)

    def load(self, expected_crops: int | None = None) -> Runtime:
        """Load the network now, if it is not loaded yet.

        Args:
            expected_crops: the length of the whole job in crops of 256x256, for the choice of the runtime: "auto" takes
                one that is slow to load but fast to run for many crops (`runtime.load_runtime`). None = a short job.
                Once the network is loaded it has no effect.
        """
        with self._loading:
            if self._runtime is None:
                engine = self._engine
                self._runtime = load_runtime(engine.model, engine.runtime, engine.threads, expected_crops)
            return self._runtime

    def _patches(self, picture: Picture, hole: Mask, options: Options) -> list[Patch]:
        """The boxes to paste: filled inside the hole, the picture's own samples around it."""
        plan = Plan.of(hole)
        if not plan.stages:
            return []
        pixels = plan.pixels(MOST_LEVELS)
        # Decoding and loading the network keep one core busy each: together they take as long as the longer one.
        with ThreadPoolExecutor(1) as loader:
            loading = loader.submit(self.load, int(pixels) // CROP_PIXELS)
            picture.read_boxes([])
            # Not before: what does not decode is not worth preparing.
            picture.prepare(options)
            runtime = loading.result()
        return fill_holes(runtime, picture, plan, options.grain == "auto")


@_takes(_Everything)
def inpaint(
    image: ImageLike | str, mask: MaskLike | None = None, output: str | Path | None = None, **options: Any
) -> Any:
    """Fill the hole of one image; every sample outside the hole stays as it is, bit for bit.

    For more than one image keep an `Inpainter`: loading the network takes longer than filling a small hole.

    Args:
        image: array (H, W) or (H, W, 1 to 4), uint8, uint16 or float in [0, 1]: grey or RGB, last channel alpha if
            there are 2 or 4; PIL image; bytes of an image file; or path. It is never changed.
        mask: array, PIL image, bytes or path of the same size, in any mix with `image`; 1 or white = hole
            (`mask.hole_of`). For a TIFF of several pages, all of which are filled, it is one mask for all, or a TIFF
            with a page for each. None where `boxes` or `alpha` says what to fill.
        output: also write the result to this file, in the format of its suffix, replacing what is there; the profile,
            EXIF, XMP and resolution of a PIL image go with it.
        {options}

    Returns:
        The kind that was given: an array of the same shape and dtype; a PIL image (of mode L for 1, of RGB for P, of LA
        or RGBA where a colour is transparent); bytes in the same format (PNG for GIF); for a path the path of the
        result, `output` or else `NAME-filled.EXT` beside the image. An image with nothing to fill comes back as it is,
        a file byte for byte unless another format or quality is asked for.

    Raises:
        PhotoError: an image that cannot be read or written, NaN, floats outside [0, 1], an existing `NAME-filled.EXT`.
        MaskError: an unusable mask, one of another size, or one that covers the whole image.
        OptionError: a value of another type or out of range, or not exactly one of mask, boxes and alpha.
        CheckpointError, MissingExtraError: the network cannot be loaded.

    Example:
        >>> filled = wavepaint.inpaint(image, mask, dilate=4)  # arrays (H, W, 3) and (H, W)  # doctest: +SKIP
        >>> wavepaint.inpaint("cat.jpg", boxes=[(40, 60, 200, 120)], output="no-cat.jpg")  # doctest: +SKIP
        PosixPath('no-cat.jpg')
    """
    engine = {name: options.pop(name) for name in Engine.__dataclass_fields__ if name in options}
    return Inpainter(**engine)(image, mask, output, **options)
