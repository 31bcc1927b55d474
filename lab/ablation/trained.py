"""The studies that train: every arm alike, measured at equal steps and at equal time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch

from lab.ablation.bench import Bench, Conditions, runs_of
from lab.ablation.comparison import DETAIL, VGG_DISTANCE, Compared, Scores, compare
from lab.ablation.convolutions import load_network
from lab.ablation.findings import BEFORE, PREFILL_ALONE, findings
from lab.ablation.measuring import cached, coarse_to_fine_method, first_images, score
from lab.ablation.plan import EQUAL_STEPS, EQUAL_TIME, Plan, read_plan, share_budget, write_plan
from lab.ablation.receptive_field import ReceptiveField, receptive_field
from lab.ablation.report import Report
from lab.ablation.studies import Arm, TrainingStudy
from lab.ablation.texture import all_losses, detail_scores, measure_weights
from lab.ablation.training import (
    MASK_BANK,
    MASKS,
    PairedTrainer,
    Start,
    load_images,
    make_trainer,
    seconds_per_step,
    snapshot_path,
    train_run,
    training_precision,
)
from wavepaint.data.resident import ImageBank, MaskBank
from wavepaint.evaluation.methods import describe_weights, haar_method
from wavepaint.evaluation.metrics import pixel_scores
from wavepaint.evaluation.protocol import Method, Scorer
from wavepaint.evaluation.run import load_scorers
from wavepaint.evaluation.testset import EvaluationSet
from wavepaint.files import atomic_write
from wavepaint.network import load_checkpoint

FIELD_IMAGES = 8

Say = Callable[[str], None]


def run_training_study(
    study: TrainingStudy,
    sources: Sequence[str],
    test_sets: Sequence[EvaluationSet],
    folder: Path,
    conditions: Conditions,
    say: Say = lambda text: None,
) -> Report:
    """Train every arm, or resume a run in `folder` that was stopped, and compare them.

    Args:
        study: what to compare.
        sources: images to train on, see `data.images.find_images`.
        test_sets: to measure on; their images are not trained on.
        folder: new, empty, or of a run with the same arguments.
        conditions: under which every arm is trained.
        say: called with a line before every piece of work.

    Raises:
        OptionError: a folder of something else; sources or sets that cannot be used.
        ImageError: no such source.
        CheckpointError: no such network to start from.
    """
    scale, device, seed = conditions.scale, conditions.device, conditions.seed
    if conditions.start.init is not None:
        load_checkpoint(conditions.start.init)  # an error before anything is done
    sets = {_set_name(test_sets, index): first_images(each, scale.test_images) for index, each in enumerate(test_sets)}
    settings = {
        "images": list(sources),
        "test": {name: each.sha256 for name, each in sets.items()},
        "seed": seed,
        "device": device.type,
        "precision": training_precision(device),
        **asdict(scale),
        **_describe(conditions.start),
    }
    plan = read_plan(folder, study.name, settings)
    names = frozenset(entry.name for each in test_sets for entry in each.entries)
    banks = _Banks(sources, scale.train_images, names, seed, device, say)
    if plan is None:
        plan = _make_plan(study, settings, banks, conditions, say)
        write_plan(folder, plan)
    bench = Bench(study, plan, folder, conditions)
    for arm in study.arms:
        for run in range(runs_of(study, arm, scale)):
            _train(bench, arm, run, banks, say)
    return _measure(bench, sets, say)


def _describe(start: Start) -> dict[str, Any]:
    """What a plan must know of a start; nothing for random weights."""
    if start.init is None:
        return {}
    vgg = "official" if start.vgg_weights is None else describe_weights(start.vgg_weights)
    return {"init": describe_weights(start.init), "learning_rate": start.learning_rate, "vgg_weights": vgg}


def _set_name(test_sets: Sequence[EvaluationSet], index: int) -> str:
    names = [each.folder.resolve().name for each in test_sets]
    return names[index] if names.count(names[index]) == 1 else f"{names[index]} ({index + 1})"


class _Banks:
    """Images and masks on the device, loaded when the first run needs them."""

    def __init__(
        self, sources: Sequence[str], count: int, excluded: frozenset[str], seed: int, device: torch.device, say: Say
    ) -> None:
        self._load = partial(load_images, count=count, excluded=excluded, device=device)
        self._sources, self._seed, self._device, self._say = sources, seed, device, say
        self._images: dict[int, ImageBank] = {}
        self._masks: MaskBank | None = None

    def images(self, source: int) -> ImageBank:
        if source not in self._images:
            self._say(f"reading {self._sources[source]}")
            self._images[source] = self._load(self._sources[source])
        return self._images[source]

    @property
    def masks(self) -> MaskBank:
        if self._masks is None:
            self._masks = MaskBank(MASKS, MASK_BANK, self._seed, self._device)
        return self._masks


def _make_plan(
    study: TrainingStudy, settings: Mapping[str, Any], banks: _Banks, conditions: Conditions, say: Say
) -> Plan:
    scale = conditions.scale

    def trainer(arm: Arm, added: Mapping[str, float]) -> PairedTrainer:
        images, masks, seed = banks.images(arm.source), banks.masks, conditions.seed
        return make_trainer(arm, scale, images, masks, seed, conditions.device, conditions.start, added)

    losses: dict[str, dict[str, float]] = {}
    if study.continues:
        say("measuring the weights of the losses")
        losses = measure_weights(trainer(study.arms[0], all_losses(study.arms)), study.arms)
    say("timing a step of every arm")
    trainers = [trainer(arm, losses.get(arm.name, {})) for arm in study.arms]
    step_seconds = average_alike(study.arms, seconds_per_step(trainers))
    runs = sum(runs_of(study, arm, scale) for arm in study.arms)
    equal_steps, equal_time = share_budget(scale.budget, runs, step_seconds, scale.steps)
    return Plan(study.name, settings, step_seconds, equal_steps, equal_time, losses)


def average_alike(arms: Sequence[Arm], seconds: Sequence[float]) -> dict[str, float]:
    """By name what a step takes; arms that differ only in what they are trained on get their mean."""
    alike: dict[str, list[float]] = {}
    kinds = [str(replace(arm, name="", source=0)) for arm in arms]
    for kind, own in zip(kinds, seconds, strict=True):
        alike.setdefault(kind, []).append(own)
    return {arm.name: round(fmean(alike[kind]), 4) for arm, kind in zip(arms, kinds, strict=True)}


def _train(bench: Bench, arm: Arm, run: int, banks: _Banks, say: Say) -> None:
    conditions, seed = bench.conditions, bench.conditions.seed + run
    folder = bench.run_folder(arm, run)
    moments = sorted(set(bench.plan.moments(arm.name).values()))
    if all(snapshot_path(folder, moment).is_file() for moment in moments):
        return
    say(f"training {arm.name}, seed {seed}, {moments[-1]} steps")
    images = banks.images(arm.source)
    added = bench.plan.losses.get(arm.name, {})
    device, start = conditions.device, conditions.start
    trainer = make_trainer(arm, conditions.scale, images, banks.masks, seed, device, start, added)
    train_run(trainer, folder, moments)


def _measure(bench: Bench, sets: Mapping[str, EvaluationSet], say: Say) -> Report:
    study, plan, conditions = bench.study, bench.plan, bench.conditions
    scoring = _Scoring(study.metrics, conditions.start.vgg_weights)
    rows: dict[tuple[str, str], list[Compared]] = {}
    for number, (set_name, test_set) in enumerate(sets.items()):
        untrained = {
            name: [scores] * conditions.scale.seeds
            for name, scores in _scores_without_training(bench, number, test_set, scoring, say).items()
        }
        for moment in (EQUAL_STEPS, EQUAL_TIME):
            runs = {
                arm.name: [
                    _scores_of_run(bench, arm, run, plan.moments(arm.name)[moment], number, test_set, scoring, say)
                    for run in range(runs_of(study, arm, conditions.scale))
                ]
                for arm in study.arms
            }
            reference = study.reference(number).name
            rows[set_name, moment] = compare({reference: runs.pop(reference), **runs, **untrained}, conditions.seed)
    fields: dict[str, ReceptiveField | None] = {}
    if not study.continues:
        say("measuring receptive fields")
        fields = {arm.name: _field(bench, arm, next(iter(sets.values()))) for arm in study.arms}
    return findings(bench, rows, fields, len(sets))


class _Scoring:
    """Scores of methods by the metrics of a study; VGG16 is loaded when the first needs it."""

    def __init__(self, metrics: Sequence[str], vgg_weights: Path | None) -> None:
        self._metrics, self._vgg_weights = metrics, vgg_weights
        self._scorers: tuple[Scorer, ...] | None = None

    def __call__(self, method: Method, test_set: EvaluationSet) -> Scores:
        """See `measuring.score`."""
        if self._scorers is None:
            self._scorers = (pixel_scores, *self._more())
        # Image by image, as a truth passes VGG16 once for all its holes.
        by_name = tuple(sorted(test_set.entries, key=lambda entry: entry.name))
        return score(method, replace(test_set, entries=by_name), self._metrics, self._scorers)

    def _more(self) -> Iterator[Scorer]:
        if VGG_DISTANCE in self._metrics:
            weights = {} if self._vgg_weights is None else {"vgg16": self._vgg_weights}
            yield from load_scorers(("vgg",), weights)[0]
        if not set(DETAIL).isdisjoint(self._metrics):
            yield detail_scores


def _scores_without_training(
    bench: Bench, number: int, test_set: EvaluationSet, scoring: _Scoring, say: Say
) -> dict[str, Scores]:
    """Of the prefill alone, and of the checkpoint that a study starts from, if any."""

    def prefill() -> Scores:
        say("scoring the prefill alone")
        return scoring(haar_method(), test_set)

    scores = {PREFILL_ALONE: cached(bench.folder / "runs" / f"prefill-{number}.json", prefill)}
    init = bench.conditions.start.init
    if init is not None:

        def untouched() -> Scores:
            say("scoring the network before training")
            return scoring(coarse_to_fine_method(load_checkpoint(init), BEFORE, 0), test_set)

        scores[BEFORE] = cached(bench.folder / "runs" / f"before-{number}.json", untouched)
    return scores


def _scores_of_run(
    bench: Bench, arm: Arm, run: int, steps: int, number: int, test_set: EvaluationSet, scoring: _Scoring, say: Say
) -> Scores:
    folder = bench.run_folder(arm, run)

    def make() -> Scores:
        say(f"scoring {arm.name}, seed {bench.conditions.seed + run}, after {steps} steps")
        model = load_network(snapshot_path(folder, steps))
        return scoring(coarse_to_fine_method(model, arm.name, arm.coarse_levels), test_set)

    scores: Scores = cached(folder / f"scores-{steps:06d}-{number}.json", make)
    return scores


def _field(bench: Bench, arm: Arm, test_set: EvaluationSet) -> ReceptiveField | None:
    """Of the arm's first run at its end; None where the network adds nothing to its prefill."""
    path = bench.run_folder(arm, 0) / "receptive-field.npy"
    if not path.is_file():
        model = load_network(snapshot_path(path.parent, bench.plan.equal_time[arm.name]))
        chosen = first_images(test_set, FIELD_IMAGES)
        items = [item for item in chosen if item.kind == chosen.kinds[0]]
        try:
            energy = receptive_field(model, items, bench.conditions.seed).energy
        except ValueError:
            return None
        with atomic_write(path) as unfinished, unfinished.open("wb") as file:
            np.save(file, energy)
    return ReceptiveField(np.load(path))
