"""OpenVINO on the CPU: slower to start, faster for long jobs on some processors."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from wavepaint.errors import CheckpointError, needs_extra
from wavepaint.runtime.base import Planes, check_names, read_metadata


class OpenVinoRuntime:
    """An exported graph in OpenVINO, in float32.

    Args:
        graph: the contents of an ONNX file.
        label: what messages call it.
        threads: threads for one run; None lets OpenVINO take every core.
        cache: folder in which OpenVINO may keep what it has compiled, which makes the next start 0.6 s shorter;
            one that cannot be written to is not used.

    Raises:
        CheckpointError: not an ONNX graph, or not one of ours.
        MissingExtraError: OpenVINO is not installed.
    """

    name = "openvino"

    def __init__(self, graph: bytes, label: str, threads: int | None = None, cache: Path | None = None) -> None:
        with needs_extra("the openvino runtime", "openvino", "openvino"):
            import openvino

        core = openvino.Core()
        hints: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        if threads:
            hints["INFERENCE_NUM_THREADS"] = threads
        if cache is not None:
            with suppress(OSError):
                cache.mkdir(parents=True, exist_ok=True)
            if os.access(cache, os.W_OK | os.X_OK):
                hints["CACHE_DIR"] = str(cache)
        try:
            model = core.read_model(graph)
            self._compiled = core.compile_model(model, "CPU", hints)
        except RuntimeError as error:
            raise CheckpointError(f"{label}: not an ONNX graph: {' '.join(str(error).split())}") from None
        paths = {name: ["framework", name] for name in ("multiple", "octaves")}
        entries = {name: model.get_rt_info(path).astype(str) for name, path in paths.items() if model.has_rt_info(path)}
        self.multiple, self.coarse_levels = read_metadata(entries, label)
        # A value may have several names, or none.
        inputs, outputs = ([name for value in side for name in value.names] for side in (model.inputs, model.outputs))
        check_names(inputs, outputs, label)
        self._requests = threading.local()
        # The binding sets itself up when it first meets an array, and two threads that do so at once wait for each
        # other for ever (OpenVINO 2026.4): one tiny run, while nobody else can call.
        self(*(np.zeros((1, channels, self.multiple, self.multiple), np.float32) for channels in (3, 1)))

    def __call__(self, image: Planes, mask: Planes) -> Planes:
        """Fill the holes of a batch of crops; see `Runtime`."""
        # A request runs one batch at a time; one for each thread keeps its buffers between calls.
        if not hasattr(self._requests, "current"):
            self._requests.current = self._compiled.create_infer_request()
        filled: Planes = self._requests.current.infer({"image": image, "mask": mask})["filled"]
        return filled
