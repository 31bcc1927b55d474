"""The main path, top to bottom: a picture, its hole, the crops around it, the network, the result."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from wavepaint.box import Box
from wavepaint.haar_fill import haar_fill
from wavepaint.mask import Mask, find_hole
from wavepaint.options import BoxLike, Engine, Options, as_boxes
from wavepaint.photo import Patch, Samples
from wavepaint.pictures import Picture, open_picture
from wavepaint.regions import Padding, Region, batches, find_regions, in_groups
from wavepaint.runtime import Runtime, load_runtime

if TYPE_CHECKING:
    from PIL.Image import Image

    PictureT = TypeVar("PictureT", NDArray[Any], Image, bytes, Path)
else:
    PictureT = TypeVar("PictureT")

CROP_PIXELS = 256 * 256
"""The unit in which runtimes are told how much work there is."""
READ_PIXELS = 2**24
"""Crops of at most this many pixels are read in one pass over a file."""

Planes = NDArray[np.float32]


class Inpainter:
    """Fills holes in photographs with one network, loaded when it is first needed.

    Calls are safe from several threads at once.

    Args:
        model: None for the packaged network, an `.onnx` file, or a checkpoint.
        runtime: "auto", "onnxruntime", "openvino" or "torch"; `runtime.load_runtime` says what "auto" does.
        threads: threads for the network; None = every core.
    """

    def __init__(
        self,
        model: str | Path | None = Engine.model,
        runtime: str = Engine.runtime,
        threads: int | None = Engine.threads,
    ) -> None:
        self._engine = Engine(model=model, runtime=runtime, threads=threads)
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
        quality: int | None = Options.quality,
        output: str | Path | None = None,
    ) -> Any:
        """Fill the hole of one picture; every sample outside the hole stays as it is, bit for bit.

        Args:
            image: array (H, W) or (H, W, 1 to 4), uint8, uint16 or float in [0, 1]: grey or RGB, last channel alpha if
                there are 2 or 4; PIL image; bytes of a picture file; or path. It is never changed.
            mask: array, PIL image, bytes or path of the same size, in any mix with `image`; 1 or white = hole
                (`mask.hole_of`). None where `boxes` or `alpha` says what to fill.
            boxes: rectangles to fill, each a `Box` or (left, top, width, height); they may reach outside the picture.
            alpha: fill the fully transparent pixels.
            threshold: mask values above this share of their range are hole.
            invert_mask: fill what the mask leaves out.
            dilate: grow the hole by this many pixels.
            quality: of a lossy result, 1 to 100; None for the photograph's own.
            output: also write the result to this file, in the format of its suffix, replacing what is there.

        Returns:
            The kind that was given: an array of the same shape and dtype; a PIL image (of mode L for 1, of RGB or RGBA
            for P); bytes in the same format (PNG for GIF); for a path the path of the result, `output` or else
            `NAME-filled.EXT` beside the photograph. A picture with nothing to fill comes back as it is.

        Raises:
            PhotoError: a picture that cannot be read or written, NaN, floats outside [0, 1], an existing
                `NAME-filled.EXT`.
            MaskError: an unusable mask, one of another size, or one that covers the whole picture.
            OptionError: a value out of range, or not exactly one of mask, boxes and alpha.
            CheckpointError, MissingExtraError: the network cannot be loaded.
        """
        options = Options(
            boxes=as_boxes(boxes),
            alpha=alpha,
            threshold=threshold,
            invert_mask=invert_mask,
            dilate=dilate,
            quality=quality,
        )
        return self.fill(image, mask, options, output)

    def fill(self, image: Any, mask: Any, options: Options, output: str | Path | None = None) -> Any:
        """`__call__` for callers that hold their options in one value; same arguments, result and errors."""
        picture = open_picture(image, output)
        hole = find_hole(picture, mask, options)
        return picture.finish(self._patches(picture, hole), options)

    def load(self, expected_crops: int | None = None) -> Runtime:
        """Load the network now, if it is not loaded yet.

        Args:
            expected_crops: the length of the whole job in crops of 256x256, for the choice of the runtime.
        """
        with self._loading:
            if self._runtime is None:
                engine = self._engine
                self._runtime = load_runtime(engine.model, engine.runtime, engine.threads, expected_crops)
            return self._runtime

    def _patches(self, picture: Picture, hole: Mask) -> list[Patch]:
        """The boxes to paste: filled inside the hole, the picture's own samples around it."""
        waves = find_regions(hole)
        if not waves:
            return []
        pixels = sum(region.crop.width * region.crop.height for wave in waves for region in wave)
        runtime = self.load(expected_crops=pixels // CROP_PIXELS)
        filled: dict[Box, Samples] = {}
        for wave in waves:
            for group in in_groups(wave, READ_PIXELS):
                samples = picture.read_boxes([region.crop for region in group])
                crops = {region: _crop(region, crop, hole, filled) for region, crop in zip(group, samples, strict=True)}
                for batch in batches(group):
                    results = _run(runtime, [crops[region] for region in batch])
                    filled |= {
                        # Copied, so that the much larger crop does not stay in memory.
                        region.holes: result[region.holes.relative_to(region.crop).slices].copy()
                        for region, result in zip(batch, results, strict=True)
                    }
        return list(filled.items())


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
        quality=quality,
        output=output,
    )


@dataclass(frozen=True, eq=False)
class _Crop:
    """What is known around a hole, and what is not: samples (h, w, channels), hole (h, w) bool."""

    samples: Samples
    hole: Mask


def _crop(region: Region, samples: Samples, hole: Mask, filled: Mapping[Box, Samples]) -> _Crop:
    """Cut out a region; what its neighbours have filled counts as known."""
    unknown = hole[region.crop.slices].copy()
    for box in region.known:
        common = box.intersection(region.crop)
        here = common.relative_to(region.crop).slices
        samples[here] = filled[box][common.relative_to(box).slices]
        unknown[here] = False
    return _Crop(samples, unknown)


def _run(runtime: Runtime, crops: list[_Crop]) -> list[Samples]:
    """Fill crops of equal size in one run: their samples, with those of the hole replaced."""
    height, width = crops[0].hole.shape
    padding = Padding.to_multiple(height, width, runtime.multiple)
    image = padding.apply(np.stack([_to_planes(crop.samples) for crop in crops]))
    mask = padding.apply(np.stack([crop.hole[None] for crop in crops]).astype(np.float32))
    guesses = padding.crop(runtime(image, mask))
    return [_blend(crop, guess) for crop, guess in zip(crops, guesses, strict=True)]


def _blend(crop: _Crop, guess: Planes) -> Samples:
    """Replace the hole samples of a crop by the network's, and their alpha by a smooth continuation."""
    samples, colours = crop.samples, _colours(crop.samples)
    planes = guess.mean(axis=0, keepdims=True) if colours == 1 else guess
    if samples.shape[2] > colours:
        alpha = haar_fill(_to_unit(samples[..., -1]), crop.hole)
        planes = np.concatenate((planes, alpha[None]))
    blended: Samples = np.where(crop.hole[..., None], _from_unit(planes.transpose(1, 2, 0), samples.dtype), samples)
    return blended


def _to_planes(samples: Samples) -> Planes:
    """(h, w, channels) of any kind -> (3, h, w) in [0, 1]: grey as three equal planes, without alpha."""
    planes = _to_unit(samples[..., : _colours(samples)]).transpose(2, 0, 1)
    return np.broadcast_to(planes, (3, *planes.shape[1:]))


def _colours(samples: Samples) -> int:
    return 1 if samples.shape[2] < 3 else 3


def _to_unit(samples: Samples) -> NDArray[np.float32]:
    if np.issubdtype(samples.dtype, np.floating):
        return samples.astype(np.float32)
    return samples.astype(np.float32) / np.float32(np.iinfo(samples.dtype).max)


def _from_unit(values: NDArray[np.float32], dtype: np.dtype[Any]) -> Samples:
    """The inverse of `_to_unit`, clipped; integers are rounded, halves up."""
    clipped = values.clip(0, 1)
    if np.issubdtype(dtype, np.floating):
        return clipped.astype(dtype)
    rounded: Samples = np.floor(clipped * np.float32(np.iinfo(dtype).max) + np.float32(0.5)).astype(dtype)
    return rounded
