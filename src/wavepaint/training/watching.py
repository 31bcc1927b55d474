"""Who looks on while a run goes on: a journal on disk, TensorBoard, a terminal.

The engine tells its watchers what happens and knows nothing of files, curves or terminals.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from wavepaint.files import atomic_write
from wavepaint.training.validation import Scores

if TYPE_CHECKING:
    from rich.console import Console

JOURNAL = "journal.jsonl"
TENSORBOARD = "tensorboard"


@dataclass(frozen=True)
class Progress:
    """How a run goes; means are over the steps since the last one and over all processes.

    Attributes:
        step: optimiser steps done.
        seconds: time trained, earlier sittings included.
        phase: number of the phase, from 0.
        side: of the crops, in pixels.
        loss: sum of `losses`.
        losses: weighted losses by name.
        learning_rate: of the last step.
        images_per_second: crops trained on, by all processes together.
        waiting: share of the time spent waiting for crops, 0 to 1.
        fraction: share of the run that is done; None when its length is not known.
        seconds_left: at the pace so far; None when the length is not known.
    """

    step: int
    seconds: float
    phase: int
    side: int
    loss: float
    losses: Mapping[str, float]
    learning_rate: float
    images_per_second: float
    waiting: float
    fraction: float | None
    seconds_left: float | None


@dataclass(frozen=True)
class Validated:
    """A validation.

    Attributes:
        step: optimiser steps done.
        seconds: time trained, earlier sittings included.
        scores: what was found.
        best: whether it is the best so far.
    """

    step: int
    seconds: float
    scores: Scores
    best: bool


class Watcher:
    """Looks on and does nothing; watchers override what they care for."""

    def note(self, message: str) -> None:
        """Something worth a line happened."""

    def progressed(self, progress: Progress) -> None:
        """Some steps were made."""

    def validated(self, validated: Validated, grid: NDArray[np.uint8]) -> None:
        """The network was validated; `grid` is what `validation.sample_grid` made."""

    def close(self) -> None:
        """The run is over, or stopped."""


class Journal(Watcher):
    """Every entry as a line of JSON in the folder of the run; the report is made from it.

    Args:
        folder: of the run.
        step: entries of later steps, written before a kill that the checkpoints do not know of, are dropped.

    Raises:
        OSError: naming the file, from every method: it cannot be written.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self._path = folder / JOURNAL
        kept = [json.dumps(entry) for entry in read_journal(folder) if entry["step"] <= step]
        with atomic_write(self._path) as unfinished:
            unfinished.write_text("".join(f"{line}\n" for line in kept))
        self._file = self._path.open("a")

    def progressed(self, progress: Progress) -> None:
        """See `Watcher`."""
        self._write({"kind": "progress", **asdict(progress)})

    def validated(self, validated: Validated, grid: NDArray[np.uint8]) -> None:
        """See `Watcher`."""
        self._write({"kind": "validation", **asdict(validated)})

    def close(self) -> None:
        """See `Watcher`."""
        self._file.close()

    def _write(self, entry: Mapping[str, Any]) -> None:
        try:
            self._file.write(json.dumps(entry) + "\n")
            self._file.flush()
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._path)) from None


def read_journal(folder: Path) -> Iterator[dict[str, Any]]:
    """The entries of a run's journal: fields of `Progress` or `Validated`, and `kind`; a line cut short ends them."""
    path = folder / JOURNAL
    if not path.is_file():
        return
    for line in path.read_text().splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            return


class TensorBoard(Watcher):
    """Scalars and picture grids for TensorBoard, in the folder of the run.

    The journal holds the same: when these files cannot be written, the run goes on without them.

    Args:
        folder: of the run.
        step: where the run goes on; TensorBoard drops what an earlier sitting showed beyond it.
        tell: called with a line when writing has failed.
    """

    def __init__(self, folder: Path, step: int, tell: Callable[[str], None]) -> None:
        # Looks for TensorFlow otherwise, and says so at length.
        logging.getLogger("tensorboard").setLevel(logging.ERROR)
        self._folder, self._tell = folder / TENSORBOARD, tell
        self._file: BinaryIO | None = None
        with self._optional():
            self._folder.mkdir(parents=True, exist_ok=True)
            # Sittings are read in the order of their files' names.
            name = f"events.out.tfevents.{time.time():017.6f}.{socket.gethostname()}.{os.getpid()}"
            self._file = (self._folder / name).open("xb")
        self._write(step + 1, {"file_version": "brain.Event:2"}, {"session_log": {"status": "START"}})

    def progressed(self, progress: Progress) -> None:
        """See `Watcher`."""
        from torch.utils.tensorboard.summary import scalar

        scalars = {f"loss/{name}": value for name, value in progress.losses.items()}
        scalars["loss/total"] = progress.loss
        for name in ("learning_rate", "images_per_second", "waiting", "side"):
            scalars[f"run/{name}"] = getattr(progress, name)
        self._write(progress.step, *({"summary": scalar(name, value)} for name, value in scalars.items()))

    def validated(self, validated: Validated, grid: NDArray[np.uint8]) -> None:
        """See `Watcher`."""
        from torch.utils.tensorboard.summary import image, scalar

        summaries = [
            scalar(f"validation {name}/{kind}", value)
            for kind, scores in validated.scores.by_kind.items()
            for name, value in scores.items()
        ]
        summaries.append(image("hole, filled, true", grid, dataformats="HWC"))
        self._write(validated.step, *({"summary": summary} for summary in summaries))

    def close(self) -> None:
        """See `Watcher`."""
        if self._file is not None:
            with self._optional():
                self._file.close()

    def _write(self, step: int, *events: Mapping[str, Any]) -> None:
        """Write and flush events here and now: the thread of PyTorch's writer dies of a full disk with a traceback."""
        from tensorboard.compat.proto.event_pb2 import Event  # type: ignore[import-untyped]
        from tensorboard.summary.writer.record_writer import RecordWriter  # type: ignore[import-untyped]

        if self._file is None:
            return
        records = RecordWriter(self._file)
        with self._optional():
            for event in events:
                records.write(Event(wall_time=time.time(), step=step, **event).SerializeToString())
            self._file.flush()

    @contextmanager
    def _optional(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if self._file is not None:
                with suppress(OSError):  # tries once more to write what is left
                    self._file.close()
                self._file = None
            self._tell(f"{self._folder}: cannot be written: {error.strerror or error}; the run goes on without it")


class Terminal(Watcher):
    """A progress bar on a terminal, plain lines elsewhere."""

    def __init__(self, console: Console) -> None:
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bar

        self._console = console
        columns = (
            TextColumn("step {task.fields[step]}  {task.fields[numbers]}"),
            BarColumn(),
            TextColumn("{task.fields[left]}"),
        )
        self._bar = Bar(*columns, console=console, disable=not console.is_terminal)
        self._task = self._bar.add_task("", total=1.0, step=0, numbers="", left="")

    def note(self, message: str) -> None:
        """See `Watcher`."""
        self._console.print(message, markup=False, highlight=False, soft_wrap=True)

    def progressed(self, progress: Progress) -> None:
        """See `Watcher`."""
        numbers = f"loss {progress.loss:.4f}  {progress.images_per_second:.1f} images/s"
        left = "" if progress.seconds_left is None else f"{format_seconds(progress.seconds_left)} left"
        if self._console.is_terminal:
            # Not before there is something to see: processes but the first are never told anything.
            self._bar.start()
            total, completed = (None, 0.0) if progress.fraction is None else (1.0, progress.fraction)
            self._bar.update(
                self._task, total=total, completed=completed, step=progress.step, numbers=numbers, left=left
            )
        else:
            self.note(f"step {progress.step}  {numbers}  {left}".rstrip())

    def validated(self, validated: Validated, grid: NDArray[np.uint8]) -> None:
        """See `Watcher`."""
        kinds = "; ".join(
            f"{kind} " + " ".join(f"{name} {value:.4f}" for name, value in scores.items())
            for kind, scores in validated.scores.by_kind.items()
        )
        self.note(f"step {validated.step}  validation{' (best)' if validated.best else ''}: {kinds}")

    def close(self) -> None:
        """See `Watcher`."""
        self._bar.stop()


def format_seconds(seconds: float) -> str:
    """`2:05:09`, or `5:09` below an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
