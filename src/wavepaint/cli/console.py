"""What commands print, and how they read numbers and names."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from wavepaint.errors import OptionError

if TYPE_CHECKING:
    from rich.progress import Progress

    from wavepaint.batch.folder import Outcome


def print_line(text: str) -> None:
    """One line of a result on standard error, which leaves standard output to files."""
    # A file name may hold line breaks.
    typer.echo(" ".join(text.splitlines()), err=True)


def report(message: str) -> None:
    """One line about what went wrong, or is worth knowing."""
    print_line(f"wavepaint: {message}")


def share(part: float, what: str, digits: int = 2) -> str:
    """A share of the samples, 0 to 1, in words: "7.50 % filled"."""
    percent, least = 100 * part, 10.0**-digits
    if percent == 0:
        return f"nothing {what}"
    return f"{percent:.{digits}f} % {what}" if percent >= least / 2 else f"less than {least:g} % {what}"


def report_others(others: list[str]) -> None:
    """Count and name the files of a folder that are no images."""
    if others:
        names = ", ".join(others[:5]) + (", ..." if len(others) > 5 else "")
        what = "1 file is not an image" if len(others) == 1 else f"{len(others)} files are not images"
        report(f"{what}: {names}")


def progress_bar(*fields: str, hidden: bool = False) -> Progress:
    """A progress bar on standard error, shown on terminals only, unless hidden; with further fields of its tasks."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    texts = [TextColumn(f"{{task.fields[{name}]}}") for name in fields]
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        *texts,
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, disable=hidden or not console.is_terminal, transient=True)


def show_outcomes(
    outcomes: Iterable[Outcome],
    total: int,
    output: str,
    check_interrupt: Callable[[], None],
    done: str,
    quiet: bool,
    verbose: bool,
) -> Counter[str]:
    """Go through a folder with a progress bar on a terminal; how many of its files ended how.

    Args:
        outcomes: of `batch.folder.do_rows`.
        total: how many there will be.
        output: the folder of the results.
        check_interrupt: called after each; see `interrupts.interruptible`.
        done: the word for status "filled" in the last line.
        quiet: say nothing but what has failed, and no last line.
        verbose: say something of those that have not failed, too.
    """
    started = time.monotonic()
    counts: Counter[str] = Counter()
    with progress_bar("rate", hidden=quiet) as progress:
        task = progress.add_task("", total=total, rate="")
        for outcome in outcomes:
            check_interrupt()
            counts[outcome.status] += 1
            if outcome.status == "failed":
                progress.console.print(f"wavepaint: {outcome.note}", markup=False)
            elif verbose and not quiet:
                text = f"{Path(output) / outcome.row.result}: {outcome.note or outcome.status}"
                progress.console.print(text, markup=False)
            rate = f"{counts['filled'] / (time.monotonic() - started):.1f}/s"
            progress.update(task, advance=1, description=outcome.row.result, rate=rate)
        if not quiet:
            words = (("filled", done), ("skipped", "skipped"), ("failed", "failed"))
            summary = ", ".join(f"{counts[status]} {word}" for status, word in words)
            progress.console.print(f"{summary} in {time.monotonic() - started:.1f} s", markup=False)
    return counts


def parse_weights(text: str) -> tuple[str, Path]:
    """`NAME=FILE` as its two parts; `OptionError` for anything else."""
    name, separator, path = text.partition("=")
    if not separator:
        raise OptionError(f"--weights {text}: must be NAME=FILE")
    return name, Path(path)
