"""The command line of the laboratory, `python -m lab`: a file for each command."""

from __future__ import annotations

from wavepaint.cli.commands import LazyCommands, new_app


class _Commands(LazyCommands):
    modules = {  # noqa: RUF012
        "evaluate": "wavepaint.cli.evaluate",
        **{name: f"lab.cli.{name}" for name in ("ablate", "study", "benchmark", "damage", "prepare", "results")},
        "by-source": "lab.cli.by_source",
    }


app = new_app(cls=_Commands, help="Studies, measurements and data preparation around wavepaint.", no_args_is_help=True)


def main() -> None:
    app(prog_name="python -m lab")


@app.callback()
def _root() -> None:
    """Nothing stands before a command."""
