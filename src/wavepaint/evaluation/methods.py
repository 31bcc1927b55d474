"""What can be evaluated: our network, classical methods, images that another program filled, what is registered."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from wavepaint import __version__
from wavepaint.data.images import decode_rgb
from wavepaint.data.mask_kinds import opencv
from wavepaint.errors import OptionError, needs_extra
from wavepaint.evaluation.metrics import BoolMask, Image, to_uint8
from wavepaint.evaluation.protocol import Item, Method
from wavepaint.evaluation.registry import METHODS, MethodEntry
from wavepaint.evaluation.testset import MASK_SUFFIX, read_image
from wavepaint.fill.depth import coarse_levels_of
from wavepaint.fill.guide import fill_planes
from wavepaint.image.vips import encode_png

if TYPE_CHECKING:
    from wavepaint.network import WavePaint

OPENCV_RADIUS = 3
HAAR_SWEEPS = 10
FOLDER_PREFIX = "folder:"
PACKAGE_PREFIX = "package:"

Fill = Callable[[Image, BoolMask], Image]
"""Known samples (zeros in the hole) and mask of one image -> the filled image."""


@dataclass(frozen=True)
class ImageMethod:
    """A method that fills one image after the other."""

    name: str
    fill: Fill

    def __call__(self, items: Sequence[Item]) -> list[Image]:
        """See `Method`."""
        return [self.fill(item.known, item.mask) for item in items]


def network_method(model: WavePaint, name: str) -> ImageMethod:
    """A network of ours alone (put it in evaluation mode before), without detail, grain and regions.

    It sees the whole image; of a deep hole reduced copies first, as far as it has learned that.
    """
    from wavepaint.runtime.torch_runtime import TorchRuntime

    runtime = TorchRuntime(model)

    def fill(known: Image, mask: BoolMask) -> Image:
        levels = coarse_levels_of(mask, runtime.coarse_levels)
        return _from_planes(fill_planes(runtime, _planes(known), mask[None], levels))

    return ImageMethod(name, fill)


def package_method(name: str = "package", model: str | None = None) -> ImageMethod:
    """Exactly what `wavepaint inpaint IMAGE MASK -o RESULT` writes with its defaults, read back.

    With another `model`, what it writes with that as its only option.
    """
    from wavepaint import Inpainter

    inpainter = Inpainter(model)

    def fill(known: Image, mask: BoolMask) -> Image:
        return decode_rgb(inpainter(encode_png(known), encode_png(mask * np.uint8(255))))

    return ImageMethod(name, fill)


def haar_method() -> ImageMethod:
    """The network's own starting point: the masked Haar prefill."""
    with needs_extra("evaluating a network", "train", "torch"):
        import torch

    from wavepaint.network.prefill import haar_prefill

    def fill(known: Image, mask: BoolMask) -> Image:
        image, hole = torch.from_numpy(_planes(known)), torch.from_numpy(mask[None, None].astype(np.float32))
        return _from_planes(haar_prefill(image, hole, HAAR_SWEEPS).numpy())

    return ImageMethod("haar", fill)


def _planes(image: Image) -> NDArray[np.float32]:
    """(H, W, 3) uint8 -> (1, 3, H, W) float32 in [0, 1]."""
    return np.divide(image.transpose(2, 0, 1)[None], 255, dtype=np.float32)


def _from_planes(planes: NDArray[np.float32]) -> Image:
    return to_uint8(planes[0]).transpose(1, 2, 0)


@dataclass(frozen=True)
class FolderMethod:
    """Results of another program, in a folder like the test set's: `KIND/NAME_mask000.png` or `KIND/NAME.png`."""

    name: str
    folder: Path

    def __call__(self, items: Sequence[Item]) -> list[Image]:
        """See `Method`; a missing file or another size raises `OptionError`."""
        return [self._read(item) for item in items]

    def path_of(self, kind: str, name: str) -> Path:
        """The file that holds the result of an item; `OptionError` when there is none."""
        folder = self.folder / kind
        candidates = (folder / f"{name}{MASK_SUFFIX}.png", folder / f"{name}.png")
        for path in candidates:
            if path.is_file():
                return path
        raise OptionError(f"{candidates[0]}: no such result (nor {candidates[1].name})")

    def _read(self, item: Item) -> Image:
        path = self.path_of(item.kind, item.name)
        image = read_image(path)
        if image.shape != item.truth.shape:
            expected_size, size = (f"{s[1]}x{s[0]}" for s in (item.truth.shape, image.shape))
            raise OptionError(f"{path}: is {size}, but the test set's image is {expected_size}")
        return image


def _opencv_fill(algorithm: str) -> Fill:
    cv2 = opencv()
    flag = {"telea": cv2.INPAINT_TELEA, "ns": cv2.INPAINT_NS}[algorithm]

    def fill(known: Image, mask: BoolMask) -> Image:
        return np.asarray(cv2.inpaint(known, mask.astype(np.uint8), OPENCV_RADIUS, flag))

    return fill


def _biharmonic_fill() -> Fill:
    with needs_extra("biharmonic inpainting", "train", "scikit-image"):
        from skimage.restoration import inpaint_biharmonic

    def fill(known: Image, mask: BoolMask) -> Image:
        filled = inpaint_biharmonic(known / 255.0, mask, channel_axis=-1)
        return to_uint8(filled)

    return fill


def find_method(spec: str) -> Method:
    """The method that a name stands for.

    Args:
        spec: a name of `METHODS`: `package`, what the package writes; `network`, the packaged network alone; `haar`,
            its prefill alone; or a classical method. Or `package:MODEL`, the package with another network; a
            checkpoint file, that network alone; or `folder:RESULTS`. The spec is also the method's name in tables.

    Raises:
        OptionError: none of these.
        CheckpointError: a file that is no checkpoint.
        MissingExtraError: the packages that the method needs are not installed.
    """
    return _entry_of(spec).load()


def describe_method(spec: str) -> str:
    """What identifies the method of a spec in a report: a version, or the hash of its weights."""
    return _entry_of(spec).describe()


def _entry_of(spec: str) -> MethodEntry:
    if spec.startswith(FOLDER_PREFIX):
        folder = Path(spec.removeprefix(FOLDER_PREFIX))
        if not folder.is_dir():
            raise OptionError(f"{folder}: no such folder of results")
        return MethodEntry(lambda: FolderMethod(spec, folder), lambda: "images from a folder")
    if spec.startswith(PACKAGE_PREFIX):
        model = spec.removeprefix(PACKAGE_PREFIX)
        return MethodEntry(lambda: package_method(spec, model), lambda: _describe_package(model))
    if spec in METHODS:
        return METHODS[spec]
    if not Path(spec).is_file():
        known = ", ".join((*sorted(METHODS), "package:MODEL", "folder:RESULTS", "a checkpoint file"))
        raise OptionError(f"unknown method {spec!r}; known: {known}")
    return MethodEntry(lambda: _checkpoint_method(spec, spec), lambda: _describe_network(spec))


def describe_weights(spec: str | Path) -> str:
    """The hash of a file of weights; "default" is the packaged network."""
    packaged = files("wavepaint") / "weights" / "default.safetensors"
    weights = packaged if spec == "default" else Path(spec)
    return f"SHA-256 {hashlib.sha256(weights.read_bytes()).hexdigest()}"


def _describe_network(spec: str) -> str:
    looks = "the network alone, whole image, reduced copies first as far as it has learned that; no detail, no grain"
    return f"{describe_weights(spec)}; {looks}"


def _describe_package(model: str = "default") -> str:
    return f"what wavepaint {__version__} writes by default; network {describe_weights(model)}"


def _checkpoint_method(model: str, name: str) -> ImageMethod:
    with needs_extra("evaluating a network", "train", "torch"):
        import torch  # noqa: F401

    from wavepaint.network import load_checkpoint

    return network_method(load_checkpoint(model), name)


def _describe_opencv() -> str:
    return f"OpenCV {opencv().__version__}, radius {OPENCV_RADIUS}"


METHODS["package"] = MethodEntry(package_method, _describe_package)
METHODS["network"] = MethodEntry(lambda: _checkpoint_method("default", "network"), lambda: _describe_network("default"))
METHODS["haar"] = MethodEntry(haar_method, lambda: f"the network's prefill alone, {HAAR_SWEEPS} sweeps")
METHODS["opencv-telea"] = MethodEntry(lambda: ImageMethod("opencv-telea", _opencv_fill("telea")), _describe_opencv)
METHODS["opencv-ns"] = MethodEntry(lambda: ImageMethod("opencv-ns", _opencv_fill("ns")), _describe_opencv)
METHODS["biharmonic"] = MethodEntry(
    lambda: ImageMethod("biharmonic", _biharmonic_fill()),
    lambda: f"scikit-image {import_module('skimage').__version__}",
)
