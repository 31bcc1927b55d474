"""`wavepaint find` and `wavepaint restore`: masks of damage, and images without it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wavepaint.cli.commands import command
from wavepaint.cli.console import print_line, report_others, share, show_outcomes
from wavepaint.cli.inpaint import is_same
from wavepaint.cli.interrupts import interruptible
from wavepaint.errors import OptionError
from wavepaint.options import Finding, option

if TYPE_CHECKING:
    from wavepaint.batch.folder import Outcome
    from wavepaint.batch.plan import Row
    from wavepaint.find import Finder

Work = Callable[[Path, Path], str]
"""Image, result -> what is said about it."""
Outputs = Callable[[Path], list[Path]]
"""Result -> all files that are written with it."""
Images = Annotated[str, typer.Argument(metavar="IMAGE", help="An image, or a folder of them.")]


@dataclass(frozen=True, kw_only=True)
class Files:
    """What these commands write and say."""

    output: str = option(MISSING, "File or folder to write.", flags=("-o", "--output"), metavar="OUT")
    model: str | None = option(
        None, "Network that finds damage; by default the packaged one.", parse=str, metavar="FILE"
    )
    overwrite: bool = option(False, "Folders: replace results that exist instead of skipping them.")
    quiet: bool = option(False, "Report nothing but warnings and errors.", flags=("-q", "--quiet"))


@command(
    "wavepaint find scan.tif -o mask.png",
    "wavepaint find scans/ -o masks/ --kinds scratches,dust --sensitivity 0.7",
)
def find(image: Images, *, files: Files, finding: Finding) -> None:
    """Find scratches, dust and stamps in an image, or in every image of a folder, and write masks of them.

    Look at a mask, correct it in any editor, and give it to `wavepaint inpaint`. White marks damage.
    """
    from wavepaint.find import Finder, write_mask

    finder = Finder(files.model)

    def work(source: Path, target: Path) -> str:
        mask = finder.find(source, finding)
        write_mask(mask, target)
        return share(float(mask.mean()), "found")

    run(image, files, finding, finder, work)


def run(
    image: str, files: Files, finding: Finding, finder: Finder, work: Work, outputs: Outputs = lambda target: [target]
) -> None:
    """Do one image or a folder; exit status 1 if some of a folder failed. What is written is never what is read."""
    if not (image and files.output):
        raise OptionError(f"{'--output' if image else 'IMAGE'} is empty: name a file or a folder")
    own = finding.infrared in (None, "band")
    with interruptible() as check_interrupt:
        if os.path.isdir(image):
            if not own:
                only = "one infrared image is for one image; folders take --infrared band"
                raise OptionError(f"{finding.infrared}: {only}")
            rows = _plan(image, files, outputs)
        else:
            _check_targets([image] if own else [image, finding.infrared], files.output, outputs)
        if finding.infrared is None:
            finder.load()
        if os.path.isdir(image):
            _do_folder(rows, files, work, check_interrupt)
            return
        started = time.monotonic()
        said = work(Path(image), Path(files.output))
    if not files.quiet:
        print_line(f"{files.output}: {said} in {time.monotonic() - started:.1f} s")


def _check_targets(inputs: list[str], output: str, outputs: Outputs) -> None:
    """Fail before the work, not after it, and write over nothing that is read."""
    from wavepaint.image.sources import check_target

    if os.path.isdir(output) or output.endswith(("/", os.sep)):
        raise OptionError(f"{output}: is a folder: name a file, as for one image")
    for target in outputs(Path(output)):
        for number, name in enumerate(inputs):
            if is_same(target, name):
                raise OptionError(f"{target}: is the {('image', 'infrared image')[number]} itself: name another output")
        check_target(target)


def _plan(folder: str, files: Files, outputs: Outputs) -> list[Row]:
    """The images of a folder; one whose mask would replace what is written for another has a problem."""
    from wavepaint.batch.plan import make_plan

    plan = make_plan(folder, None, files.output, needs_mask=False, format=None if outputs is with_mask else "png")
    if not files.quiet:
        report_others(plan.others)
    rows: list[Row] = []
    written = {Path(row.result): row.input for row in plan.rows}
    for row in plan.rows:
        taken = [path for path in outputs(Path(row.result)) if written.setdefault(path, row.input) != row.input]
        if taken and not row.problem:
            whose = f"what is written for {written[taken[0]]}, {Path(files.output) / taken[0]}"
            row = row._replace(problem=f"{row.input}: its mask would replace {whose}")
        rows.append(row)
    return rows


def _do_folder(rows: list[Row], files: Files, work: Work, check_interrupt: Callable[[], None]) -> None:
    from wavepaint.batch.folder import do_rows

    said: dict[str, str] = {}

    def do(row: Row, target: Path) -> None:
        assert isinstance(row.image, str)
        said[row.result] = work(Path(row.image), target)

    def line(outcome: Outcome) -> str:
        return f"{Path(files.output) / outcome.row.result}: {said.pop(outcome.row.result, outcome.status)}"

    outcomes = do_rows(do, rows, files.output, files.overwrite)
    if show_outcomes(outcomes, len(rows), check_interrupt, line, "done", files.quiet)["failed"]:
        raise typer.Exit(1)


def with_mask(result: Path) -> list[Path]:
    """A result and where its mask is kept."""
    return [result, result.with_name(f"{result.stem}-mask.png")]
