"""`python -m lab ablate`."""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from wavepaint.cli.commands import command
from wavepaint.cli.console import report
from wavepaint.errors import MissingExtraError
from wavepaint.options import option

Study = Literal["no-dwt", "wavelet", "level", "modules", "prefill", "texture", "cross-data", "mask-size", "efficiency"]


@dataclass(frozen=True, kw_only=True)
class Material:
    """What a study is made with."""

    output: Path = option(MISSING, "Folder of a new run, or of one to resume.", flags=("-o", "--output"), metavar="RUN")
    images: tuple[str, ...] = option(
        (), "Folder, image or .tar shards to train on, for studies that train; cross-data takes several."
    )
    test: tuple[Path, ...] = option(
        (), "Test set that `masks make` wrote, for all but efficiency; cross-data takes several.", metavar="SET"
    )
    full: bool = option(False, "At full size, for an accelerator; by default half an hour of one core.")
    budget: str | None = option(None, "Training of all networks together: 90s, 10m, 2h.", metavar="TIME")
    steps: int | None = option(None, "Training steps of every network, instead of --budget.")
    test_images: int | None = option(None, "Of each test set, the first so many; 60, or all with --full.")
    seed: int = option(0, "Random seed.")
    method: tuple[str, ...] = option((), "mask-size: as of `evaluate`; package and network by default.")
    init: str | None = option(None, 'texture: "default" or a checkpoint to start from; by default the packaged one.')
    vgg_weights: Path | None = option(
        None,
        "texture, mask-size: VGG16 weights. Without it texture downloads them once, and mask-size measures neither "
        "LPIPS nor DISTS.",
        metavar="FILE",
    )
    peers: Path | None = option(
        None, "efficiency: folder with lama.py and migan.py; by default that of the repository."
    )


@command()
def ablate(study: Annotated[Study, typer.Argument(help="The study.")], *, material: Material) -> None:
    """Study what the network owes to its parts: no-dwt, wavelet, level, modules, prefill, texture, cross-data,
    mask-size or efficiency.

    The same call in the same RUN resumes after an interruption. RUN receives report.html, results.json, tables.md and
    figures/.
    """
    try:
        from lab.ablation.run import StudyRequest, run_study
        from lab.durations import parse_duration
    except ImportError as error:
        raise MissingExtraError("python -m lab ablate", "train", str(error.name)) from None
    request = StudyRequest(
        study,
        images=material.images,
        tests=material.test,
        full=material.full,
        budget=None if material.budget is None else parse_duration(material.budget),
        steps=material.steps,
        test_images=material.test_images,
        seed=material.seed,
        methods=material.method,
        init=material.init,
        vgg_weights=material.vgg_weights,
        peers=material.peers,
    )
    finished = run_study(request, material.output, report)
    typer.echo(finished.conclusion)
