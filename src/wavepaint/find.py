"""Find damage: an image, tile by tile, through a small network; or its infrared channel; to a mask of what is found."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from wavepaint.box import Box
from wavepaint.cancellation import Cancelled, check_cancelled
from wavepaint.cores import available_cores, in_order
from wavepaint.errors import ImageError, MaskError, check_threads
from wavepaint.fill.dilation import dilate
from wavepaint.fill.guide import READ_PIXELS
from wavepaint.fill.patches import box_sums
from wavepaint.fill.regions import Region, in_groups
from wavepaint.fill.units import to_unit
from wavepaint.image.sources import BytesImage, EncodedImage, open_image
from wavepaint.image.types import ReadableImage
from wavepaint.image.vips import libvips
from wavepaint.options import DAMAGE_KINDS, Finding, Options, Progress, take_options
from wavepaint.runtime import load_detector

if TYPE_CHECKING:
    from wavepaint.runtime.onnx_runtime import OnnxDetector

Mask = NDArray[np.bool_]
Planes = NDArray[np.float32]
Levels = NDArray[np.uint8]
"""How near samples are to being damage, 0 to 255: see `levels_of`."""
T = TypeVar("T", bound=np.generic)

THRESHOLDS = {"scratches": 0.94, "dust": 0.859, "stamps": 0.881}
"""Probabilities from which on a lone sample is damage, at sensitivity 0.5."""
SPREAD = 4.0
"""How far sensitivities of 0 and 1 lie apart: the threshold's logit moves by so much."""
DROP_PER_DOUBLING = 1.5
"""The threshold's logit falls by so much with every doubling of the damage around: where it is, there is more of it."""
MIN_CELLS = 18
"""So many damaged cells around do not lower it yet."""
MAX_DROP = 4.5
"""By how much it falls at most."""
LEVELS_PER_LOGIT = 254 / MAX_DROP
"""Of `levels_of`."""
NEAR_PER_FALSE = 10
"""For every so many cells around that `MAX_DROP` would make damage, one that is damage is taken for a texture's."""
CELL, PATCH, AROUND = 4, 32, 9
"""Sides of cells and of patches, in pixels; what is around a patch: so many patches each way."""
CORE, MARGIN = 1216, 64
"""Largest side of a tile, and how far the network sees beyond it, in pixels."""
STEP = 64
"""Sides of tiles but the last, and `MARGIN`, are multiples of it: what the network's coarsest level needs."""
BLOCK = 64
"""Side of the blocks in which the brightness of clear film is measured in infrared, pixels."""
CLEAR = 90
"""Percentile of a block that is clear film."""
HOLDER = 0.1
"""Where the clearest is darker than this share of the clearest of all, there is no film, but its holder."""
CONCURRENT_TILES = 2
"""Tiles that are worked on at a time, each on its share of the cores: faster than one tile on all of them."""


class Finder:
    """Finds damage with one network, loaded when it is first needed.

    Args:
        model: None for the packaged network, an ONNX file, or a checkpoint made by the recipe `damage`.
        threads: threads for the network; None = every core.

    Raises:
        CheckpointError: `model` is missing or no damage detector; that shows at the first call.
        OptionError: `threads` is less than 1, or no whole number.
    """

    def __init__(self, model: str | Path | None = None, threads: int | None = None) -> None:
        check_threads(threads)
        self._model, self._threads, self._cores = model, threads, threads or available_cores()
        self._detectors: dict[int | None, OnnxDetector] = {}
        self._loading = threading.Lock()

    def load(self, at_once: int = 1) -> OnnxDetector:
        """Load the network now, if it is not loaded yet, for so many tiles at a time."""
        threads = self._threads if at_once == 1 else -(-self._cores // at_once)
        with self._loading:
            if threads not in self._detectors:
                self._detectors[threads] = load_detector(self._model, threads)
            return self._detectors[threads]

    def find(self, image: Any, finding: Finding | None = None, on_progress: Progress | None = None) -> Mask:
        """See `find_damage`; `on_progress` is called with the share done and may return False to stop.

        Raises:
            Cancelled: `on_progress` has returned False.
        """
        finding = finding or Finding()
        opened = _open(image)
        if finding.infrared is not None:
            return dilate(find_in_infrared(_infrared(opened, finding.infrared), finding.sensitivity), finding.grow)
        return self._find_in_tiles(opened, finding, on_progress)

    def _find_in_tiles(self, image: ReadableImage, finding: Finding, on_progress: Progress | None) -> Mask:
        tiles = _tiles(image.width, image.height)
        at_once = min(CONCURRENT_TILES, len(tiles), self._cores)
        detector = self.load(at_once)
        levels = {kind: np.empty((image.height, image.width), np.uint8) for kind in finding.kinds}
        done = 0

        def windows() -> Iterator[tuple[Region, NDArray[Any]]]:
            for group in in_groups(tiles, READ_PIXELS):
                for window in zip(group, image.read_boxes([tile.crop for tile in group]), strict=True):
                    check_cancelled()
                    if on_progress is not None and on_progress(done / len(tiles)) is False:
                        raise Cancelled
                    yield window

        def detect(window: tuple[Region, NDArray[Any]]) -> None:
            tile, samples = window
            planes = probabilities_of(detector, samples)[:, *tile.holes.relative_to(tile.crop).slices]
            for kind, plane in levels.items():
                probabilities = planes[DAMAGE_KINDS.index(kind)]
                plane[tile.holes.slices] = levels_of(probabilities, threshold_of(kind, finding.sensitivity))

        for _ in in_order(detect, windows(), at_once):
            done += 1
        found = np.zeros((image.height, image.width), np.bool_)
        for plane in levels.values():
            check_cancelled()
            found |= damage_of(plane)
        return dilate(found, finding.grow)


@take_options(Finding)
def find_damage(image: Any, model: str | Path | None = None, threads: int | None = None, **options: Any) -> Mask:
    """Find the damage of an image: scratches, dust, stamps; the result is a mask for `inpaint`.

    For more than one image keep a `Finder`. Memory is that of a few tiles, and a few bytes for each pixel.

    Args:
        image: whatever `inpaint` takes; a file of one page.
        model: None for the packaged detector, an ONNX file, or a checkpoint made by `wavepaint train --recipe damage`.
        threads: threads for the network; None = every core.
        {options}

    Returns:
        (H, W) bool, True = damage.

    Raises:
        ImageError: an image, or infrared channel, that cannot be used.
        CheckpointError: `model` is missing or no damage detector.
        OptionError: an option that makes no sense.

    Example:
        >>> restored = wavepaint.inpaint(image, wavepaint.find_damage(image))  # doctest: +SKIP
    """
    return Finder(model, threads).find(image, Finding(**options))


def threshold_of(kind: str, sensitivity: float) -> float:
    """The logit from which on a lone sample is damage of a kind, one of `DAMAGE_KINDS`."""
    threshold = THRESHOLDS[kind]
    return math.log(threshold / (1 - threshold)) + SPREAD * (0.5 - sensitivity)


def levels_of(probabilities: NDArray[np.float32], threshold: float) -> Levels:
    """From probabilities of any shape to what `damage_of` needs: 255 from the threshold, a logit, on, 1 for `MAX_DROP`
    less, 0 for what is fainter.
    """
    levels = np.zeros(probabilities.shape, np.uint8)
    candidates = probabilities >= 1 / (1 + math.exp(MAX_DROP - threshold))
    values = probabilities[candidates].astype(np.float64).clip(None, 1 - 1e-9)
    logits = np.log(values / (1 - values))
    levels[candidates] = np.rint(255 + (logits - threshold) * LEVELS_PER_LOGIT).clip(1, 255)
    return levels


def damage_of(levels: Levels) -> Mask:
    """Which samples of a whole image are damage of a kind: clear ones everywhere, fainter ones among much.

    Args:
        levels: (h, w), see `levels_of`.

    Returns:
        (h, w) bool.
    """
    side = PATCH // CELL
    peaks = _in_cells(np.maximum, levels, CELL)

    def around(least: Levels) -> NDArray[np.int32]:
        """How many cells around each patch are damage, with a least level for each patch."""
        damaged = peaks >= _spread(least, side, peaks.shape)
        return box_sums(_in_cells(np.add, damaged.astype(np.int32), side), AROUND)

    def lowered(cells: NDArray[np.int32]) -> Levels:
        """The least level in each patch: the prior of the image instead of the training's."""
        doublings = np.log2(np.maximum(cells - false, 1) / MIN_CELLS)
        drop = np.clip(DROP_PER_DOUBLING * doublings, 0, MAX_DROP)
        return np.ceil(255 - drop * LEVELS_PER_LOGIT).astype(np.uint8)

    lone = np.full([-(-length // side) for length in peaks.shape], 255, np.uint8)
    clear = around(lone)
    false = (around(np.ones_like(lone)) - clear) / NEAR_PER_FALSE
    return levels >= _spread(lowered(around(lowered(clear))), PATCH, levels.shape)


def _in_cells(ufunc: np.ufunc, plane: NDArray[T], side: int) -> NDArray[T]:
    """What a function of two makes of the samples of each cell of `side` pixels; beyond the border are zeros."""
    padded = np.pad(plane, [(0, -length % side) for length in plane.shape])
    rows = ufunc.reduce(padded.reshape(-1, side, padded.shape[1]), axis=1)
    cells: NDArray[T] = ufunc.reduce(rows.reshape(len(rows), -1, side), axis=2)
    return cells


def _spread(cells: NDArray[T], side: int, shape: tuple[int, ...]) -> NDArray[T]:
    """From cells to their samples."""
    return cells.repeat(side, axis=0)[: shape[0]].repeat(side, axis=1)[:, : shape[1]]


def find_in_infrared(infrared: NDArray[np.uint8], sensitivity: float = 0.5) -> Mask:
    """Damage in the infrared channel of a film scan: dyes let infrared through, dust and scratches do not.

    Args:
        infrared: (H, W) uint8.
        sensitivity: 0 to 1; at 0.5 what is a fifth darker than the clear film around it is damage.

    Returns:
        (H, W) bool, True = damage.
    """
    height, width = infrared.shape
    padded = np.pad(infrared, ((0, -height % BLOCK), (0, -width % BLOCK)), mode="edge")
    rows, columns = padded.shape[0] // BLOCK, padded.shape[1] // BLOCK
    clear = np.empty((rows, columns))
    for row in range(rows):
        band = padded[row * BLOCK : (row + 1) * BLOCK].reshape(BLOCK, columns, BLOCK).transpose(1, 0, 2)
        clear[row] = np.percentile(band.reshape(columns, -1), CLEAR, axis=1)
    # A block that damage covers is as clear as most of its neighbours.
    around = np.pad(clear, 1, mode="edge")
    usual = np.median([around[y : y + rows, x : x + columns] for y in range(3) for x in range(3)], axis=0)
    clear = np.maximum(clear, usual)
    clear[clear < HOLDER * clear.max()] = 0
    share = 1 - (0.3 - 0.2 * sensitivity)
    centres = (np.arange(columns) + 0.5) * BLOCK - 0.5
    middles = (np.arange(rows) + 0.5) * BLOCK - 0.5
    wide = np.stack([np.interp(np.arange(width), centres, row) for row in clear])
    found = np.empty((height, width), np.bool_)
    for y in range(height):
        place = np.interp(y, middles, np.arange(rows))
        above, weight = int(place), place - int(place)
        level = wide[above] + weight * (wide[min(above + 1, rows - 1)] - wide[above])
        found[y] = infrared[y] < share * level
    return found


def probabilities_of(detector: OnnxDetector, samples: NDArray[Any]) -> Planes:
    """(h, w, channels) -> (3, h, w), one plane for each of `options.DAMAGE_KINDS`."""
    colours = 3 if samples.shape[2] >= 3 else 1
    planes = samples[..., :colours].transpose(2, 0, 1)
    height, width = samples.shape[:2]
    # Repeated, not mirrored: the dark rim of many scans would look like a scratch.
    needed = [(0, 0), (0, -height % detector.multiple), (0, -width % detector.multiple)]
    image = np.pad(np.broadcast_to(planes, (3, height, width)), needed, mode="edge")
    return detector(to_unit(image)[None])[0, :, :height, :width]


def _tiles(width: int, height: int) -> list[Region]:
    """Tiles: `holes` is the part that each decides, `crop` what its network sees, `MARGIN` more on each side."""
    across, down = _side(width), _side(height)
    corners = product(range(0, height, down), range(0, width, across))
    cores = [Box(left, top, across, down).clip(width, height) for top, left in corners]
    return [Region(core.grown(MARGIN).clip(width, height), core) for core in cores]


def _side(length: int) -> int:
    """Side of a tile where a length is cut into as few tiles as can be, of about the same size."""
    count = -(-length // CORE)
    return -(-length // (count * STEP)) * STEP


def _open(image: Any) -> ReadableImage:
    named = isinstance(image, (str, Path)) and str(image)
    opened = EncodedImage(Path(image)) if named else open_image(image)
    if isinstance(opened, EncodedImage) and (pages := opened.result_pages(None)) > 1:
        raise ImageError(f"{opened.name}: has {pages} pages; damage is found in files of one page")
    return opened


def _infrared(image: ReadableImage, given: Any) -> NDArray[np.uint8]:
    """(H, W) uint8 of the image's own fourth channel, or of a second image."""
    own = isinstance(given, str) and given == "band"
    if own and image.channels != 4:
        raise ImageError(f"{image.name}: has no fourth channel that could be infrared, only {image.channels}")
    source = image if own else _open(given)
    if (source.width, source.height) != (image.width, image.height):
        sizes = f"{source.width}x{source.height}, not {image.width}x{image.height}"
        raise MaskError(f"{source.name}: the infrared channel must have the size of the image: it is {sizes}")
    infrared = np.empty((image.height, image.width), np.uint8)
    for box, samples in source.strips():
        channel = samples[..., 3] if own else samples[..., : 3 if samples.shape[2] >= 3 else 1].mean(axis=2)
        scale = 1 if samples.dtype == np.uint8 else 257 if samples.dtype == np.uint16 else 1 / 255
        infrared[box.slices] = np.rint(channel / scale)
    return infrared


def encode_mask(mask: Mask) -> bytes:
    """A mask, (H, W) bool, as a grey PNG: white = damage."""
    grey = np.where(mask, np.uint8(255), np.uint8(0))
    return libvips().Image.new_from_array(grey).pngsave_buffer()  # type: ignore[no-any-return]


def write_mask(mask: Mask, path: Path) -> None:
    """Write a mask, (H, W) bool, as a grey image: white = damage; it appears whole or not at all.

    Raises:
        ImageError: the file cannot be written, or its suffix is no format.
    """
    BytesImage(encode_mask(mask), path).finish([], Options())
