"""What can be benchmarked, and how it is loaded; loading happens in a process of its own.

Four kinds: `wavepaint` is the whole main path on an array, with each runtime; `network` is the network alone over the
whole image, with each runtime; the classical methods; and `peer`, generators of other papers with random weights.
"""

from __future__ import annotations

import importlib.util
import inspect
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lab.batched import NetworkMethod
from lab.registered import CLASSICAL, classical_fill
from wavepaint.errors import MissingExtraError, OptionError
from wavepaint.evaluation.metrics import BoolMask, Image
from wavepaint.evaluation.protocol import Item
from wavepaint.options import RUNTIMES, Engine
from wavepaint.runtime.loading import model_file

if TYPE_CHECKING:
    from torch import nn

PEERS = ("lama", "migan")
LOADED_RUNTIMES = tuple(name for name in RUNTIMES if name != "auto")
SLOW = ("biharmonic", "patchmatch")
"""Minutes for a large hole; `--quick` leaves them out."""

_NEEDS: Mapping[str, tuple[str, str, str]] = {
    "openvino": ("openvino", "openvino", "openvino"),
    "torch": ("torch", "train", "torch"),
    "opencv-telea": ("cv2", "train", "opencv-python-headless"),
    "opencv-ns": ("cv2", "train", "opencv-python-headless"),
    "biharmonic": ("skimage", "train", "scikit-image"),
    "patchmatch": ("cv2", "train", "opencv-python-headless"),
}
"""For what needs an extra: the module, the extra, the package."""


@dataclass(frozen=True)
class Subject:
    """One thing to measure; all of it can be written as JSON.

    Attributes:
        method: "wavepaint", "network", a classical method, or a peer.
        runtime: what runs a network; "" for a classical method.
        source: model file of the network ("" for the packaged one), or the folder of the peers.
        threads: for everything that takes a number; None = every core.
    """

    method: str
    runtime: str = ""
    source: str = ""
    threads: int | None = None

    @property
    def name(self) -> str:
        """As in `--method` and tables: `wavepaint/onnxruntime`, `opencv-telea`, `lama`."""
        return f"{self.method}/{self.runtime}" if self.method in ("wavepaint", "network") else self.method

    @property
    def whole(self) -> bool:
        """Whether it computes the whole image, so that the size of the hole makes no difference."""
        return self.method in ("network", *PEERS)


@dataclass(frozen=True)
class Loaded:
    """A subject ready to run.

    Attributes:
        fill: images of one size and their masks -> the filled images.
        model_bytes: size of the network's file, or of its random weights; None without one.
        parameters: of the network where PyTorch runs it; else None.
        device: "cpu", or what PyTorch chose.
    """

    fill: Callable[[Sequence[tuple[Image, BoolMask]]], Sequence[Image]]
    model_bytes: int | None = None
    parameters: int | None = None
    device: str = "cpu"


def repository_peers() -> Path | None:
    """The folder of the peers where the package runs from its repository; else None."""
    folder = Path(__file__).parents[1] / "benchmarks" / "peers"
    return folder if (folder / "lama.py").is_file() else None


def find_subjects(
    names: Sequence[str] = (),
    *,
    model: str | Path | None = None,
    peers: str | Path | None = None,
    threads: int | None = None,
    quick: bool = False,
) -> list[Subject]:
    """What to measure.

    Args:
        names: of subjects, or of methods for all their runtimes; empty for everything that is installed.
        model: network of `wavepaint` and `network`; the packaged one by default.
        peers: folder with `lama.py` and `migan.py`; by default the repository's, if there is one.
        threads: for every subject.
        quick: leave out `SLOW` unless it is named.

    Raises:
        OptionError: an unknown name, or no such folder of peers.
        CheckpointError: no such model.
        MissingExtraError: a subject that was named is not installed.
    """
    path = model_file(model)
    folder = repository_peers() if peers is None else Path(peers)
    if peers is not None and not any((Path(peers) / f"{name}.py").is_file() for name in PEERS):
        raise OptionError(f"{peers}: holds none of {', '.join(f'{name}.py' for name in PEERS)}")
    source = "" if path is None else str(path.resolve())
    ours = [Subject(m, runtime, source, threads) for m in ("wavepaint", "network") for runtime in LOADED_RUNTIMES]
    if source.endswith(".onnx"):
        ours = [subject for subject in ours if subject.runtime != "torch"]  # which runs checkpoints only
    classical = [Subject(name, threads=threads) for name in CLASSICAL]
    others = []
    if folder is not None:
        present = [name for name in PEERS if (folder / f"{name}.py").is_file()]
        others = [Subject(name, "torch", str(folder.resolve()), threads) for name in present]
    known = [*ours, *classical, *others]
    if not names:
        return [s for s in known if _missing(s) is None and not (quick and s.method in SLOW)]
    chosen: list[Subject] = []
    for name in names:
        matching = [subject for subject in known if name in (subject.name, subject.method)]
        if not matching:
            raise OptionError(f"unknown method {name!r}; known: {', '.join(subject.name for subject in known)}")
        installed = [subject for subject in matching if _missing(subject) is None]
        if not installed:
            raise _missing(matching[0]) or OptionError(name)
        chosen += [subject for subject in installed if subject not in chosen]
    return chosen


def _missing(subject: Subject) -> MissingExtraError | None:
    """What to install for a subject; None when it is there."""
    needs = _NEEDS.get(subject.runtime or subject.method)
    if needs is None or importlib.util.find_spec(needs[0]) is not None:
        return None
    _, extra, package = needs
    return MissingExtraError(f"benchmarking {subject.name}", extra, package)


def load_subject(subject: Subject) -> Loaded:
    """Load a subject into this process; what that raises is the loader's."""
    _limit_threads(subject)
    if subject.method == "wavepaint":
        return _load_main_path(subject)
    if subject.method == "network":
        return _load_network(subject)
    if subject.method in PEERS:
        return _load_peer(subject)
    fill = classical_fill(subject.method)
    return Loaded(lambda images: [fill(_blanked(image, mask), mask) for image, mask in images])


def _limit_threads(subject: Subject) -> None:
    """OpenCV and PyTorch know one number of threads for the process; the other runtimes take one when they load."""
    if subject.threads is None:
        return
    if subject.method.startswith("opencv"):
        import cv2

        cv2.setNumThreads(subject.threads)
    if subject.runtime == "torch":
        import torch

        torch.set_num_threads(subject.threads)


def _load_main_path(subject: Subject) -> Loaded:
    from wavepaint.inpainter import Inpainter

    engine = Engine(model=subject.source or None, runtime=subject.runtime, threads=subject.threads)  # type: ignore[arg-type]  # it checks that
    inpainter = Inpainter(engine.model, engine.runtime, engine.threads)
    inpainter.load()

    def fill(images: Sequence[tuple[Image, BoolMask]]) -> list[Image]:
        return [inpainter(image, mask) for image, mask in images]

    return Loaded(fill, _model_bytes(subject), device=_device(subject))


def _load_network(subject: Subject) -> Loaded:
    from wavepaint.runtime import load_runtime

    runtime = load_runtime(subject.source or None, subject.runtime, subject.threads)
    return Loaded(
        _filled_by(NetworkMethod(subject.name, runtime, runtime.multiple)),
        _model_bytes(subject),
        device=_device(subject),
    )


def _load_peer(subject: Subject) -> Loaded:
    import torch

    generator = load_generator(Path(subject.source) / f"{subject.method}.py", f"{subject.method}_generator")
    device = _device(subject)
    generator.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def run(image: NDArray[np.float32], mask: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            planes = (torch.from_numpy(array).to(device) for array in (image, mask))
            filled: NDArray[np.float32] = generator(*planes).float().cpu().numpy()
        return filled

    parameters = sum(parameter.numel() for parameter in generator.parameters())
    multiple: Any = generator.multiple
    return Loaded(_filled_by(NetworkMethod(subject.name, run, multiple)), 4 * parameters, parameters, device)


def load_generator(file: Path, function: str) -> nn.Module:
    """What a peer's function makes: called as `generator(image, mask)`, like `WavePaint`; the file is run.

    Raises:
        OptionError: no Python file, or no such function in it.
    """
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise OptionError(f"{file}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    spec.loader.exec_module(module)
    make = getattr(module, function, None)
    if not inspect.isfunction(make):
        raise OptionError(f"{file}: has no function {function}")
    generator: nn.Module = make()
    return generator


def _filled_by(method: NetworkMethod) -> Callable[[Sequence[tuple[Image, BoolMask]]], list[Image]]:
    def fill(images: Sequence[tuple[Image, BoolMask]]) -> list[Image]:
        return method([Item(str(number), "", *pair) for number, pair in enumerate(images)])

    return fill


def _blanked(image: Image, mask: BoolMask) -> Image:
    return np.where(mask[..., None], np.uint8(0), image)


def _device(subject: Subject) -> str:
    if subject.runtime != "torch":
        return "cpu"
    from wavepaint.runtime.torch_runtime import best_device

    return best_device()


def _model_bytes(subject: Subject) -> int:
    if subject.source:
        return os.path.getsize(subject.source)
    name = "default.safetensors" if subject.runtime == "torch" else "default.onnx"
    return len((files("wavepaint") / "weights" / name).read_bytes())
