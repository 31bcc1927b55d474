"""`wavepaint evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wavepaint.cli.commands import command
from wavepaint.cli.console import parse_weights, progress_bar
from wavepaint.evaluation.registry import DEFAULT_METHODS, DEFAULT_METRICS


@command("wavepaint evaluate testset/ --method package --method opencv-telea -o report/")
def evaluate(
    test_set: Annotated[Path, typer.Argument(metavar="SET", help="Folder that `masks make` wrote.")],
    method: Annotated[
        list[str] | None,
        typer.Option(
            help="package (what `wavepaint inpaint` writes), package:MODEL, network (alone), haar, opencv-telea, "
            "opencv-ns, biharmonic, folder:RESULTS or a checkpoint. Repeatable; the first is what the others are "
            f"compared with. By default {', '.join(DEFAULT_METHODS)}."
        ),
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder of the report to write.")] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            help="Besides PSNR, SSIM and L1 (pixels): artefacts, lpips-vgg, dists, ssim-zero-padded, lpips-alex. "
            f"Repeatable. By default {', '.join(DEFAULT_METRICS)}."
        ),
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FILE",
            help="Weights of a metric's network, else downloaded once: vgg16, alexnet.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Random seed of the bootstrap intervals.")] = 0,
) -> None:
    """Score methods on a test set; the same call gives the same report, to the last byte."""
    from rich.console import Console

    from wavepaint.evaluation.report import write_report
    from wavepaint.evaluation.run import evaluate_set, provenance_of
    from wavepaint.evaluation.tables import console_tables
    from wavepaint.evaluation.testset import open_test_set

    chosen = open_test_set(test_set)
    methods = method or DEFAULT_METHODS
    with progress_bar() as progress:
        task = progress.add_task("evaluating", total=len(chosen))
        results = evaluate_set(
            chosen,
            methods,
            metrics=metric or DEFAULT_METRICS,
            weights=dict(parse_weights(text) for text in weights or ()),
            on_item=lambda: progress.advance(task),
        )
    summaries = results.summaries(seed)
    if output is not None:
        write_report(results, summaries, output, provenance_of(chosen, methods, seed))
    console = Console()
    for table in console_tables(results, summaries):
        console.print(table)
