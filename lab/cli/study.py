"""`python -m lab study serve` and `python -m lab study report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wavepaint.cli.commands import new_app
from wavepaint.errors import MissingExtraError

study = new_app(help="Ask people which of two results they prefer.", no_args_is_help=True)


@study.command("serve")
def serve(
    test_set: Annotated[Path, typer.Argument(metavar="SET", help="Folder that `masks make` wrote.")],
    methods: Annotated[
        str, typer.Option(metavar="A,B", help="Two or more with commas between them, as for `wavepaint evaluate`.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="VOTES.sqlite", help="File for the votes.")],
    host: Annotated[str, typer.Option(help="Address to bind to.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="TCP port; 0 takes any free one.")] = 8010,
    insecure_no_token: Annotated[
        bool, typer.Option("--insecure-no-token", help="Bind to any host, and let anybody vote.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Random seed of the order of questions.")] = 0,
) -> None:
    """Serve a page that shows two results side by side, without their names, and stores the votes."""
    try:
        from lab.study import run
    except ImportError as error:
        raise MissingExtraError("python -m lab study serve", "server", str(error.name)) from None
    from lab.study.trials import Study
    from lab.study.votes import Votes
    from wavepaint.evaluation.testset import open_test_set

    study = Study(open_test_set(test_set), [name.strip() for name in methods.split(",")], seed)
    votes = Votes(output, study.identity)
    try:
        run.serve(study, votes, host=host, port=port, insecure_no_token=insecure_no_token)
    finally:
        votes.close()


@study.command("report")
def report(
    votes: Annotated[Path, typer.Argument(metavar="VOTES.sqlite", help="File that `study serve` writes.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE.json", help="JSON file to write.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Random seed of the intervals.")] = 0,
) -> None:
    """Report which method was preferred, with intervals, overall and by kind of mask."""
    from rich.console import Console

    from lab.study.preference import preferences
    from lab.study.report import preference_tables, write_preferences
    from lab.study.votes import read_votes
    from wavepaint.evaluation.tables import console_table

    methods, ballots = read_votes(votes)
    participants = len({vote.participant for vote in ballots})
    preferred = preferences(methods, ballots, seed)
    if output is not None:
        write_preferences(preferred, participants, seed, output)
    console = Console()
    for table in preference_tables(preferred, participants):
        console.print(console_table(table))
