"""Tables of scores: as values to format, as Markdown, and for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wavepaint.evaluation.metrics import AREA_BINS, METRICS, Metric, Summary
from wavepaint.evaluation.results import SET_METRICS, Means, Results, SetScores, Summaries

if TYPE_CHECKING:
    from rich.table import Table as RichTable

HEADLINE = ("hole_psnr", "hole_ssim", "lpips_vgg", "lpips_alex", "dists", "texture_ratio")
"""What the terminal shows of what was measured; a training loss is not among it."""


@dataclass(frozen=True)
class Table:
    """Text cells below a header; `bold[row][column]` marks the best of a column, or a significant difference."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    bold: tuple[tuple[bool, ...], ...]


def score_tables(results: Results, summaries: Summaries) -> list[Table]:
    """Per kind of mask: the means with their 95 % intervals, then the paired differences to the first method."""
    tables = []
    for kind in results.kinds:
        means = summaries[kind, None]
        tables.append(_table(f"{kind}: {_count(means)} holes, mean [95 % interval]", results, means))
        if len(results.methods) > 1:
            tables.append(_table(f"{kind}: difference to {results.methods[0]} [95 % interval]", results, means, True))
    return tables


def bin_tables(results: Results, summaries: Summaries) -> list[Table]:
    """The means of every kind of mask in every 10 % area bin that occurs."""
    return [
        _table(f"{kind}, {bin_label(index)} %: {_count(means)} holes", results, means)
        for (kind, index), means in summaries.items()
        if index is not None
    ]


def _count(means: Means) -> int:
    return next(iter(means.values())).summary.count


def set_score_tables(results: Results, set_scores: SetScores) -> list[Table]:
    """Per kind of mask: the scores of all its images together."""
    tables = []
    for kind in results.kinds:
        names = [name for name in SET_METRICS if (kind, results.methods[0], name) in set_scores]
        values = [[set_scores[kind, method, name] for name in names] for method in results.methods]
        tables.append(_values(f"{kind}: scores of the whole set", results, values, [SET_METRICS[n] for n in names]))
    return tables


def _values(title: str, results: Results, values: Sequence[Sequence[float]], metrics: Sequence[Metric]) -> Table:
    """A number for every method and metric."""
    rows = [[f"{value:.{metric.digits}f}" for value, metric in zip(line, metrics, strict=True)] for line in values]
    lines = tuple((method, *row) for method, row in zip(results.methods, rows, strict=True))
    return Table(title, ("method", *(metric.label for metric in metrics)), lines, _best(values, metrics))


def markdown(table: Table) -> str:
    """A table as Markdown."""
    lines = [f"### {table.title}", "", "| " + " | ".join(table.header) + " |"]
    lines.append("|" + "---|" * len(table.header))
    for row, marks in zip(table.rows, table.bold, strict=True):
        cells = (f"**{cell}**" if mark else cell for cell, mark in zip(row, marks, strict=True))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def console_table(table: Table) -> RichTable:
    """A table for the terminal."""
    from rich.markup import escape
    from rich.table import Table as RichTable

    shown = RichTable(title=table.title)
    widest = min(max((len(row[0]) for row in table.rows), default=0), 24)
    shown.add_column(table.header[0], min_width=widest, overflow="fold")
    for name in table.header[1:]:
        shown.add_column(name, justify="right", overflow="fold")
    for row, marks in zip(table.rows, table.bold, strict=True):
        cells = zip(map(escape, row), marks, strict=True)
        shown.add_row(*(f"[bold]{cell}[/bold]" if mark else cell for cell, mark in cells))
    return shown


def _table(title: str, results: Results, means: Means, differences: bool = False) -> Table:
    metrics = [METRICS[name] for name in results.metrics]
    rows, values, significant = [], [], []
    for method in results.methods:
        line = [means[method, name] for name in results.metrics]
        shown = [mean.difference if differences else mean.summary for mean in line]
        rows.append((method, *(_cell(s, m.digits, differences) for s, m in zip(shown, metrics, strict=True))))
        values.append([mean.summary.mean for mean in line])
        significant.append((False, *(s is not None and (s.low > 0 or s.high < 0) for s in shown)))
    marks = tuple(significant) if differences else _best(values, metrics)
    return Table(title, ("method", *(m.label for m in metrics)), tuple(rows), marks)


def _cell(summary: Summary | None, digits: int, signed: bool) -> str:
    if summary is None:
        return "reference"
    sign = "+" if signed else ""
    return f"{summary.mean:{sign}.{digits}f} [{summary.low:.{digits}f}, {summary.high:.{digits}f}]"


def _best(values: Sequence[Sequence[float]], metrics: Sequence[Metric]) -> tuple[tuple[bool, ...], ...]:
    """For every line whether each cell, the name in front included, is the best of its column."""
    ideal = [metric.best(column) for column, metric in zip(zip(*values, strict=True), metrics, strict=True)]
    single = len(values) == 1
    return tuple(
        (False, *(not single and value == best for value, best in zip(line, ideal, strict=True))) for line in values
    )


def bin_label(index: int | None) -> str:
    """A bin of hole areas in per cent, "10-20"; None is "all"."""
    return "all" if index is None else f"{index * 100 // AREA_BINS}-{(index + 1) * 100 // AREA_BINS}"


def console_tables(results: Results, summaries: Summaries) -> list[RichTable]:
    """One table per kind of mask for the terminal: the means of the most asked-for metrics."""
    names = [name for name in results.metrics if name in HEADLINE]
    tables = []
    for kind in results.kinds:
        means = summaries[kind, None]
        values = [[means[method, name].summary.mean for name in names] for method in results.methods]
        title = f"{kind}, {_count(means)} holes"
        tables.append(console_table(_values(title, results, values, [METRICS[name] for name in names])))
    return tables
