"""A study from its name to its report: what `python -m lab ablate` does apart from showing it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from lab.ablation.efficiency import run_efficiency
from lab.ablation.holes import run_mask_size
from lab.ablation.plan import FULL, SMALL
from lab.ablation.report import Report, write_report
from lab.ablation.studies import (
    CROSS_DATA,
    EFFICIENCY,
    MASK_SIZE,
    STUDIES,
    TEXTURE,
    TRAINING_STUDIES,
    training_study,
)
from lab.ablation.texture import CONTINUED_RATE
from lab.ablation.trained import run_training_study
from lab.ablation.training import FRESH, Start
from wavepaint.errors import OptionError
from wavepaint.evaluation.testset import open_test_set
from wavepaint.network.checkpoint import DEFAULT_NAME


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
    models: Sequence[str] = (),
    init: str | None = None,
    vgg_weights: Path | None = None,
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
        models: "default" or checkpoints to compare, for `MASK_SIZE`; by default the packaged network.
        init: "default" or a checkpoint that all arms go on from, for `TEXTURE`; by default the packaged network.
        vgg_weights: file of VGG16 weights; without it `TEXTURE` downloads them once and `MASK_SIZE` measures no VGG
            distance.
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
    for option, is_given, takers in (
        ("--budget", budget is not None, (*TRAINING_STUDIES, CROSS_DATA)),
        ("--model", bool(models), (MASK_SIZE,)),
        ("--init", init is not None, (TEXTURE,)),
        ("--vgg-weights", vgg_weights is not None, (TEXTURE, MASK_SIZE)),
    ):
        if is_given and name not in takers:
            raise OptionError(f"the study {name} takes no {option}")
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
                test_set, chosen = open_test_set(tests[0]), tuple(models) or (DEFAULT_NAME,)
                report = run_mask_size(chosen, test_set, folder, scale, seed, vgg_weights, say)
            else:
                study, sets = training_study(name, photos), [open_test_set(test) for test in tests]
                start = Start(init or DEFAULT_NAME, CONTINUED_RATE, vgg_weights) if study.continues else FRESH
                report = run_training_study(
                    study, photos, sets, folder, scale=scale, seed=seed, device=device, start=start, say=say
                )
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
