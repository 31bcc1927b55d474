"""Batch work on Ray itself: a cluster of two nodes on this machine, of which one is killed, and a driver too."""

from __future__ import annotations

import os
import platform
import runpy
from pathlib import Path

import pytest
from typer.testing import CliRunner

pytest.importorskip("ray")

from wavepaint.batch.batch import Cluster, _Actor, _room
from wavepaint.batch.inputs import Ticket
from wavepaint.cli import app
from wavepaint.errors import MissingExtraError, OptionError

BENCHMARK = Path(__file__).parents[2] / "lab" / "benchmarks" / "cluster.py"


@pytest.mark.skipif(not BENCHMARK.exists(), reason="the scenario is part of the repository, not of the package")
def test_killing_a_node_and_the_driver_loses_and_repeats_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that needs Ray itself, on one start of it; the rest is in test_cluster.py."""
    scenario = runpy.run_path(str(BENCHMARK))
    monkeypatch.setitem(os.environ, "RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setitem(os.environ, "OMP_NUM_THREADS", "1")
    inputs, output = tmp_path / "inputs", tmp_path / "out"
    scenario["make_photographs"](inputs, 60)
    words = [str(inputs / "photographs"), str(inputs / "masks"), "-o", str(tmp_path / "folder"), "--threads", "1"]
    # The runtime that starts fastest.
    runtime = ("--runtime", "onnxruntime")
    assert CliRunner().invoke(app, ["inpaint", *words, *runtime]).exit_code == 0
    expected = scenario["results_of"](tmp_path / "folder")

    report = scenario["killed"](inputs, output, 60, 2, *runtime)
    assert 20 <= report["results_when_node_was_killed"] < report["results_when_driver_was_killed"]
    assert report["second_driver_exit_status"] == 0
    check = scenario["check"](output, expected)
    assert scenario["whole"](check), check
    assert check["inputs"] == 60

    # Nothing is left to do, so that no cluster is needed.
    again = CliRunner().invoke(app, scenario["command"]("batch", inputs, output, *runtime)[3:])
    assert (again.exit_code, again.stderr.splitlines()[-1]) == (0, "60 done, 0 skipped, 0 failed")
    status = CliRunner().invoke(app, ["batch", "status", str(output)])
    lines = dict(line.split(maxsplit=1) for line in status.stdout.splitlines()[:5])
    assert lines == {"done": "60", "skipped": "0", "failed": "0", "waiting": "0", "drivers": "3"}


def test_room_is_counted_in_whole_workers() -> None:
    resources = {"CPU": 10.0, "GPU": 2.0}
    assert _room(resources, Cluster(cores=3)) == 3
    assert _room(resources, Cluster(cores=2, gpus=0.5)) == 4
    with pytest.raises(OptionError, match="no room for a worker of 16 cores and 0 GPUs: it has 10 cores and 2 GPUs"):
        _room(resources, Cluster(cores=16))
    assert _room(resources, Cluster(cores=16, workers=4)) == 1, "the cluster may grow"
    for values in ({"cores": 0}, {"workers": 0}, {"gpus": -1}):
        with pytest.raises(OptionError):
            Cluster(**values)


class Broken:
    """A worker whose machine lacks something."""

    def do(self, ticket: Ticket) -> None:
        raise MissingExtraError("torch", "train", "torch")


def test_what_a_worker_lacks_comes_back_as_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    class Metric:
        def __init__(self, *_: object) -> None: ...
        def observe(self, _: float) -> None: ...

    monkeypatch.setattr("ray.util.metrics.Counter", Metric)
    monkeypatch.setattr("ray.util.metrics.Histogram", Metric)
    monkeypatch.setattr("wavepaint.batch.batch.Worker", lambda _: Broken())
    monkeypatch.setattr("wavepaint.batch.batch.hear_warnings", lambda: None)
    row = _Actor(None)({"ticket": [Ticket("shard", "x.tar", "1").to_json()]})  # type: ignore[arg-type]
    assert "wavepaint[train]" in row["error"][0]
    assert row["unread"] == [""]
    assert (row["ticket"], row["done"], row["node"]) == (["1"], [0], [platform.node()])
