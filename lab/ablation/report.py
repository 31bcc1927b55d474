"""What a study leaves behind: a page to read, its tables as Markdown, its figures, and all numbers as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lab.benchmark.machine import describe_machine
from wavepaint import __version__
from wavepaint.evaluation.report import render
from wavepaint.evaluation.tables import Table, markdown
from wavepaint.files import atomic_write

INTERVALS = (
    "Scores are taken in the hole, on 8-bit composites. Intervals are 95 % bootstrap intervals of the mean over "
    "images, differences paired."
)
SEEDS = (
    "They are about these trained networks alone. Another seed of training is a second source of "
    "chance: what it changes is shown by seed, and by how far the reference's own seeds differ."
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
        _write(figures / f"{name}.svg", svg + "\n")
    _write(folder / "tables.md", "\n".join((report.conclusion + "\n", *map(markdown, report.tables))))
    results = {
        "study": report.study,
        "question": report.question,
        "conclusion": report.conclusion,
        "wavepaint": __version__,
        "machine": describe_machine(),
        "notes": report.notes,
        "tables": [asdict(table) for table in report.tables],
        **report.results,
    }
    _write(folder / "results.json", json.dumps(results, indent=1) + "\n")
    _write(folder / "report.html", _page(report))


def _page(report: Report) -> str:
    machine = describe_machine()
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    facts = f"wavepaint {__version__}; {machine['processor']}, {machine['cores']} cores; {packages}"
    templates = Path(__file__).parent / "templates"
    return render("study.html", templates, title=f"Ablation: {report.study}", report=report, facts=facts)


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8", newline="\n")
