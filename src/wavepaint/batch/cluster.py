"""Rows spread over machines by Ray Data, which schedules, retries and shows progress; and the report of them."""

from __future__ import annotations

import io
import itertools
import logging
import os
import pickle
import posixpath
import secrets
import socket
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from wavepaint import storage
from wavepaint.batch.plan import Plan
from wavepaint.batch.settings import Cluster
from wavepaint.batch.worker import Job, Worker, record
from wavepaint.cores import available_cores
from wavepaint.errors import OptionError, WavepaintError, one_line
from wavepaint.runtime.loading import OPENVINO_REPAYS, load_runtime, model_file

REPORT = "report.parquet"
PARTS = ".wavepaint/report"  # below the output folder: the rows of the report that runs have written so far
BLOCK_ROWS, BLOCK_BYTES = 32, 4 * 2**20
"""What is handed out together: names, or a sixteenth of a worker's share of them; contents of files, at most."""


def run_batch(plan: Plan, job: Job, overwrite: bool = False, progress: bool = False) -> Counter[str]:
    """Do the rows of a plan that have no result yet, or all, and write the report; return how many ended how.

    It can be killed and started again at any moment, and two may run at once: an image may be filled twice, but its
    result has one name, appears whole, and has the same bytes each time. The names in `plan` and `job` are absolute.
    `progress` shows Ray's progress bars.

    Raises:
        OptionError: no such cluster, or one without room.
        CheckpointError, MissingExtraError: the network cannot be loaded.
        WavepaintError: Ray gave up.
    """
    there = storage.results_in(job.output)
    done = set() if overwrite else there
    rows = [row for row in plan.rows if row.result not in done]
    run = secrets.token_hex(8)
    if rows or plan.parts:
        load_runtime(job.engine.model, job.engine.runtime, job.cluster.cores, OPENVINO_REPAYS)  # its errors once
        if (model := model_file(job.engine.model)) is not None:
            job = job._replace(model=model.read_bytes())
        with _connected(job.cluster, progress) as ray:
            _spread(ray, plan._replace(rows=rows), done, job, posixpath.join(job.output, PARTS, run))
        for name in (name for name in there if name.endswith(".begun")):  # of inputs that are gone
            storage.remove(posixpath.join(job.output, name))
    return _merge(job.output, run, [record(row, "skipped") for row in plan.rows if row.result in done])


def _spread(ray: Any, plan: Plan, done: set[str], job: Job, report: str) -> None:
    """Rows or parts -> workers -> the report."""
    cluster = job.cluster
    without, with_gpu = cluster.sizes(ray.cluster_resources())
    workers = without + with_gpu
    # Readers have no processor of their own, so that they never wait for the workers.
    if plan.parts:
        parts = [{"part": pickle.dumps(part)} for part in plan.parts]
        data = ray.data.from_items(parts, override_num_blocks=len(parts))
        data = data.flat_map(_rows_of, fn_args=(done,), num_cpus=0, concurrency=1 + workers // 4)
    else:
        blocks = -(-len(plan.rows) // max(BLOCK_ROWS, len(plan.rows) // (16 * workers)))
        blocks = max(blocks, min(len(plan.rows), 4 * workers))
        data = ray.data.from_items([{"row": pickle.dumps(row)} for row in plan.rows], override_num_blocks=blocks)
    resources: dict[str, Any] = {"num_cpus": cluster.cores, "num_gpus": None if without else cluster.gpus}
    if with_gpu and without:  # a mixed pool: the first have a share
        started = itertools.count()
        resources["ray_remote_args_fn"] = lambda: {"num_gpus": cluster.gpus if next(started) < with_gpu else 0}
    pool = ray.data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=2)
    data = data.map_batches(Worker, fn_constructor_args=(job,), batch_size=None, compute=pool, **resources)
    try:  # Ray's `write_parquet` would start a task for each group
        for number, table in enumerate(data.iter_batches(batch_size=None, batch_format="pyarrow")):
            _write(f"{report}/{number:07d}.parquet", table)
    except ray.exceptions.RayError as error:
        raise WavepaintError(f"Ray gave up: {one_line(error)[-500:]}") from None


def _rows_of(item: dict[str, Any], done: set[str]) -> Iterator[dict[str, bytes]]:
    """The rows of a part; those that have a result without their files, which says that they are skipped."""
    for row in pickle.loads(item["part"])():
        yield {"row": pickle.dumps(row._replace(image=None, mask=None) if row.result in done else row)}


@contextmanager
def _connected(cluster: Cluster, progress: bool) -> Iterator[Any]:
    """Ray, quiet; started or connected to for the occasion."""
    # Before Ray is imported: nothing here reports to anybody, and its own log stays in its files.
    os.environ |= {"RAY_BACKEND_LOG_LEVEL": "fatal", **os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
    import ray
    import ray.data

    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    address = cluster.address or os.environ.get("RAY_ADDRESS") or "local"
    more: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address == "local":
        cores = max(available_cores(), (cluster.workers or 1) * cluster.cores)
        more |= {"num_cpus": cores, "object_store_memory": 200 * 2**20}
        # Workers are as urgent as folder mode; by default their niceness is 15.
        more |= {"include_dashboard": False, "_node_ip_address": "127.0.0.1", "_system_config": {"worker_niceness": 0}}
    try:
        if address not in ("local", "auto"):  # Ray itself would wait for minutes if nobody listens
            host, _, port = address.rpartition(":")
            socket.create_connection((host.strip("[]"), int(port)), 5.0).close()
        connection = ray.init(address, **more)
    except Exception as error:  # Ray raises whatever it does, a bare `Exception` where it cannot start in time
        raise OptionError(f"{address}: Ray cannot be reached or started: {one_line(error)}") from None
    with connection, warnings.catch_warnings(action="ignore"):  # what makes a mixed pool is gone from Ray 2.64
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars, context.print_on_execution_start = progress, False
        context.target_max_block_size = BLOCK_BYTES
        yield ray


def read_report(output: str) -> list[dict[str, Any]]:
    """What became of each input last, as `worker.record` says it, while a batch runs or afterwards."""
    return _latest(_rows_in(output, [REPORT, *_parts(output)]))


def _latest(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    latest: dict[str, dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: row["finished"]):
        # That a result is skipped does not make one undone: the row with its hash stays.
        if row["status"] != "skipped" or latest.get(row["input"], row)["status"] != "done":
            latest[row["input"]] = row
    return list(latest.values())


def _parts(output: str, run: str = "") -> list[str]:
    names = storage.results_in(posixpath.join(output, PARTS))
    return [f"{PARTS}/{name}" for name in names if name.startswith(run) and name.endswith(".parquet")]


def _write(name: str, table: pa.Table) -> None:
    pq.write_table(table, stream := io.BytesIO())
    storage.write(name, stream.getvalue())


def _rows_in(output: str, names: list[str]) -> Iterator[dict[str, Any]]:
    for name in names:
        with suppress(FileNotFoundError):  # none yet, or merged by another run
            yield from pq.read_table(io.BytesIO(storage.read(posixpath.join(output, name)))).to_pylist()


def _merge(output: str, run: str, skipped: list[dict[str, Any]]) -> Counter[str]:
    """Make one file of the report; return the statuses of this run."""
    counts = Counter(row["status"] for row in _latest(_rows_in(output, _parts(output, run))))
    parts = _parts(output)
    rows = _latest([*_rows_in(output, [REPORT, *parts]), *skipped])
    _write(posixpath.join(output, REPORT), pa.Table.from_pylist(rows))
    for part in parts:
        storage.remove(posixpath.join(output, part))
    return counts + Counter(skipped=len(skipped))
