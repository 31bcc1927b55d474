"""`wavepaint batch` and `wavepaint batch status`."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from wavepaint.cli.commands import CommandGroup, examples, new_app
from wavepaint.cli.console import progress_bar
from wavepaint.cli.declared import takes_options
from wavepaint.errors import MissingExtraError
from wavepaint.options import Engine, Option, Options


class _BatchCommands(CommandGroup):
    """`batch INPUT` is short for `batch run INPUT`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args if args[:1] in (["run"], ["status"]) else ["run", *args])


app = new_app(
    cls=_BatchCommands,
    help="Fill many photographs on many machines; batch status OUTPUT: how far it is.",
)


@dataclass(frozen=True, kw_only=True)
class Files:
    """What a batch reads and writes."""

    output: Annotated[
        str, Option("Folder or URL for results and manifest.parquet.", flags=("-o", "--output"), metavar="OUT")
    ]
    masks: Annotated[str | None, Option("Folder of masks, or one for all; without it the inputs bring theirs.")] = None
    photo_column: Annotated[str, Option("Parquet: column of paths or of files' contents.")] = "photo"
    mask_column: Annotated[str, Option("Parquet: likewise for masks.")] = "mask"
    overwrite: Annotated[bool, Option("Replace results that were there before instead of skipping them.")] = False
    retry_failed: Annotated[bool, Option("Fill again what failed before.")] = False


@dataclass(frozen=True, kw_only=True)
class Work:
    """How the work of a batch is spread."""

    address: Annotated[str | None, Option("Ray cluster to work on; by default RAY_ADDRESS, or this machine alone.")] = (
        None
    )
    workers: Annotated[int | None, Option("Workers at most; by default as many as there is room for.")] = None
    cores: Annotated[int, Option("Cores of a worker.")] = 1
    gpus: Annotated[float, Option("Graphics processors of a worker; 0.5 lets two share one.")] = 0
    together: Annotated[int, Option("Images a worker fills at a time; their crops of one size share runs.")] = 1
    group: Annotated[int, Option("Images handed out together: what a kill costs at most.")] = 32
    tries: Annotated[int, Option("Times an image may end its worker until it is set aside.")] = 3
    deadline: Annotated[float, Option("Seconds an image may take; then its worker is ended.")] = 600


@app.command(
    "run",
    epilog=examples(
        "wavepaint batch s3://photos/ --masks s3://masks/ -o s3://filled/",
        "wavepaint batch photos.parquet -o filled/ --gpus 1",
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
    work: Work,
) -> None:
    """Fill many photographs on this machine or a Ray cluster; the same command again goes on where it stopped.

    `wavepaint batch status OUTPUT` says how far it is, while it runs or afterwards.

    OUTPUT/manifest.parquet says of each input: done, skipped or failed with the reason, and the hash of the result.
    Results are those of `wavepaint inpaint`.
    """
    try:
        from wavepaint.batch import batch
        from wavepaint.batch.inputs import Columns
    except ImportError as error:
        raise MissingExtraError("wavepaint batch", "cluster", str(error.name)) from None
    wanted = batch.Batch(
        input=input,
        output=files.output,
        masks=files.masks,
        options=options,
        engine=engine,
        columns=Columns(files.photo_column, files.mask_column),
        group=work.group,
        together=work.together,
        tries=work.tries,
        deadline=work.deadline,
        overwrite=files.overwrite,
        retry_failed=files.retry_failed,
    )
    place = batch.Cluster(address=work.address, workers=work.workers, cores=work.cores, gpus=work.gpus)
    counts: dict[str, int] = {}
    with progress_bar() as progress, closing(batch.run_batch(wanted, place)) as steps:
        task = progress.add_task("batch", total=None)
        for step in steps:
            counts = step.counts
            for reason in step.reasons:
                progress.console.print(f"wavepaint: {reason}", markup=False)
            progress.update(task, total=step.total, completed=sum(counts.values()))
    typer.echo(", ".join(f"{count} {status}" for status, count in counts.items()), err=True)
    if counts["failed"]:
        raise typer.Exit(1)


@app.command("status")
def show_batch_status(
    output: Annotated[str, typer.Argument(help="Output folder or URL of a batch.")],
    failures: Annotated[int, typer.Option(help="Failures to list.")] = 10,
) -> None:
    """Say how far a batch is, while it runs or afterwards."""
    try:
        from wavepaint.batch.manifest import read_status
        from wavepaint.batch.storage import Place
    except ImportError as error:
        raise MissingExtraError("wavepaint batch", "cluster", str(error.name)) from None
    status = read_status(Place.of(output), failures)
    waiting = "unknown, shards are left" if status.waiting is None else str(status.waiting)
    lines = {
        **status.counts,
        "waiting": waiting,
        "drivers": status.sessions,
        "seconds of work": f"{status.seconds:.1f}",
    }
    if status.last is not None:
        lines["last record"] = datetime.fromtimestamp(status.last / 1000, UTC).isoformat(" ", "seconds")
    for name, value in lines.items():
        typer.echo(f"{name:<16} {value}")
    for record in status.failures:
        typer.echo(f"  {record.reason}")
    if (more := status.counts["failed"] - len(status.failures)) > 0:
        typer.echo(f"  and {more} more in {output}/manifest.parquet")
