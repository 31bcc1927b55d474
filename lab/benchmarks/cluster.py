"""`wavepaint batch` against folder mode, and against machines and drivers that are killed.

    python lab/benchmarks/cluster.py [--photographs 2000] [--nodes 3] [--json cluster.json]

Three runs over the same small photographs (64 to 96 pixels a side, each with a mask of its own):

folder    `wavepaint inpaint`, one process
batch     `wavepaint batch`, a local Ray on the same cores
killed    `wavepaint batch` on Ray's test cluster of several nodes of one core each, on this machine; once a third of
          the results are there a node is killed, once two thirds are there the driver; then it is started again

Exit status 1 if an input is missing from the manifest or twice in it, or a result's bytes are not those of folder mode.
`--kills-only` leaves the second run out.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

SIDES = (64, 96)
GROUP = 16
OBJECT_STORE_BYTES = 100 * 2**20
PATIENCE = 900
"""Seconds after which a run that does not get on is given up."""


def make_photographs(folder: Path, count: int) -> None:
    """Photographs and masks in sub-folders of 500: waves with some noise, and one box to fill."""
    import pyvips

    for number in range(count):
        rng = np.random.default_rng(number)
        height, width = rng.integers(SIDES[0], SIDES[1] + 1, 2)
        rows, columns = np.mgrid[:height, :width]
        waves = [127 + 80 * np.sin(rows / (9 + 4 * c) + number) * np.cos(columns / (13 - 3 * c)) for c in range(3)]
        samples = np.stack(waves, axis=-1) + rng.normal(0, 4, (height, width, 3))
        mask = np.zeros((height, width), np.uint8)
        top, left = rng.integers(8, 40, 2)
        mask[top : top + 16, left : left + 20] = 255
        for kind, picture in (("photographs", samples.clip(0, 255).astype(np.uint8)), ("masks", mask)):
            path = folder / kind / f"{number // 500:02d}" / f"{number:05d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pyvips.Image.new_from_array(picture).pngsave(str(path))


def command(kind: str, inputs: Path, output: Path, *options: str) -> list[str]:
    masks = [str(inputs / "masks")] if kind == "inpaint" else ["--masks", str(inputs / "masks")]
    photographs = str(inputs / "photographs")
    return [sys.executable, "-m", "wavepaint", kind, photographs, *masks, "-o", str(output), *options]


def timed(arguments: list[str]) -> dict[str, float]:
    start = time.perf_counter()
    subprocess.run(arguments, check=True, stderr=subprocess.DEVNULL)
    return {"seconds": round(time.perf_counter() - start, 2)}


def results_of(folder: Path) -> dict[str, str]:
    """SHA-256 of every picture in a folder of results, by relative name."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*.png")
    }


def manifest_of(folder: Path) -> list[dict[str, object]]:
    import pyarrow.parquet as pq

    return list(pq.read_table(folder / "manifest.parquet").to_pylist())


def check(output: Path, expected: dict[str, str]) -> dict[str, object]:
    """Whether every input is accounted for exactly once, with the bytes of the single process."""
    rows = manifest_of(output)
    counts = Counter(str(row["result"]) for row in rows)
    results = results_of(output)
    return {
        "inputs": len(expected),
        "recorded_once": sum(count == 1 for count in counts.values()),
        "missing": len(expected.keys() - counts.keys()),
        "repeated": sum(count > 1 for count in counts.values()),
        "by_status": dict(Counter(str(row["status"]) for row in rows)),
        "equal_bytes": sum(results.get(name) == value for name, value in expected.items()),
        "equal_hashes": sum(row["sha256"] == expected.get(str(row["result"])) for row in rows),
        "left_over_files": len(list(output.rglob("*.part"))) + len(results.keys() - expected.keys()),
        "by_session": dict(sorted(Counter(str(row["session"]) for row in rows).items())),
    }


def whole(report: dict[str, object]) -> bool:
    inputs = report["inputs"]
    return (
        report["recorded_once"] == report["equal_bytes"] == report["equal_hashes"] == inputs
        and report["by_status"] == {"done": inputs}
        and report["missing"] == report["repeated"] == report["left_over_files"] == 0
    )


def steady_rate(output: Path) -> dict[str, float]:
    """Photographs per second between the first and the last record, and seconds of work per photograph."""
    rows = manifest_of(output)
    times = sorted(row["finished"].timestamp() for row in rows)  # type: ignore[attr-defined]
    seconds = [float(row["seconds"]) for row in rows]  # type: ignore[arg-type]
    return {
        "photographs_per_second": round((len(rows) - 1) / (times[-1] - times[0]), 2),
        "work_seconds_mean": round(float(np.mean(seconds)), 4),
        "work_seconds_p50": round(float(np.median(seconds)), 4),
        "work_seconds_p99": round(float(np.quantile(seconds, 0.99)), 4),
    }


def wait_for(output: Path, count: int, driver: subprocess.Popen[bytes]) -> int:
    """Wait until so many results are there; return how many there are."""
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        found = sum(1 for _ in output.rglob("*.png"))
        if found >= count:
            return found
        if driver.poll() is not None:
            raise SystemExit(f"the driver ended with status {driver.returncode} after {found} results")
        time.sleep(0.2)
    raise SystemExit(f"no {count} results after {PATIENCE} seconds")


def killed(inputs: Path, output: Path, count: int, nodes: int, *options: str) -> dict[str, Any]:
    """The run that loses a node and a driver; `options` are for both drivers."""
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": OBJECT_STORE_BYTES}
    begun = time.perf_counter()
    cluster = Cluster(initialize_head=True, head_node_args={"include_dashboard": False, **node})
    try:
        members = [cluster.add_node(**node) for _ in range(nodes - 1)]
        cluster.wait_for_nodes()
        up = time.perf_counter()
        arguments = command(
            "batch",
            inputs,
            output,
            "--address",
            cluster.address,
            "--workers",
            str(nodes),
            "--group",
            str(GROUP),
            *options,
        )
        # What Ray says of a lost node is long.
        driver = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
        at_node = wait_for(output, count // 3, driver)
        cluster.remove_node(members[0], allow_graceful=False)
        node_lost = time.perf_counter()
        at_driver = wait_for(output, 2 * count // 3, driver)
        driver.kill()
        driver.wait()
        driver_lost = time.perf_counter()
        again = subprocess.run(arguments, stdout=subprocess.DEVNULL, check=False, timeout=PATIENCE)
        over = time.perf_counter()
    finally:
        cluster.shutdown()
    return {
        "nodes": nodes,
        "results_when_node_was_killed": at_node,
        "results_when_driver_was_killed": at_driver,
        "second_driver_exit_status": again.returncode,
        "seconds": {
            "cluster_start": round(up - begun, 1),
            "until_node_was_killed": round(node_lost - up, 1),
            "until_driver_was_killed": round(driver_lost - node_lost, 1),
            "second_driver": round(over - driver_lost, 1),
        },
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--photographs", type=int, default=2000)
    parser.add_argument("--nodes", type=int, default=3, help="of one core each, the head included")
    parser.add_argument("--kills-only", action="store_true", help="leave the run without kills out")
    parser.add_argument("--json", type=Path, help="also write the report to this file")
    arguments = parser.parse_args()

    # Before Ray is loaded, and inherited by everything that is started here.
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"}
    report: dict[str, object] = {"photographs": arguments.photographs, "cores": len(os.sched_getaffinity(0))}
    with tempfile.TemporaryDirectory(prefix="wavepaint-") as scratch:
        inputs = Path(scratch) / "inputs"
        make_photographs(inputs, arguments.photographs)
        # One thread a network, as in the workers; the bytes do not depend on it.
        report["folder"] = timed(command("inpaint", inputs, Path(scratch) / "folder", "--threads", "1"))
        expected = results_of(Path(scratch) / "folder")
        checks = []
        if not arguments.kills_only:
            output = Path(scratch) / "batch"
            report["batch"] = timed(command("batch", inputs, output, "--group", str(GROUP)))
            checks.append(check(output, expected))
            report["batch"] |= steady_rate(output) | {"check": checks[-1]}  # type: ignore[operator]
        output = Path(scratch) / "killed"
        report["killed"] = killed(inputs, output, arguments.photographs, arguments.nodes)
        checks.append(check(output, expected))
        report["killed"] |= {"check": checks[-1]}
    text = json.dumps(report, indent=2)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n")
    return 0 if len(expected) == arguments.photographs and all(map(whole, checks)) else 1


if __name__ == "__main__":
    sys.exit(main())
