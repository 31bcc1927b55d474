"""One crop through every runtime, precision and thread count, against what this machine can do at most.

    python -m lab.benchmarks.runtimes [--side 256] [--rounds 11] [--images IMAGES] [--json runtimes.json]

Peaks are measured in the same run: the best of a few float32 matrix products, and of copies of arrays that no cache
holds. The network's multiply-adds and the bytes that its graph's operators read and write give two lower bounds of the
time (a roofline); each runtime's time is set against them. int8 is ONNX Runtime's static quantisation of the
convolutions, calibrated on crops of IMAGES, run by ONNX Runtime and by OpenVINO; with IMAGES, what it costs in PSNR
inside the hole is measured too. Rounds go through all variants in turn; medians are reported.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from lab.benchmark.machine import describe_machine
from wavepaint.cores import available_cores
from wavepaint.data.images import find_images
from wavepaint.evaluation.metrics import summarise_columns
from wavepaint.evaluation.protocol import KINDS, make_items
from wavepaint.network import load_checkpoint
from wavepaint.network.export import onnx_bytes
from wavepaint.network.info import count_macs

Planes = NDArray[np.float32]
Run = Callable[[Planes, Planes], Planes]
FLOAT_BYTES = 4
CALIBRATION = 24
"""Crops that int8 is calibrated on; it is scored on the others."""


def crop(side: int) -> tuple[Planes, Planes]:
    """Noise and a third of it missing: (1, 3, side, side) and (1, 1, side, side)."""
    rng = np.random.default_rng(0)
    mask = np.zeros((1, 1, side, side), np.float32)
    mask[..., side // 4 : 3 * side // 4, side // 6 : 5 * side // 6] = 1
    return rng.random((1, 3, side, side), np.float32), mask


def peak_multiply_adds(threads: int) -> float:
    """float32 multiply-adds a second of the best matrix product."""
    torch.set_num_threads(threads)
    best = 0.0
    for size in (1024, 1536, 2048):
        a, b = torch.rand(size, size), torch.rand(size, size)
        for _ in range(4):
            started = time.perf_counter()
            a @ b
            best = max(best, size**3 / (time.perf_counter() - started))
    return best


def peak_bytes(threads: int) -> float:
    """Bytes read and written a second by copying 256 MB."""
    torch.set_num_threads(threads)
    source = torch.rand(64 * 10**6)
    target = torch.empty_like(source)
    best = 0.0
    for _ in range(5):
        started = time.perf_counter()
        target.copy_(source)
        best = max(best, 2 * source.numel() * FLOAT_BYTES / (time.perf_counter() - started))
    return best


def bytes_moved(graph: bytes, image: Planes, mask: Planes) -> int:
    """Bytes that the operators read and write, were each run on its own and nothing kept in a cache.

    The sizes are those of a real run: shape inference does not get through the prefill's computed shapes.
    """
    import onnxruntime

    model = onnx.load_from_string(graph)
    sizes = {tensor.name: int(np.prod(tensor.dims)) for tensor in model.graph.initializer}
    names = [name for node in model.graph.node for name in node.output]
    known = {value.name for value in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in known)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    planes = {"image": image, "mask": mask}
    sizes |= {name: value.size for name, value in planes.items()}
    sizes |= {name: value.size for name, value in zip(names, session.run(names, planes), strict=True)}
    free = {"Shape", "Identity", "Cast"}
    nodes = [node for node in model.graph.node if node.op_type not in free]
    return FLOAT_BYTES * sum(sizes[name] for node in nodes for name in (*node.input, *node.output) if name)


def with_onnx_runtime(graph: bytes, threads: int) -> Run:
    from wavepaint.runtime.onnx_runtime import OnnxRuntime

    return OnnxRuntime(graph, "the graph", threads)


def with_openvino(graph: bytes, threads: int, precision: str) -> Run:
    import openvino

    core = openvino.Core()
    hints = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
    request = core.compile_model(core.read_model(graph), "CPU", hints).create_infer_request()
    return lambda image, mask: request.infer({"image": image, "mask": mask})["filled"]  # type: ignore[no-any-return]


def with_torch(threads: int, layout: torch.memory_format, dtype: torch.dtype) -> Run:
    network = load_checkpoint("default").to(memory_format=layout)  # type: ignore[call-overload]

    def run(image: Planes, mask: Planes) -> Planes:
        torch.set_num_threads(threads)
        planes = [torch.from_numpy(x).contiguous(memory_format=layout) for x in (image, mask)]
        with torch.inference_mode(), torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            return network(*planes).float().numpy()

    return run


def with_cuda() -> Run:
    from wavepaint.runtime.torch_runtime import TorchRuntime

    return TorchRuntime.load("default")


def quantised(graph: bytes, crops: list[tuple[Planes, Planes]]) -> bytes:
    """The graph with its large convolutions in int8 (symmetric weights per channel, activations per tensor)."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

    class Crops(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left = iter(crops)

        def get_next(self) -> dict[str, Planes] | None:
            pair = next(self.left, None)
            return None if pair is None else {"image": pair[0], "mask": pair[1]}

    model = onnx.load_from_string(graph)
    weights = {tensor.name: int(np.prod(tensor.dims)) for tensor in model.graph.initializer}
    wide = [
        node.name
        for node in model.graph.node
        if node.op_type in ("Conv", "ConvTranspose") and weights.get(node.input[1], 0) > 5_000
    ]
    assert wide, "no convolution is large enough"
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        source.write_bytes(graph)
        quantize_static(
            source,
            target,
            Crops(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            nodes_to_quantize=wide,
            extra_options={"ActivationSymmetric": False, "WeightSymmetric": True},
        )
        return target.read_bytes()


def image_crops(source: str, count: int) -> Iterator[tuple[Planes, Planes]]:
    """Evaluation crops with their masks, kinds in turn."""
    for item in islice(make_items(islice(find_images(source), count)), count * len(KINDS)):
        yield item.truth.transpose(2, 0, 1)[None].astype(np.float32) / 255, item.mask[None, None].astype(np.float32)


def hole_psnr(run: Run, crops: list[tuple[Planes, Planes]]) -> NDArray[np.float64]:
    """One value a crop, in dB."""
    scores = []
    for image, mask in crops:
        error = (run(image * (1 - mask), mask).clip(0, 1) - image) * mask
        scores.append(-10 * np.log10((error**2).sum() / (3 * mask.sum())))
    return np.array(scores, np.float64)


def difference(values: NDArray[np.float64], reference: NDArray[np.float64]) -> dict[str, float | list[float]]:
    """Mean of the paired difference and its 95 % interval, from a bootstrap over the crops."""
    (summary,) = summarise_columns((values - reference)[:, None])
    return {"mean": summary.mean, "interval": [summary.low, summary.high]}


def slowest_operators(graph: bytes, image: Planes, mask: Planes) -> dict[str, float]:
    """Share of ONNX Runtime's time by operator, one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.enable_profiling, options.intra_op_num_threads = True, 1
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = f"{folder}/profile"
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        for _ in range(5):
            session.run(None, {"image": image, "mask": mask})
        events = json.loads(Path(session.end_profiling()).read_text())
    spent: dict[str, float] = defaultdict(float)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            spent[event["args"]["op_name"]] += event["dur"]
    whole = sum(spent.values())
    return {name: round(time / whole, 3) for name, time in sorted(spent.items(), key=lambda pair: -pair[1])[:8]}


def variants(packaged: bytes, float32: bytes, int8: bytes, counts: Sequence[int]) -> dict[str, Run]:
    """Every runtime and precision, for each number of threads; names end in the number."""
    runs: dict[str, Run] = {}
    for threads in counts:
        end = ending(threads)
        runs["ONNX Runtime, packaged (float16 weights)" + end] = with_onnx_runtime(packaged, threads)
        runs["ONNX Runtime, float32 weights" + end] = with_onnx_runtime(float32, threads)
        runs["ONNX Runtime, int8" + end] = with_onnx_runtime(int8, threads)
        for precision in ("f32", "bf16"):
            runs[f"OpenVINO, {precision}" + end] = with_openvino(packaged, threads, precision)
        runs["OpenVINO, int8" + end] = with_openvino(int8, threads, "f32")
        runs["PyTorch eager, float32" + end] = with_torch(threads, torch.contiguous_format, torch.float32)
        runs["PyTorch channels last, float32" + end] = with_torch(threads, torch.channels_last, torch.float32)
        if torch.cuda.is_available():
            runs["PyTorch, CUDA" + end] = with_cuda()
        if threads == 1:  # emulated where the processor has none: seconds a crop
            runs["PyTorch channels last, bfloat16" + end] = with_torch(threads, torch.channels_last, torch.bfloat16)
    return runs


def ending(threads: int) -> str:
    return f", {threads} thread{'s' * (threads > 1)}"


def timed(runs: Mapping[str, Run], rounds: int, image: Planes, mask: Planes) -> dict[str, list[float]]:
    """Seconds of every round."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for round_ in range(rounds + 1):
        for name, run in runs.items():
            started = time.perf_counter()
            run(image, mask)
            if round_:  # the first one warms up
                seconds[name].append(time.perf_counter() - started)
    return seconds


def cost_of_rounding(runs: Mapping[str, Run], end: str, held_out: list[tuple[Planes, Planes]]) -> dict[str, Any]:
    """PSNR inside the hole of float32 weights, and what other precisions change of it."""
    names = ["ONNX Runtime, packaged (float16 weights)", "ONNX Runtime, int8", "OpenVINO, int8"]
    reference = hole_psnr(runs["ONNX Runtime, float32 weights" + end], held_out)
    costs = {name: difference(hole_psnr(runs[name + end], held_out), reference) for name in names}
    return {"float32": float(reference.mean()), "crops": len(held_out), "minus float32": costs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--images", help="shards or a folder: calibrates int8, and measures what it costs")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.images and options.count * len(KINDS) <= CALIBRATION:
        parser.error(f"--count must be above {CALIBRATION // len(KINDS)}: that many calibrate int8")
    network = load_checkpoint("default")
    packaged = (files("wavepaint") / "weights" / "default.onnx").read_bytes()
    image, mask = crop(options.side)
    float32 = onnx_bytes(network, half=False)
    crops = list(image_crops(options.images, options.count)) if options.images else [(image, mask)]
    int8 = quantised(float32, crops[:CALIBRATION])
    counts = sorted({1, available_cores()})
    runs = variants(packaged, float32, int8, counts)
    macs, moved = count_macs(network, options.side), bytes_moved(float32, image, mask)
    peaks = {threads: (peak_multiply_adds(threads), peak_bytes(threads)) for threads in counts}
    seconds = timed(runs, options.rounds, image, mask)

    print(f"{options.side}x{options.side}: {macs / 1e9:.2f} G multiply-adds, {moved / 1e6:.0f} MB by operators")
    for threads, (rate, copied) in peaks.items():
        print(f"{threads} thread(s): at most {rate / 1e9:.1f} G multiply-adds/s, {copied / 1e9:.1f} GB/s: ", end="")
        print(f"{macs / rate:.4f} s of arithmetic, {moved / copied:.4f} s of unfused memory traffic")
    rows = []
    for name, values in seconds.items():
        median, threads = statistics.median(values), int(name.split(", ")[-1].split()[0])
        share = macs / median / peaks[threads][0]
        rows.append({"variant": name, "median": median, "range": [min(values), max(values)], "share of peak": share})
        print(f"{name:60}{median:8.4f} s ({min(values):.4f} to {max(values):.4f}), {share:4.0%} of peak")
    shares = slowest_operators(packaged, image, mask)
    print("ONNX Runtime's time by operator:", ", ".join(f"{name} {share:.0%}" for name, share in shares.items()))
    report: dict[str, Any] = {
        "machine": {"processor": processor(), "cores": counts[-1], "python": platform.python_version()},
        "side": options.side,
        "multiply-adds": macs,
        "bytes": moved,
        "peaks": {str(k): {"multiply-adds/s": v[0], "bytes/s": v[1]} for k, v in peaks.items()},
        "variants": rows,
        "operators": shares,
        "sizes": {"packaged": len(packaged), "float32": len(float32), "int8": len(int8)},
    }
    if options.images:
        report["hole psnr"] = cost_of_rounding(runs, ending(counts[-1]), crops[CALIBRATION:])
        print("PSNR inside the hole:", json.dumps(report["hole psnr"]))
    if options.json:
        options.json.write_text(json.dumps(report, indent=1))


def processor() -> str:
    """The processor's name, and what of its instructions matters here."""
    name, relevant = describe_machine()["processor"], ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_bf16")
    with suppress(OSError):
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        flags = next((line.split() for line in text.splitlines() if line.startswith("flags")), [])
        return f"{name} ({' '.join(flag for flag in flags if flag in relevant)})"
    return str(name)


if __name__ == "__main__":
    main()
