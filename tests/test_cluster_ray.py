"""Batch work on Ray itself: a cluster of two nodes on this machine, of which one is killed, and a driver too."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("ray")

from wavepaint.cluster.batch import Cluster, _Actor, _room
from wavepaint.cluster.inputs import Ticket
from wavepaint.errors import MissingExtraError, OptionError

BENCHMARK = Path(__file__).parents[1] / "benchmarks" / "cluster.py"


@pytest.mark.skipif(not BENCHMARK.exists(), reason="the scenario is part of the repository, not of the package")
def test_killing_a_node_and_the_driver_loses_and_repeats_nothing(tmp_path: Path) -> None:
    command = [sys.executable, str(BENCHMARK), "--photographs", "60", "--nodes", "2", "--kills-only"]
    run = subprocess.run(
        [*command, "--json", str(tmp_path / "report.json")], capture_output=True, text=True, timeout=300, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    report = json.loads((tmp_path / "report.json").read_text())["killed"]
    assert 20 <= report["results_when_node_was_killed"] < report["results_when_driver_was_killed"]
    assert report["second_driver_exit_status"] == 0
    check = report["check"]
    assert check["recorded_once"] == check["equal_bytes"] == check["equal_hashes"] == check["inputs"] == 60
    assert check["by_status"] == {"done": 60}
    assert (check["missing"], check["repeated"], check["left_over_files"]) == (0, 0, 0)


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
    monkeypatch.setattr("wavepaint.cluster.batch.Worker", lambda _: Broken())
    monkeypatch.setattr("wavepaint.cluster.batch.hear_warnings", lambda: None)
    row = _Actor(None)({"ticket": [Ticket("shard", "x.tar", "1").to_json()]})  # type: ignore[arg-type]
    assert "wavepaint[train]" in row["error"][0]
    assert (row["ticket"], row["done"], row["node"]) == (["1"], [0], [platform.node()])
