"""`python -m lab results`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wavepaint.cli.commands import command
from wavepaint.errors import OptionError


@command()
def results(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; status 2 if a page is out of date.")] = False,
    store: Annotated[
        Path | None,
        typer.Option(metavar="REPORT", help="Store what `evaluate -o REPORT` or `ablate -o REPORT` left, first."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Of the stored result: lab/results/NAME.json.")] = None,
    title: Annotated[str, typer.Option(help="Its heading.")] = "Evaluation",
    command: Annotated[str, typer.Option(help="The command that made the report.")] = "",
    conclusion: Annotated[str, typer.Option(help="What the intervals say; a study says it itself.")] = "",
    table: Annotated[list[str] | None, typer.Option(help="Of a study: how the title of a table begins.")] = None,
) -> None:
    """Write docs/results.md and every quoted table from the JSON files in lab/results."""
    from lab.results.imported import stored_evaluation, stored_study
    from lab.results.stored import FOLDER, ROOT, stale_pages, write_pages
    from lab.writing import write_json

    if store is not None:
        if not name or not command or not (conclusion or table):
            raise OptionError("--store needs --name, --command and --conclusion, or --table for a study")
        if table:
            content = stored_study(store, title, command, table, conclusion)
        else:
            content = stored_evaluation(store, title, command, conclusion)
        write_json(FOLDER / f"{name}.json", content)
    if check:
        if stale := stale_pages():
            names = ", ".join(path.relative_to(ROOT).as_posix() for path in stale)
            raise OptionError(f"out of date, run python -m lab results: {names}")
        return
    for path in write_pages():
        typer.echo(path.relative_to(ROOT).as_posix())
