"""The command line: one thin function per command, and nothing heavy imported before it is needed."""

from __future__ import annotations

import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, TextIO, TypeVar

import typer
from typer.core import TyperGroup

from wavepaint import __version__
from wavepaint.errors import MissingExtraError, OptionError, PhotoError, WavepaintError
from wavepaint.options import Engine, Options, as_boxes, help_of
from wavepaint.server.settings import MEBI, MEGAPIXEL, Limits, Settings, available_cores

if TYPE_CHECKING:
    from rich.progress import Progress

    from wavepaint.batch.folder import Job
    from wavepaint.inpainter import Inpainter

STREAM = "-"

Number = TypeVar("Number", int, float)


# What unknown options and values of the wrong type raise; typer has no public name for it.
_UsageError: Any = typer.BadParameter.__bases__[0]


class _Commands(TyperGroup):
    """Every error a user can make becomes one line on standard error, and exit status 2."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args:
            return super().parse_args(ctx, args)  # which shows the help
        with _one_line():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        with warnings.catch_warnings(), _one_line():
            warnings.showwarning = _show_warning
            return super().invoke(ctx)


@contextmanager
def _one_line() -> Iterator[None]:
    try:
        yield
    except WavepaintError as error:
        _say(str(error))
        raise typer.Exit(2) from None
    except _UsageError as error:
        _say(error.format_message())
        raise typer.Exit(2) from None


def _say(message: str) -> None:
    # A file name may hold line breaks.
    typer.echo(f"wavepaint: {' '.join(message.splitlines())}", err=True)


app = typer.Typer(
    cls=_Commands,
    help="Fill holes in photographs with a small wavelet network that ships inside the package.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command line; exit status 0 = done, 1 = some files failed, 2 = bad input, 130 = interrupted."""
    _build_only(sys.argv[1] if len(sys.argv) > 1 else "")
    app(prog_name="wavepaint")


def _build_only(name: str) -> None:
    """Leave the other commands out where one is named: Typer reads the options of all of them, a tenth of a second."""
    named = [info for info in app.registered_commands if info.callback is not None and info.callback.__name__ == name]
    if named:
        app.registered_commands[:] = named
        app.registered_groups.clear()


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"wavepaint {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    """Declare the options that stand before a command."""


@app.command()
def inpaint(
    image: Annotated[str, typer.Argument(help="Photograph, folder of photographs, or - for standard input.")],
    mask: Annotated[
        str | None,
        typer.Argument(help="Mask (white = hole), folder of masks, or -. Leave it out with --box or --alpha."),
    ] = None,
    output: Annotated[
        str, typer.Option("-o", "--output", help="File or folder to write, or - for standard output.")
    ] = ...,  # type: ignore[assignment]  # how typer spells an option that is required
    box: Annotated[
        list[str] | None, typer.Option(metavar="X,Y,W,H", help=help_of(Options, "boxes") + " Repeatable.")
    ] = None,
    alpha: Annotated[bool, typer.Option("--alpha", help=help_of(Options, "alpha"))] = Options.alpha,
    dilate: Annotated[int, typer.Option(metavar="PX", help=help_of(Options, "dilate"))] = Options.dilate,
    threshold: Annotated[float, typer.Option(help=help_of(Options, "threshold"))] = Options.threshold,
    invert_mask: Annotated[
        bool, typer.Option("--invert-mask", help=help_of(Options, "invert_mask"))
    ] = Options.invert_mask,
    grain: Annotated[str, typer.Option(help=help_of(Options, "grain"))] = Options.grain,
    format: Annotated[str | None, typer.Option(help=help_of(Options, "format"))] = Options.format,
    quality: Annotated[int | None, typer.Option(help=help_of(Options, "quality"))] = Options.quality,
    model: Annotated[str | None, typer.Option(help=help_of(Engine, "model"))] = None,
    runtime: Annotated[str, typer.Option(help=help_of(Engine, "runtime"))] = Engine.runtime,
    threads: Annotated[int | None, typer.Option(help=help_of(Engine, "threads"))] = Engine.threads,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Folders: replace results that exist instead of skipping them.")
    ] = False,
) -> None:
    """Fill the hole of a photograph, or of every photograph in a folder.

    In a folder, sub-folders are kept, and each photograph takes the mask of the same name from the folder of masks, or
    the one mask given for all. Existing results are skipped; a bad file is reported and does not stop the rest.
    """
    for name, value in (("IMAGE", image), ("MASK", mask), ("--output", output)):
        if value == "":
            raise OptionError(f"{name} is empty: name a file or a folder")
    options = Options(
        boxes=as_boxes(_parse_box(text) for text in box or ()),
        alpha=alpha,
        dilate=dilate,
        threshold=threshold,
        invert_mask=invert_mask,
        grain=grain,
        format=format,
        quality=quality,
    )
    if (mask is not None) + bool(options.boxes) + options.alpha != 1:
        raise OptionError("give either a MASK, --box or --alpha, to say what to fill")
    with _interruptible() as check_interrupt:
        from wavepaint.inpainter import Inpainter

        inpainter = Inpainter(model, runtime, threads)
        if image != STREAM and os.path.isdir(image):
            from wavepaint.batch.folder import plan_folder

            if STREAM in (mask, output):
                raise OptionError("a folder of photographs needs a mask and an output with a name, not -")
            if options.format is not None:
                raise OptionError("--format is for standard output; in a folder each name says its format")
            jobs = plan_folder(Path(image), None if mask is None else Path(mask), Path(output))
            if not _inpaint_folder(inpainter, jobs, options, overwrite, check_interrupt):
                raise typer.Exit(1)
        else:
            _inpaint_file(inpainter, image, mask, options, output)


@app.command()
def info(file: Annotated[str, typer.Argument(help='Checkpoint, ONNX file, or "default".')]) -> None:
    """Say what a network is: configuration, parameters, multiply-adds, size on disk."""
    try:
        from wavepaint.network.info import describe
    except ImportError as error:
        raise MissingExtraError("wavepaint info", "train", str(error.name)) from None
    found = describe(file)
    lines = {
        "file": found.path,
        "format": f"{found.format}, {found.bytes / 1e6:.2f} MB",
        "preset": found.preset or "none",
        "parameters": f"{found.parameters:,}",
        "multiply-adds": f"{found.macs:,} for one 256x256 crop",
        "input": found.input_variant,
        **found.config.to_dict(),
        **found.metadata,
    }
    for name, value in lines.items():
        typer.echo(f"{name:<18} {value}")


@app.command()
def export(
    checkpoint: Annotated[str, typer.Argument(help='Checkpoint, or "default".')],
    output: Annotated[Path, typer.Option("-o", "--output", help="ONNX file to write.")],
) -> None:
    """Write a checkpoint as an ONNX file, which needs no PyTorch to run."""
    try:
        from wavepaint.network import load_checkpoint
        from wavepaint.network.export import export_onnx
    except ImportError as error:
        raise MissingExtraError("wavepaint export", "train", str(error.name)) from None
    network = load_checkpoint(checkpoint)
    try:
        export_onnx(network, output)
    except OSError as error:
        raise PhotoError(f"{output}: cannot be written: {error.strerror or error}") from None


masks_app = typer.Typer(rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]})
app.add_typer(masks_app, name="masks")


@masks_app.callback(invoke_without_command=True)
def masks(
    context: typer.Context,
    preview: Annotated[Path | None, typer.Option(metavar="OUT.png", help="Draw a few masks of each kind.")] = None,
    stats: Annotated[bool, typer.Option("--stats", help="Measure areas and rejections of each kind.")] = False,
    kinds: Annotated[str | None, typer.Option(help="Comma-separated presets; all if left out.")] = None,
    count: Annotated[int, typer.Option(help="Masks of each kind to measure.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
) -> None:
    """Show the masks that training and evaluation draw."""
    if context.invoked_subcommand is not None:
        return
    if preview is None and not stats:
        typer.echo(context.get_help())
        return
    from rich.console import Console

    from wavepaint.data.masks import PRESETS
    from wavepaint.data.preview import measure_presets, preview_sheet, statistics_table, write_preview

    if stats and count < 1:
        raise OptionError(f"--count must be at least 1, not {count}")
    presets = list(PRESETS) if kinds is None else [kind.strip() for kind in kinds.split(",")]
    if preview is not None:
        write_preview(preview, preview_sheet(presets, seed=seed))
    if stats:
        Console().print(statistics_table(measure_presets(presets, count, seed)))


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
        files = dict(_parse_weights(text) for text in weights or ())
        settings = RunSettings(photographs, folder, seconds, files, tensorboard is not False)
        outcome = run.train(load_recipe(recipe, change or (), init), settings, hardware, watchers)
    if outcome.signal is not None:
        typer.echo(
            f"wavepaint: stopped at step {outcome.step}; go on with: wavepaint train --resume {folder}", err=True
        )
        raise typer.Exit(128 + outcome.signal)


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to bind to; an open one needs a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="TCP port; 0 takes any free one.")] = 8000,
    token: Annotated[
        str | None,
        typer.Option(envvar="WAVEPAINT_TOKEN", help="Bearer token to ask for; better set as WAVEPAINT_TOKEN."),
    ] = None,
    insecure_no_token: Annotated[
        bool, typer.Option("--insecure-no-token", help="Bind to any host, and let anybody in.")
    ] = False,
    workers: Annotated[int | None, typer.Option(help="Pictures filled at a time; by default one per core.")] = None,
    queue: Annotated[int, typer.Option(help="Pictures that may wait; more are answered 429.")] = Settings.queue,
    deadline: Annotated[float, typer.Option(help="Seconds a request may take, upload included.")] = Limits.seconds,
    max_megabytes: Annotated[int, typer.Option(help="Size of an upload, in MiB.")] = Limits.body_bytes // MEBI,
    max_megapixels: Annotated[int, typer.Option(help="Size of a picture, in millions of pixels.")] = Limits.pixels
    // MEGAPIXEL,
    cors_origin: Annotated[
        list[str] | None, typer.Option(metavar="ORIGIN", help="Let pages of this origin use the interface. Repeatable.")
    ] = None,
    model: Annotated[str | None, typer.Option(help=help_of(Engine, "model"))] = None,
    runtime: Annotated[str, typer.Option(help=help_of(Engine, "runtime"))] = Engine.runtime,
    threads: Annotated[int | None, typer.Option(help=help_of(Engine, "threads"))] = Engine.threads,
) -> None:
    """Serve the mask editor and the HTTP interface."""
    limits = Limits(body_bytes=max_megabytes * MEBI, pixels=max_megapixels * MEGAPIXEL, seconds=deadline)
    settings = Settings(
        limits=limits,
        workers=available_cores() if workers is None else workers,
        queue=queue,
        token=token or None,
        cors_origins=tuple(cors_origin or ()),
    )
    try:
        from wavepaint.server import run
    except ImportError as error:
        raise MissingExtraError("wavepaint serve", "server", str(error.name)) from None
    engine = Engine(model=model, runtime=runtime, threads=threads)
    run.serve(engine, settings, host=host, port=port, insecure_no_token=insecure_no_token)


@app.command()
def site(
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Folder to write; an earlier site there is replaced.")
    ],
    model: Annotated[str | None, typer.Option(help="ONNX file, instead of the packaged network.")] = None,
) -> None:
    """Write the mask editor as static files for any web host; the network runs in the browser, nothing is uploaded."""
    from wavepaint.server.site import write_site

    written = write_site(output, model)
    size, wasm, webgpu = (
        f"{count / 1e6:.1f} MB" for count in (written.bytes, written.first_visit["wasm"], written.first_visit["webgpu"])
    )
    typer.echo(f"{written.folder}: {written.files} files, {size}")
    typer.echo(f"a first visit transfers {wasm}, or {webgpu} with WebGPU; later ones nothing")


@masks_app.command("make")
def make_masks(
    photographs: Annotated[str, typer.Argument(help="Folder, picture or .tar shards (train-{0000..0008}.tar).")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the test set to write.")],
    kinds: Annotated[str, typer.Option(help="Comma-separated presets.")] = "thin,medium,thick",
    size: Annotated[int, typer.Option(help="Side of the centre crops.")] = 256,
    seed: Annotated[int, typer.Option(help="Of the masks.")] = 0,
) -> None:
    """Write a test set: a centre crop and a hole per photograph and kind, with a manifest."""
    from wavepaint.data.photographs import find_photographs
    from wavepaint.evaluation.testset import make_test_set

    source = find_photographs(photographs)
    names = [kind.strip() for kind in kinds.split(",")]
    with _progress() as progress:
        task = progress.add_task("test set", total=len(source) * len(names))
        for _ in make_test_set(source, output, names, size=size, seed=seed):
            progress.advance(task)
    for skipped in source.skipped:
        _say(f"left out {skipped.name}: {skipped.reason}")


data_app = typer.Typer(
    help="Data sets for training and evaluation.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(data_app, name="data")


@data_app.callback()
def _data() -> None:
    """Keep `prepare` a command of its own, though it is the only one."""


@data_app.command("prepare")
def prepare_data(
    dataset: Annotated[str, typer.Argument(help="celeba-hq, imagenet or places.")],
    source: Annotated[str, typer.Argument(help="Folder or .tar shards of the copy that you downloaded.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DATA", help="Folder to write, or to go on in.")],
    lists: Annotated[
        Path | None, typer.Option(help="Folder with train.txt, val.txt, ...: a file name a line, for other splits.")
    ] = None,
) -> None:
    """Make shards of a data set in the published splits and sizes; the same call goes on after a kill."""
    from lab.prepare import find_dataset, prepare
    from wavepaint.data.photographs import find_photographs

    chosen = find_dataset(dataset)
    with _progress() as progress:
        task = progress.add_task(chosen.title, total=chosen.total * len(chosen.sizes))
        for count in prepare(chosen, find_photographs(source), output, lists=lists):
            progress.advance(task, count)


@app.command()
def evaluate(
    test_set: Annotated[Path, typer.Argument(metavar="SET", help="Folder that `masks make` wrote.")],
    method: Annotated[
        list[str],
        typer.Option(
            help="default, haar, opencv-telea, opencv-ns, biharmonic, patchmatch, folder:RESULTS or a checkpoint. "
            "Repeatable; the first is what the others are compared with."
        ),
    ],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder of the report to write.")] = None,
    metric: Annotated[
        list[str] | None, typer.Option(help="Besides PSNR, SSIM and L1: vgg, vgg-set, lpips-alex, lpips-vgg, fid.")
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FILE",
            help="Weights of a metric's network: vgg16, alexnet, lpips-alex, lpips-vgg, inception.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the bootstrap intervals.")] = 0,
) -> None:
    """Score methods on a test set; the same call gives the same report, to the last byte."""
    from rich.console import Console

    from wavepaint.evaluation.report import console_tables, write_report
    from wavepaint.evaluation.run import evaluate_set, provenance_of
    from wavepaint.evaluation.testset import open_test_set

    chosen = open_test_set(test_set)
    with _progress() as progress:
        task = progress.add_task("evaluating", total=len(chosen))
        results = evaluate_set(
            chosen,
            method,
            metrics=metric or (),
            weights=dict(_parse_weights(text) for text in weights or ()),
            on_item=lambda: progress.advance(task),
        )
    summaries = results.summaries(seed)
    if output is not None:
        write_report(results, summaries, output, provenance_of(chosen, method, seed))
    console = Console()
    for table in console_tables(results, summaries):
        console.print(table)


@app.command()
def benchmark(
    method: Annotated[
        list[str] | None,
        typer.Option(
            help="wavepaint, network (each also with /onnxruntime, /openvino or /torch), opencv-telea, opencv-ns, "
            "biharmonic, patchmatch, lama or migan. Repeatable; by default all that are installed."
        ),
    ] = None,
    sizes: Annotated[str | None, typer.Option(help="Sides of the pictures in pixels: 256,512,1024.")] = None,
    holes: Annotated[str | None, typer.Option(help="Holes in percent of the pictures' area: 1,6,25.")] = None,
    rounds: Annotated[int | None, typer.Option(help="Measurements of each, in turns; 5 by default.")] = None,
    limit: Annotated[float | None, typer.Option(help="Seconds that one picture may take; 20 by default.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="One size, one hole, three rounds, no slow methods.")] = False,
    peers: Annotated[
        Path | None, typer.Option(help="Folder with lama.py and migan.py; the repository's if there is one.")
    ] = None,
    model: Annotated[str | None, typer.Option(help=help_of(Engine, "model"))] = None,
    threads: Annotated[int | None, typer.Option(help=help_of(Engine, "threads"))] = Engine.threads,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE.json", help="JSON file to write.")
    ] = None,
) -> None:
    """Measure time and memory of every method and runtime, in turns, each in a process of its own."""
    from rich.console import Console

    from lab.benchmark import report
    from lab.benchmark.machine import describe_machine
    from lab.benchmark.run import QUICK, Plan, measure, steps_of
    from lab.benchmark.subjects import find_subjects
    from wavepaint.evaluation.report import console_table

    basis = QUICK if quick else Plan()
    plan = Plan(
        sides=basis.sides if sizes is None else _parse_numbers("--sizes", sizes, int),
        percents=basis.percents if holes is None else _parse_numbers("--holes", holes, float),
        rounds=basis.rounds if rounds is None else rounds,
        limit=basis.limit if limit is None else limit,
    )
    engine = Engine(model=model, threads=threads)
    subjects = find_subjects(method or (), model=engine.model, peers=peers, threads=engine.threads, quick=quick)
    machine = describe_machine()
    with _progress() as progress:
        task = progress.add_task("", total=steps_of(subjects, plan))
        measurements = list(measure(subjects, plan, lambda step: progress.update(task, advance=1, description=step)))
    if output is not None:
        report.write_json(report.report_of(measurements, plan, machine), output)
    console = Console()
    for table in report.tables_of(measurements):
        console.print(console_table(table))


@app.command()
def ablate(
    study: Annotated[
        str,
        typer.Argument(
            help="no-dwt, wavelet, level, modules, prefill or texture (with --photos and --test), cross-data (several "
            "of both), mask-size (--test) or efficiency."
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="RUN", help="Folder of a new run, or to go on in.")],
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
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    model: Annotated[
        list[str] | None, typer.Option(help='mask-size: "default" or a checkpoint. Repeatable, to compare several.')
    ] = None,
    init: Annotated[
        str | None, typer.Option(help='texture: "default" or a checkpoint to go on from; by default the packaged one.')
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
    """Study what the network owes to its parts; the same call in the same RUN goes on after a kill.

    Leaves report.html, results.json, tables.md and figures/ in RUN.
    """
    try:
        from lab.ablation.run import run_study
        from wavepaint.training.schedule import parse_duration
    except ImportError as error:
        raise MissingExtraError("wavepaint ablate", "train", str(error.name)) from None
    report = run_study(
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
        say=_say,
    )
    typer.echo(report.conclusion)


class _BatchCommands(TyperGroup):
    """`batch INPUT` is short for `batch run INPUT`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args if args[:1] in (["run"], ["status"]) else ["run", *args])


batch_app = typer.Typer(
    cls=_BatchCommands, rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]}
)
app.add_typer(
    batch_app, name="batch", help="Fill many photographs on many machines; batch status OUTPUT: how far it is."
)


@batch_app.command("run")
def run_batch(
    input: Annotated[
        str,
        typer.Argument(
            help="Folder, list (.txt, .tsv), or .parquet files or .tar shards by pattern; here or at a URL."
        ),
    ],
    output: Annotated[str, typer.Option("-o", "--output", help="Folder or URL for results and manifest.parquet.")],
    masks: Annotated[
        str | None, typer.Option(help="Folder of masks, or one for all; without it the inputs bring theirs.")
    ] = None,
    box: Annotated[
        list[str] | None, typer.Option(metavar="X,Y,W,H", help=help_of(Options, "boxes") + " Repeatable.")
    ] = None,
    alpha: Annotated[bool, typer.Option("--alpha", help=help_of(Options, "alpha"))] = Options.alpha,
    dilate: Annotated[int, typer.Option(metavar="PX", help=help_of(Options, "dilate"))] = Options.dilate,
    threshold: Annotated[float, typer.Option(help=help_of(Options, "threshold"))] = Options.threshold,
    invert_mask: Annotated[
        bool, typer.Option("--invert-mask", help=help_of(Options, "invert_mask"))
    ] = Options.invert_mask,
    grain: Annotated[str, typer.Option(help=help_of(Options, "grain"))] = Options.grain,
    quality: Annotated[int | None, typer.Option(help=help_of(Options, "quality"))] = Options.quality,
    photo_column: Annotated[str, typer.Option(help="Parquet: column of paths or of files' contents.")] = "photo",
    mask_column: Annotated[str, typer.Option(help="Parquet: likewise for masks.")] = "mask",
    model: Annotated[str | None, typer.Option(help=help_of(Engine, "model"))] = None,
    runtime: Annotated[str, typer.Option(help=help_of(Engine, "runtime"))] = Engine.runtime,
    address: Annotated[
        str | None, typer.Option(help="Ray cluster to work on; by default RAY_ADDRESS, or this machine alone.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Workers at most; by default as many as there is room for.")
    ] = None,
    cores: Annotated[int, typer.Option(help="Cores of a worker.")] = 1,
    gpus: Annotated[float, typer.Option(help="Graphics processors of a worker; 0.5 lets two share one.")] = 0,
    together: Annotated[
        int, typer.Option(help="Photographs a worker fills at a time; their crops of one size share runs.")
    ] = 1,
    group: Annotated[int, typer.Option(help="Photographs handed out together: what a kill costs at most.")] = 32,
    tries: Annotated[int, typer.Option(help="Times a photograph may end its worker until it is set aside.")] = 3,
    deadline: Annotated[float, typer.Option(help="Seconds a photograph may take; then its worker is ended.")] = 600,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace results that were there before instead of skipping them.")
    ] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Do again what failed before.")] = False,
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
    options = Options(
        boxes=as_boxes(_parse_box(text) for text in box or ()),
        alpha=alpha,
        dilate=dilate,
        threshold=threshold,
        invert_mask=invert_mask,
        grain=grain,
        quality=quality,
    )
    wanted = batch.Batch(
        input=input,
        output=output,
        masks=masks,
        options=options,
        engine=Engine(model=model, runtime=runtime),
        columns=Columns(photo_column, mask_column),
        group=group,
        together=together,
        tries=tries,
        deadline=deadline,
        overwrite=overwrite,
        retry_failed=retry_failed,
    )
    place = batch.Cluster(address=address, workers=workers, cores=cores, gpus=gpus)
    counts: dict[str, int] = {}
    with _progress() as progress, closing(batch.run_batch(wanted, place)) as steps:
        task = progress.add_task("batch", total=None)
        for step in steps:
            counts = step.counts
            for reason in step.reasons:
                progress.console.print(f"wavepaint: {reason}", markup=False)
            progress.update(task, total=step.total, completed=sum(counts.values()))
    typer.echo(", ".join(f"{count} {status}" for status, count in counts.items()), err=True)
    if counts["failed"]:
        raise typer.Exit(1)


@batch_app.command("status")
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


study_app = typer.Typer(
    help="Ask people which of two results they prefer.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(study_app, name="study")


@study_app.command("serve")
def serve_study(
    test_set: Annotated[Path, typer.Argument(metavar="SET", help="Folder that `masks make` wrote.")],
    methods: Annotated[
        str, typer.Option(metavar="A,B", help="Two or more with commas between them, as for `wavepaint evaluate`.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="VOTES.sqlite", help="File to keep votes in.")],
    host: Annotated[str, typer.Option(help="Address to bind to.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="TCP port; 0 takes any free one.")] = 8010,
    insecure_no_token: Annotated[
        bool, typer.Option("--insecure-no-token", help="Bind to any host, and let anybody vote.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of the order of questions.")] = 0,
) -> None:
    """Serve a page that shows two results side by side, without their names, and keeps the votes."""
    try:
        from lab.study import run
    except ImportError as error:
        raise MissingExtraError("wavepaint study serve", "server", str(error.name)) from None
    from lab.study.trials import Study
    from lab.study.votes import Votes
    from wavepaint.evaluation.testset import open_test_set

    study = Study(open_test_set(test_set), [name.strip() for name in methods.split(",")], seed)
    votes = Votes(output, study.identity)
    try:
        run.serve(study, votes, host=host, port=port, insecure_no_token=insecure_no_token)
    finally:
        votes.close()


@study_app.command("report")
def report_study(
    votes: Annotated[Path, typer.Argument(metavar="VOTES.sqlite", help="File that `study serve` keeps.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE.json", help="JSON file to write.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the intervals.")] = 0,
) -> None:
    """Say which method was preferred, with intervals, overall and by kind of mask."""
    from rich.console import Console

    from lab.study.preference import preferences
    from lab.study.report import preference_tables, write_preferences
    from lab.study.votes import read_votes
    from wavepaint.evaluation.report import console_table

    methods, found = read_votes(votes)
    participants = len({vote.participant for vote in found})
    preferred = preferences(methods, found, seed)
    if output is not None:
        write_preferences(preferred, participants, seed, output)
    console = Console()
    for table in preference_tables(preferred, participants):
        console.print(console_table(table))


def _inpaint_file(inpainter: Inpainter, image: str, mask: str | None, options: Options, output: str) -> None:
    """One photograph, each of its ends a file or a stream."""
    if image == STREAM and mask == STREAM:
        raise OptionError("only one of the photograph and the mask can come from standard input")
    if output == STREAM and sys.stdout.isatty():
        raise OptionError("standard output is a terminal: redirect it, or name a file with -o")
    if options.format is not None and output != STREAM:
        raise OptionError("--format is for standard output; the name of a file says its format")
    from wavepaint.image.sources import BytesPicture

    what = None if mask is None else _read_stdin() if mask == STREAM else Path(mask)
    target = None if output == STREAM else Path(output)
    picture: Path | BytesPicture = Path(image)
    if image == STREAM:
        picture = BytesPicture(_read_stdin(), target, "standard input")
    elif target is None:
        picture = BytesPicture(_read_file(image), name=image)
    result = inpainter.fill(picture, what, options, target)
    if target is None:
        sys.stdout.buffer.write(result)
        sys.stdout.buffer.flush()


def _inpaint_folder(
    inpainter: Inpainter, jobs: list[Job], options: Options, overwrite: bool, check_interrupt: Callable[[], None]
) -> bool:
    """Every photograph of a folder, with a progress bar on a terminal; whether all went well."""
    from collections import Counter

    from wavepaint.batch.folder import inpaint_folder

    started = time.monotonic()
    counts: Counter[str] = Counter()
    with _progress("rate") as progress:
        console = progress.console
        task = progress.add_task("", total=len(jobs), rate="")
        for outcome in inpaint_folder(inpainter, jobs, options, overwrite):
            check_interrupt()
            counts[outcome.status] += 1
            if outcome.reason:
                console.print(f"wavepaint: {outcome.reason}", markup=False)
            rate = f"{counts['filled'] / (time.monotonic() - started):.1f}/s"
            progress.update(task, advance=1, description=outcome.job.photo.name, rate=rate)
    seconds = time.monotonic() - started
    summary = ", ".join(f"{counts[status]} {status}" for status in ("filled", "skipped", "failed"))
    console.print(f"{summary} in {seconds:.1f} s", markup=False)
    return counts["failed"] == 0


def _progress(*fields: str) -> Progress:
    """A progress bar on standard error, shown on terminals only; with further fields of its tasks."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    texts = [TextColumn(f"{{task.fields[{name}]}}") for name in fields]
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        *texts,
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, disable=not console.is_terminal, transient=True)


def _parse_numbers(option: str, text: str, kind: type[Number]) -> tuple[Number, ...]:
    try:
        return tuple(kind(number) for number in text.split(","))
    except ValueError:
        raise OptionError(f"{option} {text}: must be numbers with commas between them") from None


def _parse_weights(text: str) -> tuple[str, Path]:
    name, found, path = text.partition("=")
    if not found:
        raise OptionError(f"--weights {text}: must be NAME=FILE")
    return name, Path(path)


@contextmanager
def _interruptible() -> Iterator[Callable[[], None]]:
    """Make sure that Ctrl-C ends the command as an interrupt.

    Inside an extension module it may be swallowed, or surface as another error: a failed import, an unreadable file.
    Yields a function that raises the interrupt again, to be called where work can be given up.
    """
    interrupted = False

    def interrupt(signum: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        interrupted = True
        # In a callback from libvips, Python would print the interrupt and go on.
        sys.unraisablehook = lambda _: None
        raise KeyboardInterrupt

    def check_interrupt() -> None:
        if interrupted:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt), sys.unraisablehook
    try:
        yield check_interrupt
    except BaseException:
        check_interrupt()
        raise
    else:
        check_interrupt()
    finally:
        signal.signal(signal.SIGINT, before[0])
        sys.unraisablehook = before[1]


def _parse_box(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(number) for number in text.split(","))
    except ValueError:
        raise OptionError(f"--box {text}: must be X,Y,W,H, four whole numbers") from None


def _read_stdin() -> bytes:
    return sys.stdin.buffer.read()


def _read_file(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise PhotoError(f"{path}: {error.strerror or error}") from None


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    _say(f"warning: {message}")
