"""The package as its users meet it: names, types, copies, processes, many images."""

from __future__ import annotations

import copy
import inspect
import multiprocessing
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wavepaint
from images import noise, pillow
from standin import Recorder, write_standin
from wavepaint import Inpainter, inpainter

SRC = Path(wavepaint.__file__).parents[1]
IMAGE = noise(40, 50, 3)
MASK = np.zeros((40, 50), np.bool_)
MASK[10:20, 15:30] = True


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_standin(tmp_path_factory.mktemp("standin") / "mean.onnx")


@pytest.fixture(scope="module")
def fill(model: Path) -> Inpainter:
    return Inpainter(model, "onnxruntime", threads=1)


# -- names and types ------------------------------------------------------------------------------------------------


def test_tab_completion_shows_the_interface_and_loads_nothing() -> None:
    check = "import wavepaint, sys; print(*dir(wavepaint)); print(*sys.modules)"
    names, modules = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert set(names.split()) == set(wavepaint.__all__)
    assert {"Box", "Inpainter", "MaskError", "Options", "WavepaintError", "inpaint"} <= set(wavepaint.__all__)
    assert not {"numpy", "wavepaint.options", "wavepaint.errors"} & set(modules.split())
    for name in wavepaint.__all__:
        assert getattr(wavepaint, name) is not None
    with pytest.raises(AttributeError, match="'blur'"):
        wavepaint.blur  # noqa: B018


@pytest.mark.parametrize("function", [wavepaint.inpaint, Inpainter.__call__, Inpainter.map])
def test_help_has_the_full_signature_and_an_example(function: Any) -> None:
    parameters = inspect.signature(function).parameters
    assert {"boxes", "dilate", "quality", "overwrite"} <= set(parameters)
    assert not any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    assert ">>> " in inspect.getdoc(function).partition("Example")[2]


USE = """
from io import BytesIO
from pathlib import Path
import numpy as np
import torch
import wavepaint
from wavepaint import Inpainter, inpaint

image, mask = np.zeros((9, 9, 3), np.uint8), np.zeros((9, 9), np.bool_)
samples: np.ndarray[tuple[int, int, int], np.dtype[np.uint8]] = inpaint(image, mask, dilate=2, boxes=[(1, 2, 3, 4)])
path: Path = inpaint("a.png", "b.png", "c.png", threads=2)
data: bytes = Inpainter().__call__(b"", mask, grain="off", quality=None)
for written in Inpainter("x.onnx", "torch").map([("a.png", mask), ("b.png", mask)], threads=3, grain="off"):
    path = written
options = wavepaint.Options(boxes=[wavepaint.Box(1, 2, 3, 4), (1, 2, 3, 4)], grain="off")
stream: BytesIO = inpaint(BytesIO(), open("mask.png", "rb"), bgr=True)
tensor: torch.Tensor = inpaint(torch.zeros(3, 9, 9), torch.zeros(9, 9))
paths: list[Path] = inpaint(["a.png", "b.png"], mask, output=["c.png", "d.png"])
arrays: list[np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]] = inpaint([image, image], [mask, mask])
inpaint(image, 3)  # error
inpaint([image, 3], mask)  # error
inpaint(image, mask, grain="maybe")  # error
inpaint(image, mask, dilate="2")  # error
inpaint(image, mask, blur=2)  # error
inpaint(3, mask)  # error
inpaint(image, mask, runtime="cuda")  # error
Inpainter()(image, 3)  # error
Inpainter()(image, mask, threads=2)  # error
Inpainter().map([(image, 3)])  # error
Inpainter().map([(image, mask)], grain="maybe")  # error
Inpainter(runtime="cuda")  # error
"""


def test_a_type_checker_finds_wrong_values(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    (tmp_path / "use.py").write_text(USE)
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--no-error-summary", "use.py"]
    environment = {"MYPYPATH": str(SRC), "PATH": "", "MYPY_CACHE_DIR": str(tmp_path / "cache")}
    checked = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    wrong = {int(line.split(":")[1]) for line in checked.stdout.splitlines() if ": error: " in line}
    marked = {number for number, line in enumerate(USE.splitlines(), 1) if line.endswith("# error")}
    assert wrong == marked, checked.stdout + checked.stderr


# -- copies and processes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("copied", [copy.deepcopy, copy.copy, lambda each: pickle.loads(pickle.dumps(each))])
def test_copies_have_the_settings_and_load_their_own_network(
    monkeypatch: pytest.MonkeyPatch, model: Path, copied: Any
) -> None:
    loads: list[tuple[Any, ...]] = []

    def load(*arguments: Any) -> Recorder:
        loads.append(arguments[:3])
        return Recorder()

    monkeypatch.setattr(inpainter, "load_runtime", load)
    first = Inpainter(model, "onnxruntime", threads=3)
    first(IMAGE, MASK)
    second = copied(first)
    assert len(loads) == 1
    assert np.array_equal(second(IMAGE, MASK), first(IMAGE, MASK))
    assert loads == [(model, "onnxruntime", 3)] * 2


def test_a_process_pool_fills(fill: Inpainter) -> None:
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawned) as pool:
        assert np.array_equal(pool.submit(fill, IMAGE, MASK).result(60), fill(IMAGE, MASK))


FORKED = """
import multiprocessing, sys
from pathlib import Path
import numpy as np
from wavepaint import Inpainter

image = np.load(sys.argv[1])
mask = np.zeros(image.shape[:2], bool)
mask[10:20, 15:30] = True
fill = Inpainter(sys.argv[2], "onnxruntime", threads=2)
source = Path(sys.argv[3])
if sys.argv[4] != "nothing":
    expected = fill(image if sys.argv[4] == "array" else source.read_bytes(), mask)

def work(queue):
    try:
        fill(source.read_bytes() if sys.argv[5] == "bytes" else image, mask)
        queue.put("filled")
    except Exception as error:
        queue.put(f"{type(error).__name__}: {error}")

context = multiprocessing.get_context("fork")
queue = context.Queue()
child = context.Process(target=work, args=(queue,))
child.start()
try:
    print(queue.get(timeout=40))
finally:
    child.kill()
"""


@pytest.mark.skipif(not hasattr(multiprocessing.process, "BaseProcess") or sys.platform == "win32", reason="no fork")
@pytest.mark.parametrize(
    ("before", "after", "outcome"),
    [
        ("nothing", "bytes", "filled"),
        ("array", "array", "filled"),
        ("array", "bytes", "filled"),
        ("bytes", "array", "filled"),
        ("bytes", "bytes", "WavepaintError: image files cannot be used in a process that was forked"),
    ],
)
def test_a_forked_process_fills_or_says_at_once_what_to_do(
    tmp_path: Path, model: Path, before: str, after: str, outcome: str
) -> None:
    np.save(tmp_path / "image.npy", IMAGE)
    (tmp_path / "image.png").write_bytes(pillow(IMAGE, "PNG"))
    arguments = [tmp_path / "image.npy", model, tmp_path / "image.png", before, after]
    done = subprocess.run(
        [sys.executable, "-c", FORKED, *map(str, arguments)], capture_output=True, text=True, timeout=90
    )
    assert outcome in done.stdout, done.stdout + done.stderr


# -- many images ----------------------------------------------------------------------------------------------------


def test_map_gives_results_in_order_and_reads_no_further_than_it_must(fill: Inpainter) -> None:
    taken: list[int] = []

    def pairs() -> Any:
        for index in range(20):
            taken.append(index)
            yield noise(30 + index, 40, 3, seed=index), np.eye(30 + index, 40, dtype=bool)

    results = fill.map(pairs(), threads=2, dilate=1)
    assert taken == []
    first = next(results)
    assert len(taken) <= 4
    for index, result in enumerate([first, *results]):
        image, mask = noise(30 + index, 40, 3, seed=index), np.eye(30 + index, 40, dtype=bool)
        assert np.array_equal(result, fill(image, mask, dilate=1))


def test_map_works_on_several_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    together = threading.Barrier(3)

    class Waiting(Recorder):
        def __call__(self, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
            together.wait(20)
            return super().__call__(image, mask)

    monkeypatch.setattr(inpainter, "load_runtime", lambda *_: Waiting())
    assert len(list(Inpainter().map([(IMAGE, MASK)] * 3, threads=3))) == 3


def test_map_writes_files_and_raises_in_turn(fill: Inpainter, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.png").write_bytes(pillow(IMAGE, "PNG"))
    (tmp_path / "b.png").write_bytes(b"not an image")
    results = fill.map([(tmp_path / f"{name}.png", MASK, tmp_path / f"{name}-out.tif") for name in "abc"], threads=1)
    assert next(results) == tmp_path / "a-out.tif"
    with pytest.raises(wavepaint.ImageError, match=r"b\.png"):
        next(results)
    assert (tmp_path / "a-out.tif").exists()
    with pytest.raises(wavepaint.OptionError, match="threads must be at least 1"):
        fill.map([], threads=0)
    with pytest.raises(wavepaint.OptionError, match="dilate"):
        fill.map([], dilate=-1)
    assert list(fill.map([])) == []


# -- files ----------------------------------------------------------------------------------------------------------


def test_the_default_name_is_replaced_where_that_is_asked_for(fill: Inpainter, tmp_path: Path) -> None:
    path = tmp_path / "cat.png"
    path.write_bytes(pillow(IMAGE, "PNG"))
    written = fill(path, MASK)
    first = written.read_bytes()
    with pytest.raises(wavepaint.ImageError, match=r"cat-filled\.png: exists already; overwrite=True replaces it"):
        fill(path, MASK)
    assert written.read_bytes() == first
    assert fill(str(path), MASK, overwrite=True, dilate=3) == written
    assert written.read_bytes() != first
    assert list(fill.map([(path, MASK)], overwrite=True)) == [written]
    assert written.read_bytes() == first


def test_a_format_is_for_bytes(fill: Inpainter, tmp_path: Path) -> None:
    data = pillow(IMAGE, "PNG")
    assert fill(data, MASK, format="tif").startswith(b"II*\0")
    for image, output in ((IMAGE, None), (tmp_path / "a.png", None), (data, tmp_path / "b.png")):
        with pytest.raises(wavepaint.OptionError, match="format is for results in bytes"):
            fill(image, MASK, output, format="png")
