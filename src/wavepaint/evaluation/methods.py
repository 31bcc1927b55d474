"""What can be evaluated: our network, classical methods, images that another program filled, what is registered."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.resources import files
from importlib.resources.abc import Traversable
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wavepaint.errors import MissingExtraError, OptionError
from wavepaint.evaluation.metrics import BoolMask, Picture, to_uint8
from wavepaint.evaluation.protocol import Item, Method
from wavepaint.evaluation.registry import Registry
from wavepaint.evaluation.testset import MASK_SUFFIX, read_picture
from wavepaint.fill.depth import coarse_levels_of
from wavepaint.fill.guide import fill_planes
from wavepaint.runtime import Runtime

if TYPE_CHECKING:
    from wavepaint.network import WavePaint

OPENCV_RADIUS = 3
HAAR_SWEEPS = 10
FOLDER_PREFIX = "folder:"

Fill = Callable[[Picture, BoolMask], Picture]
"""Known samples (zeros in the hole) and mask of one picture -> the filled picture."""


@dataclass(frozen=True)
class PictureMethod:
    """A method that fills one picture after the other."""

    name: str
    fill: Fill

    def __call__(self, items: Sequence[Item]) -> list[Picture]:
        """See `Method`."""
        return [self.fill(item.known, item.mask) for item in items]


@dataclass(frozen=True)
class NetworkMethod:
    """A method that fills batches of pictures of equal size.

    Attributes:
        name: as shown.
        run: float32 `(B, 3, H, W)` in [0, 1] and `(B, 1, H, W)`, 1 = hole -> `(B, 3, H, W)`.
        multiple: sides that `run` accepts are multiples of it; others are mirrored outwards.
    """

    name: str
    run: Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]
    multiple: int

    def __call__(self, items: Sequence[Item]) -> list[Picture]:
        """See `Method`."""
        filled: list[Picture] = []
        for _, group in groupby(items, key=lambda item: item.mask.shape):
            filled.extend(self._batch(list(group)))
        return filled

    def _batch(self, items: Sequence[Item]) -> NDArray[np.uint8]:
        height, width = items[0].mask.shape
        gaps = ((0, -height % self.multiple), (0, -width % self.multiple))
        known = np.stack([np.pad(item.known, (*gaps, (0, 0)), mode="symmetric") for item in items])
        mask = np.stack([np.pad(item.mask, gaps, mode="symmetric") for item in items])
        image = np.divide(known.transpose(0, 3, 1, 2), 255, dtype=np.float32)
        out = self.run(image, mask[:, None].astype(np.float32))[..., :height, :width]
        return to_uint8(out).transpose(0, 2, 3, 1)


@dataclass(frozen=True)
class RuntimeMethod:
    """A network as the package uses it: deep holes are filled at lower resolutions first, if it has learned that."""

    name: str
    runtime: Runtime

    def __call__(self, items: Sequence[Item]) -> list[Picture]:
        """See `Method`."""
        return [self._fill(item) for item in items]

    def _fill(self, item: Item) -> Picture:
        image = np.divide(item.known.transpose(2, 0, 1)[None], 255, dtype=np.float32)
        octaves = coarse_levels_of(item.mask, self.runtime.octaves)
        filled = fill_planes(self.runtime, image, item.mask[None], octaves)[0]
        return to_uint8(filled).transpose(1, 2, 0)


def network_method(model: WavePaint, name: str) -> RuntimeMethod:
    """The method that runs a PyTorch network of ours, as it stands (put it in evaluation mode before)."""
    from wavepaint.runtime.torch_runtime import TorchRuntime

    return RuntimeMethod(name, TorchRuntime.of(model))


def haar_method(name: str = "haar", sweeps: int = HAAR_SWEEPS) -> NetworkMethod:
    """The network's own starting point: the masked Haar prefill."""
    _require_torch()
    import torch

    from wavepaint.network.prefill import haar_prefill

    def run(image: NDArray[np.float32], mask: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(haar_prefill(torch.from_numpy(image), torch.from_numpy(mask), sweeps).numpy())

    return NetworkMethod(name, run, 1)


@dataclass(frozen=True)
class FolderMethod:
    """Results of another program, in a folder like the test set's: `KIND/NAME_mask000.png` or `KIND/NAME.png`."""

    name: str
    folder: Path

    def __call__(self, items: Sequence[Item]) -> list[Picture]:
        """See `Method`; a missing file or another size raises `OptionError`."""
        return [self._read(item) for item in items]

    def path_of(self, kind: str, name: str) -> Path:
        """The file that holds the result of an item; `OptionError` when there is none."""
        place = self.folder / kind
        candidates = (place / f"{name}{MASK_SUFFIX}.png", place / f"{name}.png")
        for path in candidates:
            if path.is_file():
                return path
        raise OptionError(f"{candidates[0]}: no such result (nor {candidates[1].name})")

    def _read(self, item: Item) -> Picture:
        path = self.path_of(item.kind, item.name)
        picture = read_picture(path)
        if picture.shape != item.truth.shape:
            wanted, found = (f"{s[1]}x{s[0]}" for s in (item.truth.shape, picture.shape))
            raise OptionError(f"{path}: is {found}, but the test set's picture is {wanted}")
        return picture


def _opencv_fill(algorithm: str) -> Fill:
    cv2 = _opencv()
    flag = {"telea": cv2.INPAINT_TELEA, "ns": cv2.INPAINT_NS}[algorithm]

    def fill(known: Picture, mask: BoolMask) -> Picture:
        return np.asarray(cv2.inpaint(known, mask.astype(np.uint8), OPENCV_RADIUS, flag))

    return fill


def _biharmonic_fill() -> Fill:
    try:
        from skimage.restoration import inpaint_biharmonic
    except ImportError:
        raise MissingExtraError("biharmonic inpainting", "train", "scikit-image") from None

    def fill(known: Picture, mask: BoolMask) -> Picture:
        filled = inpaint_biharmonic(known / 255.0, mask, channel_axis=-1)
        return to_uint8(filled)

    return fill


@dataclass(frozen=True)
class MethodEntry:
    """How a named method is made, and what identifies it in a report: a version, or the hash of its weights."""

    load: Callable[[], Method]
    describe: Callable[[], str]


METHODS: Registry[MethodEntry] = Registry("method")
"""Methods with a name of their own; checkpoints and folders of results need none."""


def add_fill(name: str, load: Callable[[], Fill], describe: Callable[[], str]) -> None:
    """Add a method that fills one picture after the other; `load` imports what it needs."""
    METHODS.add(name, MethodEntry(lambda: PictureMethod(name, load()), describe))


def find_method(spec: str) -> Method:
    """The method that a name stands for.

    Args:
        spec: a name of `METHODS`: `default`, the packaged network; `haar`, its prefill alone; a classical method;
            or a checkpoint file; or `folder:RESULTS`. The spec is also the method's name in tables. A network sees
            the whole picture, as the protocol has it, in lower resolutions first where it has learned that.

    Raises:
        OptionError: none of these.
        CheckpointError: a file that is no checkpoint.
        MissingExtraError: the packages that the method needs are not installed.
    """
    if spec.startswith(FOLDER_PREFIX):
        folder = Path(spec.removeprefix(FOLDER_PREFIX))
        if not folder.is_dir():
            raise OptionError(f"{folder}: no such folder of results")
        return FolderMethod(spec, folder)
    if spec in METHODS:
        return METHODS[spec].load()
    if not Path(spec).is_file():
        known = ", ".join((*METHODS, "folder:RESULTS", "a checkpoint file"))
        raise OptionError(f"unknown method {spec!r}; known: {known}")
    return _checkpoint_method(spec)


def describe_method(spec: str) -> str:
    """What identifies the method of a spec in a report: a version, or the hash of its weights."""
    if spec.startswith(FOLDER_PREFIX):
        return "pictures from a folder"
    return METHODS[spec].describe() if spec in METHODS else _sha256_of(Path(spec))


def _checkpoint_method(spec: str) -> RuntimeMethod:
    _require_torch()
    from wavepaint.network import load_checkpoint

    return network_method(load_checkpoint(spec), spec)


def _require_torch() -> None:
    try:
        import torch  # noqa: F401
    except ImportError:
        raise MissingExtraError("evaluating a network", "train", "torch") from None


def _sha256_of(weights: Path | Traversable) -> str:
    return f"SHA-256 {hashlib.sha256(weights.read_bytes()).hexdigest()}"


def _describe_opencv() -> str:
    return f"OpenCV {_opencv().__version__}, radius {OPENCV_RADIUS}"


def _opencv() -> Any:
    try:
        import cv2
    except ImportError:
        raise MissingExtraError("evaluation", "train", "opencv-python-headless") from None
    return cv2


METHODS.add(
    "default",
    MethodEntry(
        lambda: _checkpoint_method("default"),
        lambda: _sha256_of(files("wavepaint") / "weights" / "default.safetensors"),
    ),
)
METHODS.add("haar", MethodEntry(haar_method, lambda: f"the network's prefill alone, {HAAR_SWEEPS} sweeps"))
add_fill("opencv-telea", lambda: _opencv_fill("telea"), _describe_opencv)
add_fill("opencv-ns", lambda: _opencv_fill("ns"), _describe_opencv)
add_fill("biharmonic", _biharmonic_fill, lambda: f"scikit-image {import_module('skimage').__version__}")
