"""The main path, top to bottom: an image, its hole, the crops around it, the network, the result."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from operator import length_hint
from pathlib import Path
from typing import Any

from wavepaint.cores import available_cores, in_order
from wavepaint.errors import OptionError, check_threads
from wavepaint.fill.detail import add_detail
from wavepaint.fill.guide import Patch, Plan, fill_holes
from wavepaint.fill.options import ExemplarOptions
from wavepaint.image.given import Fill, ImageLike, Map, MaskLike, P, images_of, joined, masks_of, outputs_of
from wavepaint.image.limits import changed_limits
from wavepaint.image.mask import Mask, excluded, find_hole
from wavepaint.image.pages import fill_pages
from wavepaint.image.sources import EncodedImage, filled_name, open_image
from wavepaint.image.stored_file import is_open_file, without_stream
from wavepaint.image.suffixes import check_writable
from wavepaint.image.tensors import is_tensor, tensor_of_array
from wavepaint.image.types import ReadableImage
from wavepaint.options import Engine, Options, RuntimeName, take_options
from wavepaint.runtime import Runtime, load_runtime, model_file
from wavepaint.runtime.shared import SharedRuntime


def _takes(kind: Callable[P, Any]) -> Callable[[Callable[..., Any]], Fill[P]]:
    """`options.take_options`, as type checkers and editors understand it."""
    return take_options(kind)  # type: ignore[arg-type]


def _maps(kind: Callable[P, Any]) -> Callable[[Callable[..., Any]], Map[P]]:
    return take_options(kind)  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class _Everything(Engine, Options):
    """The options of `inpaint`."""


MOST_LEVELS = 3
"""Coarser levels that the packaged network is run at: assumed until a network is loaded."""
CROP_PIXELS = 256 * 256
"""The unit in which runtimes are given the amount of work."""
CROPS_PER_IMAGE = 4
"""Guess of the work in one of many images, in that unit."""
MAX_THREADS = 8
"""Images that are under way, and in memory, at a time by default, whatever the number of cores."""


class Inpainter:
    """Fills holes in images with one network, loaded when it is first needed.

    Calls are safe from several threads at once. `runtime` "auto" decides at the first call, by the work in that image
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
        self._process = os.getpid()
        self._runtime: Runtime | None = None
        self._loading = threading.Lock()

    def __reduce__(self) -> tuple[type[Inpainter], tuple[Any, ...]]:
        """Copies, in other processes too, have the same settings, and load the network when they need it."""
        return type(self), (self._engine.model, self._engine.runtime, self._engine.threads)

    @_takes(Options)
    def __call__(
        self,
        image: ImageLike | str | Sequence[ImageLike | str],
        mask: MaskLike | Sequence[MaskLike] | None = None,
        output: str | Path | Sequence[str | Path] | None = None,
        overwrite: bool = False,
        **options: Any,
    ) -> Any:
        """Fill the hole of one image, or of each of several, with this network; for the rest see `inpaint`.

        Args:
            image: array, tensor, PIL image, bytes of an image file, open file or path; or a list or batch of them.
            mask: likewise, of the same size; 1 or white = hole. None where `boxes` or `alpha` says what to fill.
            output: also write the result to this file.
            overwrite: replace an existing `NAME-filled.EXT`.
            {options}

        Example:
            >>> inpainter = wavepaint.Inpainter(threads=2)  # doctest: +SKIP
            >>> filled = [inpainter(image, mask, dilate=4) for image, mask in pairs]  # doctest: +SKIP
        """
        values = Options(**options)
        target: Any = output
        if (images := images_of(image)) is not None:
            masks, outputs = masks_of(mask, len(images)), outputs_of(output, len(images))
            pairs = list(zip(images, masks, outputs, strict=True))
            return joined(self.map(pairs, None, overwrite, **options), len(pairs), image)
        if overwrite and output is None and isinstance(image, (str, Path)):
            target = filled_name(Path(image))
        is_encoded = isinstance(image, (bytes, bytearray, memoryview)) or is_open_file(image)
        if values.format is not None and (target is not None or not is_encoded):
            raise OptionError("format is for results in bytes: the name of a file says its format")
        return self.fill(image, mask, values, target)

    @_maps(Options)
    def map(
        self, pairs: Iterable[tuple[Any, ...]], threads: int | None = None, overwrite: bool = False, **options: Any
    ) -> Iterator[Any]:
        """Fill many images, several at a time, so that decoding, filling and encoding overlap.

        Args:
            pairs: (image, mask) or (image, mask, output) of each, as for a call. They are taken one after the other as
                there is room for them, so that a generator of any length will do.
            threads: images under way at a time, all of them in memory; by default one for each core
                this process may run on, 8 at most.
            overwrite: replace an existing `NAME-filled.EXT`.
            {options}

        Returns:
            An iterator over the results, in the order of the pairs. What one of them raises is raised when its turn
            comes, and ends the iteration; so does closing the iterator. Images under way are then finished first.

        Example:
            >>> for path in inpainter.map([("a.jpg", "a-mask.png"), ("b.jpg", "b-mask.png")]):  # doctest: +SKIP
            ...     print(path)
        """
        threads = thread_count(threads)
        Options(**options)

        def fill(image: Any, mask: Any, output: str | Path | None = None) -> Any:
            return self(image, mask, output, overwrite, **options)

        return self._map(pairs, threads, fill)

    def _map(self, pairs: Iterable[tuple[Any, ...]], threads: int, fill: Callable[..., Any]) -> Iterator[Any]:
        if length := length_hint(pairs):
            self.load(CROPS_PER_IMAGE * length)
        yield from in_order(lambda pair: fill(*pair), pairs, threads)

    def fill(
        self,
        image: Any,
        mask: Any,
        options: Options,
        output: str | Path | None = None,
        on_hole: Callable[[float], None] | None = None,
    ) -> Any:
        """`__call__` for callers that hold their options in one value; same arguments, result and errors.

        Args:
            image, mask, options, output: as for a call, the options in one value.
            on_hole: is called with the share of the image, or of each page, that is filled, once that is known.
        """
        mask = without_stream(mask)
        with changed_limits(lifted=options.no_limits):
            check_writable(options.format)
            opened = open_image(image, output, options.bgr)
            if isinstance(opened, EncodedImage) and (pages := opened.result_pages(options.format)) > 1:
                fill = partial(self._patches, options=options, on_hole=on_hole)
                result: Any = fill_pages(opened, pages, mask, options, fill)
            else:
                # The hole, a byte for each pixel, is gone before the result is written.
                patches = self._patches(opened, find_hole(opened, mask, options), options, on_hole)
                result = opened.finish(patches, options)
        if is_tensor(image):
            return tensor_of_array(result, image)
        return io.BytesIO(result) if is_open_file(image) else result

    def load(self, expected_crops: int | None = None, shared: bool = False) -> Runtime:
        """Load the network now, if it is not loaded yet.

        Args:
            expected_crops: the length of the whole job in crops of 256x256, for the choice of the runtime: "auto" takes
                one that is slow to load but fast to run for many crops (`runtime.load_runtime`). None = a short job.
                Once the network is loaded it has no effect.
            shared: have crops of one size from several threads run together, which pays on GPUs. Likewise.
        """
        if self._process != os.getpid():
            # Forked: the threads of the runtime have stayed behind. Without them its end would wait for ever.
            self._left_behind, self._runtime = self._runtime, None
            self._process, self._loading = os.getpid(), threading.Lock()
        with self._loading:
            if self._runtime is None:
                engine = self._engine
                runtime = load_runtime(engine.model, engine.runtime, engine.threads, expected_crops)
                self._runtime = SharedRuntime(runtime) if shared else runtime
            return self._runtime

    def _patches(
        self, opened: ReadableImage, hole: Mask, options: Options, on_hole: Callable[[float], None] | None
    ) -> list[Patch]:
        """See `fill_planned`; loads the network first."""
        if on_hole is not None:
            on_hole(float(hole.mean()))
        plan = Plan.of(hole)
        if not plan.stages:
            return []
        pixels = plan.pixels(MOST_LEVELS)
        # Decoding and loading the network keep one core busy each: together they take as long as the longer one.
        with ThreadPoolExecutor(1) as loader:
            loading = loader.submit(self.load, int(pixels) // CROP_PIXELS)
            opened.read_boxes([])
            runtime = loading.result()
        return fill_planned(runtime, opened, plan, options)


def fill_planned(runtime: Runtime, opened: ReadableImage, plan: Plan, options: Options) -> list[Patch]:
    """The boxes to paste: filled inside the hole of a plan, the image's own samples around it."""
    guide = fill_holes(runtime, opened, plan, options.detail == "grain")
    if options.detail != "image":
        return guide
    exclude = None if options.exclude is None else excluded(opened, options.exclude, options.threshold)
    seed = ExemplarOptions(seed=options.seed)
    return guide + add_detail(opened, plan.hole, guide, seed, exclude, options.progress, opened.has_alpha)


def thread_count(threads: int | None) -> int:
    """How many images to have under way; None = one for each core this process may run on, `MAX_THREADS` at most.

    Raises:
        OptionError: less than 1, or no whole number.
    """
    check_threads(threads)
    return threads or min(available_cores(), MAX_THREADS)


@_takes(_Everything)
def inpaint(
    image: ImageLike | str | Sequence[ImageLike | str],
    mask: MaskLike | Sequence[MaskLike] | None = None,
    output: str | Path | Sequence[str | Path] | None = None,
    overwrite: bool = False,
    **options: Any,
) -> Any:
    """Fill the hole of one image, or of each of several; every sample outside the hole stays as it is, bit for bit.

    For more than one image keep an `Inpainter`: loading the network takes longer than filling a small hole.

    Args:
        image: array (H, W) or (H, W, 1 to 4), uint8, uint16 or float in [0, 1]: grey or RGB, last channel alpha if
            there are 2 or 4; PyTorch tensor, likewise or (1 to 4, H, W), on any device; PIL image; bytes of an image
            file; file open in binary mode; or path. It is never changed. Also a list of such, or a batch: an array
            (N, H, W, C), or a tensor of either layout.
        mask: array, tensor, PIL image, bytes, open file or path of the same size, in any mix with `image`; 1 or white =
            hole (`mask.find_hole`). Arrays and tensors may be (H, W), (1, H, W), (H, W, 1) or (H, W, 3). For a TIFF of
            several pages, all of which are filled, it is one mask for all, or a TIFF with a page for each. For several
            images it is one mask for all, or a list or batch (N, H, W) of as many. None where `boxes` or `alpha` says
            what to fill.
        output: also write the result to this file, in the format of its suffix, replacing what is there; the profile,
            EXIF, XMP and resolution of a PIL image go with it. For several images a list of as many.
        overwrite: replace an existing `NAME-filled.EXT`, where a path is given without `output`.
        {options}

    Returns:
        The kind that was given: an array of the same shape and dtype; a tensor of the same layout and dtype, on the
        same device; a PIL image (of mode L for 1, of RGB for P and CMYK, of LA or RGBA where a colour is transparent);
        bytes in the same format (PNG for GIF), as an `io.BytesIO` for an open file; for a path the path of the result,
        `output` or else `NAME-filled.EXT` beside the image; a list or batch of these. An image with nothing to fill
        comes back as it is, a file byte for byte unless another format or quality is asked for.

    Raises:
        ImageError: an image that cannot be read or written, NaN, floats outside [0, 1], an existing `NAME-filled.EXT`.
        MaskError: an unusable mask, one of another size, or one that covers the whole image.
        OptionError: a value of another type or out of range, or not exactly one of mask, boxes and alpha.
        CheckpointError, MissingExtraError: the network cannot be loaded.

    Example:
        >>> filled = wavepaint.inpaint(image, mask, dilate=4)  # arrays (H, W, 3) and (H, W)  # doctest: +SKIP
        >>> wavepaint.inpaint("cat.jpg", boxes=[(40, 60, 200, 120)], output="no-cat.jpg")  # doctest: +SKIP
        PosixPath('no-cat.jpg')
    """
    engine = {name: options.pop(name) for name in Engine.__dataclass_fields__ if name in options}
    call: Any = Inpainter(**engine)
    return call(image, mask, output, overwrite, **options)
