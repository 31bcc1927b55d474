"""`wavepaint find` and `wavepaint restore`: masks of damage, and images without it."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from wavepaint.cli.commands import examples, new_app
from wavepaint.cli.console import print_line, progress_bar, report_others
from wavepaint.cli.declared import takes_options
from wavepaint.cli.interrupts import interruptible
from wavepaint.errors import OptionError
from wavepaint.options import Finding, Option

app = new_app()

Work = Callable[[Path, Path], str]
"""Image, result -> what is said about it."""
Images = Annotated[str, typer.Argument(metavar="IMAGE", help="An image, or a folder of them.")]


@dataclass(frozen=True, kw_only=True)
class Files:
    """What these commands write and say."""

    output: Annotated[str, Option("File or folder to write.", flags=("-o", "--output"), metavar="OUT")]
    model: Annotated[
        str | None, Option("Network that finds damage; by default the packaged one.", parse=str, metavar="FILE")
    ] = None
    overwrite: Annotated[bool, Option("Folders: replace results that exist instead of skipping them.")] = False
    quiet: Annotated[bool, Option("Report nothing but warnings and errors.", flags=("-q", "--quiet"))] = False


@app.command(
    epilog=examples(
        "wavepaint find scan.tif -o mask.png",
        "wavepaint find scans/ -o masks/ --kinds scratches,dust --sensitivity 0.7",
        "wavepaint inpaint scans/ -m masks/ -o clean/",
    )
)
@takes_options()
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

    run(image, files, finding, work, masks_only=True)


def run(image: str, files: Files, finding: Finding, work: Work, masks_only: bool = False) -> None:
    """Do one image or a folder; exit status 1 if some of a folder failed."""
    if not (image and files.output):
        raise OptionError(f"{'--output' if image else 'IMAGE'} is empty: name a file or a folder")
    if os.path.isdir(image):
        if finding.infrared not in (None, "band"):
            raise OptionError(f"{finding.infrared}: one infrared image is for one image; folders take --infrared band")
        _do_folder(image, files, work, masks_only)
        return
    target = Path(files.output)
    if target.is_dir() or files.output.endswith(("/", os.sep)):
        raise OptionError(f"{files.output}: is a folder: name a file, as for one image")
    if os.path.realpath(target) == os.path.realpath(image):
        raise OptionError(f"{target}: is the image itself: name another file with -o")
    started = time.monotonic()
    with interruptible():
        said = work(Path(image), target)
    if not files.quiet:
        print_line(f"{target}: {said} in {time.monotonic() - started:.1f} s")


def _do_folder(folder: str, files: Files, work: Work, masks_only: bool) -> None:
    from wavepaint.batch.folder import do_rows
    from wavepaint.batch.plan import Row, make_plan

    plan = make_plan(folder, None, files.output, needs_mask=False, format="png" if masks_only else None)
    results = {row.result for row in plan.rows}
    for row in () if masks_only else plan.rows:
        if str(mask_beside(Path(row.result))) in results:
            raise OptionError(f"{row.input}: its mask would replace the result of another image: rename one of them")
    if not files.quiet:
        report_others(plan.others)
    counts: Counter[str] = Counter()
    said: dict[str, str] = {}

    def do(row: Row, target: Path) -> None:
        assert isinstance(row.image, str)
        said[row.result] = work(Path(row.image), target)

    with interruptible() as check_interrupt, progress_bar("count", hidden=files.quiet) as progress:
        task = progress.add_task("", total=len(plan.rows))
        for outcome in do_rows(do, plan.rows, files.output, files.overwrite):
            check_interrupt()
            status = "done" if outcome.status == "filled" else outcome.status
            counts[status] += 1
            name = Path(files.output) / outcome.row.result
            line = (
                f"wavepaint: {outcome.reason}" if outcome.reason else f"{name}: {said.pop(outcome.row.result, status)}"
            )
            if outcome.reason or not files.quiet:
                progress.console.print(line, markup=False)
            progress.update(task, advance=1, description=outcome.row.result)
    if not files.quiet:
        print_line(", ".join(f"{counts[status]} {status}" for status in ("done", "skipped", "failed")))
    if counts["failed"]:
        raise typer.Exit(1)


def mask_beside(result: Path) -> Path:
    """Where the mask of a result is kept."""
    return result.with_name(f"{result.stem}-mask.png")


def share(part: float, what: str) -> str:
    """A share of the samples, 0 to 1, in words."""
    percent = 100 * part
    if percent == 0:
        return f"nothing {what}"
    return f"{percent:.2f} % {what}" if percent >= 0.005 else f"less than 0.01 % {what}"
