"""What `wavepaint train` shows of a run: a progress bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, Progress

from wavepaint.training.callbacks import Callback, Grid, Row


class TrainingProgress(Callback):
    """Shows a run on standard error."""

    def __init__(self) -> None:
        self._console, self._left = Console(stderr=True), ""
        columns = ("step {task.fields[step]}  {task.fields[numbers]}", BarColumn(), "{task.fields[left]}")
        self._bar = Progress(*columns, console=self._console, disable=not self._console.is_terminal)
        self._task = self._bar.add_task("", total=1.0, step=0, numbers="", left="")

    def on_note(self, message: str) -> None:
        """See `Callback`."""
        self._console.print(message, markup=False, highlight=False, soft_wrap=True)

    def on_step(self, step: int, fraction: float | None, seconds_left: float | None) -> None:
        """See `Callback`."""
        self._left = "" if seconds_left is None else f"{timedelta(seconds=round(seconds_left))} left"
        total, completed = (None, 0.0) if fraction is None else (1.0, fraction)
        self._bar.update(self._task, total=total, completed=completed, step=step, left=self._left)
        # Not before there is something to see: nothing is reported to processes but the first.
        self._bar.start()

    def on_row(self, step: int, row: Row, grid: Grid | None = None) -> None:
        """See `Callback`."""
        if "loss/total" in row:
            numbers = f"loss {row['loss/total']:.4f}  {row['run/images_per_second']:.1f} images/s"
            self._bar.update(self._task, numbers=numbers)
            if not self._console.is_terminal:
                self.on_note(f"step {step}  {numbers}  {self._left}".rstrip())
            return
        kinds: dict[str, str] = {}
        for score, kind in (key.split("/")[1:] for key in row if key.count("/") == 2):
            kinds[kind] = f"{kinds.get(kind, kind)} {score} {row[f'validation/{score}/{kind}']:.4f}"
        self.on_note(f"step {step}  validation{' (best)' * bool(row['validation/best'])}: {'; '.join(kinds.values())}")

    def close(self) -> None:
        """See `Callback`."""
        self._bar.stop()
