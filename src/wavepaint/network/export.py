"""WavePaint as an ONNX graph: batch, height and width free, prefill inside, BatchNorm folded.

The graph is written node by node from the network's modules instead of traced: its depth does not depend on an
example, wavelet levels become strided convolutions, and every linear pair that can be folded exactly is.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wavepaint.errors import needs_extra
from wavepaint.files import atomic_write
from wavepaint.network.blocks import HaarModule, WaveMixBlock, WaveMixModule
from wavepaint.network.checkpoint import CONFIG_KEY, Network
from wavepaint.network.damage import DamageNetwork
from wavepaint.network.dwt import analysis_filters
from wavepaint.network.model import WavePaint
from wavepaint.network.prefill import PYRAMID_LEVELS, TINY
from wavepaint.options import DAMAGE_KINDS

OPSET = 20
HALF_TOLERANCE = {"image": 1 / 512, "damage": 1 / 128}
"""Largest change of a sample or a probability, over probes, up to which weights are stored as float16."""

Array = NDArray[Any]


def export_onnx(model: Network, path: str | Path) -> None:
    """Write the network as an ONNX file; it appears whole or not at all.

    The graph has two inputs and one output, float32: `image` (B, 3, H, W), RGB in [0, 1]; `mask`
    (B, 1, H, W); `filled` (B, 3, H, W), a composite, not clipped. B, H and W are free; H and W are multiples
    of `config.multiple`, which the metadata repeats. Mask values: 0 = keep; 1 = hole; 0.5 = hole for which
    `image` holds a guess to start from instead of the prefill (coarse to fine).

    The graph of a damage detector has one input, `image`, and the output `damage` (B, 3, H, W), probabilities of
    `options.DAMAGE_KINDS`.

    Args:
        model: the network; it is not changed.
        path: target, conventionally `.onnx`.

    Raises:
        MissingExtraError: the package onnx is not installed.
    """
    data = onnx_bytes(model)
    with atomic_write(path) as unfinished:
        unfinished.write_bytes(data)


def onnx_bytes(model: Network, *, half: bool | None = None) -> bytes:
    """The file that `export_onnx` writes.

    half: store weights as float16 (computation stays float32); None decides by `HALF_TOLERANCE`.
    """
    full: bytes = _model_proto(model, half=False).SerializeToString()
    if half is False:
        return full
    small: bytes = _model_proto(model, half=True).SerializeToString()
    tolerance = HALF_TOLERANCE[model.config.output]
    if half is None and not largest_change(full, small, model.config.multiple) < tolerance:  # or it is NaN
        return full
    return small


def largest_change(first: bytes, second: bytes, multiple: int) -> float:
    """Largest difference between two graphs' results over a few images of 8 multiples a side; may be NaN."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    sessions = [
        onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"]) for data in (first, second)
    ]
    rng, side, changes = np.random.default_rng(0), 8 * multiple, []
    for share in (0.1, 0.5, 0.9):
        image = rng.random((2, 3, side, side), np.float32)
        image[0] = np.linspace(0, 1, side, dtype=np.float32)  # a smooth image beside noise
        mask = (rng.random((2, 1, side, side)) < share).astype(np.float32)
        inputs = {"image": image, "mask": mask}
        results = [
            session.run(None, {each.name: inputs[each.name] for each in session.get_inputs()})[0]
            for session in sessions
        ]
        changes.append(np.abs(results[0] - results[1]).max())
    return float(np.max(changes))


def _model_proto(model: Network, half: bool) -> Any:
    with needs_extra("exporting to ONNX", "train", "onnx"):
        from onnx import TensorProto, helper
    graph = _Graph(half, splits_transposed=isinstance(model, DamageNetwork))
    if isinstance(model, DamageNetwork):
        graph.op("Sigmoid", _damage(graph, model), output=model.output)
    else:
        graph.op("Identity", _wavepaint(graph, model), output=model.output)

    def value(name: str, channels: int) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", channels, "height", "width"])

    inputs = [value(*each) for each in model.inputs.items()]
    proto = helper.make_graph(graph.nodes, "wavepaint", inputs, [value(model.output, 3)], graph.initializers)
    opset = [helper.make_opsetid("", OPSET)]
    result = helper.make_model(proto, producer_name="wavepaint", opset_imports=opset, ir_version=9)
    helper.set_model_props(
        result,
        {
            CONFIG_KEY: json.dumps(model.config.to_dict()),
            "multiple": str(model.config.multiple),
            "octaves": str(model.config.octaves),
            "weights": "float16" if half else "float32",
        },
    )
    return result


class _Graph:
    """ONNX nodes and weights under construction; values are known by their names.

    splits_transposed: write a transposed convolution as a convolution and a rearrangement: faster in ONNX Runtime,
        slower in OpenVINO.
    """

    def __init__(self, half: bool, splits_transposed: bool) -> None:
        self.half, self.splits_transposed = half, splits_transposed
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self._constants: dict[bytes, str] = {}

    def op(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Append a node with one output and return that output's name."""
        from onnx import helper

        output = output or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def constant(self, values: Array | Sequence[float] | float) -> str:
        """A small float32 or int64 constant, each value once."""
        array = np.asarray(values)
        array = array.astype(np.int64 if array.dtype.kind == "i" else np.float32)
        key = repr((array.dtype, array.shape)).encode() + array.tobytes()
        if key not in self._constants:
            self._constants[key] = self._store(array, f"constant_{len(self._constants)}")
        return self._constants[key]

    def weight(self, values: Tensor) -> str:
        """A trained tensor, as float16 behind a Cast (which runtimes evaluate at load) if `half`."""
        from onnx import TensorProto

        array = values.detach().cpu().double().numpy()
        name = f"weight_{len(self.initializers)}"
        if not self.half or array.size < 64:
            return self._store(array.astype(np.float32), name)
        stored = self._store(array.astype(np.float16), f"{name}_half")
        return self.op("Cast", stored, output=name, to=TensorProto.FLOAT)

    def _store(self, array: Array, name: str) -> str:
        from onnx import numpy_helper

        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def conv(self, x: str, weight: Tensor, bias: Tensor, **attributes: Any) -> str:
        """Convolution with a trained kernel."""
        return self.op(
            "Conv", x, self.weight(weight), self.weight(bias), kernel_shape=list(weight.shape[2:]), **attributes
        )


def _wavepaint(graph: _Graph, model: WavePaint) -> str:
    config = model.config
    one = graph.constant(1.0)
    hole = graph.op("Ceil", "mask")
    known = graph.op("Sub", one, hole)
    known_image = graph.op("Mul", "image", known)
    # 1 where the image holds a guess (mask 0.5), else 0.
    given = graph.op("Mul", graph.op("Sub", hole, "mask"), graph.constant(2.0))
    given_image = graph.op("Mul", "image", given)
    if config.prefill == "haar":
        prefill = graph.op("Mul", _prefill(graph, known_image, known, config.sweeps), hole)
        prefill = graph.op("Mul", prefill, graph.op("Sub", one, given))
        given_image = graph.op("Add", prefill, given_image)
    x = graph.op("Add", known_image, given_image)
    for module in model.wavemodules:
        if isinstance(module, HaarModule):
            residual = _haar_module(graph, module, x, hole)
        else:
            assert isinstance(module, WaveMixModule)
            residual = _conv_module(graph, module, x, hole)
        x = graph.op("Add", residual, x)
    return graph.op("Add", graph.op("Mul", x, hole), known_image)


def _prefill(graph: _Graph, weighted: str, weight: str, sweeps: int) -> str:
    """`prefill.haar_prefill` at its full depth."""

    def halve(x: str) -> str:
        # One uncounted line behind is what `ceil_mode` means, and works in every runtime at size 1 too.
        return graph.op("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2], pads=[0, 0, 1, 1])

    one, axes = graph.constant(1.0), graph.constant(np.array([2, 3]))
    scales = [(weighted, weight)]
    for _ in range(PYRAMID_LEVELS):
        weighted, weight = halve(weighted), halve(weight)
        scales.append((weighted, weight))
    total = graph.op("Add", graph.op("ReduceSum", weighted, axes), graph.constant(0.5 * TINY))
    guess = graph.op("Div", total, graph.op("Add", graph.op("ReduceSum", weight, axes), graph.constant(TINY)))
    cross = np.zeros((3, 1, 3, 3), np.float32)
    cross[:, 0, (0, 1, 1, 2), (1, 0, 2, 1)] = 0.25
    for scale, (weighted, weight) in enumerate(reversed(scales)):
        unknown = graph.op("Sub", one, weight)
        if scale > 0:
            doubled = graph.op(
                "Resize",
                guess,
                "",
                graph.constant(np.array([1, 1, 2, 2], np.float32)),
                mode="linear",
                coordinate_transformation_mode="half_pixel",
            )
            size = graph.op("Shape", weight, start=2)
            guess = graph.op("Slice", doubled, graph.constant(np.array([0, 0])), size, axes)
        guess = graph.op("Add", weighted, graph.op("Mul", unknown, guess))
        for _ in range(sweeps):
            padded = graph.op("Pad", guess, graph.constant(np.array([0, 0, 1, 1, 0, 0, 1, 1])), mode="edge")
            mean = graph.op("Conv", padded, graph.constant(cross), kernel_shape=[3, 3], group=3)
            guess = graph.op("Add", weighted, graph.op("Mul", unknown, mean))
    return guess


def _haar_module(graph: _Graph, module: HaarModule, x: str, hole: str) -> str:
    centred = graph.op("Sub", x, graph.constant(0.5))
    if module.input_channels == 4:
        centred = graph.op("Concat", centred, hole, axis=1)
    skip = h = graph.conv(centred, *module.analysis_kernel(), strides=[module.stride] * 2)
    h = _blocks(graph, module.layers, h)
    h = _depth_conv(graph, module.depthconv, h)
    # The BatchNorm behind the depthwise convolution folds into the 1x1 layer that reads it.
    weight, bias = (values.double().clone() for values in _parameters(module.merge[0]))
    scale, shift = _scale_and_shift(module.depthconv[2])
    bias += weight[:, : len(scale), 0, 0] @ shift
    weight[:, : len(scale)] *= scale.view(1, -1, 1, 1)
    h = graph.op("Gelu", graph.conv(graph.op("Concat", h, skip, axis=1), weight, bias))
    h = graph.conv(h, *module.synthesis_kernel())
    return graph.op("DepthToSpace", h, blocksize=module.stride, mode="CRD")


def _conv_module(graph: _Graph, module: WaveMixModule, x: str, hole: str) -> str:
    h = graph.op("Concat", x, hole, axis=1) if module.sees_mask else x
    for layer, stride in zip(module.conv, (1, 2), strict=True):
        h = graph.conv(h, *_parameters(layer), strides=[stride] * 2, pads=[1] * 4)
    skip = h
    h = _blocks(graph, module.layers, h)
    h = _depth_conv(graph, module.depthconv, h)
    # A transposed convolution follows, into which a shift does not fold at the border.
    scale, shift = (v.view(1, -1, 1, 1) for v in _scale_and_shift(module.depthconv[2]))
    h = graph.op("Add", graph.op("Mul", h, graph.weight(scale)), graph.weight(shift))
    h = _conv_transpose_and_norm(graph, module.decoder1, graph.op("Concat", h, skip, axis=1))
    return graph.conv(graph.op("Concat", h, x, axis=1), *_parameters(module.last))


def _damage(graph: _Graph, model: DamageNetwork) -> str:
    """Logits of a damage detector."""

    def conv(x: str, layers: nn.Module) -> str:
        assert isinstance(layers, nn.Sequential)
        layer, (scale, shift) = layers[0], _scale_and_shift(layers[1])
        assert isinstance(layer, nn.Conv2d)
        weight = layer.weight.detach().double() * scale.view(-1, 1, 1, 1)
        strides, pads = list(layer.stride), 2 * [int(each) for each in layer.padding]
        return graph.op("Relu", graph.conv(x, weight, shift, strides=strides, pads=pads))

    fine = conv(graph.op("Sub", "image", graph.constant(0.5)), model.down[0])
    fine = graph.op("Add", fine, conv(fine, model.down[1]))
    h = _blocks(graph, model.layers, conv(fine, model.down[2]))
    fine = graph.op("Add", fine, _doubled(graph, conv(h, model.up[0]), model.config.stem_channels))
    fine = graph.op("Add", fine, conv(fine, model.up[1]))
    return _doubled(graph, graph.conv(fine, *_parameters(model.last), pads=[1] * 4), len(DAMAGE_KINDS))


def _depth_conv(graph: _Graph, sequence: nn.Sequential, h: str) -> str:
    """The depthwise convolution and its GELU; the caller folds the BatchNorm."""
    weight, bias = _parameters(sequence[0])
    return graph.op("Gelu", graph.conv(h, weight, bias, pads=[2] * 4, group=len(bias)))


def _blocks(graph: _Graph, blocks: nn.Sequential, h: str) -> str:
    for block in blocks:
        assert isinstance(block, WaveMixBlock)
        h = graph.op("Add", _block(graph, block, h), h)
    return h


def _block(graph: _Graph, block: WaveMixBlock, h: str) -> str:
    quarter = block.reduction.out_channels
    approximation = graph.conv(h, *_parameters(block.reduction))
    inputs, tokens = [], []
    for level in range(1, block.level + 1):
        inputs.append(approximation)
        # (B, C, ..): LL, LH, HL, HH of the first channel, then of the next.
        tokens.append(_dwt(graph, approximation, quarter, block.wavelet))
        if level < block.level:
            approximation = _dwt(graph, approximation, quarter, block.wavelet, bands=1)

    # The network's tokens are all LL, then LH, HL, HH channel by channel: permute the reader's weights instead.
    order = [4 * c for c in range(quarter)] + [4 * c + band for c in range(quarter) for band in (1, 2, 3)]
    y = ""
    for level in range(block.level, 0, -1):
        feed_forward = block.feed_forward(level)
        own, bias = _parameters(feed_forward[0])
        weight = own.clone()
        weight[:, order] = own[:, : 4 * quarter]
        token = tokens[level - 1]
        if level < block.level:
            token = graph.op("Concat", token, y, axis=1)
        y = graph.op("Gelu", graph.conv(token, weight, bias))
        y = graph.conv(y, *_parameters(feed_forward[3]))
        y = _conv_transpose_and_norm(graph, feed_forward, y)
        if block.wavelet != "haar":
            y = _fit(graph, y, inputs[level - 1])
    return y


def _dwt(graph: _Graph, x: str, channels: int, wavelet: str, bands: int = 4) -> str:
    """The first `bands` of LL, LH, HL, HH of each channel, at half the (even) size for Haar."""
    filters = analysis_filters(wavelet)[:bands]
    taps = filters.shape[-1]
    if taps > 2:
        x = graph.op("Pad", x, graph.constant(np.array([0, 0, taps - 2, taps - 2, 0, 0, taps - 1, taps - 1])))
    kernel = graph.constant(filters.repeat(channels, 1, 1, 1).numpy())
    return graph.op("Conv", x, kernel, kernel_shape=[taps, taps], strides=[2, 2], group=channels)


def _fit(graph: _Graph, x: str, reference: str) -> str:
    """`dwt.fit` with sizes found at run time."""
    two = graph.constant(np.array([2, 2]))
    size = graph.op("Shape", reference, start=2)
    start = graph.op("Div", graph.op("Sub", graph.op("Shape", x, start=2), size), two)
    return graph.op("Slice", x, start, graph.op("Add", start, size), graph.constant(np.array([2, 3])))


def _conv_transpose_and_norm(graph: _Graph, pair: nn.Sequential, x: str) -> str:
    """The last transposed convolution of a sequence with the BatchNorm behind it folded in."""
    weight, bias = _parameters(pair[-2])
    scale, shift = _scale_and_shift(pair[-1])
    weight, bias = weight.double() * scale.view(1, -1, 1, 1), bias.double() * scale + shift
    if not graph.splits_transposed:
        weights = graph.weight(weight), graph.weight(bias)
        return graph.op("ConvTranspose", x, *weights, kernel_shape=[4, 4], strides=[2, 2], pads=[1] * 4)
    # One convolution for all of 2 x 2 samples, each of which depends on 2 x 2 of `x`.
    taps = weight.unflatten(2, (2, 2)).unflatten(4, (2, 2)).flip(2, 4)  # (in, out, row of x, row, column of x, column)
    kernel = taps.permute(1, 3, 5, 0, 2, 4).reshape(4 * len(bias), len(weight), 2, 2)
    return _doubled(graph, graph.conv(x, kernel, bias.repeat_interleave(4), pads=[1] * 4), len(bias), border=1)


def _doubled(graph: _Graph, x: str, channels: int, border: int = 0) -> str:
    """DepthToSpace (CRD, 2) less a border, as a convolution: in ONNX Runtime it takes half the time."""
    ones = graph.constant(np.tile(np.eye(4, dtype=np.float32).reshape(4, 1, 2, 2), (channels, 1, 1, 1)))
    return graph.op("ConvTranspose", x, ones, kernel_shape=[2, 2], strides=[2, 2], pads=[border] * 4, group=channels)


def _parameters(conv: nn.Module) -> tuple[Tensor, Tensor]:
    """Kernel and bias of a convolution."""
    assert isinstance(conv, nn.Conv2d | nn.ConvTranspose2d)
    assert conv.bias is not None
    return conv.weight.detach(), conv.bias.detach()


def _scale_and_shift(norm: nn.Module) -> tuple[Tensor, Tensor]:
    """An evaluating BatchNorm as `x * scale + shift`, float64."""
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_var is not None
    assert norm.running_mean is not None
    scale = norm.weight.detach().double() / torch.sqrt(norm.running_var.double() + norm.eps)
    return scale, norm.bias.detach().double() - norm.running_mean.double() * scale
