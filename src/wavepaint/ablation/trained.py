"""The studies that train: every arm alike, measured at equal steps and at equal time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wavepaint.ablation.bench import Bench, runs_of
from wavepaint.ablation.comparison import Compared, Scores, compare
from wavepaint.ablation.findings import PREFILL_ALONE, findings
from wavepaint.ablation.measuring import coarse_to_fine_method, first_pictures, kept, score
from wavepaint.ablation.plan import EQUAL_STEPS, EQUAL_TIME, Plan, Scale, read_plan, share_budget, write_plan
from wavepaint.ablation.receptive_field import ReceptiveField, receptive_field
from wavepaint.ablation.report import Report
from wavepaint.ablation.studies import Arm, TrainingStudy
from wavepaint.ablation.training import (
    MASK_BANK,
    load_photographs,
    make_trainer,
    seconds_per_step,
    snapshot_path,
    train_run,
)
from wavepaint.atomic import replacing
from wavepaint.evaluation.methods import haar_method
from wavepaint.evaluation.testset import EvaluationSet
from wavepaint.network import load_checkpoint
from wavepaint.training.resident import MaskBank, PhotographBank, ResidentOptions

FIELD_PICTURES = 8

Say = Callable[[str], None]


def run_training_study(
    study: TrainingStudy,
    sources: Sequence[str],
    test_sets: Sequence[EvaluationSet],
    folder: Path,
    *,
    scale: Scale,
    seed: int = 0,
    device: torch.device,
    say: Say = lambda text: None,
) -> Report:
    """Train every arm, or go on where a run in `folder` was stopped, and compare them.

    Args:
        study: what to compare.
        sources: photographs to train on, see `data.photographs.find_photographs`.
        test_sets: to measure on; their photographs are not trained on.
        folder: new, empty, or of a run with the same arguments.
        scale: how much to do.
        seed: of everything random.
        device: to train on; scores are always taken on the CPU.
        say: called with a line before every piece of work.

    Raises:
        OptionError: a folder of something else; sources or sets that cannot be used.
        PhotoError: no such source.
    """
    sets = {_set_name(test_sets, index): first_pictures(each, scale.pictures) for index, each in enumerate(test_sets)}
    settings = {
        "photos": list(sources),
        "test": {name: each.sha256 for name, each in sets.items()},
        "seed": seed,
        "device": device.type,
        **asdict(scale),
    }
    plan = read_plan(folder, study.name, settings)
    names = frozenset(entry.name for each in test_sets for entry in each.entries)
    banks = _Banks(sources, scale.photographs, names, seed, device, say)
    if plan is None:
        plan = _make_plan(study, settings, scale, banks, seed, device, say)
        write_plan(folder, plan)
    bench = Bench(study, plan, scale, folder, seed)
    for arm in study.arms:
        for run in range(runs_of(study, arm, scale)):
            _train(bench, arm, run, banks, device, say)
    return _measure(bench, sets, say)


def _set_name(test_sets: Sequence[EvaluationSet], index: int) -> str:
    names = [each.folder.resolve().name for each in test_sets]
    return names[index] if names.count(names[index]) == 1 else f"{names[index]} ({index + 1})"


class _Banks:
    """Photographs and masks on the device, loaded when the first run needs them."""

    def __init__(
        self, sources: Sequence[str], count: int, excluded: frozenset[str], seed: int, device: torch.device, say: Say
    ) -> None:
        self._load = partial(load_photographs, count=count, excluded=excluded, device=device)
        self._sources, self._seed, self._device, self._say = sources, seed, device, say
        self._photographs: dict[int, PhotographBank] = {}
        self._masks: MaskBank | None = None

    def photographs(self, source: int) -> PhotographBank:
        if source not in self._photographs:
            self._say(f"reading {self._sources[source]}")
            self._photographs[source] = self._load(self._sources[source])
        return self._photographs[source]

    @property
    def masks(self) -> MaskBank:
        if self._masks is None:
            self._masks = MaskBank(ResidentOptions.masks, MASK_BANK, self._seed, self._device)
        return self._masks


def _make_plan(
    study: TrainingStudy,
    settings: Mapping[str, Any],
    scale: Scale,
    banks: _Banks,
    seed: int,
    device: torch.device,
    say: Say,
) -> Plan:
    say("timing a step of every arm")
    trainers = [
        make_trainer(arm, scale, banks.photographs(arm.source), banks.masks, seed, device) for arm in study.arms
    ]
    timed = zip(study.arms, seconds_per_step(trainers), strict=True)
    step_seconds = {arm.name: round(seconds, 4) for arm, seconds in timed}
    runs = sum(runs_of(study, arm, scale) for arm in study.arms)
    equal_steps, equal_time = share_budget(scale.budget, runs, step_seconds)
    return Plan(study.name, settings, step_seconds, equal_steps, equal_time)


def _train(bench: Bench, arm: Arm, run: int, banks: _Banks, device: torch.device, say: Say) -> None:
    folder = bench.run_folder(arm, run)
    moments = sorted(set(bench.plan.moments(arm.name).values()))
    if all(snapshot_path(folder, moment).is_file() for moment in moments):
        return
    say(f"training {arm.name}, seed {bench.seed + run}, {moments[-1]} steps")
    photographs = banks.photographs(arm.source)
    trainer = make_trainer(arm, bench.scale, photographs, banks.masks, bench.seed + run, device)
    train_run(trainer, folder, moments)


def _measure(bench: Bench, sets: Mapping[str, EvaluationSet], say: Say) -> Report:
    study, plan = bench.study, bench.plan
    rows: dict[tuple[str, str], list[Compared]] = {}
    for number, (set_name, test_set) in enumerate(sets.items()):
        alone = _scores_of_prefill(bench, number, test_set, say)
        for moment in (EQUAL_STEPS, EQUAL_TIME):
            runs = {
                arm.name: [
                    _scores_of_run(bench, arm, run, plan.moments(arm.name)[moment], number, test_set, say)
                    for run in range(runs_of(study, arm, bench.scale))
                ]
                for arm in study.arms
            }
            rows[set_name, moment] = compare({**runs, PREFILL_ALONE: [alone] * bench.scale.seeds}, bench.seed)
    say("measuring receptive fields")
    fields = {arm.name: _field(bench, arm, next(iter(sets.values()))) for arm in study.arms}
    return findings(bench, rows, fields, len(sets))


def _scores_of_prefill(bench: Bench, number: int, test_set: EvaluationSet, say: Say) -> Scores:
    def make() -> Scores:
        say("scoring the prefill alone")
        return score(haar_method(), test_set)

    found: Scores = kept(bench.folder / "runs" / f"prefill-{number}.json", make)
    return found


def _scores_of_run(
    bench: Bench, arm: Arm, run: int, steps: int, number: int, test_set: EvaluationSet, say: Say
) -> Scores:
    folder = bench.run_folder(arm, run)

    def make() -> Scores:
        say(f"scoring {arm.name}, seed {bench.seed + run}, after {steps} steps")
        model = load_checkpoint(snapshot_path(folder, steps))
        return score(coarse_to_fine_method(model, arm.name, arm.octaves), test_set)

    found: Scores = kept(folder / f"scores-{steps:06d}-{number}.json", make)
    return found


def _field(bench: Bench, arm: Arm, test_set: EvaluationSet) -> ReceptiveField | None:
    """Of the arm's first run at its end; None where the network adds nothing to its prefill."""
    path = bench.run_folder(arm, 0) / "receptive-field.npy"
    if not path.is_file():
        model = load_checkpoint(snapshot_path(path.parent, bench.plan.equal_time[arm.name]))
        chosen = first_pictures(test_set, FIELD_PICTURES)
        items = [item for item in chosen if item.kind == chosen.kinds[0]]
        try:
            energy = receptive_field(model, items, bench.seed).energy
        except ValueError:
            return None
        with replacing(path) as unfinished, unfinished.open("wb") as file:
            np.save(file, energy)
    return ReceptiveField(np.load(path))
