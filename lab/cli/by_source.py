"""`python -m lab by-source`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wavepaint.cli.commands import command


@command()
def by_source(
    shards: Annotated[str, typer.Argument(help="WebDataset shards, as train-{0000..0008}.tar.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DATA", help="New folder.")],
    held_out: Annotated[int, typer.Option(min=1, help="Images of every source to test on.")] = 30,
    seed: Annotated[int, typer.Option(help="Decides which.")] = 0,
) -> None:
    """Part shards by the source that each image's record names, for `ablate cross-data`."""
    from lab.by_source import part_by_source
    from wavepaint.files import expand_braces

    paths = [Path(path) for path in expand_braces(shards)]
    for source, count in part_by_source(paths, output, held_out, seed).items():
        typer.echo(f"{output / source}: {count} images to train on, {held_out} to test on")
