"""What a worker does, in this process: Ray is in test_cluster.py."""

from __future__ import annotations

import hashlib
import pickle
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from batch_inputs import NAMES, write_shard

from images import noise, pillow
from wavepaint import storage
from wavepaint.batch.plan import Row, make_plan
from wavepaint.batch.settings import Cluster
from wavepaint.batch.worker import Job, Worker
from wavepaint.errors import OptionError
from wavepaint.inpainter import Inpainter
from wavepaint.options import Engine, Options, as_boxes

FILL = Options(boxes=as_boxes([(3, 3, 5, 5)]))


def job_of(output: str | Path, model: Path, options: Options, **cluster: Any) -> Job:
    # The model is sent along: where workers are there is no such file.
    engine = Engine(model=str(model), runtime="onnxruntime")
    return Job(str(output), options, engine, Cluster(**cluster), model.read_bytes())


def worker_of(
    output: str | Path, model: Path, options: Options | None = None, gpu: bool = False, **cluster: Any
) -> Worker:
    return Worker(pickle.loads(pickle.dumps(job_of(output, model, options or Options(), **cluster))), gpu)


def do(worker: Worker, rows: list[Row]) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = worker({"row": [pickle.dumps(row) for row in rows]}).to_pylist()
    return records


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("concurrency", [1, 4])
def test_results_are_those_of_folder_mode(
    tmp_path: Path, images: Path, model: Path, expected: dict[str, bytes], concurrency: int
) -> None:
    (images / "bad.png").write_bytes(b"no image")
    (tmp_path / "masks/bad.png").write_bytes(b"no image")
    output = tmp_path / "out"
    rows = make_plan(str(images), str(tmp_path / "masks"), str(output)).rows
    worker = worker_of(output, model, gpu=concurrency > 1, concurrency=concurrency)
    # What crops run together with does not matter.
    records = {Path(record["input"]).relative_to(images).as_posix(): record for record in do(worker, rows)}
    bad = records.pop("bad.png")
    assert (bad["status"], bad["sha256"]) == ("failed", "")
    assert bad["reason"].startswith(f"{images}/bad.png: is not a PNG")
    for name, content in expected.items():
        assert (output / records[name]["result"]).read_bytes() == content
        assert records[name]["sha256"] == hashlib.sha256(content).hexdigest()
    node = f"{platform.node()}{' (GPU)' * (concurrency > 1)}"
    assert {(each["status"], each["node"]) for each in records.values()} == {("done", node)}
    assert all(each["seconds"] > 0 and abs(each["finished"] - time.time()) < 600 for each in records.values())
    assert files_in(output) == {record["result"] for record in records.values()}


def test_everything_in_s3_and_in_shards(s3: str, tmp_path: Path, images: Path, model: Path, expected: Any) -> None:
    for path in [*images.rglob("*.*"), *(tmp_path / "masks").rglob("*.*")]:
        storage.write(f"{s3}/worker/{path.relative_to(tmp_path)}", path.read_bytes())
    storage.write(f"{s3}/worker/images/bad.png", b"no image")
    storage.write(f"{s3}/worker/masks/bad.png", b"no image")
    worker = worker_of(f"{s3}/worker/out", model)
    plan = make_plan(f"{s3}/worker/images", f"{s3}/worker/masks", f"{s3}/worker/out")
    records = {each["input"].removeprefix(f"{s3}/worker/images/"): each for each in do(worker, plan.rows)}
    # Names of copies on this machine do not show.
    bad = records.pop("bad.png")["reason"]
    assert bad.startswith(f"{s3}/worker/images/bad.png: is not")
    for name, content in expected.items():
        assert storage.read(f"{s3}/worker/out/{records[name]['result']}") == content
    assert set(storage.walk(f"{s3}/worker/out")) == {each["result"] for each in records.values()}
    gone = do(worker, [Row("x", "x.png", f"{s3}/worker/nothing.png", None)])[0]
    assert gone["status"] == "failed"
    assert gone["reason"].startswith("x: ")

    members = {}
    for number, name in enumerate(NAMES):
        members[f"{number}.mask.png"] = (tmp_path / "masks" / Path(name).with_suffix(".png")).read_bytes()
        members[f"{number}{Path(name).suffix}"] = (images / name).read_bytes()
    members |= {"bad.png": (images / "one.png").read_bytes(), "bad.mask.png": b"no image"}
    write_shard(tmp_path / "s.tar", members)
    (part,) = make_plan(str(tmp_path / "s.tar"), None, str(tmp_path / "out")).parts
    records = {each["input"]: each for each in do(worker_of(tmp_path / "out", model), list(part()))}
    bad = records.pop(f"{tmp_path}/s.tar/bad")["reason"]
    assert bad.startswith(f"the mask of {tmp_path}/s.tar/bad: is not")
    for number, name in enumerate(NAMES):
        result = records[f"{tmp_path}/s.tar/{number}"]["result"]
        assert (tmp_path / "out" / result).read_bytes() == expected[name]


def test_names_that_are_not_unicode(tmp_path: Path, model: Path) -> None:
    name = b"\xff.png".decode("utf-8", "surrogateescape")
    (tmp_path / name).write_bytes(pillow(noise(20, 30, 3), "PNG"))
    worker = worker_of(tmp_path / "out", model, FILL)
    (record,) = do(worker, [Row(str(tmp_path / name), name, str(tmp_path / name))])
    assert (record["status"], record["result"]) == ("done", "\\xff.png")
    assert (tmp_path / "out" / name).exists()


def test_warnings_are_in_the_report(tmp_path: Path, model: Path) -> None:
    image = tmp_path / "a.png"
    image.write_bytes(pillow(noise(20, 30, 3), "PNG"))

    class Warning_(Inpainter):
        def fill(self, *arguments: Any) -> Any:
            import warnings

            for _ in range(2):
                warnings.warn("something is odd", stacklevel=1)
            return super().fill(*arguments)

    worker = worker_of(tmp_path / "out", model, FILL)
    worker._inpainter.__class__ = Warning_
    (record,) = do(worker, [Row(str(image), "a.png", str(image))])
    assert (record["status"], record["reason"]) == ("done", "something is odd")


# -- inputs that end their worker --------------------------------------------------------------------------------------

POISONED = """
import os, pickle, sys, time
from wavepaint.batch.worker import Worker
from wavepaint.inpainter import Inpainter

fill = Inpainter.fill
def poisoned(self, image, *rest):
    if image.name.startswith("poison"):
        os._exit(11)
    if image.name.startswith("slow"):
        time.sleep(60)
    return fill(self, image, *rest)
Inpainter.fill = poisoned

job, rows = pickle.load(open(sys.argv[1], "rb"))
records = Worker(job, gpu=job.cluster.concurrency > 1)({"row": rows})
pickle.dump(records, open(sys.argv[1], "wb"))
"""


@pytest.mark.parametrize("concurrency", [1, 4])
def test_poisonous_and_slow_inputs_fail_alone(tmp_path: Path, model: Path, concurrency: int) -> None:
    """Ray would start the worker again with the same rows; here the test does."""
    names = ["a.png", "b.png", "poison.png", "c.png", "slow.png", "d.png"]
    for name in names:
        (tmp_path / name).write_bytes(pillow(noise(20, 30, 3), "PNG"))
    job = job_of(tmp_path / "out", model, FILL, concurrency=concurrency, max_retries=2, deadline=2)
    rows = [pickle.dumps(Row(name, name, str(tmp_path / name))) for name in names]
    state = tmp_path / "state"
    state.write_bytes(pickle.dumps((job, rows)))
    statuses = []
    while 0 not in statuses:
        command = [sys.executable, "-c", POISONED, str(state)]
        statuses.append(subprocess.run(command, check=False, timeout=120).returncode)
        assert len(statuses) < 8
    assert 11 in statuses
    assert 1 in statuses
    records = pickle.loads(state.read_bytes()).to_pylist()
    by_name = {record["input"]: record["status"] for record in records}
    assert by_name == {name: "failed" if name in ("poison.png", "slow.png") else "done" for name in names}
    reasons = [record["reason"] for record in records if record["reason"]]
    assert [reason.partition(": ")[0] for reason in reasons] == ["poison.png", "slow.png"]
    assert all("begun 2 times without a result" in reason for reason in reasons)
    # No marker is left: the next run retries it. What was being written when a worker ended goes with its listing.
    storage.results_in(str(tmp_path / "out"))
    assert files_in(tmp_path / "out") == {"a.png", "b.png", "c.png", "d.png"}


def test_options_that_make_no_sense() -> None:
    for name in ("cores", "concurrency", "max_retries", "deadline"):
        with pytest.raises(OptionError, match=f"{name} must be at least 1"):
            Cluster(**{name: 0})
