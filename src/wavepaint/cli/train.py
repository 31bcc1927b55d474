"""`wavepaint train`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from wavepaint.cli.commands import examples, new_app
from wavepaint.cli.console import parse_weights
from wavepaint.cli.declared import takes_options
from wavepaint.errors import MissingExtraError, OptionError
from wavepaint.options import Option

app = new_app()


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What a run is, and on which hardware."""

    output: Annotated[Path | None, Option("Folder of a new run.", flags=("-o", "--output"), metavar="RUN")] = None
    resume: Annotated[Path | None, Option("Resume the run in this folder.", metavar="RUN")] = None
    recipe: Annotated[str, Option("default, finetune, film, stamps, faces, published, or a YAML file.")] = "default"
    change: Annotated[
        tuple[str, ...],
        Option("Change the recipe, e.g. batch=8 or data.workers=2.", flags=("--set",), metavar="KEY=VALUE"),
    ] = ()
    init: Annotated[str | None, Option('Checkpoint to start from, or "default" for the packaged network.')] = None
    max_time: Annotated[
        str | None, Option("Length of the whole run: 5m, 1h30m, 2d. The schedule follows it.", metavar="TIME")
    ] = None
    weights: Annotated[
        tuple[tuple[str, Path], ...],
        Option(
            "Weights of the network of a loss: vgg16, alexnet, lpips-alex, lpips-vgg.",
            metavar="NAME=FILE",
            parse=parse_weights,
        ),
    ] = ()
    accelerator: Annotated[Literal["auto", "cpu", "cuda", "mps"], Option("What the training runs on.")] = "auto"
    devices: Annotated[str, Option("auto, how many, or which (0,2).")] = "auto"
    precision: Annotated[
        Literal["auto", "32-true", "bf16-mixed", "16-mixed"], Option("Precision of the arithmetic.")
    ] = "auto"
    tensorboard: Annotated[
        bool | None,
        Option(
            "Write event files for TensorBoard; by default on, or as the run had it.",
            flags=("--tensorboard/--no-tensorboard",),
        ),
    ] = None


@app.command(
    epilog=examples(
        "wavepaint train photos/ -o run/ --max-time 2h",
        "wavepaint train photos/ -o run/ --recipe finetune --init default --set batch=8",
        "wavepaint train --resume run/",
    )
)
@takes_options()
def train(
    photographs: Annotated[
        str | None, typer.Argument(help="Folder, picture or .tar shards (train-{0000..0008}.tar).")
    ] = None,
    *,
    options: RunOptions,
) -> None:
    """Train a network on photographs, or resume a run.

    Leaves best.safetensors and last.safetensors, for `wavepaint inpaint --model`, and report.html in RUN. Ctrl-C stops
    after the step at hand, and --resume continues from there.
    """
    if options.resume is None and (photographs is None or options.output is None):
        raise OptionError("training needs PHOTOGRAPHS and -o RUN, or --resume RUN")
    if options.resume is not None and (
        options.output or options.init or options.weights or options.recipe != "default"
    ):
        raise OptionError("--resume RUN continues as the run began: without -o, --recipe, --init and --weights")
    from rich.console import Console

    try:
        from wavepaint.training import run
        from wavepaint.training.engine import Settings as RunSettings
        from wavepaint.training.recipes import load_recipe
        from wavepaint.training.schedule import parse_duration
        from wavepaint.training.watching import Terminal
    except ImportError as error:
        raise MissingExtraError("wavepaint train", "train", str(error.name)) from None
    seconds = None if options.max_time is None else parse_duration(options.max_time)
    hardware = run.Hardware(options.accelerator, options.devices, options.precision)
    watchers = [Terminal(Console(stderr=True))]
    if options.resume is not None:
        folder = options.resume
        outcome = run.resume(folder, hardware, watchers, seconds, options.change, photographs, options.tensorboard)
    else:
        assert photographs is not None
        assert options.output is not None
        folder = options.output
        settings = RunSettings(photographs, folder, seconds, dict(options.weights), options.tensorboard is not False)
        recipe = load_recipe(options.recipe, options.change, options.init)
        outcome = run.train(recipe, settings, hardware, watchers)
    if outcome.signal is not None:
        typer.echo(
            f"wavepaint: stopped at step {outcome.step}; resume it with: wavepaint train --resume {folder}", err=True
        )
        raise typer.Exit(128 + outcome.signal)
