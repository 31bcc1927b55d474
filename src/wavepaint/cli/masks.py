"""`wavepaint masks` and `wavepaint masks make`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wavepaint.cli.commands import examples, new_app
from wavepaint.cli.console import progress_bar, report
from wavepaint.errors import OptionError

masks = new_app()


@masks.callback(
    invoke_without_command=True,
    epilog=examples(
        "wavepaint masks --preview sheet.png",
        "wavepaint masks make images/ -o testset/ --kinds thin,thick",
    ),
)
def show_masks(
    context: typer.Context,
    preview: Annotated[Path | None, typer.Option(metavar="OUT.png", help="Draw a few masks of each kind.")] = None,
    stats: Annotated[bool, typer.Option("--stats", help="Measure areas and rejections of each kind.")] = False,
    kinds: Annotated[str | None, typer.Option(help="Comma-separated presets; all if left out.")] = None,
    count: Annotated[int, typer.Option(help="Masks of each kind to measure.")] = 1000,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
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


@masks.command("make")
def make_masks(
    images: Annotated[str, typer.Argument(help="Folder, image or .tar shards (train-{0000..0008}.tar).")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the test set to write.")],
    kinds: Annotated[str, typer.Option(help="Comma-separated presets.")] = "thin,medium,thick",
    size: Annotated[int, typer.Option(help="Side of the centre crops.")] = 256,
    seed: Annotated[int, typer.Option(help="Random seed of the masks.")] = 0,
) -> None:
    """Write a test set: a centre crop and a hole per image and kind, with a manifest."""
    from wavepaint.data.images import find_images
    from wavepaint.evaluation.testset import make_test_set

    source = find_images(images)
    names = [kind.strip() for kind in kinds.split(",")]
    with progress_bar() as progress:
        task = progress.add_task("test set", total=len(source) * len(names))
        for _ in make_test_set(source, output, names, size=size, seed=seed):
            progress.advance(task)
    for skipped in source.skipped:
        report(f"left out {skipped.name}: {skipped.reason}")
