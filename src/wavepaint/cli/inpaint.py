"""`wavepaint inpaint`."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wavepaint.cli.commands import new_app
from wavepaint.cli.console import progress_bar
from wavepaint.cli.declared import takes_options
from wavepaint.cli.interrupts import interruptible
from wavepaint.errors import OptionError, PhotoError
from wavepaint.options import Engine, Option, Options

if TYPE_CHECKING:
    from wavepaint.batch.folder import Job
    from wavepaint.inpainter import Inpainter

STREAM = "-"


app = new_app()


@dataclass(frozen=True, kw_only=True)
class Files:
    """What `wavepaint inpaint` reads and writes."""

    output: Annotated[
        str, Option("File or folder to write, or - for standard output.", flags=("-o", "--output"), metavar="OUT")
    ]
    overwrite: Annotated[bool, Option("Folders: replace results that exist instead of skipping them.")] = False


@app.command()
@takes_options()
def inpaint(
    image: Annotated[str, typer.Argument(help="Photograph, folder of photographs, or - for standard input.")],
    mask: Annotated[
        str | None,
        typer.Argument(help="Mask (white = hole), folder of masks, or -. Leave it out with --box or --alpha."),
    ] = None,
    *,
    files: Files,
    options: Options,
    engine: Engine,
) -> None:
    """Fill the hole of a photograph, or of every photograph in a folder.

    In a folder, sub-folders are kept, and each photograph takes the mask of the same name from the folder of masks, or
    the one mask given for all. Existing results are skipped; a bad file is reported and does not stop the rest.
    """
    output = files.output
    for name, value in (("IMAGE", image), ("MASK", mask), ("--output", output)):
        if value == "":
            raise OptionError(f"{name} is empty: name a file or a folder")
    if (mask is not None) + bool(options.boxes) + options.alpha != 1:
        raise OptionError("give either a MASK, --box or --alpha, to say what to fill")
    with interruptible() as check_interrupt:
        from wavepaint.inpainter import Inpainter

        inpainter = Inpainter(engine.model, engine.runtime, engine.threads)
        if image != STREAM and os.path.isdir(image):
            from wavepaint.batch.folder import plan_folder

            if STREAM in (mask, output):
                raise OptionError("a folder of photographs needs a mask and an output with a name, not -")
            if options.format is not None:
                raise OptionError("--format is for standard output; in a folder each name says its format")
            jobs = plan_folder(Path(image), None if mask is None else Path(mask), Path(output))
            if not _inpaint_folder(inpainter, jobs, options, files.overwrite, check_interrupt):
                raise typer.Exit(1)
        else:
            _inpaint_file(inpainter, image, mask, options, output)


def _inpaint_file(inpainter: Inpainter, image: str, mask: str | None, options: Options, output: str) -> None:
    """One photograph, each of its ends a file or a stream."""
    if image == STREAM and mask == STREAM:
        raise OptionError("only one of the photograph and the mask can come from standard input")
    if output == STREAM and sys.stdout.isatty():
        raise OptionError("standard output is a terminal: redirect it, or name a file with -o")
    if options.format is not None and output != STREAM:
        raise OptionError("--format is for standard output; the name of a file says its format")
    from wavepaint.image.sources import BytesPicture

    what = None if mask is None else _read_stdin() if mask == STREAM else Path(mask)
    target = None if output == STREAM else Path(output)
    picture: Path | BytesPicture = Path(image)
    if image == STREAM:
        picture = BytesPicture(_read_stdin(), target, "standard input")
    elif target is None:
        picture = BytesPicture(_read_file(image), name=image)
    result = inpainter.fill(picture, what, options, target)
    if target is None:
        sys.stdout.buffer.write(result)
        sys.stdout.buffer.flush()


def _inpaint_folder(
    inpainter: Inpainter, jobs: list[Job], options: Options, overwrite: bool, check_interrupt: Callable[[], None]
) -> bool:
    """Every photograph of a folder, with a progress bar on a terminal; whether all went well."""
    from collections import Counter

    from wavepaint.batch.folder import inpaint_folder

    started = time.monotonic()
    counts: Counter[str] = Counter()
    with progress_bar("rate") as progress:
        console = progress.console
        task = progress.add_task("", total=len(jobs), rate="")
        for outcome in inpaint_folder(inpainter, jobs, options, overwrite):
            check_interrupt()
            counts[outcome.status] += 1
            if outcome.reason:
                console.print(f"wavepaint: {outcome.reason}", markup=False)
            rate = f"{counts['filled'] / (time.monotonic() - started):.1f}/s"
            progress.update(task, advance=1, description=outcome.job.photo.name, rate=rate)
    seconds = time.monotonic() - started
    summary = ", ".join(f"{counts[status]} {status}" for status in ("filled", "skipped", "failed"))
    console.print(f"{summary} in {seconds:.1f} s", markup=False)
    return counts["failed"] == 0


def _read_stdin() -> bytes:
    return sys.stdin.buffer.read()


def _read_file(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise PhotoError(f"{path}: {error.strerror or error}") from None
