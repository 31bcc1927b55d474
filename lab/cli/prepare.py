"""`python -m lab prepare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wavepaint.cli.commands import command
from wavepaint.cli.console import progress_bar


@command()
def prepare(
    dataset: Annotated[str, typer.Argument(help="celeba-hq, imagenet or places.")],
    source: Annotated[str, typer.Argument(help="Folder or .tar shards of the copy that you downloaded.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DATA", help="Folder to write, or one to resume.")],
    lists: Annotated[
        Path | None, typer.Option(help="Folder with train.txt, val.txt, ...: a file name a line, for other splits.")
    ] = None,
) -> None:
    """Make shards of a data set in the published splits and sizes; the same call resumes after an interruption."""
    from lab import prepare as preparation
    from wavepaint.data.images import find_images

    chosen = preparation.find_dataset(dataset)
    with progress_bar() as progress:
        task = progress.add_task(chosen.title, total=chosen.total * len(chosen.sizes))
        for count in preparation.prepare(chosen, find_images(source), output, lists=lists):
            progress.advance(task, count)
