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
from wavepaint.evaluation.tables import Table
from wavepaint.files import atomic_write
from wavepaint.image.vips import libvips
from wavepaint.training.callbacks import format_seconds, read_metrics

Row = Mapping[str, float]


def write_report(
    path: Path, folder: Path, record: Mapping[str, str], grid: NDArray[np.uint8] | None, skipped: Sequence[Skipped]
) -> None:
    """Write a run's `report.html`, whole or not at all.

    Args:
        path: of the page.
        folder: of the run; its metrics hold what happened.
        record: what the run's networks say of where they come from, the recipe included.
        grid: what `validation.sample_grid` made; None without validation.
        skipped: images that could not be read.

    Raises:
        OSError: the page cannot be written.
    """
    rows = read_metrics(folder)
    steps = [row for row in rows if "loss/total" in row]
    validations = [row for row in rows if "validation/metric" in row]
    text = render(
        "training.html",
        Path(__file__).parent,
        title=f"Training run {folder.resolve().name}",
        summary=_summary(steps),
        table=_scores(validations),
        grid=None if grid is None else base64.b64encode(_png(grid)).decode(),
        charts=_charts(steps, validations),
        skipped=skipped,
        record=record,
    )
    with atomic_write(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def _summary(steps: Sequence[Row]) -> str:
    if not steps:
        return "No steps were made."
    last = steps[-1]
    rate, waiting = (np.mean([row[f"run/{name}"] for row in steps]) for name in ("images_per_second", "waiting"))
    return (
        f"{last['step']:.0f} steps in {format_seconds(last['run/seconds'])}, {rate:.1f} images/s; "
        f"{waiting:.1%} of the time was spent waiting for crops."
    )


def _names(validations: Sequence[Row]) -> list[tuple[str, str]]:
    """Score and kind of hole of every column of a validation."""
    keys = [key.split("/") for key in (validations[0] if validations else ()) if key.count("/") == 2]
    return [(score, kind) for _, score, kind in keys]


def _scores(validations: Sequence[Row]) -> Table | None:
    """First, best and last validation, by kind of hole."""
    names = _names(validations)
    if not names:
        return None
    metrics = list(dict.fromkeys(score for score, _ in names))
    best = next((row for row in reversed(validations) if row["validation/best"]), validations[0])
    rows = [
        (kind, f"{label}, step {row['step']:.0f}", *(f"{row[f'validation/{score}/{kind}']:.4f}" for score in metrics))
        for kind in dict.fromkeys(kind for _, kind in names)
        for label, row in (("first", validations[0]), ("best", best), ("last", validations[-1]))
    ]
    bold = tuple((False,) * len(row) for row in rows)
    return Table("Validation", ("holes", "validation", *metrics), tuple(rows), bold)


def _charts(steps: Sequence[Row], validations: Sequence[Row]) -> list[str]:
    losses = dict.fromkeys(key for row in steps for key in row if key.startswith("loss/"))
    charts = [_chart("Training loss", steps, {key.removeprefix("loss/"): key for key in losses})]
    names = _names(validations)
    for score in dict.fromkeys(score for score, _ in names):
        curves = {kind: f"validation/{score}/{kind}" for each, kind in names if each == score}
        charts.append(_chart(f"Validation: {score}", validations, curves))
    for name in ("learning_rate", "images_per_second"):
        charts.append(_chart(name.replace("_", " ").capitalize(), steps, {name: f"run/{name}"}))
    return [chart for chart in charts if chart]


def _chart(title: str, rows: Sequence[Row], curves: Mapping[str, str]) -> str:
    """Curves over steps as an `<svg>` element; "" where there is nothing to draw."""
    if not rows or not curves:
        return ""
    with drawing() as new_figure:
        figure = new_figure(figsize=(5.2, 2.8), layout="constrained")
        axes = figure.subplots()
        for number, (name, key) in enumerate(curves.items()):
            points = [(row["step"], row[key]) for row in rows if key in row]
            axes.plot(
                *zip(*points, strict=True), label=name, c=colour_of(number), marker="." if len(points) < 20 else ""
            )
        axes.set(title=title, xlabel="step")
        axes.legend(fontsize=8)
        return svg_of(figure, title)


def _png(image: NDArray[np.uint8]) -> bytes:
    return bytes(libvips().Image.new_from_array(image).pngsave_buffer())
