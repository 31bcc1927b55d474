"""The main path, top to bottom: a picture, its hole, the crops around it, the network, the result."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

from numpy.typing import NDArray

from wavepaint.fill.guide import Patch, Plan, fill_holes
from wavepaint.image.mask import Mask, find_hole, seems_to_fit
from wavepaint.image.pages import fill_pages
from wavepaint.image.sources import PhotoPicture, Picture, open_picture
from wavepaint.options import BoxLike, Engine, Options, as_boxes
from wavepaint.runtime import Runtime, load_runtime, model_file, runs_in_onnx_runtime

if TYPE_CHECKING:
    from PIL.Image import Image

    PictureT = TypeVar("PictureT", NDArray[Any], Image, bytes, Path)
else:
    PictureT = TypeVar("PictureT")

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
        runtime: str = Engine.runtime,
        threads: int | None = Engine.threads,
    ) -> None:
        self._engine = Engine(model=model, runtime=runtime, threads=threads)
        model_file(model)
        self._runtime: Runtime | None = None
        self._loading = threading.Lock()

    @overload
    def __call__(
        self,
        image: str,
        mask: Any = None,
        *,
        boxes: Sequence[BoxLike] = ...,
        alpha: bool = ...,
        threshold: float = ...,
        invert_mask: bool = ...,
        dilate: int = ...,
        grain: str = ...,
        quality: int | None = ...,
        output: str | Path | None = ...,
    ) -> Path: ...
    @overload
    def __call__(
        self,
        image: PictureT,
        mask: Any = None,
        *,
        boxes: Sequence[BoxLike] = ...,
        alpha: bool = ...,
        threshold: float = ...,
        invert_mask: bool = ...,
        dilate: int = ...,
        grain: str = ...,
        quality: int | None = ...,
        output: str | Path | None = ...,
    ) -> PictureT: ...
    def __call__(
        self,
        image: Any,
        mask: Any = None,
        *,
        boxes: Sequence[BoxLike] = Options.boxes,
        alpha: bool = Options.alpha,
        threshold: float = Options.threshold,
        invert_mask: bool = Options.invert_mask,
        dilate: int = Options.dilate,
        grain: str = Options.grain,
        quality: int | None = Options.quality,
        output: str | Path | None = None,
    ) -> Any:
        """Fill the hole of one picture; every sample outside the hole stays as it is, bit for bit.

        Args:
            image: array (H, W) or (H, W, 1 to 4), uint8, uint16 or float in [0, 1]: grey or RGB, last channel alpha if
                there are 2 or 4; PIL image; bytes of a picture file; or path. It is never changed.
            mask: array, PIL image, bytes or path of the same size, in any mix with `image`; 1 or white = hole
                (`mask.hole_of`). For a TIFF of several pages, all of which are filled, it is one mask for all, or a
                TIFF with a page for each. None where `boxes` or `alpha` says what to fill.
            boxes: rectangles to fill, each a `Box` or (left, top, width, height); they may reach outside the picture.
            alpha: fill the fully transparent pixels.
            threshold: mask values above this share of their range are hole.
            invert_mask: fill what the mask leaves out.
            dilate: grow the hole by this many pixels.
            grain: "auto" adds noise like that of the surroundings to the hole, the same in every run; "off" leaves
                it smooth.
            quality: of a lossy result, 1 to 100; None for the photograph's own. (A JPEG's chroma subsampling is kept if
                it is 4:4:4 or 4:2:0, and becomes 4:4:4 otherwise.)
            output: also write the result to this file, in the format of its suffix, replacing what is there; the
                profile, EXIF, XMP and resolution of a PIL image go with it.

        Returns:
            The kind that was given: an array of the same shape and dtype; a PIL image (of mode L for 1, of RGB for P,
            of LA or RGBA where a colour is transparent); bytes in the same format (PNG for GIF); for a path the path of
            the result, `output` or else `NAME-filled.EXT` beside the photograph. A picture with nothing to fill comes
            back as it is, a file byte for byte unless another format or quality is asked for.

        Raises:
            PhotoError: a picture that cannot be read or written, NaN, floats outside [0, 1], an existing
                `NAME-filled.EXT`.
            MaskError: an unusable mask, one of another size, or one that covers the whole picture.
            OptionError: a value of another type or out of range, or not exactly one of mask, boxes and alpha.
            CheckpointError, MissingExtraError: the network cannot be loaded.
        """
        options = Options(
            boxes=as_boxes(boxes),
            alpha=alpha,
            threshold=threshold,
            invert_mask=invert_mask,
            dilate=dilate,
            grain=grain,
            quality=quality,
        )
        return self.fill(image, mask, options, output)

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


@overload
def inpaint(
    image: str,
    mask: Any = None,
    *,
    boxes: Sequence[BoxLike] = ...,
    alpha: bool = ...,
    threshold: float = ...,
    invert_mask: bool = ...,
    dilate: int = ...,
    grain: str = ...,
    quality: int | None = ...,
    output: str | Path | None = ...,
    model: str | Path | None = ...,
    runtime: str = ...,
    threads: int | None = ...,
) -> Path: ...
@overload
def inpaint(
    image: PictureT,
    mask: Any = None,
    *,
    boxes: Sequence[BoxLike] = ...,
    alpha: bool = ...,
    threshold: float = ...,
    invert_mask: bool = ...,
    dilate: int = ...,
    grain: str = ...,
    quality: int | None = ...,
    output: str | Path | None = ...,
    model: str | Path | None = ...,
    runtime: str = ...,
    threads: int | None = ...,
) -> PictureT: ...
def inpaint(
    image: Any,
    mask: Any = None,
    *,
    boxes: Sequence[BoxLike] = Options.boxes,
    alpha: bool = Options.alpha,
    threshold: float = Options.threshold,
    invert_mask: bool = Options.invert_mask,
    dilate: int = Options.dilate,
    grain: str = Options.grain,
    quality: int | None = Options.quality,
    output: str | Path | None = None,
    model: str | Path | None = Engine.model,
    runtime: str = Engine.runtime,
    threads: int | None = Engine.threads,
) -> Any:
    """Fill the hole of one picture with a network loaded for it; see `Inpainter` and `Inpainter.__call__`.

    For more than one picture keep an `Inpainter`: loading the network takes longer than a small hole.
    """
    return Inpainter(model, runtime, threads)(
        image,
        mask,
        boxes=boxes,
        alpha=alpha,
        threshold=threshold,
        invert_mask=invert_mask,
        dilate=dilate,
        grain=grain,
        quality=quality,
        output=output,
    )
