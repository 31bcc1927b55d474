"""What an evaluation leaves behind: a page to read, tables to compute with, and the console's table.

Nothing here depends on the time, the place or the machine's name: the same evaluation writes the same files.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wavepaint import __version__
from wavepaint.evaluation.charts import COLOURS, line_chart
from wavepaint.evaluation.metrics import AREA_BINS, METRICS, Metric, Picture, Summary
from wavepaint.evaluation.outputs import whole_folder
from wavepaint.evaluation.results import RANKED_BY, SET_METRICS, Case, Results, SetScore, SummaryRow

if TYPE_CHECKING:
    from rich.table import Table as RichTable

SUMMARY_FILE = "summary.csv"
CHARTED = ("hole_psnr", "hole_ssim", "hole_lpips_vgg", "hole_lpips_alex", "texture_ratio")
HEADLINE = (
    "hole_psnr",
    "hole_ssim",
    "hole_lpips_vgg",
    "lpips_vgg",
    "lpips_alex",
    "dists",
    "psnr",
    "ssim",
    "texture_ratio",
)
"""What the terminal shows of what was measured; a training loss is not among it."""


@dataclass(frozen=True)
class Table:
    """Text cells below a header; `bold[row][column]` marks the best of a column, or a difference that is sure."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    bold: tuple[tuple[bool, ...], ...]


@dataclass(frozen=True)
class Provenance:
    """What a report says about its origin.

    Attributes:
        test_set: name of the test set's folder.
        test_set_sha256: of its manifest; "" without one.
        methods: for every method what identifies it: a version, a hash.
        seed: of the bootstrap.
    """

    test_set: str
    test_set_sha256: str
    methods: Mapping[str, str]
    seed: int = 0


def write_report(results: Results, summaries: Sequence[SummaryRow], folder: str | Path, provenance: Provenance) -> None:
    """Write the folder of a report: all of it or nothing; an earlier report there is replaced.

    `report.html` (with `pictures/`), `tables.md`, `summary.csv` (every mean with its standard deviation, 95 %
    interval and paired difference to the first method), `sets.csv` (scores of whole sets), `scores.csv` (per
    picture; also `scores.parquet` when pyarrow is installed) and `provenance.json`.

    `summaries` are `results.summaries(provenance.seed)`.

    Raises:
        OptionError: the folder holds something else.
    """
    tables = score_tables(results, summaries)
    with whole_folder(Path(folder), SUMMARY_FILE) as made:
        _write(made / "scores.csv", _csv(*_score_columns(results)))
        _write_parquet(made / "scores.parquet", *_score_columns(results))
        _write(made / SUMMARY_FILE, _csv(*_summary_columns(summaries)))
        set_scores = results.set_scores()
        _write(
            made / "sets.csv",
            _csv(
                ("kind", "method", "metric", "value"),
                [(s.kind, s.method, s.metric, s.value) for s in set_scores],
            ),
        )
        tables += set_score_tables(results, set_scores)
        _write(made / "tables.md", "\n".join(map(markdown, tables)))
        _write(made / "provenance.json", json.dumps(_origin(provenance), indent=1) + "\n")
        pictures = _write_pictures(results, made / "pictures")
        _write(made / "report.html", _page(results, summaries, tables, pictures, provenance))


def score_tables(results: Results, summaries: Sequence[SummaryRow]) -> list[Table]:
    """Per kind of mask: the means with their 95 % intervals, then the paired differences to the first method."""
    tables = []
    for kind in results.kinds:
        chosen = [row for row in summaries if row.kind == kind and row.area_bin is None]
        count = chosen[0].summary.count
        tables.append(_table(f"{kind}: {count} holes, mean [95 % interval]", results, chosen))
        if len(results.methods) > 1:
            tables.append(_table(f"{kind}: difference to {results.methods[0]} [95 % interval]", results, chosen, True))
    return tables


def bin_tables(results: Results, summaries: Sequence[SummaryRow]) -> list[Table]:
    """The means of every kind of mask in every 10 % area bin that occurs."""
    keys = dict.fromkeys((row.kind, row.area_bin) for row in summaries if row.area_bin is not None)
    tables = []
    for kind, index in keys:
        chosen = [row for row in summaries if row.kind == kind and row.area_bin == index]
        tables.append(_table(f"{kind}, {_bin_label(index)} %: {chosen[0].summary.count} holes", results, chosen))
    return tables


def set_score_tables(results: Results, set_scores: Sequence[SetScore]) -> list[Table]:
    """Per kind of mask: the scores of all its pictures together."""
    tables = []
    for kind in results.kinds:
        scores = {(s.metric, s.method): s.value for s in set_scores if s.kind == kind}
        names = [name for name in SET_METRICS if any(metric == name for metric, _ in scores)]
        values = [[scores[name, method] for name in names] for method in results.methods]
        metrics = [SET_METRICS[name] for name in names]
        tables.append(
            Table(
                f"{kind}: scores of the whole set",
                ("method", *(metric.label for metric in metrics)),
                tuple(
                    (method, *(f"{value:.{metric.digits}f}" for value, metric in zip(line, metrics, strict=True)))
                    for method, line in zip(results.methods, values, strict=True)
                ),
                _best(values, metrics),
            )
        )
    return tables


def console_tables(results: Results, summaries: Sequence[SummaryRow]) -> list[RichTable]:
    """One table per kind of mask for the terminal: the means of the most asked-for metrics."""
    from rich.markup import escape as plain
    from rich.table import Table as RichTable

    widest = min(max(map(len, results.methods)), 24)
    names = [name for name in results.metrics if name in HEADLINE]
    tables = []
    for kind in results.kinds:
        rows = {(s.method, s.metric): s.summary for s in summaries if s.kind == kind and s.area_bin is None}
        values = [[rows[method, name].mean for name in names] for method in results.methods]
        best = _best(values, [METRICS[name] for name in names])
        count = rows[results.methods[0], names[0]].count
        table = RichTable(title=f"{kind}, {count} holes")
        table.add_column("method", min_width=widest, overflow="fold")
        for name in names:
            table.add_column(METRICS[name].label, justify="right")
        for method, line, marks in zip(results.methods, values, best, strict=True):
            cells = [f"{value:.{METRICS[name].digits}f}" for name, value in zip(names, line, strict=True)]
            table.add_row(
                plain(method), *(f"[bold]{c}[/bold]" if mark else c for c, mark in zip(cells, marks[1:], strict=True))
            )
        tables.append(table)
    return tables


def markdown(table: Table) -> str:
    """A table as Markdown."""
    lines = [f"### {table.title}", "", "| " + " | ".join(table.header) + " |"]
    lines.append("|" + "---|" * len(table.header))
    for row, marks in zip(table.rows, table.bold, strict=True):
        cells = (f"**{cell}**" if mark else cell for cell, mark in zip(row, marks, strict=True))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def console_table(table: Table) -> RichTable:
    """A table as it is, for the terminal."""
    from rich.markup import escape
    from rich.table import Table as RichTable

    shown = RichTable(title=table.title)
    for number, name in enumerate(table.header):
        shown.add_column(name, justify="right" if number else "left", overflow="fold", no_wrap=number == 0)
    for row in table.rows:
        shown.add_row(*map(escape, row))
    return shown


def _table(title: str, results: Results, chosen: Sequence[SummaryRow], differences: bool = False) -> Table:
    found = {(row.method, row.metric): row for row in chosen}
    metrics = [METRICS[name] for name in results.metrics]
    rows, values, sure = [], [], []
    for method in results.methods:
        line = [found[method, name] for name in results.metrics]
        shown = [row.difference if differences else row.summary for row in line]
        rows.append((method, *(_cell(s, m.digits, differences) for s, m in zip(shown, metrics, strict=True))))
        values.append([row.summary.mean for row in line])
        sure.append((False, *(s is not None and (s.low > 0 or s.high < 0) for s in shown)))
    marks = tuple(sure) if differences else _best(values, metrics)
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


def _bin_label(index: int | None) -> str:
    return "all" if index is None else f"{index * 100 // AREA_BINS}-{(index + 1) * 100 // AREA_BINS}"


Columns = tuple[tuple[str, ...], list[tuple[Any, ...]]]


def _score_columns(results: Results) -> Columns:
    header = ("method", "kind", "name", "hole_area", "hole_pixels", *results.metrics)
    rows = [
        (r.method, r.kind, r.name, r.hole_area, r.hole_pixels, *(r.scores[name] for name in results.metrics))
        for r in results.rows
    ]
    return header, rows


def _summary_columns(summaries: Sequence[SummaryRow]) -> Columns:
    header = (
        *("kind", "area_percent", "method", "metric", "count", "mean", "std", "low", "high"),
        *("difference", "difference_low", "difference_high"),
    )
    rows = []
    for row in summaries:
        s, d = row.summary, row.difference
        difference = (d.mean, d.low, d.high) if d else ("", "", "")
        place = (row.kind, _bin_label(row.area_bin), row.method, row.metric)
        rows.append((*place, s.count, s.mean, s.std, s.low, s.high, *difference))
    return header, rows


def _csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for row in rows:
        # Six decimals: finer than any table, coarser than the last bits that another machine may round otherwise.
        writer.writerow([f"{cell:.6f}" if isinstance(cell, float) else cell for cell in row])
    return text.getvalue()


def _write_parquet(path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    try:
        pyarrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        return
    columns = zip(*rows, strict=True)
    parquet.write_table(pyarrow.table(dict(zip(header, map(list, columns), strict=True))), path)


def _origin(provenance: Provenance) -> dict[str, Any]:
    return {
        "wavepaint": __version__,
        "test_set": provenance.test_set,
        "test_set_manifest_sha256": provenance.test_set_sha256,
        "methods": dict(provenance.methods),
        "bootstrap_seed": provenance.seed,
    }


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _write_pictures(results: Results, folder: Path) -> dict[str, list[tuple[Case, list[str]]]]:
    """PNG files of the best and worst cases: truth, hole, then every method; relative paths in that order."""
    folder.mkdir()
    written: dict[str, list[tuple[Case, list[str]]]] = {}
    for title, cases in (("best", results.best), ("worst", results.worst)):
        written[title] = []
        for number, case in enumerate(cases, start=1):
            paths = []
            for column, picture in enumerate((case.item.truth, case.item.known, *case.composites)):
                name = f"{title}-{number:02d}-{column}.png"
                (folder / name).write_bytes(_small_png(picture))
                paths.append(f"{folder.name}/{name}")
            written[title].append((case, paths))
    return written


def _small_png(picture: Picture) -> bytes:
    import cv2

    _, data = cv2.imencode(".png", np.ascontiguousarray(picture[..., ::-1]))
    return data.tobytes()


_STYLE = """
:root { color-scheme: light dark; font: 15px/1.45 system-ui, sans-serif; }
body { margin: 2rem auto; max-width: 1200px; padding: 0 1rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin: .5rem 0 1.5rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid #8885; text-align: right; white-space: nowrap; }
th { white-space: normal; vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(360px, 1fr)); gap: 1rem; }
.legend span { margin-right: 1.2rem; white-space: nowrap; }
.legend i { display: inline-block; width: .8em; height: .8em; border-radius: 50%; margin-right: .35em; }
figure { margin: 0 0 1.2rem; overflow-x: auto; white-space: nowrap; }
figure div { display: inline-block; margin-right: .3rem; text-align: center; font-size: 12px; }
figure img { display: block; width: 180px; image-rendering: auto; }
figcaption { white-space: normal; }
code { font-size: .85em; overflow-wrap: anywhere; }
"""


def _page(
    results: Results,
    summaries: Sequence[SummaryRow],
    tables: Sequence[Table],
    pictures: Mapping[str, list[tuple[Case, list[str]]]],
    provenance: Provenance,
) -> str:
    title = f"Evaluation on {provenance.test_set}"
    parts = [
        f"<!doctype html>\n<html lang='en'><head><meta charset='utf-8'><title>{escape(title)}</title>",
        f"<meta name='viewport' content='width=device-width'><style>{_STYLE}</style></head><body>",
        f"<h1>{escape(title)}</h1>",
        _origin_html(provenance),
        "<p>Scores are taken on composites (the truth outside the hole, the method's 8-bit picture inside), values in "
        "[0, 1]. Intervals are 95 % percentile bootstrap intervals of the mean over pictures; differences are "
        "paired. Bold: the best of a column, and differences whose interval excludes zero.</p>",
        "<h2>Scores</h2>",
        *(_table_html(table) for table in tables),
        "<h2>By hole area</h2>",
        _legend(results.methods),
        f"<div class='charts'>{''.join(_charts(results, summaries))}</div>",
        "<details><summary>Tables by hole area</summary>",
        *(_table_html(table) for table in bin_tables(results, summaries)),
        "</details>",
    ]
    for name, cases in pictures.items():
        parts.append(f"<h2>The {len(cases)} {name} of {escape(results.methods[0])}</h2>")
        parts.append(f"<p>By {escape(METRICS[RANKED_BY].label)}.</p>")
        parts.extend(_figure(case, paths, results.methods) for case, paths in cases)
    return "\n".join(parts) + "\n</body></html>\n"


def _origin_html(provenance: Provenance) -> str:
    lines = [f"<li>{escape(name)}: <code>{escape(text)}</code></li>" for name, text in provenance.methods.items()]
    manifest = provenance.test_set_sha256 or "none"
    return (
        f"<p>wavepaint {__version__}; test set <b>{escape(provenance.test_set)}</b>, SHA-256 of its manifest "
        f"<code>{manifest}</code>; bootstrap seed {provenance.seed}.</p><ul>{''.join(lines)}</ul>"
    )


def _table_html(table: Table) -> str:
    header = "".join(f"<th>{escape(cell)}</th>" for cell in table.header)
    body = "".join(
        "<tr>"
        + "".join(
            f"<td>{'<b>' if mark else ''}{escape(cell)}{'</b>' if mark else ''}</td>"
            for cell, mark in zip(row, marks, strict=True)
        )
        + "</tr>"
        for row, marks in zip(table.rows, table.bold, strict=True)
    )
    return (
        f"<h3>{escape(table.title)}</h3><div class='scroll'><table><thead><tr>{header}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def _legend(methods: Sequence[str]) -> str:
    entries = (
        f"<span><i style='background:{COLOURS[number % len(COLOURS)]}'></i>{escape(method)}</span>"
        for number, method in enumerate(methods)
    )
    return f"<p class='legend'>{''.join(entries)}</p>"


def _charts(results: Results, summaries: Sequence[SummaryRow]) -> Iterable[str]:
    for kind in results.kinds:
        binned = {
            (row.method, row.metric, row.area_bin): row.summary
            for row in summaries
            if row.kind == kind and row.area_bin is not None
        }
        bins = sorted({index for _, _, index in binned if index is not None})
        for name in (name for name in CHARTED if name in results.metrics):
            series = {method: [binned.get((method, name, i)) for i in bins] for method in results.methods}
            title = f"{kind}: {METRICS[name].label}"
            yield line_chart(title, "hole area, % of the picture", [_bin_label(i) for i in bins], series)


def _figure(case: Case, paths: Sequence[str], methods: Sequence[str]) -> str:
    pictures = "".join(
        f"<div><img loading='lazy' src='{path}' alt='{escape(label)}'>{escape(label)}</div>"
        for path, label in zip(paths, ("truth", "hole", *methods), strict=True)
    )
    caption = f"{case.item.kind}/{case.item.name}, {case.value:.{METRICS[RANKED_BY].digits}f}"
    return f"<figure><figcaption>{escape(caption)}</figcaption>{pictures}</figure>"
