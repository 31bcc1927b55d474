"""The page that a run leaves behind: curves, scores and images in one file that needs nothing else."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wavepaint.data.images import Skipped
from wavepaint.evaluation.charts import colour_of, drawing, svg_of
from wavepaint.evaluation.report import render
from wavepaint.evaluation.testset import encode_png
from wavepaint.files import atomic_write
from wavepaint.training.callbacks import Row, format_seconds, read_metrics


def write_report(
    path: Path, record: Mapping[str, str], grid: NDArray[np.uint8] | None, skipped: Sequence[Skipped]
) -> None:
    """Write a run's `report.html`, whole or not at all.

    Args:
        path: of the page, in the folder of the run, whose metrics hold what happened.
        record: what the run's networks say of where they come from, the recipe included.
        grid: what `validation.sample_grid` made; None without validation.
        skipped: images that could not be read.
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
