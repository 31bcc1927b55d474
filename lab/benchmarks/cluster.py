"""`wavepaint batch` against folder mode, and against machines and drivers that are killed.

    python -m lab.benchmarks.cluster [--images 2000] [--nodes 3] [--names 20000] [--detail network] [--workers 1]
        [--json FILE]

Runs over the same small images (64 to 96 pixels a side, each with a mask of its own):

folder    `wavepaint inpaint`, one process
batch     `wavepaint batch`, a local Ray on the same cores; both also over one image, which is the cost of the start
killed    `wavepaint batch` on Ray's test cluster of several nodes of one core each, on this machine; once a third of
          the results are there a node is killed with -9, once two thirds are there the driver; then it starts again
s3        the same with images, masks and results in an S3 server (moto) on this machine
names     `wavepaint batch` over a list of names without files, a tenth and all of them: the memory of the driver

`--runs` leaves some out. Exit status 1 if an input is missing from the report, or a result's bytes are not those of
folder mode. Where the machine is shared, compare the processor seconds: of the command and all that it starts, Ray's
processes too, as Linux counts them.
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
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from wavepaint import storage
from wavepaint.cores import available_cores

SIDES = (64, 96)
NODE = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
PATIENCE = 3600
"""Seconds after which a run that does not get on is given up."""
RUNS = ("folder", "batch", "killed", "s3", "names")


def make_images(folder: Path, count: int) -> None:
    """Images and masks in sub-folders of 500: smooth patterns with some noise, and one box to fill."""
    import pyvips

    for number in range(count):
        rng = np.random.default_rng(number)
        height, width = rng.integers(SIDES[0], SIDES[1] + 1, 2)
        rows, columns = np.mgrid[:height, :width]
        bands = [127 + 80 * np.sin(rows / (9 + 4 * c) + number) * np.cos(columns / (13 - 3 * c)) for c in range(3)]
        samples = np.stack(bands, axis=-1) + rng.normal(0, 4, (height, width, 3))
        mask = np.zeros((height, width), np.uint8)
        top, left = rng.integers(8, 40, 2)
        mask[top : top + 16, left : left + 20] = 255
        for kind, content in (("images", samples.clip(0, 255).astype(np.uint8)), ("masks", mask)):
            path = folder / kind / f"{number // 500:02d}" / f"{number:05d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pyvips.Image.new_from_array(content).pngsave(str(path))


def command(kind: str, inputs: str, output: str, *options: str) -> list[str]:
    masks = [f"{inputs}/masks"] if kind == "inpaint" else ["--masks", f"{inputs}/masks"]
    return [sys.executable, "-m", "wavepaint", kind, f"{inputs}/images", *masks, "-o", output, *options]


def timed(arguments: list[str]) -> dict[str, Any]:
    """Run a command; its seconds, and the processor seconds of it and all that it starts, also by name of process."""
    load, start = os.getloadavg()[0], time.perf_counter()
    process = subprocess.Popen(arguments, stderr=subprocess.DEVNULL)
    known = {str(process.pid)}
    used: dict[str, tuple[str, float]] = {}
    while process.poll() is None:
        time.sleep(0.2)
        for entry in sorted(Path("/proc").glob("[0-9]*"), key=lambda entry: int(entry.name)):
            with suppress(OSError):
                name, _, rest = (entry / "stat").read_text().partition("(")[2].rpartition(")")
                fields = rest.split()
                if not known.isdisjoint((entry.name, fields[1])):
                    known.add(entry.name)
                    used[entry.name] = name, (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    assert process.returncode == 0, f"status {process.returncode}: {' '.join(arguments)}"
    by_name: Counter[str] = Counter()
    for name, seconds in used.values():
        by_name[name] += seconds
    return {
        "seconds": round(time.perf_counter() - start, 1),
        "processor_seconds": round(by_name.total(), 1),
        "by_process": {name: round(seconds, 1) for name, seconds in by_name.most_common() if seconds >= 0.1},
        "load_before": round(load, 1),
    }


def results_in(output: str) -> dict[str, str]:
    """SHA-256 of every result, by relative name."""
    names = (name for name in storage.walk(output) if name.endswith(".png"))
    return {name: hashlib.sha256(storage.read(f"{output}/{name}")).hexdigest() for name in names}


def check(output: str, expected: dict[str, str]) -> dict[str, Any]:
    """Whether every input is accounted for exactly once, with the bytes of the single process."""
    from wavepaint.batch.cluster import REPORT, read_report

    rows = read_report(output)
    results = results_in(output)
    counts = Counter(row["result"] for row in rows)
    return {
        "inputs": len(expected),
        "reported_once": sum(counts[name] == 1 for name in expected),
        "by_status": dict(Counter(row["status"] for row in rows)),
        "equal_bytes": sum(results.get(name) == value for name, value in expected.items()),
        "wrong_hashes": sum(row["sha256"] not in ("", expected.get(row["result"])) for row in rows),
        "other_files": len(set(storage.walk(output)) - expected.keys() - {REPORT}),
    }


def is_whole(counts: dict[str, Any]) -> bool:
    inputs = counts["inputs"]
    complete = counts["reported_once"] == counts["equal_bytes"] == sum(counts["by_status"].values()) == inputs
    return complete and "failed" not in counts["by_status"] and counts["wrong_hashes"] == counts["other_files"] == 0


def wait_for(output: str, count: int, driver: subprocess.Popen[bytes]) -> int:
    """Wait until so many results are there; return how many there are."""
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        results = sum(name.endswith(".png") for name in storage.walk(output))
        if results >= count:
            return results
        if driver.poll() is not None:
            raise SystemExit(f"the driver ended with status {driver.returncode} after {results} results")
        time.sleep(0.2)
    raise SystemExit(f"no {count} results after {PATIENCE} seconds")


@contextmanager
def cluster_of(nodes: int) -> Iterator[Any]:
    """Ray's test cluster on this machine."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"include_dashboard": False, **NODE})
    try:
        for _ in range(nodes - 1):
            cluster.add_node(**NODE)
        cluster.wait_for_nodes()
        yield cluster
    finally:
        cluster.shutdown()


def killed(cluster: Any, inputs: str, output: str, count: int, *options: str) -> dict[str, Any]:
    """The run that loses a node and a driver; `options` are for both drivers."""
    nodes = len(cluster.worker_nodes) + 1
    begun, load = time.perf_counter(), os.getloadavg()[0]
    arguments = command("batch", inputs, output, "--address", cluster.address, "--workers", str(nodes), *options)
    driver = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
    at_node = wait_for(output, count // 3, driver)
    cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
    node_lost = time.perf_counter()
    at_driver = wait_for(output, 2 * count // 3, driver)
    driver.kill()
    driver.wait()
    driver_lost = time.perf_counter()
    again = subprocess.run(arguments, stdout=subprocess.DEVNULL, check=False, timeout=PATIENCE)
    return {
        "nodes": nodes,
        "load_before": round(load, 1),
        "results_when_node_was_killed": at_node,
        "results_when_driver_was_killed": at_driver,
        "second_driver_exit_status": again.returncode,
        "seconds": {
            "until_node_was_killed": round(node_lost - begun, 1),
            "until_driver_was_killed": round(driver_lost - node_lost, 1),
            "second_driver": round(time.perf_counter() - driver_lost, 1),
        },
    }


@contextmanager
def s3_server() -> Iterator[str]:
    """An S3 server in a process of its own; the URL of a bucket."""
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.environ |= {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_DEFAULT_REGION": "us-east-1"}
    os.environ |= {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    try:
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        storage.file_system("s3://scans")[0].mkdir("scans")
        yield "s3://scans"
    finally:
        server.kill()
        server.wait()


def upload(folder: Path, url: str) -> None:
    for path in folder.rglob("*.png"):
        storage.write(f"{url}/{path.relative_to(folder).as_posix()}", path.read_bytes())


def driver_memory(folder: Path, count: int) -> dict[str, Any]:
    """Peak memory of a driver, and of the largest of Ray's processes, over a list of files that do not exist."""
    (folder / "names.txt").write_text("".join(f"{number:07d}.png\n" for number in range(count)))
    arguments = [sys.executable, "-m", "wavepaint", "batch", str(folder / "names.txt"), "--box", "0,0,1,1"]
    code = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], stderr=subprocess.DEVNULL)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    output = folder / f"names-{count}"
    run = [sys.executable, "-c", code, *arguments, "-o", str(output)]
    start = time.perf_counter()
    printed = subprocess.run(run, check=True, capture_output=True, text=True).stdout
    peak = int(printed.splitlines()[-1]) / 1024
    from wavepaint.batch.cluster import read_report

    by_status = dict(Counter(row["status"] for row in read_report(str(output))))
    seconds = round(time.perf_counter() - start, 1)
    return {"names": count, "driver_peak_mib": round(peak, 1), "seconds": seconds, "by_status": by_status}


def measured(arguments: argparse.Namespace, scratch: Path, report: dict[str, Any]) -> Iterator[bool]:
    """Make the runs, one after the other; after each its part of the report is there: whether its results are whole."""
    runs, detail, images = arguments.runs.split(","), ("--detail", arguments.detail), arguments.images
    inputs = scratch / "inputs"
    make_images(inputs, images)
    # One thread a network, as in the workers; the bytes do not depend on it.
    folder = str(scratch / "folder")
    report["folder"] = timed(command("inpaint", str(inputs), folder, "--threads", "1", *detail))
    expected = results_in(folder)
    yield len(expected) == images

    def checked(name: str, output: str, run: dict[str, Any]) -> bool:
        report[name] = {**run, "check": check(output, expected)}
        return is_whole(report[name]["check"])

    if "batch" in runs:
        workers = ("--workers", arguments.workers) if arguments.workers else ()
        output = str(scratch / "batch")
        whole = checked("batch", output, timed(command("batch", str(inputs), output, *detail, *workers)))
        make_images(scratch / "one", 1)
        one = command("inpaint", f"{scratch}/one", f"{scratch}/one-folder", "--threads", "1", *detail)
        report["folder_start"] = timed(one)
        report["batch_start"] = timed(command("batch", f"{scratch}/one", f"{scratch}/one-batch", *detail, *workers))
        for unit in ("seconds", "processor_seconds"):
            folder_cost, batch_cost = (
                report[kind][unit] - report[f"{kind}_start"][unit] for kind in ("folder", "batch")
            )
            report[f"overhead_in_{unit}"] = round(batch_cost / folder_cost - 1, 3)
        yield whole
    if "killed" in runs:
        output = str(scratch / "killed")
        with cluster_of(arguments.nodes) as cluster:
            run = killed(cluster, str(inputs), output, images, *detail)
        yield checked("killed", output, run)
    if "s3" in runs:
        with s3_server() as bucket:
            upload(inputs, f"{bucket}/in")
            with cluster_of(arguments.nodes) as cluster:
                run = killed(cluster, f"{bucket}/in", f"{bucket}/out", images, *detail)
            yield checked("s3", f"{bucket}/out", run)
    if "names" in runs:
        report["names"] = [driver_memory(scratch, count) for count in (arguments.names // 10, arguments.names)]
        yield True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--nodes", type=int, default=3, help="of one core each, the head included")
    parser.add_argument("--names", type=int, default=20_000)
    parser.add_argument("--detail", default="image", help="of the fill; `network` takes a third of the time")
    parser.add_argument("--workers", help="of the batch run; by default one a core. Folder mode has one thread")
    parser.add_argument("--runs", default=",".join(RUNS), help="which of them, with commas between")
    parser.add_argument("--json", type=Path, help="also write the report to this file")
    arguments = parser.parse_args()
    # Before Ray is loaded, and inherited by everything that is started here.
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"}
    cores = available_cores()
    report: dict[str, Any] = {"images": arguments.images, "detail": arguments.detail, "cores": cores}
    whole = []
    with tempfile.TemporaryDirectory(prefix="wavepaint-benchmark-") as scratch:
        for each in measured(arguments, Path(scratch), report):
            whole.append(each)
            if arguments.json:
                arguments.json.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))
    return 0 if all(whole) else 1


if __name__ == "__main__":
    sys.exit(main())
