"""A study from its name to its report: what `wavepaint ablate` does apart from showing it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from wavepaint.ablation.efficiency import run_efficiency
from wavepaint.ablation.holes import run_mask_size
from wavepaint.ablation.plan import FULL, SMALL
from wavepaint.ablation.report import Report, write_report
from wavepaint.ablation.studies import CROSS_DATA, EFFICIENCY, MASK_SIZE, STUDIES, training_study
from wavepaint.ablation.trained import run_training_study
from wavepaint.errors import OptionError
from wavepaint.evaluation.testset import open_test_set


def run_study(
    name: str,
    folder: Path,
    *,
    photos: Sequence[str] = (),
    tests: Sequence[Path] = (),
    full: bool = False,
    budget: float | None = None,
    pictures: int | None = None,
    seed: int = 0,
    model: str = "default",
    peers: Path | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Report:
    """Run a study, or go on with one that was stopped, and write its report into its folder.

    Args:
        name: one of `studies.STUDIES`.
        folder: new, empty, or of a run with the same arguments.
        photos: photographs to train on, see `data.photographs.find_photographs`; several for `CROSS_DATA` only.
        tests: test sets that `wavepaint masks make` wrote.
        full: at full size, on an accelerator where there is one; else small, on one core.
        budget: seconds of training of all runs together, instead of the scale's.
        pictures: of each test set to measure on, instead of the scale's.
        seed: of everything random.
        model: "default" or a checkpoint, for `MASK_SIZE`.
        peers: folder of other networks for `EFFICIENCY`, see `efficiency.run_efficiency`.
        say: called with a line before every piece of work.

    Raises:
        OptionError: an unknown study, arguments that it lacks, or a folder of something else.
        PhotoError, CheckpointError: photographs or weights that cannot be read.
    """
    if name not in STUDIES:
        raise OptionError(f"unknown study {name!r}; known: {', '.join(STUDIES)}")
    trains = name not in (MASK_SIZE, EFFICIENCY)
    needs = {"--photos": trains, "--test": name != EFFICIENCY}
    for option, given in (("--photos", photos), ("--test", tests)):
        if bool(given) != needs[option]:
            raise OptionError(f"the study {name} {'needs' if needs[option] else 'takes no'} {option}")
    if budget is not None and not trains:
        raise OptionError(f"the study {name} takes no --budget")
    if pictures is not None and pictures < 1:
        raise OptionError(f"--pictures must be at least 1, got {pictures}")
    if name == MASK_SIZE and len(tests) > 1:
        raise OptionError(f"the study {MASK_SIZE} takes one --test, got {len(tests)}")
    if name == CROSS_DATA and len(tests) != len(photos):
        raise OptionError(f"the study {CROSS_DATA} needs one --test for every --photos")
    scale = FULL if full else SMALL
    if budget is not None:
        scale = replace(scale, budget=budget)
    if pictures is not None:
        scale = replace(scale, pictures=pictures)
    device = torch.device("cuda" if full and torch.cuda.is_available() else "cpu")
    try:
        with single_threaded(not full):
            if name == EFFICIENCY:
                report = run_efficiency(folder, scale, peers, device, say)
            elif name == MASK_SIZE:
                report = run_mask_size(model, open_test_set(tests[0]), folder, scale, seed, say)
            else:
                study, sets = training_study(name, photos), [open_test_set(test) for test in tests]
                report = run_training_study(study, photos, sets, folder, scale=scale, seed=seed, device=device, say=say)
        write_report(report, folder)
    except OSError as error:
        raise OptionError(f"{error.filename or folder}: {error.strerror or error}") from None
    return report


@contextmanager
def single_threaded(wanted: bool) -> Iterator[None]:
    """One thread for PyTorch: processor time is then the time of the work, whatever else the machine does."""
    before = torch.get_num_threads()
    if wanted:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
