"""`wavepaint batch` and `wavepaint batch status`."""

from __future__ import annotations

import sys
from dataclasses import MISSING, dataclass
from typing import Annotated, Any

import typer

from wavepaint.batch.settings import Cluster
from wavepaint.cli.commands import CommandGroup, examples, new_app
from wavepaint.cli.console import report, report_others
from wavepaint.cli.declared import takes_options
from wavepaint.errors import OptionError, needs_extra
from wavepaint.options import Engine, Options, option

STATUSES = ("done", "skipped", "failed")


class _BatchCommands(CommandGroup):
    """`batch INPUT` is short for `batch run INPUT`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args if args[:1] in (["run"], ["status"]) else ["run", *args])


batch = new_app(cls=_BatchCommands, help="Fill many images on many machines; batch status OUTPUT: how far it is.")


@dataclass(frozen=True, kw_only=True)
class Files:
    """What a batch reads and writes."""

    output: str = option(
        MISSING, "Folder or URL for results and report.parquet.", flags=("-o", "--output"), metavar="OUT"
    )
    masks: str | None = option(None, "Folder of masks, or one for all; without it the inputs bring theirs.")
    image_column: str = option("image", "Parquet: column of paths or of files' contents.")
    mask_column: str = option("mask", "Parquet: likewise for masks.")
    overwrite: bool = option(False, "Replace results that exist instead of skipping them.")


@batch.command(
    "run",
    epilog=examples(
        "wavepaint batch s3://images/ --masks s3://masks/ -o s3://filled/",
        "wavepaint batch images.parquet -o filled/ --gpus 1",
        "wavepaint batch status filled/",
    ),
)
@takes_options("batch")
def run_batch(
    input: Annotated[
        str,
        typer.Argument(
            help="Folder, list (.txt, .tsv), or .parquet files or .tar shards by pattern; here or at a URL."
        ),
    ],
    *,
    files: Files,
    options: Options,
    engine: Engine,
    cluster: Cluster,
) -> None:
    """Fill many images on this machine or a Ray cluster; the same command again resumes.

    Results are those of `wavepaint inpaint`; what exists is skipped. OUT/report.parquet says of each input: done,
    skipped or failed with the reason, and the hash of the result. `wavepaint batch status OUT` says how far it is.
    """
    needs_mask = not (options.boxes or options.alpha)
    if files.masks is not None and not needs_mask:
        raise OptionError("give only one of --masks, --box and --alpha, to say what to fill")
    with needs_extra("wavepaint batch", "cluster"):
        from wavepaint.batch.cluster import read_report, run_batch
    from wavepaint.batch.plan import make_plan
    from wavepaint.batch.worker import Job
    from wavepaint.storage import absolute

    output, masks = absolute(files.output), None if files.masks is None else absolute(files.masks)
    plan = make_plan(absolute(input), masks, output, (files.image_column, files.mask_column), needs_mask)
    report_others(plan.others)
    job = Job(output, options, engine, cluster)
    counts = run_batch(plan, job, files.overwrite, progress=sys.stderr.isatty())
    if counts["failed"]:
        for row in [row for row in read_report(output) if row["status"] == "failed"][:10]:
            report(row["reason"])
    typer.echo(", ".join(f"{counts[status]} {status}" for status in STATUSES), err=True)
    if counts["failed"]:
        raise typer.Exit(1)


@batch.command("status")
def show_batch_status(
    output: Annotated[str, typer.Argument(help="Output folder or URL of a batch.")],
    failures: Annotated[int, typer.Option(help="Failures to list.")] = 10,
) -> None:
    """Count the results of a batch and read its report, while it runs or afterwards."""
    with needs_extra("wavepaint batch", "cluster"):
        from wavepaint.batch.cluster import REPORT, read_report
    from wavepaint.image.suffixes import is_image
    from wavepaint.storage import absolute, walk

    rows = read_report(absolute(output))
    reasons = {status: [row["reason"] for row in rows if row["status"] == status] for status in STATUSES}
    typer.echo(f"{'results':<16} {sum(map(is_image, walk(absolute(output))))}")
    for status in STATUSES:
        typer.echo(f"{status:<16} {len(reasons[status])}")
    typer.echo(f"{'seconds of work':<16} {sum(row['seconds'] for row in rows):.1f}")
    for reason in reasons["failed"][:failures]:
        typer.echo(f"  {reason}")
    if (more := len(reasons["failed"]) - failures) > 0:
        typer.echo(f"  and {more} more in {output}/{REPORT}")
