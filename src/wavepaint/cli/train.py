"""`wavepaint train`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from wavepaint.cli.commands import command
from wavepaint.cli.console import parse_weights
from wavepaint.errors import OptionError, needs_extra
from wavepaint.options import RECIPES, option


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What a run is, and on which hardware."""

    output: Path | None = option(None, "Folder of a new run.", flags=("-o", "--output"), metavar="RUN")
    resume: Path | None = option(None, "Resume the run in this folder.", metavar="RUN")
    recipe: str = option("default", f"{', '.join(RECIPES)}, or a YAML file.")
    change: tuple[str, ...] = option(
        (), "Change the recipe, e.g. batch=8 or data.workers=2.", flags=("--set",), metavar="KEY=VALUE"
    )
    init: str | None = option(None, 'Checkpoint to start from, or "default" for the packaged network.')
    hours: float | None = option(None, "Time budget; steps, crops and schedule are planned for it. 0.25 is 15 minutes.")
    weights: tuple[tuple[str, Path], ...] = option(
        (),
        "Weights of the network of a loss: vgg16, alexnet, lpips-alex, lpips-vgg.",
        metavar="NAME=FILE",
        parse=parse_weights,
    )
    logger: tuple[str, ...] = option(
        (), "Besides metrics.csv: tensorboard (the default), wandb, or none.", metavar="NAME"
    )
    accelerator: Literal["auto", "cpu", "cuda", "mps"] = option("auto", "What the training runs on.")
    devices: str = option("auto", "auto, how many, or which (0,2).")
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = option("auto", "Precision of the arithmetic.")


@command(
    "wavepaint train images/ -o run/ --hours 2",
    "wavepaint train images/ -o run/ --recipe finetune --init default --set batch=8",
    "wavepaint train --resume run/",
)
def train(
    images: Annotated[str | None, typer.Argument(help="Folder, image or .tar shards (train-{0000..0008}.tar).")] = None,
    *,
    options: RunOptions,
) -> None:
    """Train a network on images, or resume a run.

    Leaves best.safetensors and last.safetensors, for `wavepaint inpaint --model`, metrics.csv and samples.png in RUN.
    Ctrl-C stops after the step at hand, and --resume continues from there.
    """
    folder = options.resume or options.output
    if folder is None or (options.resume is None and images is None):
        raise OptionError("training needs IMAGES and -o RUN, or --resume RUN")
    new_only = (options.output, options.init, options.weights, options.logger)
    if options.resume is not None and (any(new_only) or options.recipe != "default"):
        raise OptionError("--resume RUN continues as the run began: without -o, --recipe, --init, --weights, --logger")
    if options.hours is not None and not 0 < options.hours <= 24 * 365:
        raise OptionError(f"--hours must be above 0, and at most a year, not {options.hours}")
    with needs_extra("wavepaint train", "train"):
        from wavepaint.cli.progress import TrainingProgress
        from wavepaint.training import run
        from wavepaint.training.loop import Settings
        from wavepaint.training.recipes import load_recipe
    seconds = None if options.hours is None else 3600 * options.hours
    hardware = run.Hardware(options.accelerator, options.devices, options.precision)
    callbacks = [TrainingProgress()]
    if options.resume is not None:
        outcome = run.resume(folder, hardware, callbacks, seconds, options.change, images)
    else:
        assert images is not None
        loggers = tuple(name for name in options.logger or ("tensorboard",) if name != "none")
        settings = Settings(images, folder, seconds, dict(options.weights), loggers)
        outcome = run.train(load_recipe(options.recipe, options.change, options.init), settings, hardware, callbacks)
    if outcome.signal is not None:
        typer.echo(f"wavepaint: {outcome.summary}; resume with: wavepaint train --resume {folder}", err=True)
        raise typer.Exit(128 + outcome.signal)
