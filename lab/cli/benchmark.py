"""`python -m lab benchmark`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeVar

import typer

from wavepaint.cli.commands import new_app
from wavepaint.cli.console import progress_bar
from wavepaint.errors import OptionError
from wavepaint.options import Engine, help_of

Number = TypeVar("Number", int, float)


app = new_app()


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
    with progress_bar() as progress:
        task = progress.add_task("", total=steps_of(subjects, plan))
        measurements = list(measure(subjects, plan, lambda step: progress.update(task, advance=1, description=step)))
    if output is not None:
        report.write_json(report.report_of(measurements, plan, machine), output)
    console = Console()
    for table in report.tables_of(measurements):
        console.print(console_table(table))


def _parse_numbers(option: str, text: str, kind: type[Number]) -> tuple[Number, ...]:
    try:
        return tuple(kind(number) for number in text.split(","))
    except ValueError:
        raise OptionError(f"{option} {text}: must be numbers with commas between them") from None
