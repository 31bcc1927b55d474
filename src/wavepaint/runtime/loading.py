"""Which runtime runs which model."""

from __future__ import annotations

import shutil
import sys
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from wavepaint.errors import CheckpointError, MissingExtraError, OptionError
from wavepaint.runtime.base import RUNTIMES, Runtime

DEFAULT_MODEL = "default"

OPENVINO_REPAYS = 64
"""Crops of 256x256 after which OpenVINO, about a second slower to start, has caught up with ONNX Runtime."""
TORCH_REPAYS = 256
"""Crops of 256x256 after which a graphics processor has made up for the seconds that importing PyTorch takes."""


def load_runtime(
    model: str | Path | None = None,
    name: str = "auto",
    threads: int | None = None,
    expected_crops: int | None = None,
) -> Runtime:
    """Load a network, ready to run.

    Args:
        model: None or "default" for the packaged network, an `.onnx` file that `wavepaint export` wrote, or a
            checkpoint (`.safetensors`, `.pth`).
        name: one of `RUNTIMES`. "auto" runs a checkpoint in PyTorch, and anything else in ONNX Runtime, unless the
            job is long enough for a faster one that is installed to repay its slower start: PyTorch for the
            packaged network where a graphics processor is present, or OpenVINO. Another runtime than
            torch runs a checkpoint by exporting it first.
        threads: threads for one run; None = every core.
        expected_crops: the length of the job, in crops of 256x256; None = short.

    Raises:
        CheckpointError: `model` is missing or not a WavePaint network.
        MissingExtraError: the runtime, or PyTorch to read or export a checkpoint, is not installed.
        OptionError: no such runtime, bad `threads`, or an ONNX file for the torch runtime.
    """
    if name not in RUNTIMES:
        raise OptionError(f"unknown runtime {name!r}; known: {', '.join(RUNTIMES)}")
    if threads is not None and threads < 1:
        raise OptionError(f"threads must be at least 1, got {threads}")
    path = None if model is None or str(model) == DEFAULT_MODEL else Path(model)
    if path is not None and not path.is_file():
        raise CheckpointError(f"{path}: no such file")

    if name == "auto":
        name = _choose(path, expected_crops or 1)
    if name == "torch":
        from wavepaint.runtime.torch_runtime import TorchRuntime

        if path is not None and not _is_checkpoint(path):
            raise OptionError(f"{path}: the torch runtime runs checkpoints, not ONNX files")
        return TorchRuntime(path or DEFAULT_MODEL, threads)
    graph, label = _graph(path), str(path or "the packaged model")
    if name == "openvino":
        from wavepaint.runtime.openvino_runtime import OpenVinoRuntime

        return OpenVinoRuntime(graph, label, threads)
    from wavepaint.runtime.onnx_runtime import OnnxRuntime

    return OnnxRuntime(graph, label, threads)


def _choose(path: Path | None, crops: int) -> str:
    if path is not None and _is_checkpoint(path):
        return "torch"
    if path is None and crops >= TORCH_REPAYS and _has_gpu() and find_spec("torch") is not None:
        return "torch"
    if crops >= OPENVINO_REPAYS and find_spec("openvino") is not None:
        return "openvino"
    return "onnxruntime"


def _has_gpu() -> bool:
    """Whether asking PyTorch for a graphics processor is worth importing it."""
    return sys.platform == "darwin" or shutil.which("nvidia-smi") is not None


def _is_checkpoint(path: Path) -> bool:
    return path.suffix.lower() != ".onnx"


def _graph(path: Path | None) -> Path | bytes:
    if path is None:
        packaged = files("wavepaint") / "weights" / "default.onnx"
        if not packaged.is_file():
            raise CheckpointError("the packaged model is missing: reinstall wavepaint, or name a model")
        return packaged if isinstance(packaged, Path) else packaged.read_bytes()
    if not _is_checkpoint(path):
        return path
    try:
        from wavepaint.network import load_checkpoint
        from wavepaint.network.export import onnx_bytes
    except ImportError as error:
        raise MissingExtraError(f"{path}: exporting a checkpoint", "train", str(error.name)) from None
    return onnx_bytes(load_checkpoint(path), half=False)
