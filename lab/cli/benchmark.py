"""`python -m lab benchmark`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

from wavepaint.cli.commands import new_app
from wavepaint.cli.console import progress_bar
from wavepaint.cli.declared import takes_options
from wavepaint.errors import OptionError
from wavepaint.options import Engine, Option

Number = TypeVar("Number", int, float)


app = new_app()


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """What to measure."""

    method: Annotated[
        tuple[str, ...],
        Option(
            "wavepaint, network (each also with /onnxruntime, /openvino or /torch), opencv-telea, opencv-ns, "
            "biharmonic, patchmatch, lama or migan; by default all that are installed."
        ),
    ] = ()
    sizes: Annotated[str | None, Option("Sides of the images in pixels: 256,512,1024.")] = None
    holes: Annotated[str | None, Option("Holes in percent of the area of an image: 1,6,25.")] = None
    rounds: Annotated[int | None, Option("Measurements of each, in turns; 5 by default.")] = None
    limit: Annotated[float | None, Option("Seconds that one image may take; 20 by default.")] = None
    quick: Annotated[bool, Option("One size, one hole, three rounds, no slow methods.")] = False
    peers: Annotated[
        Path | None, Option("Folder with lama.py and migan.py; by default that of the repository if there is one.")
    ] = None
    model: Annotated[str | None, Option("ONNX file or checkpoint, instead of the packaged network.")] = None
    threads: Annotated[int | None, Option("Threads; by default every core.")] = None
    output: Annotated[Path | None, Option("JSON file to write.", flags=("-o", "--output"), metavar="FILE.json")] = None


@app.command()
@takes_options()
def benchmark(*, options: Benchmark) -> None:
    """Measure time and memory of every method and runtime, in turns, each in a process of its own."""
    from rich.console import Console

    from lab.benchmark import report
    from lab.benchmark.machine import describe_machine
    from lab.benchmark.run import QUICK, Plan, measure, steps_of
    from lab.benchmark.subjects import find_subjects
    from lab.writing import write_json
    from wavepaint.evaluation.tables import console_table

    basis = QUICK if options.quick else Plan()
    plan = Plan(
        sides=basis.sides if options.sizes is None else _parse_numbers("--sizes", options.sizes, int),
        percents=basis.percents if options.holes is None else _parse_numbers("--holes", options.holes, float),
        rounds=basis.rounds if options.rounds is None else options.rounds,
        limit=basis.limit if options.limit is None else options.limit,
    )
    engine = Engine(model=options.model, threads=options.threads)
    subjects = find_subjects(
        options.method, model=engine.model, peers=options.peers, threads=engine.threads, quick=options.quick
    )
    machine = describe_machine()
    with progress_bar() as progress:
        task = progress.add_task("", total=steps_of(subjects, plan))
        measurements = list(measure(subjects, plan, lambda step: progress.update(task, advance=1, description=step)))
    if options.output is not None:
        write_json(options.output, report.report_of(measurements, plan, machine))
    console = Console()
    for table in report.tables_of(measurements):
        console.print(console_table(table))


def _parse_numbers(option: str, text: str, kind: type[Number]) -> tuple[Number, ...]:
    try:
        return tuple(kind(number) for number in text.split(","))
    except ValueError:
        raise OptionError(f"{option} {text}: must be numbers with commas between them") from None
