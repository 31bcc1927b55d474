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
from wavepaint.cli.inpaint import is_folder, is_same
from wavepaint.cli.interrupts import interruptible
from wavepaint.errors import OptionError
from wavepaint.options import Finding, option

if TYPE_CHECKING:
    from wavepaint.batch.plan import Row
    from wavepaint.find import Finder

Work = Callable[[Path, Path], str]
"""Image, result -> what is said about it."""
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


def run(image: str, files: Files, finding: Finding, finder: Finder, work: Work, with_mask: bool = False) -> None:
    """Do one image or a folder; exit status 1 if some of a folder failed. What is written is never what is read.

    `with_mask`: each result has a mask beside it, `mask_of`.
    """
    if not (image and files.output):
        raise OptionError(f"{'--output' if image else 'IMAGE'} is empty: name a file or a folder")
    own, folder = finding.infrared in (None, "band"), os.path.isdir(image)
    if folder and not own:
        raise OptionError(f"{finding.infrared}: one infrared image is for one image; folders take --infrared band")
    with interruptible() as check_interrupt:
        if folder:
            rows = _plan(image, files, with_mask)
        else:
            _check_targets([image] if own else [image, finding.infrared], files.output, with_mask)
        if finding.infrared is None:
            finder.load()
        if folder:
            _do_folder(rows, files, work, check_interrupt)
            return
        started = time.monotonic()
        summary = work(Path(image), Path(files.output))
    if not files.quiet:
        print_line(f"{files.output}: {summary} in {time.monotonic() - started:.1f} s")


def _check_targets(inputs: list[str], output: str, with_mask: bool) -> None:
    """Fail before the work, not after it, and write over nothing that is read."""
    from wavepaint.image.sources import check_target

    if is_folder(output):
        raise OptionError(f"{output}: is a folder: name a file, as for one image")
    for target in [Path(output), *([mask_of(Path(output))] if with_mask else [])]:
        for number, name in enumerate(inputs):
            if is_same(target, name):
                raise OptionError(f"{target}: is the {('image', 'infrared image')[number]} itself: name another output")
        check_target(target)


def _plan(folder: str, files: Files, with_mask: bool) -> list[Row]:
    """The images of a folder; one whose mask would replace what is written for another has a problem."""
    from wavepaint.batch.plan import make_plan

    plan = make_plan(folder, None, files.output, needs_mask=False, format=None if with_mask else "png")
    if not files.quiet:
        report_others(plan.others)
    rows = list(plan.rows)
    written = {Path(row.result): row.input for row in rows}
    for number, row in enumerate(rows if with_mask else ()):
        mask = mask_of(Path(row.result))
        if (other := written.setdefault(mask, row.input)) != row.input and not row.problem:
            problem = f"{row.input}: its mask would replace what is written for {other}, {Path(files.output) / mask}"
            rows[number] = row._replace(problem=problem)
    return rows


def _do_folder(rows: list[Row], files: Files, work: Work, check_interrupt: Callable[[], None]) -> None:
    from wavepaint.batch.folder import do_rows

    def do(row: Row, target: Path) -> str:
        assert isinstance(row.image, str)
        return work(Path(row.image), target)

    outcomes = do_rows(do, rows, files.output, files.overwrite)
    if show_outcomes(outcomes, len(rows), files.output, check_interrupt, "done", files.quiet, verbose=True)["failed"]:
        raise typer.Exit(1)


def mask_of(result: Path) -> Path:
    """Where the mask of a result is kept."""
    return result.with_name(f"{result.stem}-mask.png")
