"""The rows of a plan on this machine: what becomes of each, in their order."""

from __future__ import annotations

import os
import posixpath
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from wavepaint.batch.plan import Row
from wavepaint.batch.storage import results_in
from wavepaint.errors import OptionError, WavepaintError
from wavepaint.inpainter import Inpainter
from wavepaint.options import Options

CROPS_PER_IMAGE = 4
"""Guess of the work in one image, in crops of 256x256, for the choice of a runtime."""
MAX_WORKERS = 8
"""Images in memory at a time, whatever the number of cores."""


class Outcome(NamedTuple):
    """What became of a row: "filled", "skipped" (its result existed), or "failed" with a line that names the file."""

    row: Row
    status: str
    reason: str = ""


def inpaint_folder(
    inpainter: Inpainter,
    rows: Sequence[Row],
    output: str,
    options: Options,
    overwrite: bool = False,
    workers: int | None = None,
) -> Iterator[Outcome]:
    """Do rows of a folder or list, several at a time, and yield what became of each, in their order.

    While the network fills one image, others are decoded and encoded. A file that cannot be read, filled or written
    fails alone, whatever it raises. Results appear whole or not at all, and what killed runs have left half-written is
    removed. Once the iteration is given up, by Ctrl-C say, no row is begun any more; those under way are finished.

    Args:
        inpainter, rows, output, options: the network; what to do; the folder for results; and how.
        overwrite: replace results that exist instead of skipping their rows.
        workers: rows under way at a time, and images in memory; by default one per core, `MAX_WORKERS` at most.

    Raises:
        OptionError: less than one worker.
        CheckpointError, MissingExtraError: the network cannot be loaded.
    """
    workers = min(os.cpu_count() or 1, MAX_WORKERS) if workers is None else workers
    if workers < 1:
        raise OptionError(f"workers must be at least 1, got {workers}")
    there = results_in(output)
    done = set() if overwrite else there
    if waiting := sum(not row.problem and row.result not in done for row in rows):
        inpainter.load(expected_crops=CROPS_PER_IMAGE * waiting)
    executor = ThreadPoolExecutor(workers, thread_name_prefix="inpaint")
    try:
        under_way: deque[Future[Outcome]] = deque()
        for row in rows:
            # One more than are worked on, so that no worker waits for the next.
            if len(under_way) > workers:
                yield under_way.popleft().result()
            under_way.append(executor.submit(_do, inpainter, row, output, options, done))
        while under_way:
            yield under_way.popleft().result()
    finally:
        executor.shutdown(cancel_futures=True)


def _do(inpainter: Inpainter, row: Row, output: str, options: Options, done: set[str]) -> Outcome:
    if row.problem or row.result in done:
        return Outcome(row, "failed" if row.problem else "skipped", row.problem)
    target = Path(posixpath.join(output, row.result))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        image, mask = (Path(each) if isinstance(each, str) else each for each in (row.image, row.mask))
        inpainter.fill(image, mask, options, target)
    except Exception as error:  # whatever one file does, the others are filled
        return Outcome(row, "failed", reason_of(row.input, error))
    return Outcome(row, "filled")


def reason_of(name: str, error: Exception) -> str:
    """One line that names the file and says what failed."""
    if isinstance(error, WavepaintError):
        return " ".join(str(error).split())
    return " ".join(f"{name}: {getattr(error, 'strerror', None) or f'{type(error).__name__}: {error}'}".split())
