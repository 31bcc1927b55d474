"""The main path, top to bottom: a picture, its hole, the crops around it, the network, the result."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from wavepaint.box import Box
from wavepaint.grain import draw_grain, grain_of, missing_grain
from wavepaint.haar_fill import haar_fill
from wavepaint.mask import Mask, find_hole, seems_to_fit
from wavepaint.octaves import enlarge, fill_planes, halve_known
from wavepaint.options import BoxLike, Engine, Options, as_boxes
from wavepaint.pages import fill_pages
from wavepaint.photo import Patch, Samples
from wavepaint.pictures import ArrayPicture, PhotoPicture, Picture, open_picture
from wavepaint.regions import (
    Region,
    WideHole,
    batches,
    find_regions,
    find_wide,
    in_groups,
    octaves_of,
    pixels_at,
)
from wavepaint.runtime import Runtime, load_runtime, model_file, runs_in_onnx_runtime
from wavepaint.units import from_unit, to_unit

if TYPE_CHECKING:
    from PIL.Image import Image

    PictureT = TypeVar("PictureT", NDArray[Any], Image, bytes, Path)
else:
    PictureT = TypeVar("PictureT")

MOST_OCTAVES = 3
"""How deep the octaves of the packaged network go: what is taken for granted before a network is loaded."""
CROP_PIXELS = 256 * 256
"""The unit in which runtimes are told how much work there is."""
READ_PIXELS = 2**24
"""Crops of at most this many pixels are read in one pass over a file, and held together."""
GRAIN_PIXELS = 2**20
"""Pixels around a wide hole whose grain is measured."""
GRAIN_ROWS = 16
"""Rows that are measured together: a multiple of the largest block of `grain_of`."""

Planes = NDArray[np.float32]


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
        wide = find_wide(hole)
        rest = _without_depths(hole, wide)
        waves = find_regions(rest)
        if not waves:
            return []
        # A quarter of a window is what its reduced copy holds.
        pixels = sum(piece.crop.area / 4 for piece in wide)
        pixels += sum(pixels_at(rest[region.crop.slices], MOST_OCTAVES) for wave in waves for region in wave)
        # Decoding and loading the network keep one core busy each: together they take as long as the longer one.
        with ThreadPoolExecutor(1) as loader:
            loading = loader.submit(self.load, int(pixels) // CROP_PIXELS)
            picture.read_boxes([])
            # Not before: what does not decode is not worth preparing.
            picture.prepare(options)
            runtime = loading.result()
        return _fill_holes(runtime, picture, hole, wide, rest, waves, options.grain == "auto")


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


def _fill_holes(
    runtime: Runtime,
    picture: _Readable,
    hole: Mask,
    wide: Sequence[WideHole],
    rest: Mask,
    waves: Sequence[Sequence[Region]],
    grain: bool,
) -> list[Patch]:
    """Fill the depths of wide holes first, then the rest; see `regions` for both."""
    depths = _fill_depths(runtime, picture, hole, wide, grain)
    rims = _fill_regions(runtime, picture, rest, waves, depths, grain)
    for piece, (_, guess) in zip(wide, depths, strict=True):
        for box, patch in rims:
            _feather(box, patch, piece, guess)
    return depths + rims


def _feather(box: Box, patch: Samples, piece: WideHole, guess: Samples) -> None:
    """Let a filled rim run into the depth behind it, so that no edge shows between them."""
    common = box.intersection(piece.box)
    if common.is_empty:
        return
    share = piece.share[common.relative_to(piece.box).slices][..., None]
    here = common.relative_to(box).slices
    near, deep = to_unit(patch[here]), to_unit(guess[common.relative_to(piece.box).slices])
    blended = from_unit(near + share * (deep - near), patch.dtype)
    patch[here] = np.where(share > 0, blended, patch[here])


def _fill_depths(
    runtime: Runtime, picture: _Readable, hole: Mask, wide: Sequence[WideHole], grain: bool
) -> list[Patch]:
    """The boxes of wide holes, filled wherever the reduced copy has a share; the rest is the picture's own."""
    patches: list[Patch] = []
    for group in in_groups(wide, READ_PIXELS):
        windows = picture.read_boxes([piece.crop for piece in group])
        for piece, samples in zip(group, windows, strict=True):
            _overlay(samples, piece.crop, patches)
            unknown = _unknown(hole, piece.crop, wide[: len(patches)])
            patch = samples[piece.box.relative_to(piece.crop).slices].copy()
            guess = _fill_reduced(runtime, samples, unknown, piece.box.relative_to(piece.crop))
            if grain:
                guess += _grain_for(piece, samples, unknown) * _strength_against_feathering(piece)
            shared = piece.share > 0
            patch[shared] = from_unit(guess[shared], patch.dtype)
            patches.append((piece.box, patch))
    return patches


def _fill_reduced(runtime: Runtime, samples: Samples, unknown: Mask, box: Box) -> NDArray[np.float32]:
    """Fill a picture at half its resolution, however wide its holes still are there; return a part, enlarged."""
    reduced, hole = halve_known(samples, unknown)
    picture = ArrayPicture(reduced)
    wide = find_wide(hole)
    rest = _without_depths(hole, wide)
    waves = find_regions(rest)
    filled = picture.finish(_fill_holes(runtime, picture, hole, wide, rest, waves, grain=False), Options())
    return enlarge(filled, box)


def _without_depths(hole: Mask, wide: Sequence[WideHole]) -> Mask:
    """What is left of a hole once the depths of its wide pieces are known."""
    height, width = hole.shape
    return _unknown(hole, Box(0, 0, width, height), wide) if wide else hole


def _unknown(hole: Mask, box: Box, known: Iterable[WideHole]) -> Mask:
    """What is left of a hole in a box once the depths of some wide pieces are known; an array of its own."""
    unknown = hole[box.slices].copy()
    for piece in known:
        common = piece.box.intersection(box)
        if not common.is_empty:
            unknown[common.relative_to(box).slices] &= piece.share[common.relative_to(piece.box).slices] < 1
    return unknown


def _fill_regions(
    runtime: Runtime,
    picture: _Readable,
    hole: Mask,
    waves: Sequence[Sequence[Region]],
    depths: Sequence[Patch],
    grain: bool,
) -> list[Patch]:
    """The boxes of regions, filled one wave after the other."""
    filled: dict[Box, Samples] = {}
    wave_of = {region: number for number, wave in enumerate(waves) for region in wave}
    # Across waves, as every group costs a pass over a streamed file.
    for group in in_groups(wave_of, READ_PIXELS):
        samples = dict(zip(group, picture.read_boxes([region.crop for region in group]), strict=True))
        for _, wave in groupby(group, key=wave_of.__getitem__):
            crops = {}
            for region in wave:
                _overlay(samples[region], region.crop, depths)
                crops[region] = _crop(region, samples[region], hole, filled)
            for batch in batches(crops):
                results = _run(runtime, [crops[region] for region in batch], grain)
                filled |= {
                    # Copied, so that the much larger crop does not stay in memory.
                    region.holes: result[region.holes.relative_to(region.crop).slices].copy()
                    for region, result in zip(batch, results, strict=True)
                }
    return list(filled.items())


class _Readable(Protocol):
    """What filling asks of a picture."""

    def read_boxes(self, boxes: Sequence[Box]) -> list[Samples]: ...


@dataclass(frozen=True, eq=False)
class _Crop:
    """What is known around a hole, and what is not: samples (h, w, channels), hole (h, w) bool; where it lies."""

    samples: Samples
    hole: Mask
    box: Box


def _crop(region: Region, samples: Samples, hole: Mask, filled: Mapping[Box, Samples]) -> _Crop:
    """Cut out a region; what its neighbours have filled counts as known."""
    unknown = hole[region.crop.slices].copy()
    for box in region.known:
        _overlay(samples, region.crop, [(box, filled[box])])
        unknown[box.intersection(region.crop).relative_to(region.crop).slices] = False
    return _Crop(samples, unknown, region.crop)


def _overlay(samples: Samples, box: Box, patches: Iterable[Patch]) -> None:
    """Paste into the samples of a box what patches hold of it."""
    for place, patch in patches:
        common = place.intersection(box)
        if not common.is_empty:
            samples[common.relative_to(box).slices] = patch[common.relative_to(place).slices]


def _run(runtime: Runtime, crops: list[_Crop], grain: bool) -> list[Samples]:
    """Fill crops of equal size, those that are as deep in one run: their samples, with those of the hole replaced."""
    octaves = [octaves_of(crop.hole, runtime.octaves) for crop in crops]
    filled: dict[int, Samples] = {}
    for depth in sorted(set(octaves)):
        chosen = [index for index, each in enumerate(octaves) if each == depth]
        image = np.stack([_to_planes(crops[index].samples) for index in chosen])
        hole = np.stack([crops[index].hole for index in chosen])
        guesses = fill_planes(runtime, image, hole, depth)
        filled |= {index: _blend(crops[index], guess, grain) for index, guess in zip(chosen, guesses, strict=True)}
    return [filled[index] for index in range(len(crops))]


def _blend(crop: _Crop, guess: Planes, grain: bool) -> Samples:
    """Replace the hole samples of a crop by the network's, and their alpha by a smooth continuation."""
    samples, colours = crop.samples, _colours(crop.samples)
    planes: Planes = guess.mean(axis=0, keepdims=True) if colours == 1 else guess
    if grain:
        around = grain_of(to_unit(samples[..., :colours]).transpose(2, 0, 1), ~crop.hole)
        missing = missing_grain(around, grain_of(planes, crop.hole))
        if missing.any():
            planes = planes + draw_grain(missing, crop.box.height, crop.box.width, _seed(crop.box))
    if samples.shape[2] > colours:
        alpha = haar_fill(to_unit(samples[..., -1]), crop.hole)
        planes = np.concatenate((planes, alpha[None]))
    blended: Samples = np.where(crop.hole[..., None], from_unit(planes.transpose(1, 2, 0), samples.dtype), samples)
    return blended


def _grain_for(piece: WideHole, samples: Samples, unknown: Mask) -> NDArray[np.float32]:
    """The grain that the depth of a wide hole lacks, (box.height, box.width, channels); none in alpha.

    Measured in bands of whole rows of blocks, evenly spread over the window, `GRAIN_PIXELS` in all.
    """
    step = -(-unknown.size // GRAIN_PIXELS)
    rows = np.flatnonzero(np.arange(len(unknown)) // GRAIN_ROWS % step == 0)
    colours = _colours(samples)
    around = grain_of(to_unit(samples[rows, :, :colours]).transpose(2, 0, 1), ~unknown[rows])
    # An enlarged picture has no grain of its own.
    missing = missing_grain(around, np.zeros_like(around))
    grain = np.zeros((piece.box.height, piece.box.width, samples.shape[2]), np.float32)
    if missing.any():
        drawn = draw_grain(missing, piece.box.height, piece.box.width, _seed(piece.box))
        grain[..., :colours] = drawn.transpose(1, 2, 0)
    return grain


def _strength_against_feathering(piece: WideHole) -> NDArray[np.float32]:
    """How much stronger the grain of the depth is where it fades into that of the rim, (box.height, box.width, 1).

    Two grains that know nothing of each other, weighted 1 - s and s, add up to sqrt((1 - s)^2 + s^2) of either, which
    would show as a smooth seam. With the second one sqrt((2 - s) / s) times as strong it is 1 throughout.
    """
    share = np.where(piece.share > 0, piece.share, np.float32(1))[..., None]
    strength: NDArray[np.float32] = np.sqrt((2 - share) / share)
    return strength


def _seed(box: Box) -> tuple[int, int]:
    """Grain differs from place to place, and is the same in every run."""
    return box.left, box.top


def _to_planes(samples: Samples) -> Planes:
    """(h, w, channels) of any kind -> (3, h, w) in [0, 1]: grey as three equal planes, without alpha."""
    planes = to_unit(samples[..., : _colours(samples)]).transpose(2, 0, 1)
    return np.broadcast_to(planes, (3, *planes.shape[1:]))


def _colours(samples: Samples) -> int:
    return 1 if samples.shape[2] < 3 else 3
