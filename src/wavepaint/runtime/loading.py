"""Which runtime runs which model."""

from __future__ import annotations

import os
import shutil
import sys
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from wavepaint.errors import CheckpointError, OptionError, needs_extra
from wavepaint.options import Engine
from wavepaint.runtime.base import Runtime

if TYPE_CHECKING:
    from wavepaint.runtime.onnx_runtime import OnnxDetector

DEFAULT_MODEL = "default"

OPENVINO_REPAYS = 64
"""Crops of 256x256 after which OpenVINO, about a second slower to start, has caught up with ONNX Runtime."""
TORCH_REPAYS = 256
"""Crops of 256x256 after which a graphics processor has made up for the seconds that importing PyTorch takes."""


def load_runtime(
    model: str | Path | None = None, name: str = "auto", threads: int | None = None, expected_crops: int | None = None
) -> Runtime:
    """Load a network, ready to run.

    Args:
        model: None or "default" for the packaged network, an ONNX file that `wavepaint export` wrote, or a checkpoint
            (safetensors or PyTorch's own format); what counts is what the file contains, not its name.
        name: one of `options.RUNTIMES`. "auto" runs a checkpoint in PyTorch, and anything else in ONNX Runtime, unless
            the job is long enough for a faster one that is installed to repay its slower start: PyTorch for the
            packaged network where it finds a graphics processor, or OpenVINO. Another runtime than
            torch runs a checkpoint by exporting it first.
        threads: threads for one run; None = every core.
        expected_crops: the length of the job, in crops of 256x256; None = short.

    Raises:
        CheckpointError: `model` is missing or not a WavePaint network.
        MissingExtraError: the runtime, or PyTorch to read or export a checkpoint, is not installed.
        OptionError: no such runtime, bad `threads`, or an ONNX file for the torch runtime.
    """
    Engine(model=model, runtime=name, threads=threads)  # type: ignore[arg-type]  # it checks that
    path = model_file(model)
    checkpoint = path is not None and _is_checkpoint(path)
    if name == "auto":
        name = _choose(path, checkpoint, expected_crops or 1)
    if name == "torch":
        from wavepaint.runtime.torch_runtime import TorchRuntime

        if path is not None and not checkpoint:
            raise OptionError(f"{path}: the torch runtime runs checkpoints, not ONNX files")
        return TorchRuntime.load(path or DEFAULT_MODEL, threads)
    graph, label = _graph(path, checkpoint), str(path or "the packaged model")
    if name == "openvino":
        from wavepaint.files import cache_folder
        from wavepaint.runtime.openvino_runtime import OpenVinoRuntime

        # Only the packaged network comes again and again; a copy of every checkpoint would fill the disk.
        return OpenVinoRuntime(graph, label, threads, cache_folder() / "openvino" if path is None else None)
    from wavepaint.runtime.onnx_runtime import OnnxRuntime

    return OnnxRuntime(graph, label, threads)


def load_detector(model: str | Path | None = None, threads: int | None = None) -> OnnxDetector:
    """Load a network that finds damage; it runs in ONNX Runtime.

    Args:
        model: None for the packaged one, an ONNX file, or a checkpoint that `wavepaint train --recipe damage` made.
        threads: threads for one run; None = every core.

    Raises:
        CheckpointError: `model` is missing or no damage detector.
        MissingExtraError: PyTorch, to read a checkpoint, is not installed.
    """
    from wavepaint.runtime.onnx_runtime import OnnxDetector

    path = model_file(model)
    graph = _graph(path, path is not None and _is_checkpoint(path), "damage")
    return OnnxDetector(graph, str(path or "the packaged detector"), threads)


def model_file(model: str | Path | None) -> Path | None:
    """The file of a network; None for the packaged one.

    Raises:
        CheckpointError: there is no such file.
    """
    if model is None or str(model) == DEFAULT_MODEL:
        return None
    if not os.path.isfile(model):
        raise CheckpointError(f"{model or 'the model'}: no such file")
    return Path(model)


def packaged_network(name: str = DEFAULT_MODEL) -> bytes:
    """The ONNX file of a packaged network: "default" fills, "damage" finds damage.

    Raises:
        CheckpointError: it is missing from this installation.
    """
    packaged = files("wavepaint") / "weights" / f"{name}.onnx"
    if not packaged.is_file():
        raise CheckpointError("the packaged model is missing: reinstall wavepaint, or name a model")
    return packaged.read_bytes()


def _choose(path: Path | None, checkpoint: bool, crops: int) -> str:
    """A runtime that is installed and works, except PyTorch for a checkpoint, which nothing else reads."""
    if checkpoint:
        return "torch"
    if path is None and crops >= TORCH_REPAYS and _may_have_gpu() and _imports("wavepaint.network"):
        from wavepaint.runtime.torch_runtime import best_device

        if best_device() != "cpu":
            return "torch"
    if crops >= OPENVINO_REPAYS and _imports("openvino"):
        return "openvino"
    return "onnxruntime"


def _may_have_gpu() -> bool:
    """Whether asking PyTorch for a graphics processor is worth importing it."""
    return sys.platform == "darwin" or shutil.which("nvidia-smi") is not None


def _imports(module: str) -> bool:
    """Whether a package is there and works, which is more than that it can be found."""
    try:
        import_module(module)
    except (ImportError, OSError):  # OSError: a shared library that it needs is missing
        return False
    return True


def _is_checkpoint(path: Path) -> bool:
    """Whether a file is a checkpoint (True) or an ONNX graph (False), by its contents.

    Raises:
        CheckpointError: it is neither, or cannot be read.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(9)
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror or error}") from None
    # A safetensors file: the length of a JSON object and the object; PyTorch's: a ZIP archive or, long ago, a pickle.
    if head[8:] == b"{" or head.startswith((b"PK\3\4", b"\x80\2")):
        return True
    # A graph begins with its version: field 1 of its protocol buffer, a number.
    if head.startswith(b"\x08"):
        return False
    raise CheckpointError(f"{path}: neither a WavePaint checkpoint nor an ONNX graph")


def _graph(path: Path | None, checkpoint: bool, name: str = DEFAULT_MODEL) -> bytes:
    if path is None:
        return packaged_network(name)
    if not checkpoint:
        return path.read_bytes()
    with needs_extra(f"{path}: exporting a checkpoint", "train"):
        from wavepaint.network.checkpoint import load_network
        from wavepaint.network.export import onnx_bytes
    return onnx_bytes(load_network(path), half=False)
