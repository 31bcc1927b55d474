"""`wavepaint train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wavepaint.cli.commands import new_app
from wavepaint.cli.console import parse_weights
from wavepaint.errors import MissingExtraError, OptionError

app = new_app()


@app.command()
def train(
    photographs: Annotated[
        str | None, typer.Argument(help="Folder, picture or .tar shards (train-{0000..0008}.tar).")
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="RUN", help="Folder of a new run.")] = None,
    resume: Annotated[Path | None, typer.Option(metavar="RUN", help="Go on with the run in this folder.")] = None,
    recipe: Annotated[
        str, typer.Option(help="default, finetune, film, stamps, faces, published, or a YAML file.")
    ] = "default",
    change: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Change the recipe, e.g. batch=8 or data.workers=2. Repeatable."
        ),
    ] = None,
    init: Annotated[
        str | None, typer.Option(help='Checkpoint to start from, or "default" for the packaged network.')
    ] = None,
    max_time: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Length of the whole run: 5m, 1h30m, 2d. The schedule follows it."),
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FILE", help="Weights of a loss's network: vgg16, alexnet, lpips-alex, lpips-vgg."),
    ] = None,
    accelerator: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    devices: Annotated[str, typer.Option(help="auto, how many, or which (0,2).")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, 32-true, bf16-mixed or 16-mixed.")] = "auto",
    tensorboard: Annotated[
        bool | None,
        typer.Option("--tensorboard/--no-tensorboard", help="Write what TensorBoard shows; on, or as the run had it."),
    ] = None,
) -> None:
    """Train a network on photographs, or go on with a run.

    Leaves best.safetensors and last.safetensors, for `wavepaint inpaint --model`, and report.html in RUN. Ctrl-C stops
    after the step at hand, and --resume goes on from there.
    """
    if resume is None and (photographs is None or output is None):
        raise OptionError("training needs PHOTOGRAPHS and -o RUN, or --resume RUN")
    if resume is not None and (output, init, weights, recipe) != (None, None, None, "default"):
        raise OptionError("--resume RUN goes on as the run began: without -o, --recipe, --init and --weights")
    from rich.console import Console

    try:
        from wavepaint.training import run
        from wavepaint.training.engine import Settings as RunSettings
        from wavepaint.training.recipes import load_recipe
        from wavepaint.training.schedule import parse_duration
        from wavepaint.training.watching import Terminal
    except ImportError as error:
        raise MissingExtraError("wavepaint train", "train", str(error.name)) from None
    seconds = None if max_time is None else parse_duration(max_time)
    hardware = run.Hardware(accelerator, devices, precision)
    watchers = [Terminal(Console(stderr=True))]
    if resume is not None:
        folder = resume
        outcome = run.resume(folder, hardware, watchers, seconds, change or (), photographs, tensorboard)
    else:
        assert photographs is not None
        assert output is not None
        folder = output
        files = dict(parse_weights(text) for text in weights or ())
        settings = RunSettings(photographs, folder, seconds, files, tensorboard is not False)
        outcome = run.train(load_recipe(recipe, change or (), init), settings, hardware, watchers)
    if outcome.signal is not None:
        typer.echo(
            f"wavepaint: stopped at step {outcome.step}; go on with: wavepaint train --resume {folder}", err=True
        )
        raise typer.Exit(128 + outcome.signal)
