"""What shows a run: its metrics and samples, on disk and in TensorBoard or Weights & Biases.

The loop reports to its callbacks what happens, and knows nothing of curves or terminals.
"""

from __future__ import annotations

import csv
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wavepaint.errors import OptionError
from wavepaint.files import atomic_write
from wavepaint.image.vips import encode_png
from wavepaint.training.folder import METRICS, SAMPLES, TENSORBOARD

if TYPE_CHECKING:
    from lightning.fabric.loggers.logger import Logger

Row = Mapping[str, float]
Grid = NDArray[np.uint8]

LOGGERS = ("tensorboard", "wandb")
"""What besides the CSV file can record a run."""


class Callback:
    """Observes and does nothing; subclasses override what they care for."""

    def on_note(self, message: str) -> None:
        """Something worth a line happened."""

    def on_step(self, step: int, fraction: float | None, seconds_left: float | None) -> None:
        """A step was made, or the run was resumed at it; `fraction` of the run is done, None if that is unknown."""

    def on_row(self, step: int, row: Row, grid: Grid | None = None) -> None:
        """`metrics.csv` has a new row, of these columns.

        Either of some steps, means since the last ones and over all processes: `loss/NAME`, `loss/total`, `run/...`. Or
        of a validation, with the `grid` of `validation.sample_grid`: `validation/SCORE/KIND`, `validation/metric`,
        `validation/best`.
        """

    def close(self) -> None:
        """The run is over, or stopped."""


class Metrics(Callback):
    """Losses and scores through Lightning's loggers: `metrics.csv` always, others as asked; the last grid as a PNG.

    Only these two files matter to the run: when another logger cannot write, a note says so, and the run continues
    without it. What was recorded of steps after `step`, before a kill that the checkpoints do not know of, is dropped.
    """

    def __init__(self, folder: Path, step: int, loggers: Sequence[str], note: Callable[[str], None]) -> None:
        from lightning.fabric.loggers.csv_logs import CSVLogger

        self._folder, self._note = folder, note
        rows = [row for row in read_metrics(folder) if row["step"] <= step]
        self._csv = CSVLogger(folder, name="", version="", flush_logs_every_n_steps=1)
        with warnings.catch_warnings():
            # It warns that it replaces the file, whose rows are written again here.
            warnings.simplefilter("ignore")
            for row in rows:
                self._csv.experiment.log_metrics(row, int(row["step"]))
            self._csv.save()
        self._others = {name: _logger(name, folder, step) for name in loggers}

    def on_row(self, step: int, row: Row, grid: Grid | None = None) -> None:
        """See `Callback`."""
        self._csv.log_metrics(dict(row), step)
        if grid is not None:
            with atomic_write(self._folder / SAMPLES) as unfinished:
                unfinished.write_bytes(encode_png(grid))
        for name, logger in list(self._others.items()):
            try:
                logger.log_metrics(dict(row), step)
                logger.save()
                if grid is not None:
                    _log_image(logger, grid, step)
            except OSError as error:
                del self._others[name]
                self._note(f"{name}: cannot be written: {error.strerror or error}; the run continues without it")

    def close(self) -> None:
        """See `Callback`."""
        for logger in self._others.values():
            logger.finalize("success")


def _logger(name: str, folder: Path, step: int) -> Logger:
    if name == "tensorboard":
        from lightning.fabric.loggers.tensorboard import TensorBoardLogger

        return TensorBoardLogger(folder, name=TENSORBOARD, version="", purge_step=step + 1)
    try:
        from lightning.pytorch.loggers import WandbLogger

        return WandbLogger(project="wavepaint", name=folder.resolve().name, save_dir=folder)
    except ImportError:
        raise OptionError("the logger wandb needs a package: pip install wandb") from None


def _log_image(logger: Any, grid: Grid, step: int) -> None:
    title = "hole, filled, true"
    if hasattr(logger, "log_image"):  # Weights & Biases
        logger.log_image(title, [grid], step)
    else:
        logger.experiment.add_image(title, grid, step, dataformats="HWC")
        logger.experiment.flush()


def read_metrics(folder: Path) -> list[dict[str, float]]:
    """The rows of a run's `metrics.csv`, without empty cells; a line that was cut short ends them."""
    rows: list[dict[str, float]] = []
    with suppress(FileNotFoundError, ValueError), (folder / METRICS).open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            values = {name: float(value) for name, value in row.items() if name and value}
            if "step" not in values or None in row.values():
                break
            rows.append(values)
    return rows
