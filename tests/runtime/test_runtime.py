from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from standin import MULTIPLE, mean_fill, write_standin
from wavepaint.errors import CheckpointError, MissingExtraError, OptionError
from wavepaint.runtime import Runtime, load_runtime, loading, torch_runtime
from wavepaint.runtime.base import Planes
from wavepaint.runtime.shared import SharedRuntime


def sample(batch: int, height: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    image = rng.random((batch, 3, height, width), np.float32)
    return image, (rng.random((batch, 1, height, width)) < 0.3).astype(np.float32)


@pytest.fixture(scope="module")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_standin(tmp_path_factory.mktemp("standin") / "mean.onnx")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("torch")
    from networks import random_network, small_config
    from wavepaint.network import save_checkpoint

    path = tmp_path_factory.mktemp("checkpoint") / "small.safetensors"
    save_checkpoint(random_network(small_config(stem="haar", level=2, prefill="haar")), path)
    return path


@pytest.fixture(params=["onnxruntime", "openvino"])
def runtime(request: pytest.FixtureRequest, standin: Path) -> Runtime:
    pytest.importorskip(request.param)
    return load_runtime(standin, request.param, threads=1)


def test_runs_batches_of_any_size(runtime: Runtime) -> None:
    assert runtime.multiple == MULTIPLE
    for batch, height, width in ((1, 16, 16), (3, 48, 32), (2, 16, 80)):
        image, mask = sample(batch, height, width)
        filled = runtime(image, mask)
        assert filled.dtype == np.float32
        assert np.abs(filled - mean_fill(image, mask)).max() < 1e-5


def test_openvino_may_first_be_called_by_several_threads(standin: Path) -> None:
    pytest.importorskip("openvino")
    # In a process of its own: what waited for ever is set up once per process, and a thread cannot be ended.
    script = f"""
import threading
import numpy as np
from wavepaint.runtime import load_runtime
runtime = load_runtime({str(standin)!r}, "openvino", threads=1)
image, mask = np.zeros((1, 3, 32, 32), np.float32), np.zeros((1, 1, 32, 32), np.float32)
start = threading.Barrier(8)
threads = [threading.Thread(target=lambda: (start.wait(), runtime(image, mask))) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print("done")
"""
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert finished.stdout == "done\n"


def test_openvino_keeps_what_it_has_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setenv("WAVEPAINT_CACHE", str(tmp_path / "cache"))
    image, mask = sample(1, 64, 64)
    first = load_runtime(None, "openvino", threads=1)(image, mask)
    compiled = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert compiled
    changed = [path.stat().st_mtime_ns for path in compiled]
    assert np.array_equal(load_runtime(None, "openvino", threads=1)(image, mask), first)
    assert [path.stat().st_mtime_ns for path in compiled] == changed
    for path in compiled:
        path.write_bytes(path.read_bytes()[:1000])
    assert np.array_equal(load_runtime(None, "openvino", threads=1)(image, mask), first)


def test_openvino_does_without_a_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")
    (tmp_path / "file").touch()
    monkeypatch.setenv("WAVEPAINT_CACHE", str(tmp_path / "file"))
    assert load_runtime(None, "openvino", threads=1)(*sample(1, 64, 64)).shape == (1, 3, 64, 64)


def test_results_are_arrays_of_their_own(runtime: Runtime) -> None:
    first = runtime(*sample(1, 32, 32, seed=1))
    before = first.copy()
    runtime(*sample(1, 32, 32, seed=2))
    assert np.array_equal(first, before)


def test_several_threads_may_run_at_once(runtime: Runtime) -> None:
    samples = [sample(1, 32, 48, seed) for seed in range(8)]
    results: dict[int, np.ndarray] = {}

    def work(index: int) -> None:
        results[index] = runtime(*samples[index])

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(samples))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index, (image, mask) in enumerate(samples):
        assert np.abs(results[index] - mean_fill(image, mask)).max() < 1e-5


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_every_runtime_computes_what_torch_does(name: str, checkpoint: Path) -> None:
    pytest.importorskip(name)
    torch_runtime, other = load_runtime(checkpoint, "torch"), load_runtime(checkpoint, name, threads=1)
    assert (torch_runtime.name, other.name) == ("torch", name)
    assert torch_runtime.multiple == other.multiple == 16
    image, mask = sample(2, 48, 64)
    for marks in (mask, np.zeros_like(mask), np.ones_like(mask), 0.5 * mask):
        assert np.abs(torch_runtime(image, marks) - other(image, marks)).max() < 1e-4


def test_a_mask_of_one_half_starts_from_the_given_guess(checkpoint: Path) -> None:
    runtime = load_runtime(checkpoint, "torch")
    image, mask = sample(1, 32, 32)
    other = np.where(mask > 0, 1 - image, image)
    assert np.array_equal(runtime(image, mask), runtime(other, mask))
    assert not np.allclose(runtime(image, 0.5 * mask), runtime(other, 0.5 * mask), atol=1e-3)


def test_the_packaged_model_runs() -> None:
    runtime = load_runtime()
    assert runtime.name == "onnxruntime"
    image, mask = sample(1, 2 * runtime.multiple, 3 * runtime.multiple)
    filled = runtime(image, mask)
    known = np.broadcast_to(mask == 0, image.shape)
    assert np.abs(filled - image)[known].max() < 1e-6
    assert np.isfinite(filled).all()


def test_auto_chooses_by_model_length_and_what_is_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    works = {"openvino", "wavepaint.network"}
    gpu, device = [False], ["cuda"]
    monkeypatch.setattr(loading, "_imports", lambda name: name in works)
    monkeypatch.setattr(loading, "_may_have_gpu", lambda: gpu[0])
    monkeypatch.setattr(torch_runtime, "best_device", lambda: device[0])
    graph = tmp_path / "some.onnx"

    def choose(path: Path | None, crops: int, checkpoint: bool = False) -> str:
        return loading._choose(path, checkpoint, crops)

    assert choose(None, 1) == "onnxruntime"
    assert choose(None, loading.OPENVINO_REPAYS) == "openvino"
    assert choose(graph, loading.OPENVINO_REPAYS) == "openvino"
    assert choose(tmp_path / "some.pth", 1, checkpoint=True) == "torch"
    assert choose(None, loading.TORCH_REPAYS) == "openvino"
    gpu[0] = True
    assert choose(None, 1) == "onnxruntime"
    assert choose(None, loading.TORCH_REPAYS) == "torch"
    assert choose(graph, loading.TORCH_REPAYS) == "openvino"
    device[0] = "cpu"
    assert choose(None, loading.TORCH_REPAYS) == "openvino"
    works.clear()
    device[0] = "cuda"
    assert choose(None, 10**6) == "onnxruntime"


@pytest.mark.parametrize("missing", ["torch", "safetensors", "openvino"])
def test_auto_does_without_what_is_missing(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    """Even where the package can be found but does not import, as after half an installation."""
    monkeypatch.setattr(loading, "_may_have_gpu", lambda: True)
    for name in list(sys.modules):
        if name.startswith("wavepaint.network"):
            monkeypatch.delitem(sys.modules, name)
    for name in {missing, "openvino"}:
        monkeypatch.setitem(sys.modules, name, None)
    assert load_runtime(threads=1, expected_crops=10**6).name == "onnxruntime"


def test_a_library_that_does_not_load_is_no_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        raise OSError("libcudart.so: cannot open shared object file")

    monkeypatch.setattr(loading, "import_module", broken)
    assert not loading._imports("torch")


def test_checkpoints_are_recognised_by_their_contents(checkpoint: Path, standin: Path, tmp_path: Path) -> None:
    renamed = tmp_path / "network.onnx"
    renamed.write_bytes(checkpoint.read_bytes())
    assert load_runtime(renamed).name == "torch"
    graph = tmp_path / "graph.bin"
    graph.write_bytes(standin.read_bytes())
    assert load_runtime(graph).name == "onnxruntime"


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_graph_of_something_else_is_refused_at_load(name: str, standin: Path, tmp_path: Path) -> None:
    pytest.importorskip(name)
    path = write_standin(tmp_path / "segmenter.onnx", mask="points")
    with pytest.raises(CheckpointError, match=r"segmenter\.onnx: not a WavePaint graph: .*filled.* from image, points"):
        load_runtime(path, name)


def test_errors_name_the_file_and_the_reason(tmp_path: Path, standin: Path) -> None:
    garbage = tmp_path / "garbage.onnx"
    garbage.write_bytes(b"not a graph")
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(standin.read_bytes()[:99])
    foreign = write_standin(tmp_path / "foreign.onnx", multiple=None)
    cases = [
        (tmp_path / "none.onnx", "auto", None, CheckpointError, "none.onnx: no such file"),
        (tmp_path, "auto", None, CheckpointError, "no such file"),
        (tmp_path / ("x" * 300), "auto", None, CheckpointError, "xxx: no such file"),
        (tmp_path / "a\0b", "auto", None, CheckpointError, "no such file"),
        (garbage, "onnxruntime", None, CheckpointError, "garbage.onnx: neither a WavePaint checkpoint nor an ONNX"),
        (garbage, "torch", None, CheckpointError, "garbage.onnx: neither a WavePaint checkpoint nor an ONNX"),
        (cut, "onnxruntime", None, CheckpointError, "cut.onnx: not an ONNX graph"),
        (foreign, "onnxruntime", None, CheckpointError, "foreign.onnx: not a WavePaint graph"),
        (standin, "torch", None, OptionError, "mean.onnx: the torch runtime runs checkpoints"),
        (standin, "tensorrt", None, OptionError, "runtime must be one of auto, onnxruntime, .*'tensorrt'"),
        (standin, "auto", 0, OptionError, "threads must be at least 1, a whole number, got 0"),
        (standin, "auto", 1.5, OptionError, "threads must be at least 1, a whole number, got 1.5"),
        (5, "auto", None, OptionError, "model must be the path of a file, not 5"),
    ]
    for model, name, threads, error, message in cases:
        with pytest.raises(error, match=message) as caught:
            load_runtime(model, name, threads)
        assert "\n" not in str(caught.value)


def test_openvino_refuses_what_is_not_a_graph(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(write_standin(tmp_path / "whole.onnx").read_bytes()[:99])
    with pytest.raises(CheckpointError, match=r"cut\.onnx: not an ONNX graph"):
        load_runtime(cut, "openvino")
    with pytest.raises(CheckpointError, match=r"foreign\.onnx: not a WavePaint graph"):
        load_runtime(write_standin(tmp_path / "foreign.onnx", multiple=None), "openvino")


@pytest.mark.parametrize(
    ("name", "package", "extra"), [("openvino", "openvino", "openvino"), ("torch", "torch", "train")]
)
def test_a_missing_package_names_its_extra(
    name: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"wavepaint\[{extra}\]"):
        load_runtime("default", name)


def test_an_interrupted_run_ends_for_all_whose_crops_are_in_it() -> None:
    started, go_on, errors = threading.Event(), threading.Event(), list[BaseException]()

    class Interrupted:
        name, multiple, coarse_levels = "interrupted", 1, 0
        runs = 0

        def __call__(self, image: Planes, mask: Planes) -> Planes:
            self.runs += 1
            if self.runs == 1:
                started.set()
                assert go_on.wait(10)
                return image
            assert len(image) == 3
            raise KeyboardInterrupt

    shared, crops = SharedRuntime(Interrupted()), sample(1, 8, 8)

    def fill() -> None:
        try:
            shared(*crops)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=fill, daemon=True) for _ in range(4)]
    threads[0].start()
    assert started.wait(10)
    for thread in threads[1:]:
        thread.start()
    while len(shared._waiting) < 3:
        threading.Event().wait(0.01)
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert [type(error) for error in errors] == [KeyboardInterrupt] * 3
