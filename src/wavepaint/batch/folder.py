"""The rows of a plan on this machine: what becomes of each, in their order."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from wavepaint.batch.plan import Row
from wavepaint.cores import in_order
from wavepaint.errors import failure_of
from wavepaint.inpainter import CROPS_PER_IMAGE, Inpainter, thread_count
from wavepaint.options import Options
from wavepaint.storage import results_in


class Outcome(NamedTuple):
    """What became of a row: "filled", with what the work said, "skipped" (its result existed), or "failed", with a line
    that names the file."""

    row: Row
    status: str
    note: str = ""


def inpaint_folder(
    inpainter: Inpainter,
    rows: Sequence[Row],
    output: str,
    options: Options,
    overwrite: bool = False,
    threads: int | None = None,
) -> Iterator[Outcome]:
    """Fill rows of a folder; see `do_rows`.

    As many are under way at a time as `inpainter.thread_count` says: while the network fills one image, others are
    decoded and encoded.

    Raises:
        OptionError: less than one thread.
        CheckpointError, MissingExtraError: the network cannot be loaded.
    """
    threads = thread_count(threads)
    done = set() if overwrite else results_in(output)
    if waiting := sum(not row.problem and row.result not in done for row in rows):
        inpainter.load(expected_crops=CROPS_PER_IMAGE * waiting)

    def fill(row: Row, target: Path) -> None:
        image, mask = (Path(each) if isinstance(each, str) else each for each in (row.image, row.mask))
        inpainter.fill(image, mask, options, target)

    yield from do_rows(fill, rows, output, overwrite, threads)


def do_rows(
    work: Callable[[Row, Path], str | None], rows: Sequence[Row], output: str, overwrite: bool = False, threads: int = 1
) -> Iterator[Outcome]:
    """Do rows by `work`, which writes the result of one to a file, and yield what became of each, in their order.

    A file that cannot be read, filled or written fails alone, whatever it raises. `overwrite` replaces results that
    exist. Results appear whole or not at all, and what killed runs have left half-written is removed.
    """
    there = results_in(output)  # which removes it
    yield from in_order(partial(_do, work, output, set() if overwrite else there), rows, threads)


def _do(work: Callable[[Row, Path], str | None], output: str, done: set[str], row: Row) -> Outcome:
    if row.problem or row.result in done:
        return Outcome(row, "failed" if row.problem else "skipped", row.problem)
    target = Path(posixpath.join(output, row.result))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        return Outcome(row, "filled", work(row, target) or "")
    except Exception as error:  # whatever one file does, the others are filled
        return Outcome(row, "failed", failure_of(row.input, error))
