"""Many files at once: a folder of photographs, with one mask for all or one for each."""

from __future__ import annotations

import os
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from wavepaint.errors import MaskError, OptionError, PhotoError
from wavepaint.image.photo import FORMAT_OF_SUFFIX, READABLE_SUFFIXES
from wavepaint.inpainter import Inpainter
from wavepaint.options import Options

CROPS_PER_PHOTO = 4
"""Guess of the work in one photograph, in crops of 256x256, for the choice of a runtime."""
MAX_WORKERS = 8
"""Photographs in memory at a time, whatever the number of cores."""


@dataclass(frozen=True)
class Job:
    """One photograph of a folder.

    Attributes:
        photo: the file.
        mask: its mask; None where the options say what to fill, or where there is a `problem`.
        target: the file to write.
        problem: why it cannot be done, known before it was opened.
    """

    photo: Path
    mask: Path | None
    target: Path
    problem: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a job.

    Attributes:
        job: the job.
        status: "filled", "skipped" (the target existed) or "failed".
        reason: one line that names the file, for "failed".
    """

    job: Job
    status: str
    reason: str = ""


def plan_folder(photos: Path, masks: Path | None, output: Path) -> list[Job]:
    """List the photographs of a folder and its sub-folders, in order of their names.

    Args:
        photos: folder; hidden files and folders, other files than pictures, and what lies in `masks` or `output` are
            left out.
        masks: a mask for all; or a folder with, in the same sub-folder, a mask of the same stem for each; or None.
        output: folder for the results: the same sub-folders and names (`NAME.gif.png` for formats only read). Where two
            photographs would have the same one, the later has a `Job.problem`.

    Raises:
        PhotoError: no such folder, or no photograph in it.
        MaskError: `masks` does not exist.
    """
    if masks is not None and not os.path.exists(masks):
        raise MaskError(f"{masks}: no such file or folder")
    root = photos.resolve()
    apart = {place.resolve() for place in (masks, output) if place is not None}
    apart = {place for place in apart if place != root and place.is_relative_to(root)}
    found = [
        path
        for path in _pictures(photos)
        if not any((root / path.relative_to(photos)).is_relative_to(place) for place in apart)
    ]
    if not found:
        raise PhotoError(f"{photos}: there are no photographs in this folder")
    masks_by_name: dict[Path, list[Path]] = defaultdict(list)
    if masks is not None and masks.is_dir():
        for path in _pictures(masks):
            masks_by_name[path.relative_to(masks).with_suffix("")].append(path)

    jobs = []
    photo_of: dict[Path, Path] = {}
    for photo in found:
        name = photo.relative_to(photos)
        target = output / (name if name.suffix.lower() in FORMAT_OF_SUFFIX else f"{name}.png")
        first = photo_of.setdefault(target, photo)
        if first != photo:
            jobs.append(Job(photo, None, target, f"{photo}: its result would replace that of {first}, {target}"))
            continue
        if masks is None or not masks.is_dir():
            jobs.append(Job(photo, masks, target))
            continue
        candidates = masks_by_name[name.with_suffix("")]
        if len(candidates) == 1:
            jobs.append(Job(photo, candidates[0], target))
        else:
            reason = "no mask" if not candidates else f"{len(candidates)} masks"
            jobs.append(Job(photo, None, target, f"{photo}: {reason} named {name.stem} in {masks / name.parent}"))
    return jobs


def inpaint_folder(
    inpainter: Inpainter,
    jobs: Sequence[Job],
    options: Options,
    overwrite: bool = False,
    workers: int | None = None,
) -> Iterator[Outcome]:
    """Do jobs, several at a time, and yield what became of each, in their order.

    While the network fills one photograph, others are decoded and encoded. A file that cannot be read, filled or
    written fails alone. Each target appears whole or not at all. Once the iteration is given up, by Ctrl-C say, no
    job is begun any more, and those under way are finished first.

    Args:
        inpainter: the network.
        jobs: see `plan_folder`.
        options: for all of them.
        overwrite: replace targets that exist instead of skipping their jobs.
        workers: jobs under way at a time, and photographs in memory; by default one per core, `MAX_WORKERS` at most.

    Raises:
        OptionError: options that fit no picture, or less than one worker.
        CheckpointError, MissingExtraError: the network cannot be loaded.
    """
    if workers is None:
        workers = min(os.cpu_count() or 1, MAX_WORKERS)
    if workers < 1:
        raise OptionError(f"workers must be at least 1, got {workers}")
    waiting = sum(job.problem is None and (overwrite or not os.path.exists(job.target)) for job in jobs)
    if waiting:
        inpainter.load(expected_crops=CROPS_PER_PHOTO * waiting)
    executor = ThreadPoolExecutor(workers, thread_name_prefix="inpaint")
    try:
        under_way: deque[Future[Outcome]] = deque()
        for job in jobs:
            # One more than are worked on, so that no worker waits for the next.
            if len(under_way) > workers:
                yield under_way.popleft().result()
            under_way.append(executor.submit(_do, inpainter, job, options, overwrite))
        while under_way:
            yield under_way.popleft().result()
    finally:
        executor.shutdown(cancel_futures=True)


def _do(inpainter: Inpainter, job: Job, options: Options, overwrite: bool) -> Outcome:
    # First, as the target may be there by another job.
    if job.problem is not None:
        return Outcome(job, "failed", job.problem)
    if not overwrite and os.path.exists(job.target):
        return Outcome(job, "skipped")
    try:
        job.target.parent.mkdir(parents=True, exist_ok=True)
        inpainter.fill(job.photo, job.mask, options, job.target)
    except (PhotoError, MaskError) as error:
        return Outcome(job, "failed", str(error))
    except OSError as error:
        return Outcome(job, "failed", f"{job.target}: {error.strerror or error}")
    return Outcome(job, "filled")


def _pictures(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in READABLE_SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    )
