"""The root of the command line."""

from __future__ import annotations

from typing import Annotated

import typer

from wavepaint import __version__
from wavepaint.cli.commands import LazyCommands, examples, new_app

COMMANDS = ("inpaint", "find", "restore", "info", "export", "masks", "train", "evaluate", "serve", "site", "batch")


class _Commands(LazyCommands):
    modules = {name: f"wavepaint.cli.{name}" for name in COMMANDS}  # noqa: RUF012


app = new_app(
    cls=_Commands,
    help="Fill holes in images with a small wavelet network that ships inside the package.",
    no_args_is_help=True,
    add_completion=True,
    epilog=examples(
        "wavepaint inpaint image.jpg mask.png -o clean.jpg",
        "wavepaint serve",
        "wavepaint inpaint --help",
    ),
)


def main() -> None:
    """Run the command line; exit status 0 = done, 1 = some files failed, 2 = bad input, 130 = interrupted."""
    app(prog_name="wavepaint")


def _show_version(requested: bool) -> None:
    if requested:
        typer.echo(f"wavepaint {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    """Declare the options that stand before a command."""
