"""From the folder of an evaluation's report to a stored result."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from lab.benchmark.machine import describe_machine
from wavepaint.errors import OptionError
from wavepaint.evaluation.metrics import METRICS
from wavepaint.evaluation.report import SUMMARY_FILE
from wavepaint.evaluation.tables import HEADLINE


def stored_evaluation(report: Path, title: str, command: str, conclusion: str) -> dict[str, Any]:
    """The headline scores of a report of `wavepaint evaluate`, a table per kind of mask; see `stored`.

    Raises:
        OptionError: a folder that holds no such report.
    """
    try:
        provenance = json.loads((report / "provenance.json").read_text(encoding="utf-8"))
        with (report / SUMMARY_FILE).open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["area_percent"] == "all"]
    except (OSError, ValueError, KeyError) as error:
        raise OptionError(f"{report}: no report of an evaluation: {error}") from None
    metrics = [name for name in HEADLINE if any(row["metric"] == name for row in rows)]
    cells = {
        (row["kind"], row["method"], row["metric"]): [float(row[key]) for key in ("mean", "low", "high")]
        for row in rows
    }
    tables = []
    for kind in dict.fromkeys(row["kind"] for row in rows):
        methods = dict.fromkeys(row["method"] for row in rows if row["kind"] == kind)
        count = next(row["count"] for row in rows if row["kind"] == kind)
        tables.append(
            {
                "id": kind,
                "title": f"{kind}, {count} holes",
                "columns": [[METRICS[name].label, METRICS[name].digits] for name in metrics],
                "rows": {method: [cells[kind, method, name] for name in metrics] for method in methods},
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
