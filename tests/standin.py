"""A network small enough to write down: it fills every hole with the mean of what is known around it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

MULTIPLE = 16


def mean_fill(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """What the stand-in computes: (B, 3, H, W), (B, 1, H, W) -> (B, 3, H, W)."""
    keep = np.where(mask > 0, 0, 1).astype(np.float32)
    mean = (image * keep).sum((2, 3), keepdims=True) / (keep.sum((2, 3), keepdims=True) + 1e-6)
    return image * keep + mean * (1 - keep)


def write_standin(path: Path, multiple: str | None = str(MULTIPLE), mask: str = "mask") -> Path:
    """Write it as a graph of the kind that `wavepaint export` writes; `mask` is the name of its second input."""

    def constant(name: str, value: np.ndarray) -> object:
        return numpy_helper.from_array(value, name)

    def value(name: str, channels: int) -> object:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", channels, "height", "width"])

    nodes = [
        helper.make_node("Greater", [mask, "zero"], ["unknown"]),
        helper.make_node("Cast", ["unknown"], ["hole"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["one", "hole"], ["keep"]),
        helper.make_node("Mul", ["image", "keep"], ["known"]),
        helper.make_node("ReduceSum", ["known", "axes"], ["total"]),
        helper.make_node("ReduceSum", ["keep", "axes"], ["kept"]),
        helper.make_node("Add", ["kept", "tiny"], ["count"]),
        helper.make_node("Div", ["total", "count"], ["mean"]),
        helper.make_node("Mul", ["mean", "hole"], ["new"]),
        helper.make_node("Add", ["known", "new"], ["filled"]),
    ]
    weights = [
        constant("zero", np.array(0, np.float32)),
        constant("one", np.array(1, np.float32)),
        constant("tiny", np.array(1e-6, np.float32)),
        constant("axes", np.array([2, 3], np.int64)),
    ]
    graph = helper.make_graph(nodes, "standin", [value("image", 3), value(mask, 1)], [value("filled", 3)], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    if multiple is not None:
        helper.set_model_props(model, {"multiple": multiple})
    path.write_bytes(model.SerializeToString())
    return path


def write_detector(path: Path, reach: int = 0) -> Path:
    """A detector: scratches are pure red, dust pure green, stamps pure blue samples; or their share within `reach`."""
    values = {
        "bright": np.array(0.99, np.float32),
        "opposite": np.array([[1, -1, -1], [-1, 1, -1], [-1, -1, 1]], np.float32).reshape(3, 3, 1, 1),
    }
    nodes = [
        helper.make_node("Conv", ["image", "opposite"], ["pure"]),
        helper.make_node("Greater", ["pure", "bright"], ["found"]),
        helper.make_node("Cast", ["found"], ["marked"], to=TensorProto.FLOAT),
        helper.make_node("AveragePool", ["marked"], ["damage"], kernel_shape=[2 * reach + 1] * 2, pads=[reach] * 4),
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3, "height", "width"])
        for name in ("image", "damage")
    ]
    weights = [numpy_helper.from_array(value, name) for name, value in values.items()]
    model = helper.make_model(
        helper.make_graph(nodes, "detector", ends[:1], ends[1:], weights),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=9,
    )
    helper.set_model_props(model, {"multiple": "8"})
    path.write_bytes(model.SerializeToString())
    return path


class Recorder:
    """A runtime that fills with the mean and remembers what it was given."""

    name = "recorder"

    def __init__(self, multiple: int = MULTIPLE) -> None:
        self.multiple = multiple
        self.coarse_levels = 3
        self.runs: list[tuple[np.ndarray, np.ndarray]] = []

    def __call__(self, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
        self.runs.append((image.copy(), mask.copy()))
        return mean_fill(image, mask)
