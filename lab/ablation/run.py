"""A study from its name to its report: what `python -m lab ablate` does apart from showing it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from lab.ablation.bench import Conditions
from lab.ablation.efficiency import run_efficiency
from lab.ablation.holes import run_mask_size
from lab.ablation.plan import FULL, SMALL, Scale
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
from wavepaint.errors import OptionError, check_known
from wavepaint.evaluation.testset import open_test_set
from wavepaint.network.checkpoint import DEFAULT_NAME


@dataclass(frozen=True)
class StudyRequest:
    """What `python -m lab ablate` was asked for.

    Attributes:
        name: one of `studies.STUDIES`.
        images: images to train on, see `data.images.find_images`; several for `CROSS_DATA` only.
        tests: test sets that `wavepaint masks make` wrote.
        full: at full size, on an accelerator where there is one; else small, on one core.
        budget: seconds of training of all runs together, instead of the scale's.
        steps: of every arm at equal steps, instead of what the budget is enough for.
        test_images: of each test set to measure on, instead of the scale's.
        seed: random seed.
        methods: to study, for `MASK_SIZE`; see `holes.run_mask_size`.
        init: "default" or a checkpoint that all arms start from, for `TEXTURE`; by default the packaged network.
        vgg_weights: file of VGG16 weights; without it `TEXTURE` downloads them once and `MASK_SIZE` measures
            neither LPIPS nor DISTS.
        peers: folder of other networks for `EFFICIENCY`, see `efficiency.run_efficiency`.
    """

    name: str
    images: Sequence[str] = ()
    tests: Sequence[Path] = ()
    full: bool = False
    budget: float | None = None
    steps: int | None = None
    test_images: int | None = None
    seed: int = 0
    methods: Sequence[str] = ()
    init: str | None = None
    vgg_weights: Path | None = None
    peers: Path | None = None

    def check(self) -> None:
        """Refuse an unknown study, and arguments that it lacks or does not take: `OptionError`."""
        name = self.name
        check_known("study", (name,), STUDIES)
        needs = {"--images": name not in (MASK_SIZE, EFFICIENCY), "--test": name != EFFICIENCY}
        for option, given in (("--images", self.images), ("--test", self.tests)):
            if bool(given) != needs[option]:
                raise OptionError(f"the study {name} {'needs' if needs[option] else 'takes no'} {option}")
        for option, is_given, takers in (
            ("--budget", self.budget is not None, (*TRAINING_STUDIES, CROSS_DATA)),
            ("--steps", self.steps is not None, (*TRAINING_STUDIES, CROSS_DATA)),
            ("--method", bool(self.methods), (MASK_SIZE,)),
            ("--init", self.init is not None, (TEXTURE,)),
            ("--vgg-weights", self.vgg_weights is not None, (TEXTURE, MASK_SIZE)),
        ):
            if is_given and name not in takers:
                raise OptionError(f"the study {name} takes no {option}")
        if self.budget is not None and self.steps is not None:
            raise OptionError("give only one of --budget and --steps")
        for option, count in (("--steps", self.steps), ("--test-images", self.test_images)):
            if count is not None and count < 1:
                raise OptionError(f"{option} must be at least 1, got {count}")
        if name == MASK_SIZE and len(self.tests) > 1:
            raise OptionError(f"the study {MASK_SIZE} takes one --test, got {len(self.tests)}")
        if name == CROSS_DATA and len(self.tests) != len(self.images):
            raise OptionError(f"the study {CROSS_DATA} needs one --test for every --images")

    @property
    def scale(self) -> Scale:
        """The size of the study."""
        scale = replace(FULL if self.full else SMALL, steps=self.steps)
        if self.budget is not None:
            scale = replace(scale, budget=self.budget)
        return scale if self.test_images is None else replace(scale, test_images=self.test_images)


def run_study(request: StudyRequest, folder: Path, say: Callable[[str], None] = lambda text: None) -> Report:
    """Run a study, or resume one that was stopped, and write its report into its folder.

    Args:
        request: what to study.
        folder: new, empty, or of a run with the same request.
        say: called with a line before every piece of work.

    Raises:
        OptionError: an unknown study, arguments that it lacks, or a folder of something else.
        ImageError, CheckpointError: images or weights that cannot be read.
    """
    request.check()
    try:
        with single_threaded(not request.full):
            report = _run(request, folder, say)
        write_report(report, folder)
    except OSError as error:
        raise OptionError(f"{error.filename or folder}: {error.strerror or error}") from None
    return report


def _run(request: StudyRequest, folder: Path, say: Callable[[str], None]) -> Report:
    scale, vgg_weights = request.scale, request.vgg_weights
    device = torch.device("cuda" if request.full and torch.cuda.is_available() else "cpu")
    if request.name == EFFICIENCY:
        return run_efficiency(folder, request.peers, device, say)
    if request.name == MASK_SIZE:
        test_set = open_test_set(request.tests[0])
        return run_mask_size(request.methods, test_set, folder, scale, request.seed, vgg_weights, say)
    study, sets = training_study(request.name, request.images), [open_test_set(test) for test in request.tests]
    start = Start(request.init or DEFAULT_NAME, CONTINUED_RATE, vgg_weights) if study.continues else FRESH
    conditions = Conditions(scale, device, request.seed, start)
    return run_training_study(study, request.images, sets, folder, conditions, say)


@contextmanager
def single_threaded(enabled: bool) -> Iterator[None]:
    """One thread for PyTorch: processor time is then the time of the work, whatever else the machine does."""
    before = torch.get_num_threads()
    if enabled:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
