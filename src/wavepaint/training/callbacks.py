"""What shows a run: metrics on disk and in TensorBoard or Weights & Biases, a terminal, and the page at the end.

The loop reports to its callbacks what happens, and knows nothing of files, curves or terminals. The page holds curves,
scores and images, and needs nothing else.
"""

from __future__ import annotations

import base64
import csv
import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wavepaint.data.images import Skipped
from wavepaint.errors import OptionError
from wavepaint.evaluation.charts import colour_of, drawing, svg_of
from wavepaint.evaluation.report import render
from wavepaint.evaluation.testset import encode_png
from wavepaint.files import atomic_write
from wavepaint.training.folder import METRICS, TENSORBOARD

if TYPE_CHECKING:
    from lightning.fabric.loggers.logger import Logger
    from rich.console import Console

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

    def on_row(self, step: int, row: Row, seconds_left: float | None, grid: Grid | None = None) -> None:
        """`metrics.csv` has a new row, of these columns.

        Either of some steps, means since the last ones and over all processes: `loss/NAME`, `loss/total`, `run/...`. Or
        of a validation, with the `grid` of `validation.sample_grid`: `validation/SCORE/KIND`, `validation/metric`,
        `validation/best`.
        """

    def close(self) -> None:
        """The run is over, or stopped."""


class Metrics(Callback):
    """Losses and scores through Lightning's loggers: `metrics.csv` always, others as asked.

    Only the CSV file matters to the run: when another logger cannot write, a note says so and the run continues without
    it. What was recorded of steps after `step`, before a kill that the checkpoints do not know of, is dropped.
    """

    def __init__(self, folder: Path, step: int, loggers: Sequence[str], note: Callable[[str], None]) -> None:
        from lightning.fabric.loggers.csv_logs import CSVLogger

        self._note = note
        rows = [row for row in read_metrics(folder) if row["step"] <= step]
        self._csv = CSVLogger(folder, name="", version="", flush_logs_every_n_steps=1)
        with warnings.catch_warnings():
            # It warns that it replaces the file, whose rows are written again here.
            warnings.simplefilter("ignore")
            for row in rows:
                self._csv.experiment.log_metrics(row, int(row["step"]))
            self._csv.save()
        self._others = {name: _logger(name, folder, step) for name in loggers}

    def on_row(self, step: int, row: Row, seconds_left: float | None, grid: Grid | None = None) -> None:
        """See `Callback`."""
        self._csv.log_metrics(dict(row), step)
        for name, logger in list(self._others.items()):
            try:
                logger.log_metrics(dict(row), step)
                logger.save()
                if grid is not None and name == "tensorboard":
                    writer: Any = logger.experiment  # type: ignore[attr-defined]
                    writer.add_image("hole, filled, true", grid, step, dataformats="HWC")
                    writer.flush()
            except OSError as error:
                del self._others[name]
                self._note(f"{name}: cannot be written: {error.strerror or error}; the run continues without it")

    def close(self) -> None:
        """See `Callback`."""
        for logger in self._others.values():
            with suppress(OSError):
                logger.finalize("success")


def _logger(name: str, folder: Path, step: int) -> Logger:
    if name == "tensorboard":
        from lightning.fabric.loggers.tensorboard import TensorBoardLogger

        # Looks for TensorFlow otherwise, and says so at length.
        logging.getLogger("tensorboard").setLevel(logging.ERROR)
        return TensorBoardLogger(folder, name=TENSORBOARD, version="", purge_step=step + 1)
    try:
        from lightning.pytorch.loggers import WandbLogger

        return WandbLogger(project="wavepaint", name=folder.resolve().name, save_dir=folder)
    except ImportError:
        raise OptionError("the logger wandb needs a package: pip install wandb") from None


def read_metrics(folder: Path) -> list[dict[str, float]]:
    """The rows of a run's `metrics.csv`, without empty cells; a line that was cut short ends them."""
    path = folder / METRICS
    rows: list[dict[str, float]] = []
    if path.is_file():
        with path.open(newline="", encoding="utf-8") as file, suppress(ValueError):
            for row in csv.DictReader(file):
                values = {name: float(value) for name, value in row.items() if name and value}
                if "step" not in values or None in row.values():
                    break
                rows.append(values)
    return rows


class Terminal(Callback):
    """A progress bar on a terminal, plain lines elsewhere."""

    def __init__(self, console: Console) -> None:
        from rich import progress

        self._console = console
        columns = ("step {task.fields[step]}  {task.fields[numbers]}", progress.BarColumn(), "{task.fields[left]}")
        self._bar = progress.Progress(*columns, console=console, disable=not console.is_terminal)
        self._task = self._bar.add_task("", total=1.0, step=0, numbers="", left="")

    def on_note(self, message: str) -> None:
        """See `Callback`."""
        self._console.print(message, markup=False, highlight=False, soft_wrap=True)

    def on_step(self, step: int, fraction: float | None, seconds_left: float | None) -> None:
        """See `Callback`."""
        # Not before there is something to see: nothing is reported to processes but the first.
        self._bar.start()
        total, completed = (None, 0.0) if fraction is None else (1.0, fraction)
        self._bar.update(self._task, total=total, completed=completed, step=step, left=_left(seconds_left))

    def on_row(self, step: int, row: Row, seconds_left: float | None, grid: Grid | None = None) -> None:
        """See `Callback`."""
        if "loss/total" in row:
            numbers = f"loss {row['loss/total']:.4f}  {row['run/images_per_second']:.1f} images/s"
            self._bar.update(self._task, numbers=numbers)
            if not self._console.is_terminal:
                self.on_note(f"step {step}  {numbers}  {_left(seconds_left)}".rstrip())
            return
        kinds: dict[str, str] = {}
        for score, kind in (key.split("/")[1:] for key in row if key.count("/") == 2):
            kinds[kind] = f"{kinds.get(kind, kind)} {score} {row[f'validation/{score}/{kind}']:.4f}"
        self.on_note(f"step {step}  validation{' (best)' * bool(row['validation/best'])}: {'; '.join(kinds.values())}")

    def close(self) -> None:
        """See `Callback`."""
        self._bar.stop()


def _left(seconds: float | None) -> str:
    return "" if seconds is None else f"{format_seconds(seconds)} left"


def format_seconds(seconds: float) -> str:
    """`2:05:09`, or `5:09` below an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def write_report(path: Path, record: Mapping[str, str], grid: Grid | None, skipped: Sequence[Skipped]) -> None:
    """Write the page, whole or not at all, into the folder of the run, whose metrics hold what happened.

    It shows the `record` that the run's networks hold, the `grid` of `validation.sample_grid`, and what was `skipped`.
    """
    rows = read_metrics(path.parent)
    steps, validations = ([row for row in rows if key in row] for key in ("loss/total", "validation/metric"))
    best = next((row for row in reversed(validations) if row["validation/best"]), None)
    text = render(
        "training.html",
        Path(__file__).parent,
        title=f"Training run {path.parent.resolve().name}",
        steps=steps,
        time=format_seconds(steps[-1]["run/seconds"]) if steps else "",
        validations=[("first", validations[0]), ("best", best), ("last", validations[-1])] if validations else [],
        grid=None if grid is None else base64.b64encode(encode_png(grid)).decode(),
        charts=[_chart(title, rows, keys) for title, keys in _curves(rows).items()],
        skipped=skipped,
        record=record,
    )
    with atomic_write(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def _curves(rows: Sequence[Row]) -> dict[str, list[str]]:
    """The columns that share a chart, by its title: losses, kinds of hole of a score, or one number of the run."""
    curves: dict[str, list[str]] = {}
    for key in dict.fromkeys(key for row in rows for key in row):
        if key.startswith("loss/") or key.count("/") == 2:
            curves.setdefault(key.rpartition("/")[0].replace("/", ": "), []).append(key)
        elif key in ("run/learning_rate", "run/images_per_second"):
            curves[key.removeprefix("run/").replace("_", " ")] = [key]
    return curves


def _chart(title: str, rows: Sequence[Row], keys: Sequence[str]) -> str:
    """Curves over steps as an `<svg>` element."""
    with drawing() as new_figure:
        figure = new_figure(figsize=(5.2, 2.8), layout="constrained")
        axes = figure.subplots()
        for number, key in enumerate(keys):
            points = [(row["step"], row[key]) for row in rows if key in row]
            style = ".-" if len(points) < 20 else "-"
            axes.plot(*zip(*points, strict=True), style, label=key.rpartition("/")[2], c=colour_of(number))
        axes.set(title=title.capitalize(), xlabel="step")
        axes.legend(fontsize=8)
        return svg_of(figure, title)
