"""From the folder of an evaluation's report to a stored result."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lab.benchmark.machine import describe_machine
from wavepaint.errors import OptionError
from wavepaint.evaluation.metrics import METRICS
from wavepaint.evaluation.report import SUMMARY_FILE
from wavepaint.evaluation.results import SET_METRICS
from wavepaint.evaluation.tables import HEADLINE


def stored_evaluation(report: Path, title: str, command: str, conclusion: str) -> dict[str, Any]:
    """The headline scores of a report of `wavepaint evaluate`, and its scores of whole sets; see `stored`.

    Raises:
        OptionError: a folder that holds no such report.
    """
    try:
        provenance = json.loads((report / "provenance.json").read_text(encoding="utf-8"))
        rows = [row for row in _rows(report / SUMMARY_FILE) if row["area_percent"] == "all"]
        sets = _rows(report / "sets.csv")
    except (OSError, ValueError, KeyError) as error:
        raise OptionError(f"{report}: no report of an evaluation: {error}") from None
    tables = _tables(rows)
    chosen = {row["metric"]: SET_METRICS[row["metric"]] for row in sets}
    kinds = dict.fromkeys(row["kind"] for row in sets)
    values = {(row["method"], row["kind"], row["metric"]): float(row["value"]) for row in sets}
    tables.append(
        {
            "id": "sets",
            "title": "Scores of all holes of a kind together",
            "columns": [[f"{metric.label}, {kind}", metric.digits] for metric in chosen.values() for kind in kinds],
            "rows": {
                method: [values[method, kind, name] for name in chosen for kind in kinds]
                for method in provenance["methods"]
            },
        }
    )
    machine = describe_machine()
    described = "; ".join(f"{name}: {text}" for name, text in provenance["methods"].items())
    return {
        "title": title,
        "question": f"Scores on the test set {provenance['test_set']}, manifest SHA-256 "
        f"`{provenance['test_set_manifest_sha256'] or 'none'}`. {described}.",
        "command": command,
        "seed": provenance["bootstrap_seed"],
        "machine": f"{machine['processor']}, {machine['cores']} cores",
        "wavepaint": provenance["wavepaint"],
        "tables": tables,
        "conclusion": conclusion,
    }


def stored_study(run: Path, title: str, command: str, chosen: Sequence[str], conclusion: str = "") -> dict[str, Any]:
    """The conclusion and tables of a run of `python -m lab ablate`; see `stored`.

    Args:
        run: its folder.
        title: of the section.
        command: that made the run.
        chosen: beginnings of the titles of the tables to store.
        conclusion: instead of the study's own, which goes through all numbers.

    Raises:
        OptionError: a folder that holds no such run, or has no such table.
    """
    try:
        study = json.loads((run / "results.json").read_text(encoding="utf-8"))
        tables = {
            each["title"]: {
                "title": each["title"],
                "columns": [[label, 0] for label in each["header"][1:]],
                "rows": {
                    label: [_bold(*cell) for cell in zip(cells, bold[1:], strict=True)]
                    for (label, *cells), bold in zip(each["rows"], each["bold"], strict=True)
                },
            }
            for each in study["tables"]
        }
        settings = study.get("settings") or study["plan"]["settings"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OptionError(f"{run}: no run of a study: {error}") from None
    matching = [table for start in chosen for name, table in tables.items() if name.startswith(start)]
    if len(matching) < len(chosen):
        raise OptionError(f"{run}: has these tables: {'; '.join(tables)}")
    machine = study["machine"]
    return {
        "title": title,
        "question": " ".join((study["question"], *study["notes"])),
        "command": command,
        "seed": settings.get("seed"),
        "machine": f"{machine['processor']}, {machine['cores']} cores",
        "wavepaint": study["wavepaint"],
        "tables": [{"id": f"table-{number}", **table} for number, table in enumerate(matching, 1)],
        "conclusion": conclusion or study["conclusion"],
    }


def _bold(text: str, bold: bool) -> str:
    return f"**{text}**" if bold else text


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _tables(rows: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Means with intervals, and paired differences to the first method: a row for each kind of mask and method."""
    metrics = [name for name in HEADLINE if any(row["metric"] == name for row in rows)]
    columns = [[METRICS[name].label, METRICS[name].digits] for name in metrics]
    cells = {(f"{row['kind']}: {row['method']}", row["metric"]): row for row in rows}
    first, count = rows[0]["method"], rows[0]["count"]
    means, differences = ("mean", "low", "high"), ("difference", "difference_low", "difference_high")
    shown = {
        "overview": (f"Means over {count} holes of each kind", means, "none"),
        "headline": ("The same without the network alone", means, "network"),
        "differences": (f"Paired differences to {first}", differences, first),
    }
    return [
        {
            "id": name,
            "title": title,
            "columns": columns,
            "rows": {
                label: [[float(cells[label, metric][key]) for key in keys] for metric in metrics]
                for label in dict.fromkeys(label for label, _ in cells)
                if not label.endswith(f": {left_out}")
            },
        }
        for name, (title, keys, left_out) in shown.items()
    ]
