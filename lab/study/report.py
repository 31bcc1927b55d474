"""Preferences as tables and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from lab.study.preference import Preference
from lab.writing import write_json
from wavepaint.evaluation.tables import Table

FORMAT = "wavepaint-preferences-1"


def preference_tables(preferences: Sequence[Preference], participants: int) -> list[Table]:
    """One table per kind of mask; bold is a preference whose interval excludes one half."""
    tables = []
    for kind in dict.fromkeys(row.kind for row in preferences):
        rows = [row for row in preferences if row.kind == kind]
        votes = sum(row.wins + row.ties + row.losses for row in rows) // 2
        reference = rows[0].method
        tables.append(
            Table(
                f"{kind}: {votes} votes of {participants} participants" if kind == "all" else f"{kind}: {votes} votes",
                ("method", "won", "tied", "lost", f"preferred to {reference}, % [95 % interval]"),
                tuple(
                    (row.method, str(row.wins), str(row.ties), str(row.losses), _share(row, rows[0])) for row in rows
                ),
                tuple((False,) * 4 + (row.low > 0.5 or row.high < 0.5,) for row in rows),
            )
        )
    return tables


def _share(row: Preference, reference: Preference) -> str:
    if row is reference:
        return "reference"
    return f"{100 * row.share:.1f} [{100 * row.low:.1f}, {100 * row.high:.1f}]"


def write_preferences(preferences: Sequence[Preference], participants: int, seed: int, target: Path) -> None:
    """Write preferences as JSON, whole or not at all; `OptionError` when that cannot be."""
    values = {
        "format": FORMAT,
        "participants": participants,
        "bootstrap_seed": seed,
        "preferences": [asdict(row) for row in preferences],
    }
    write_json(target, values)
