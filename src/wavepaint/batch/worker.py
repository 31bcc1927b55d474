"""What runs on the machines of a cluster: a network loaded once, and rows done one after the other."""

from __future__ import annotations

import hashlib
import os
import pickle
import platform
import posixpath
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from wavepaint import storage
from wavepaint.batch.plan import Row
from wavepaint.batch.settings import Cluster
from wavepaint.errors import ImageError, failure_of
from wavepaint.files import scratch_folder, sweep_scratch
from wavepaint.inpainter import Inpainter
from wavepaint.options import Engine, Options
from wavepaint.runtime.loading import OPENVINO_REPAYS


class Job(NamedTuple):
    """What every worker has to know: `output` is a folder or URL, `model` the contents of `engine.model`."""

    output: str
    options: Options
    engine: Engine
    cluster: Cluster
    model: bytes = b""


class Worker:
    """Does rows, and never fails for one of them.

    A marker is written beside a result before its input is begun, and removed after it. Inputs whose marker is there
    already have ended a worker, or were with one that did: they are done one at a time, so that the one to blame
    is known if it happens again.

    Args:
        job: see `Job`. Runtime "auto" is torch on a GPU, else what a long job takes on a processor.
        gpu: whether it has (a share of) a GPU; None = what Ray has given it.
    """

    def __init__(self, job: Job, gpu: bool | None = None) -> None:
        if gpu is None:
            import ray

            gpu = bool(ray.get_gpu_ids())
        sweep_scratch()
        # The workers are the parallelism: libvips reads this when it is first loaded.
        os.environ.setdefault("VIPS_CONCURRENCY", str(job.cluster.cores))
        self._job, self._node = job, f"{platform.node()}{' (GPU)' * gpu}"
        self._concurrency = job.cluster.concurrency if gpu else 1
        self._read = lru_cache(2)(storage.read)  # an image, and the mask that they may all share
        with scratch_folder() as folder:
            model = folder / Path(job.engine.model or "").name if job.model else None
            if model:
                model.write_bytes(job.model)
            runtime = "torch" if gpu and job.engine.runtime == "auto" else job.engine.runtime
            self._inpainter = Inpainter(model, runtime, job.cluster.cores)
            self._inpainter.load(OPENVINO_REPAYS, shared=self._concurrency > 1)

    def __call__(self, batch: dict[str, Any]) -> pa.Table:
        """Rows, pickled in column `row`, to rows of the report."""
        rows = [pickle.loads(row) for row in batch["row"]]
        begun = [self._begun(row) for row in rows]
        with ThreadPoolExecutor(1 if any(begun) else self._concurrency) as pool:
            records = list(pool.map(self.do, rows, begun))
        for row, times in zip(rows, begun, strict=True):
            if times >= self._job.cluster.max_retries:
                self._unmark(row)  # not before the others are done: one of them may end this worker
        return pa.Table.from_pylist(records)

    def do(self, row: Row, begun: int = 0) -> dict[str, Any]:
        """Fill an image that was begun so often before; returns a row of the report."""
        if row.image is None:
            return record(row, "failed" if row.problem else "skipped", row.problem)
        if begun >= self._job.cluster.max_retries:
            reason = f"{row.input}: begun {begun} times without a result: it ends its worker, or takes too long"
            return record(row, "failed", reason)
        started = time.monotonic()
        timer = threading.Timer(self._job.cluster.deadline, os._exit, [1])  # nothing else stops a decoder that hangs
        timer.daemon = True
        status, reason, digest = "failed", "", ""
        alone: Any = warnings.catch_warnings(record=True, action="always")
        with alone if self._concurrency == 1 else nullcontext([]) as caught:
            try:
                storage.write(self._marker(row), b"." * (begun + 1))
                timer.start()
                digest = self._fill(row)
                status, reason = "done", "; ".join(dict.fromkeys(str(each.message) for each in caught))
            except Exception as error:  # stores and decoders raise whatever they do
                reason = failure_of(row.input, error)
        timer.cancel()
        self._unmark(row)
        return record(row, status, reason, digest, time.monotonic() - started, self._node)

    def _marker(self, row: Row) -> str:
        name = hashlib.sha256(row.result.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        return posixpath.join(self._job.output, posixpath.dirname(row.result), f".{name}.begun")

    def _begun(self, row: Row) -> int:
        with suppress(Exception):
            return len(storage.read(self._marker(row)))
        return 0

    def _unmark(self, row: Row) -> None:
        with suppress(Exception):
            storage.remove(self._marker(row))

    def _fill(self, row: Row) -> str:
        """Write a result; return the SHA-256 of its file."""
        target, suffix = posixpath.join(self._job.output, row.result), posixpath.splitext(row.result)[1]
        copied = any(isinstance(each, bytes) or "://" in (each or "") for each in (target, row.image, row.mask))
        with scratch_folder() if copied else nullcontext(Path(os.devnull)) as folder:
            image, mask = self._local(row.image, folder / f"image{suffix}"), self._local(row.mask, folder / "mask")
            written = folder / f"result{suffix}" if "://" in target else Path(target)
            try:
                self._inpainter.fill(image, mask, self._job.options, written)
            except Exception as error:
                reason = failure_of(row.input, error).replace(str(folder / f"image{suffix}"), row.input)
                called = row.mask if isinstance(row.mask, str) else f"the mask of {row.input}"
                raise ImageError(reason.replace(str(folder / "mask"), called)) from None
            content = written.read_bytes()
        if "://" in target:
            storage.write(target, content)
        return hashlib.sha256(content).hexdigest()

    def _local(self, source: str | bytes | None, name: Path) -> Path | None:
        """A file on this machine: the source itself, or a copy of that name."""
        if source is None or (isinstance(source, str) and "://" not in source):
            return Path(source) if source else None
        name.write_bytes(source if isinstance(source, bytes) else self._read(source))
        return name


def record(
    row: Row, status: str, reason: str = "", digest: str = "", seconds: float = 0.0, node: str = ""
) -> dict[str, Any]:
    r"""A row of the report; bytes of names that are not UTF-8 become `\xff`."""
    texts = {"input": row.input, "result": row.result, "status": status, "reason": reason, "sha256": digest}
    plain = {key: os.fsencode(text).decode(errors="backslashreplace") for key, text in texts.items()}
    return {**plain, "seconds": seconds, "node": node, "finished": time.time()}
