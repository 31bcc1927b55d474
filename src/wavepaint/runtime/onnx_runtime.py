"""The default runtime: ONNX Runtime on the CPU."""

from __future__ import annotations

from typing import Any

from wavepaint.errors import CheckpointError
from wavepaint.runtime.base import Planes, check_names, read_metadata


class OnnxRuntime:
    """An exported graph in ONNX Runtime.

    Args:
        graph: the contents of an ONNX file.
        label: what messages call it.
        threads: threads for one run; None lets ONNX Runtime take every core.

    Raises:
        CheckpointError: not an ONNX graph, or not one of ours.
    """

    name = "onnxruntime"

    def __init__(self, graph: bytes, label: str, threads: int | None = None) -> None:
        self._session, self.multiple, self.coarse_levels = _open(graph, label, threads)
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        check_names([value.name for value in inputs], [value.name for value in outputs], label)

    def __call__(self, image: Planes, mask: Planes) -> Planes:
        """Fill the holes of a batch of crops; see `Runtime`."""
        filled: Planes = self._session.run(["filled"], {"image": image, "mask": mask})[0]
        return filled


class OnnxDetector:
    """An exported damage detector in ONNX Runtime; arguments and errors as those of `OnnxRuntime`."""

    def __init__(self, graph: bytes, label: str, threads: int | None = None) -> None:
        self._session, self.multiple, _ = _open(graph, label, threads, plan=False)
        names = [[each.name for each in ends] for ends in (self._session.get_inputs(), self._session.get_outputs())]
        if names != [["image"], ["damage"]]:
            raise CheckpointError(f"{label}: finds no damage: it is another kind of network")

    def __call__(self, image: Planes) -> Planes:
        """(B, 3, H, W) RGB in [0, 1] -> (B, 3, H, W) probabilities of `options.DAMAGE_KINDS`."""
        damage: Planes = self._session.run(["damage"], {"image": image})[0]
        return damage


def _open(graph: bytes, label: str, threads: int | None, plan: bool = True) -> tuple[Any, int, int]:
    """A session, and what `read_metadata` says about its graph."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only: they come back as exceptions anyway
    options.intra_op_num_threads = threads or 0
    # One block for all of a run's memory: where sizes change, or runs overlap, it costs half as much again.
    options.enable_mem_pattern = plan
    # A waiting thread that spins takes a core from decoding, encoding and other programs; on a busy machine
    # it nearly doubled the processor time of a crop.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions share no base of their own
        raise CheckpointError(f"{label}: not an ONNX graph: {' '.join(str(error).split())}") from None
    return session, *read_metadata(session.get_modelmeta().custom_metadata_map, label)
