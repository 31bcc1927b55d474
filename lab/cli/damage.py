"""`python -m lab damage`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wavepaint.cli.commands import command


@command()
def damage(
    images: Annotated[str, typer.Argument(help="Held-out images: folder or .tar shards.")],
    training: Annotated[str, typer.Argument(help="Images of the training, on which the baselines are tuned.")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Default: lab/results/damage.json.")] = None,
    number: Annotated[int, typer.Option("--count", min=1, help="Held-out images.")] = 200,
    filled: Annotated[int, typer.Option(min=1, help="Of these, so many are filled, too.")] = 60,
    seed: Annotated[int, typer.Option(min=0, help="Of the damage.")] = 0,
    vgg_weights: Annotated[Path | None, typer.Option(help="VGG16 weights for LPIPS, instead of a download.")] = None,
) -> None:
    """Measure the damage detector: precision, recall and F1 by kind, marks on clean images, and restoring."""
    from lab.damage import stored
    from lab.results.stored import FOLDER
    from lab.writing import write_json
    from wavepaint.data.images import find_images

    content = stored(find_images(images), find_images(training), number, filled, seed, vgg_weights)
    write_json(output or FOLDER / "damage.json", content)
