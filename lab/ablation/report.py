"""What a study leaves behind: a page to read, its tables as Markdown, its figures, and all numbers as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from lab.ablation.figures import standalone
from lab.benchmark.machine import describe_machine
from wavepaint import __version__
from wavepaint.evaluation.report import Table, markdown
from wavepaint.files import replacing

_STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }
body { max-width: 1100px; margin: 2rem auto; padding: 0 1rem }
.scroll { overflow-x: auto }
table { border-collapse: collapse; margin-bottom: 1.5rem; font-variant-numeric: tabular-nums }
th, td { padding: .25rem .6rem; border-bottom: 1px solid #8885; text-align: right }
td { white-space: nowrap }
th:first-child, td:first-child { text-align: left }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(420px, 1fr)); gap: 1.5rem }
.conclusion { border-left: 4px solid #0072b2; padding-left: 1rem }
"""

INTERVALS = (
    "Scores are taken in the hole, on 8-bit composites. Intervals are 95 % bootstrap intervals of the mean over "
    "pictures, differences paired."
)
SEEDS = (
    "They say how sure a difference between these trained networks is. Another seed of training is a second source of "
    "chance, of which the difference between two seeds of the reference gives an idea."
)


@dataclass(frozen=True)
class Report:
    """The outcome of a study.

    Attributes:
        study: its name.
        question: what it asks.
        conclusion: a paragraph that follows from the intervals.
        notes: how it was measured, a paragraph each.
        tables: in order.
        figures: SVG elements by file name without its suffix.
        results: everything, for `results.json`.
    """

    study: str
    question: str
    conclusion: str
    notes: tuple[str, ...]
    tables: tuple[Table, ...]
    figures: Mapping[str, str]
    results: Mapping[str, Any]


def write_report(report: Report, folder: Path) -> None:
    """Write `figures/*.svg`, `tables.md`, `results.json` and `report.html`, each whole or not at all."""
    figures = folder / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    for name, svg in report.figures.items():
        _write(figures / f"{name}.svg", standalone(svg))
    _write(folder / "tables.md", "\n".join((report.conclusion + "\n", *map(markdown, report.tables))))
    results = {
        "study": report.study,
        "question": report.question,
        "conclusion": report.conclusion,
        "wavepaint": __version__,
        "machine": describe_machine(),
        **report.results,
    }
    _write(folder / "results.json", json.dumps(results, indent=1) + "\n")
    _write(folder / "report.html", _page(report))


def plain_table(title: str, header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Table:
    """A table without bold cells."""
    return Table(title, header, tuple(rows), tuple((False,) * len(header) for _ in rows))


def _page(report: Report) -> str:
    title = f"Ablation: {report.study}"
    machine = describe_machine()
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    facts = f"wavepaint {__version__}; {machine['processor']}, {machine['cores']} cores; {packages}"
    parts = [
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
        f'<meta name="viewport" content="width=device-width"><title>{escape(title)}</title>',
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>",
        f"<p><b>{escape(report.question)}</b></p>",
        f'<p class="conclusion">{escape(report.conclusion)}</p>',
        *(f"<p>{escape(note)}</p>" for note in report.notes),
        *(_table(table) for table in report.tables),
        f'<div class="figures">{"".join(report.figures.values())}</div>',
        f"<p>{escape(facts)}</p>",
    ]
    return "\n".join(parts) + "\n</body></html>\n"


def _table(table: Table) -> str:
    header = "".join(f"<th>{escape(cell)}</th>" for cell in table.header)
    rows = []
    for row, marks in zip(table.rows, table.bold, strict=True):
        cells = (f"<b>{escape(cell)}</b>" if mark else escape(cell) for cell, mark in zip(row, marks, strict=True))
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return (
        f'<h2>{escape(table.title)}</h2><div class="scroll"><table><thead><tr>{header}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _write(path: Path, text: str) -> None:
    with replacing(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8", newline="\n")
