"""Batch work on Ray itself: a cluster of three nodes on this machine, and what it survives."""

from __future__ import annotations

import os
import platform
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from batch_inputs import Poison
from typer.testing import CliRunner

from images import noise, pillow
from wavepaint import storage
from wavepaint.batch.plan import Plan, Row, make_plan
from wavepaint.batch.settings import Cluster
from wavepaint.cli.root import app
from wavepaint.errors import OptionError
from wavepaint.options import Engine, Options, as_boxes

pytest.importorskip("ray")
import ray
import ray.data

from wavepaint.batch import cluster as cluster_module
from wavepaint.batch.cluster import REPORT, read_report, run_batch
from wavepaint.batch.worker import Job

BENCHMARK = Path(__file__).parents[2] / "lab" / "benchmarks" / "cluster.py"
pytestmark = pytest.mark.skipif(not BENCHMARK.exists(), reason="the scenario is part of the repository only")
OPTIONS = Options(boxes=as_boxes([(3, 3, 5, 5)]))


@pytest.fixture(scope="module")
def scenario() -> dict[str, Any]:
    return runpy.run_path(str(BENCHMARK))


@pytest.fixture(scope="module")
def nodes(scenario: dict[str, Any], s3: str) -> Iterator[Any]:
    """A cluster of three nodes, which know where S3 is; one is taken for one with a graphics processor."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]))
        patch.setitem(scenario["NODE"], "num_gpus", 0)
        with scenario["cluster_of"](2) as cluster:
            cluster.add_node(**{**scenario["NODE"], "num_gpus": 1})
            cluster.wait_for_nodes()
            yield cluster


@pytest.fixture
def engine(model: Path) -> Engine:
    return Engine(model=str(model), runtime="onnxruntime")


def write_images(folder: Path, count: int) -> list[Row]:
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:02d}.png").write_bytes(pillow(noise(20, 30, 3, seed=number), "PNG"))
    return make_plan(str(folder), None, str(folder.parent / "out"), needs_mask=False).rows


def statuses(output: Path) -> dict[str, str]:
    return {row["result"]: row["status"] for row in read_report(str(output))}


def test_a_mixed_pool_and_five_poisonous_inputs_that_fail_alone(nodes: Any, tmp_path: Path, engine: Engine) -> None:
    """Four crash their workers, and one never ends: a pipe that nobody writes to."""
    rows = write_images(tmp_path / "images", 20)
    for number in (3, 8, 9, 15):
        rows[number] = rows[number]._replace(image=Poison(rows[number].image))
    os.unlink(str(rows[18].image))
    os.mkfifo(str(rows[18].image))
    where = Cluster(address=nodes.address, workers=1, gpus=0.5, gpu_workers=1, max_retries=2, deadline=6)
    job = Job(str(tmp_path / "out"), OPTIONS, engine, where)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ray.data.DataContext.get_current(), "wait_for_min_actors_s", 120)
        counts = run_batch(Plan(rows, [], []), job)
    assert counts == {"done": 15, "failed": 5}
    report = {row["result"]: row for row in read_report(job.output)}
    bad = [f"{number:02d}.png" for number in (3, 8, 9, 15, 18)]
    assert sorted(name for name, row in report.items() if row["status"] == "failed") == bad
    assert all("begun 2 times without a result" in report[name]["reason"] for name in bad)
    done = [row for row in report.values() if row["status"] == "done"]
    assert {row["node"] for row in done} == {platform.node(), f"{platform.node()} (GPU)"}
    assert set(storage.walk(job.output)) == {row["result"] for row in done} | {REPORT}


def test_killing_a_node_and_the_driver_loses_nothing(nodes: Any, scenario: Any, tmp_path: Path, s3: str) -> None:
    """A third of the images in, a node is killed with -9; two thirds in, the driver; images and results are in S3."""
    scenario["make_images"](tmp_path / "in", 60)
    words = [str(tmp_path / "in/images"), str(tmp_path / "in/masks"), "-o", str(tmp_path / "folder"), "--threads", "1"]
    runtime = ("--runtime", "onnxruntime")
    assert CliRunner().invoke(app, ["inpaint", *words, *runtime]).exit_code == 0
    expected = scenario["results_in"](str(tmp_path / "folder"))
    scenario["upload"](tmp_path / "in", f"{s3}/in")

    counts = scenario["killed"](nodes, f"{s3}/in", f"{s3}/out", 60, *runtime)
    # On a busy machine the results go on while they are counted.
    assert 20 <= counts["results_when_node_was_killed"] <= counts["results_when_driver_was_killed"]
    assert counts["second_driver_exit_status"] == 0
    check = scenario["check"](f"{s3}/out", expected)
    assert scenario["is_whole"](check), check
    assert check["inputs"] == 60

    # Nothing is left to do, so that no cluster is needed.
    again = CliRunner().invoke(app, scenario["command"]("batch", f"{s3}/in", f"{s3}/out", *runtime)[3:])
    assert (again.exit_code, again.stderr.splitlines()[-1]) == (0, "0 done, 60 skipped, 0 failed")
    status = CliRunner().invoke(app, ["batch", "status", f"{s3}/out"])
    lines = {name: int(value) for name, value in (line.split() for line in status.stdout.splitlines()[:4])}
    assert (lines["results"], lines["done"] + lines["skipped"], lines["failed"]) == (60, 60, 0)


def test_parts_on_a_ray_of_this_machine(tmp_path: Path, engine: Engine) -> None:
    """Shards are read by Ray's tasks; what exists is skipped, unless it is to be done again."""
    from batch_inputs import write_shard

    image = pillow(noise(20, 30, 3), "PNG")
    for number in range(2):
        members = {f"{key}.png": image for key in "abc"} | {f"x{number}.png": b"no image"}
        write_shard(tmp_path / f"{number}.tar", members)
    write_shard(tmp_path / "2.tar", {"notes.txt": b"no images at all"})
    output = tmp_path / "out"
    (output / "0").mkdir(parents=True)
    (output / "0/b.png").write_bytes(b"mine")
    plan = make_plan(str(tmp_path / "{0..2}.tar"), None, str(output), needs_mask=False)
    job = Job(str(output), OPTIONS, engine, Cluster())
    assert run_batch(plan, job) == {"done": 5, "skipped": 1, "failed": 2}
    assert (output / "0/b.png").read_bytes() == b"mine"
    assert statuses(output)["0/b.png"] == "skipped"
    # What failed is tried again.
    assert run_batch(plan, job, overwrite=True) == {"done": 6, "failed": 2}
    assert len({(output / f"{number}/{key}.png").read_bytes() for number in range(2) for key in "abc"}) == 1
    assert list(statuses(output).values()).count("done") == 6
    assert not ray.is_initialized()


def test_the_report_says_what_became_of_each_input_last(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    def part(run: str, name: str, *rows: tuple[str, str, float]) -> None:
        path = tmp_path / cluster_module.PARTS / run / name
        path.parent.mkdir(parents=True, exist_ok=True)
        table = [{"input": row[0], "status": row[1], "finished": row[2], "seconds": 1.0, "sha256": "h"} for row in rows]
        pq.write_table(pa.Table.from_pylist(table), path)

    part("one", "a.parquet", ("a", "failed", 1.0), ("b", "done", 2.0))
    part("one", "b.parquet", ("c", "done", 3.0), ("a", "failed", 4.0))
    part("two", "a.parquet", ("a", "done", 5.0))
    assert {row["input"]: row["status"] for row in read_report(str(tmp_path))} == {
        "a": "done",
        "b": "done",
        "c": "done",
    }
    skipped = [{"input": name, "status": "skipped", "finished": 6.0, "seconds": 0.0, "sha256": ""} for name in "bd"]
    counts = cluster_module._merge(str(tmp_path), "two", skipped)
    assert counts == {"done": 1, "skipped": 2}
    rows = {row["input"]: row for row in pq.read_table(tmp_path / REPORT).to_pylist()}
    assert {name: row["status"] for name, row in rows.items()} == {
        "a": "done",
        "b": "done",
        "c": "done",
        "d": "skipped",
    }
    assert [path for path in (tmp_path / ".wavepaint").rglob("*") if path.is_file()] == []


def test_workers_are_counted() -> None:
    resources = {"CPU": 10.0, "GPU": 2.0}
    assert Cluster(cores=3).sizes(resources) == (3, 0)
    assert Cluster(gpus=0.5).sizes(resources) == (0, 4)
    assert Cluster(gpus=0.5, workers=6).sizes(resources) == (6, 4)
    assert Cluster(gpus=1, gpu_workers=3, workers=1).sizes({}) == (1, 3), "the cluster may grow"
    with pytest.raises(OptionError, match="no worker of 16 cores and 0 GPUs has room in a cluster of 10 cores"):
        Cluster(cores=16).sizes(resources)
    with pytest.raises(OptionError, match="no worker"):
        Cluster(workers=-1).sizes(resources)


@pytest.mark.parametrize(
    ("address", "words"), [("127.0.0.1:1", "Connection refused"), ("somewhere", "invalid literal")]
)
def test_an_address_where_nobody_answers_ends_it_at_once(
    tmp_path: Path, engine: Engine, address: str, words: str
) -> None:
    rows = write_images(tmp_path / "images", 1)
    with pytest.raises(OptionError, match=f"^{address}: Ray cannot be reached or started: .*{words}"):
        run_batch(Plan(rows, [], []), Job(str(tmp_path / "out"), OPTIONS, engine, Cluster(address=address)))
    assert not (tmp_path / "out").exists()


def test_a_ray_that_does_not_start_is_one_line_and_status_2(
    tmp_path: Path, images: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine that is too busy Ray gives up with a bare `Exception`."""

    def init(*_: Any, **__: Any) -> None:
        raise Exception("The current node timed out\nduring startup.")

    monkeypatch.setattr(ray, "init", init)
    words = [str(images), "--box", "0,0,1,1", "-o", str(tmp_path / "out"), "--model", str(model)]
    result = CliRunner().invoke(app, ["batch", *words])
    assert result.exit_code == 2
    assert "local: Ray cannot be reached or started: The current node timed out during startup." in result.stderr
    assert not (tmp_path / "out").exists()


def test_bad_input_is_one_line_and_status_2(tmp_path: Path, images: Path) -> None:
    for words in (
        [str(images), "--masks", str(tmp_path / "masks"), "--alpha"],
        [str(images), "-o", str(images)],
        [str(tmp_path / "nothing")],
        [str(images), "--masks", str(tmp_path / "nothing")],
        [str(images), "--alpha", "--max-retries", "0"],
        [str(images), "--alpha", "--model", str(tmp_path / "nothing.onnx")],
    ):
        result = CliRunner().invoke(app, ["batch", "-o", str(tmp_path / "out"), *words])
        assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1), result.output
    assert not (tmp_path / "out").exists()
