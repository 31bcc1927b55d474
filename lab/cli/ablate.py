"""`python -m lab ablate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wavepaint.cli.commands import new_app
from wavepaint.cli.console import report
from wavepaint.errors import MissingExtraError

app = new_app()


@app.command()
def ablate(
    study: Annotated[
        str,
        typer.Argument(
            help="no-dwt, wavelet, level, modules, prefill or texture (with --photos and --test), cross-data (several "
            "of both), mask-size (--test) or efficiency."
        ),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="RUN", help="Folder of a new run, or of one to resume.")
    ],
    photos: Annotated[
        list[str] | None, typer.Option(help="Folder, picture or .tar shards to train on. Repeatable for cross-data.")
    ] = None,
    test: Annotated[
        list[Path] | None, typer.Option(metavar="SET", help="Test set that `masks make` wrote. Repeatable.")
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="At full size, for an accelerator; by default under 20 minutes on one core.")
    ] = False,
    budget: Annotated[
        str | None, typer.Option(metavar="TIME", help="Training of all networks together: 90s, 10m, 2h.")
    ] = None,
    pictures: Annotated[
        int | None, typer.Option(help="Of each test set, the first so many; 60, or all with --full.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    model: Annotated[
        list[str] | None, typer.Option(help='mask-size: "default" or a checkpoint. Repeatable, to compare several.')
    ] = None,
    init: Annotated[
        str | None, typer.Option(help='texture: "default" or a checkpoint to start from; by default the packaged one.')
    ] = None,
    vgg_weights: Annotated[
        Path | None,
        typer.Option(
            "--vgg-weights",
            metavar="FILE",
            help="texture, mask-size: VGG16 weights. Without it texture downloads them once, and mask-size measures no "
            "VGG distance.",
        ),
    ] = None,
    peers: Annotated[
        Path | None, typer.Option(help="efficiency: folder with lama.py and migan.py; by default the repository's.")
    ] = None,
) -> None:
    """Study what the network owes to its parts: no-dwt, wavelet, level, modules, prefill, texture, cross-data,
    mask-size or efficiency.

    The same call in the same RUN resumes after an interruption. RUN receives report.html, results.json, tables.md and
    figures/.
    """
    try:
        from lab.ablation.run import run_study
        from wavepaint.training.schedule import parse_duration
    except ImportError as error:
        raise MissingExtraError("python -m lab ablate", "train", str(error.name)) from None
    finished = run_study(
        study,
        output,
        photos=photos or (),
        tests=test or (),
        full=full,
        budget=None if budget is None else parse_duration(budget),
        pictures=pictures,
        seed=seed,
        models=model or (),
        init=init,
        vgg_weights=vgg_weights,
        peers=peers,
        say=report,
    )
    typer.echo(finished.conclusion)
