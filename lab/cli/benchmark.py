"""`python -m lab benchmark`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from wavepaint.cli.commands import command
from wavepaint.cli.console import progress_bar
from wavepaint.errors import OptionError
from wavepaint.options import Engine, option

Number = TypeVar("Number", int, float)


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """What to measure."""

    method: tuple[str, ...] = option(
        (),
        "wavepaint, network (each also with /onnxruntime, /openvino or /torch), opencv-telea, opencv-ns, "
        "biharmonic, patchmatch, lama or migan; by default all that are installed.",
    )
    sizes: str | None = option(None, "Sides of the images in pixels: 256,512,1024.")
    holes: str | None = option(None, "Holes in percent of the area of an image: 1,6,25.")
    rounds: int | None = option(None, "Measurements of each, in turns; 5 by default.")
    limit: float | None = option(None, "Seconds that one image may take; 20 by default.")
    quick: bool = option(False, "One size, one hole, three rounds, no slow methods.")
    peers: Path | None = option(
        None, "Folder with lama.py and migan.py; by default that of the repository if there is one."
    )
    model: str | None = option(None, "ONNX file or checkpoint, instead of the packaged network.")
    threads: int | None = option(None, "Threads; by default every core.")
    output: Path | None = option(None, "JSON file to write.", flags=("-o", "--output"), metavar="FILE.json")


@command()
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
