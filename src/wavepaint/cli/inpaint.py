"""`wavepaint inpaint`."""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from wavepaint.cli.commands import command
from wavepaint.cli.console import print_line, report, report_others, share, show_outcomes
from wavepaint.cli.interrupts import interruptible
from wavepaint.errors import ImageError, OptionError, WavepaintError
from wavepaint.files import sweep_parts
from wavepaint.options import Engine, Options, option

if TYPE_CHECKING:
    from wavepaint.inpainter import Inpainter

STREAM = "-"
"""The name that stands for standard input or output."""


@dataclass(frozen=True, kw_only=True)
class Files:
    """What `wavepaint inpaint` reads, writes and says."""

    mask: str | None = option(
        None, "Mask: an image file (white = hole), a folder of masks, or -.", flags=("-m", "--mask"), metavar="FILE"
    )
    output: str | None = option(
        None, "File or folder to write, or - for standard output.", flags=("-o", "--output"), metavar="OUT"
    )
    in_place: bool = option(False, "Write the result over the image itself, instead of -o.")
    overwrite: bool = option(False, "Folders: replace results that exist instead of skipping them.")
    compare: str | None = option(None, "Also write before and after side by side to this file.", metavar="FILE")
    quiet: bool = option(False, "Report nothing but warnings and errors.", flags=("-q", "--quiet"))
    verbose: bool = option(
        False, "Report every file of a folder, and what the network runs in.", flags=("-v", "--verbose")
    )


@command(
    "wavepaint inpaint image.jpg mask.png -o clean.jpg",
    "wavepaint inpaint image.jpg --box 40,60,200,120 -o clean.jpg --compare both.png",
    "wavepaint inpaint one.jpg two.jpg -m stamp.png -o clean/",
    "wavepaint inpaint images/ -m masks/ -o clean/",
    "wavepaint inpaint - mask.png -o - --format png < image.jpg > clean.png",
)
def inpaint(
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE... [MASK]",
            help="Image, several of them, a folder, or - for standard input; with one image its mask may follow.",
        ),
    ],
    *,
    files: Files,
    options: Options,
    engine: Engine,
) -> None:
    """Fill the hole of an image, or of every image in a folder.

    In a folder, sub-folders are kept, and each image takes the mask of the same name from the folder of masks, or the
    one mask given for all. Existing results are skipped; a bad file is reported and does not stop the rest.
    """
    images, mask = _split(images, files, options)
    if files.in_place == (files.output is not None):
        raise OptionError("give either --output or --in-place, to say where the result goes")
    folder = len(images) == 1 and images[0] != STREAM and os.path.isdir(images[0])
    if files.compare is not None and (folder or len(images) > 1):
        raise OptionError("--compare is for one image")
    with interruptible() as check_interrupt:
        from wavepaint.image.suffixes import check_writable
        from wavepaint.inpainter import Inpainter

        check_writable(options.format)

        inpainter = Inpainter(engine.model, engine.runtime, engine.threads)
        if folder:
            succeeded = _fill_folder(inpainter, images[0], mask, options, files, check_interrupt)
        else:
            succeeded = _fill_files(inpainter, images, mask, options, files)
    if not succeeded:
        raise typer.Exit(1)


def _split(names: list[str], files: Files, options: Options) -> tuple[list[str], str | None]:
    """The images and the mask of a call; `OptionError` unless exactly one thing says what to fill."""
    named = (("MASK", files.mask), ("--output", files.output), ("--compare", files.compare))
    for name, value in (*(("IMAGE or MASK", each) for each in names), *named):
        if value == "":
            raise OptionError(f"{name} is empty: name a file or a folder")
    ways = {"--mask": files.mask is not None, "--box": bool(options.boxes), "--alpha": options.alpha}
    given = [name for name, is_given in ways.items() if is_given]
    if not given and len(names) == 2:
        return names[:1], names[1]
    if not given:
        what = "MASK, --mask, --box or --alpha" if len(names) == 1 else "--mask, --box or --alpha for several images"
        raise OptionError(f"give {what}, to say what to fill")
    if len(given) > 1:
        raise OptionError(f"give only one of {' and '.join(given)}, to say what to fill")
    output = files.output or ""
    if len(names) > 1 and (output == STREAM or (Path(output).suffix and not is_folder(output))):
        if len(names) == 2:
            raise OptionError(f"give only one of MASK and {given[0]}; for two images, --output is a folder")
        raise OptionError(f"{files.output}: is no folder, which --output must be for several images")
    return names, files.mask


def is_folder(output: str) -> bool:
    """Whether `output` is one, or says that it is to be one."""
    return os.path.isdir(output) or output.endswith(("/", os.sep))


# -- files and streams ----------------------------------------------------------------------------------------------


def _fill_files(inpainter: Inpainter, images: list[str], mask: str | None, options: Options, files: Files) -> bool:
    """One image, each of its ends a file or a stream, or several files; whether all went well."""
    if len(images) > 1 and STREAM in images:
        raise OptionError("standard input is one image: name no other beside it")
    if STREAM in images and mask == STREAM:
        raise OptionError("only one of image and mask can come from standard input")
    if mask is not None and mask != STREAM and os.path.isdir(mask):
        raise OptionError(f"{mask}: a folder of masks is for a folder of images")
    if files.output == STREAM:
        _check_stream(sys.stdout, "standard output", "redirect it, or name a file with -o")
    targets = [_target(image, files, options.format, several=len(images) > 1) for image in images]
    if len({target for target in targets if target is not None}) < len(images) > 1:
        raise OptionError(f"{files.output}: two of the results would have the same name")
    for image, target in zip(images, targets, strict=True):
        _check_target(image, mask, target, files)
    for parent in {target.parent for target in targets if target is not None}:
        sweep_parts(parent)
    source = None if mask is None else _read_stdin() if mask == STREAM else Path(mask)
    succeeded = True
    for image, target in zip(images, targets, strict=True):
        try:
            _fill_file(inpainter, image, source, target, options, files)
        except WavepaintError as error:
            if len(images) == 1:
                raise
            report(str(error))
            succeeded = False
    return succeeded


def _target(image: str, files: Files, format: str | None, several: bool) -> Path | None:
    """The file to write; None for standard output."""
    if files.output == STREAM:
        return None
    into_folder = files.output is not None and is_folder(files.output)
    named = files.in_place or image == STREAM or not (several or into_folder)
    if named and format is not None:
        raise OptionError("--format is for standard output and folders; the name of a file says its format")
    if files.in_place and image == STREAM:
        raise OptionError("--in-place is for files, not for standard input")
    if named or files.output is None:
        return Path(image if files.output is None else files.output)
    from wavepaint.image.sources import filled_name
    from wavepaint.image.suffixes import suffix_in

    suffix = filled_name(Path(image)).suffix  # PNG for formats that are only read
    suffix = suffix if format is None else suffix_in(format, suffix)
    return Path(files.output) / Path(image).with_suffix(suffix).name


def _check_target(image: str, mask: str | None, target: Path | None, files: Files) -> None:
    """Refuse to write over what is read, unless that was asked for, and a comparison that cannot be written."""
    if target is not None and not files.in_place and is_same(target, image):
        raise OptionError(f"{target}: is the image itself: --in-place writes over it, or name another file with -o")
    if target is not None and mask is not None and is_same(target, mask):
        raise OptionError(f"{target}: is the mask: name another file with -o")
    if files.compare is not None:
        from wavepaint.image.suffixes import format_of_name

        format_of_name(Path(files.compare))
        if any(name is not None and is_same(Path(files.compare), str(name)) for name in (image, mask, target)):
            raise OptionError(f"{files.compare}: is an image, the mask or the result: name another file")


def is_same(target: Path, name: str) -> bool:
    """Whether an output is the file that an input names."""
    if name == STREAM:
        return False
    try:
        return target.samefile(name)
    except OSError:  # one of them does not exist
        return os.path.realpath(target) == os.path.realpath(name)


def _fill_file(
    inpainter: Inpainter, image: str, mask: Path | bytes | None, target: Path | None, options: Options, files: Files
) -> None:
    from wavepaint.image.sources import BytesImage

    started = time.monotonic()
    name = "standard input" if image == STREAM else image
    source: Path | BytesImage = Path(image)
    before: Path | bytes = Path(image)
    if image == STREAM or target is None or (files.in_place and files.compare):
        before = _read_stdin() if image == STREAM else _read_file(image)
        source = BytesImage(before, target, name)
    shares: list[float] = []
    if target is not None and files.output is not None and target != Path(files.output):
        try:  # the folder of several results; that of a single file must be there
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ImageError(f"{target.parent}: cannot be made: {error.strerror or error}") from None
    result = inpainter.fill(source, mask, options, target, on_hole=shares.append)
    if target is None:
        _write_stdout(result)
    if files.compare is not None:
        from wavepaint.image.comparison import write_comparison

        write_comparison(before, result if target is None else target, Path(files.compare))
    if not files.quiet:
        seconds = time.monotonic() - started
        filled = share(sum(shares) / max(len(shares), 1), "filled" if any(shares) else "to fill", digits=1)
        print_line(f"{'standard output' if target is None else target}: {filled} in {seconds:.1f} s")
    if files.verbose and any(shares):
        report(f"{name}: the network runs in {inpainter.load().name}")


def _read_file(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror or error}") from None


# -- standard input and output ---------------------------------------------------------------------------------------


def _check_stream(stream: TextIO | None, name: str, advice: str) -> None:
    """Refuse, before the work, a stream that cannot take or give a file: `OptionError`."""
    if stream is None or stream.closed:
        raise OptionError(f"{name} is closed: {advice}")
    if stream.isatty():
        raise OptionError(f"{name} is a terminal: {advice}")


def _read_stdin() -> bytes:
    """All of standard input; `OptionError` where there is none."""
    _check_stream(sys.stdin, "standard input", "give it a file, or name one")
    try:
        return sys.stdin.buffer.read()
    except OSError as error:
        raise WavepaintError(f"standard input: cannot be read: {error.strerror or error}") from None


def _write_stdout(data: bytes) -> None:
    """Write all of a file to standard output; `WavepaintError` if that fails, unless its reader went away."""
    stream, rest = sys.stdout.buffer, memoryview(data)
    try:
        while rest:
            try:
                # Unbuffered streams (python -u) write a part, and None where a pipe that does not block is full.
                written = stream.write(rest)
            except BlockingIOError as error:
                written = error.characters_written
            if not written:
                select.select([], [stream], [])
            rest = rest[written or 0 :]
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise WavepaintError(f"standard output: cannot be written: {error.strerror or error}") from None


# -- folders --------------------------------------------------------------------------------------------------------


def _fill_folder(
    inpainter: Inpainter,
    folder: str,
    mask: str | None,
    options: Options,
    files: Files,
    check_interrupt: Callable[[], None],
) -> bool:
    """Every image of a folder, with a progress bar on a terminal; whether all went well."""
    from wavepaint.batch.folder import inpaint_folder
    from wavepaint.batch.plan import make_plan

    if files.output is None:
        raise OptionError("--in-place is for single images: name an output folder with -o")
    if STREAM in (mask, files.output):
        raise OptionError("a folder of images needs a mask and an output with a name, not -")
    output = files.output
    plan = make_plan(folder, mask, output, needs_mask=mask is not None, format=options.format)
    if not files.quiet:
        report_others(plan.others)
    outcomes = inpaint_folder(inpainter, plan.rows, output, options, files.overwrite)
    counts = show_outcomes(outcomes, len(plan.rows), output, check_interrupt, "filled", files.quiet, files.verbose)
    return counts["failed"] == 0
