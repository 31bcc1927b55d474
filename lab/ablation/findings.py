"""The report of a study that trained: its conclusion, tables, figures and numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import fmean
from types import MappingProxyType
from typing import Any

from lab.ablation.bench import Bench, runs_of
from lab.ablation.comparison import (
    ALL_KINDS,
    COMPARED,
    DETAIL,
    DIGITS,
    SHORT,
    VGG_DISTANCE,
    Compared,
    conclusion,
    excludes_zero,
    signed,
)
from lab.ablation.convolutions import load_network
from lab.ablation.figures import difference_chart, energy_maps
from lab.ablation.plan import EQUAL_STEPS
from lab.ablation.receptive_field import ReceptiveField
from lab.ablation.report import INTERVALS, SEEDS, Report
from lab.ablation.studies import Arm
from lab.ablation.texture import GRADIENT_SHARE
from lab.ablation.training import REFERENCE_LOSSES, snapshot_path
from lab.benchmark.report import plain_table
from wavepaint.evaluation.charts import line_chart
from wavepaint.evaluation.metrics import Summary
from wavepaint.evaluation.tables import Table
from wavepaint.network import WavePaint
from wavepaint.network.checkpoint import read_metadata
from wavepaint.network.info import count_macs

PREFILL_ALONE, BEFORE = "prefill alone", "before training"
UNTRAINED: Mapping[str, str] = MappingProxyType(
    {PREFILL_ALONE: "the prefill without a network", BEFORE: "the network before training"}
)
"""What is measured beside the arms, with words for it."""
BY_KIND = ("hole_psnr", VGG_DISTANCE)
"""Metrics that are also reported for every kind of hole."""
_FOR_SCALE = (ALL_KINDS, "hole_psnr")
_TEXTURE_NOTES = (
    "VGG distance: relative distance of VGG16 activations of the whole composite; lower is better. Detail of level 1 "
    "and 2: binary logarithm of the energy of Haar details inside the hole over the truth's; 0 is right, negative too "
    "smooth.",
    "Weights of the losses were measured at the start: the gradient of an added loss by the filled samples has "
    f"{GRADIENT_SHARE:g} times the norm of that of L1 and gradient together; two added losses have half of it each.",
)
PROFILE = (1, 2, 4, 8, 16, 32, 64, 128)
"""Radii in pixels at which the profile of a receptive field is drawn."""


def findings(
    bench: Bench,
    rows: Mapping[tuple[str, str], list[Compared]],
    fields: Mapping[str, ReceptiveField | None],
    sets: int,
) -> Report:
    """What a study found.

    Args:
        bench: the study.
        rows: for every test set and moment what `comparison.compare` says, the prefill alone included.
        fields: for every arm its effective receptive field, None where it has none; empty if none was measured.
        sets: how many test sets there are.
    """
    study = bench.study
    tables, figures = [_arms_table(bench, fields)], {}
    tables += [_matrix(rows, metric) for metric in study.metrics if sets > 1]
    for (set_name, moment), compared in rows.items():
        place = f"{moment}, {set_name}" if sets > 1 else moment
        prefix = f"{set_name}-" if sets > 1 else ""
        more = tuple(metric for metric in study.metrics if metric not in COMPARED)
        tables += [_scores_table(place, compared, metrics) for metrics in (COMPARED, more) if metrics]
        tables += [_kinds_table(place, compared, m) for m in BY_KIND if m in study.metrics]
        for metric in study.metrics:
            name, unit = SHORT[metric]
            figures[f"{prefix}{name.lower().replace(' ', '-')}-{moment.replace(' ', '-')}"] = difference_chart(
                f"{name}{' in the hole' * (metric != VGG_DISTANCE)} against {compared[0].arm}, {place}",
                _differences(compared, metric),
                f"difference{',' + unit if unit else ''}",
            )
    measured = {name: each for name, each in fields.items() if each is not None}
    if measured:
        maps = {name: (each.energy, each.radii["90%"]) for name, each in measured.items()}
        figures["receptive-field"] = energy_maps("Effective receptive field: the middle 128 pixels", maps)
    profiles = {name: [_point(each.share_within(radius)) for radius in PROFILE] for name, each in measured.items()}
    profile_title = "Share of the gradient energy within a radius"
    columns = [str(radius) for radius in PROFILE]
    figures["receptive-field-profile"] = line_chart(profile_title, "pixels", columns, profiles)
    return Report(
        study.name,
        study.question,
        _conclusion(bench, rows, measured, sets),
        (f"{INTERVALS} {SEEDS}", _method_note(bench), *_TEXTURE_NOTES * study.continues),
        tuple(tables),
        {name: svg for name, svg in figures.items() if svg},
        _results(bench, rows, measured),
    )


def _conclusion(
    bench: Bench,
    rows: Mapping[tuple[str, str], list[Compared]],
    fields: Mapping[str, ReceptiveField],
    sets: int,
) -> str:
    sentences = []
    for (set_name, moment), compared in rows.items():
        place = f"{moment} on {set_name}" if sets > 1 else moment
        trained = [row for row in compared if row.arm not in UNTRAINED]
        sentences.append(conclusion(trained, place))
        if bench.study.continues:
            sentences.append(_best(trained))
    last = {row.arm: row for row in list(rows.values())[-1] if (row.kind, row.metric) == _FOR_SCALE}
    for name, words in UNTRAINED.items():
        if name in last and (difference := last[name].difference) is not None:
            reference = list(rows.values())[-1][0].arm
            sentences.append(f"For scale: {words} is {signed(difference, 2, ' dB')} from {reference} in PSNR.")
    if fields:
        radii = ", ".join(f"{field.radii['90%']:.0f} px for {name}" for name, field in fields.items())
        sentences.append(f"90 % of the gradient energy of a filled pixel lies within {radii}.")
    return " ".join(sentences)


def _best(rows: Sequence[Compared]) -> str:
    """Which arm has the lowest VGG distance, and what it pays; which has as much detail as the truth."""
    row_of = {(row.arm, row.metric): row for row in rows if row.kind == ALL_KINDS}
    arms = tuple(dict.fromkeys(row.arm for row in rows))
    least = min(arms, key=lambda arm: row_of[arm, VGG_DISTANCE].summary.mean)
    paid = row_of[least, COMPARED[0]].difference
    price = "" if paid is None else f", at {signed(paid, DIGITS[COMPARED[0]], ' dB')} in PSNR"
    nearest = []
    for metric in DETAIL:
        arm = min(arms, key=lambda arm, metric=metric: abs(row_of[arm, metric].summary.mean))  # type: ignore[misc]
        nearest.append(f"{SHORT[metric][0]} by {arm} ({row_of[arm, metric].summary.mean:+.{DIGITS[metric]}f})")
    return f"The lowest VGG distance: {least}{price}. Nearest to the truth's: {', '.join(nearest)}."


def _method_note(bench: Bench) -> str:
    scale, plan = bench.conditions.scale, bench.plan
    runs = ", ".join(f"{arm.name} {runs_of(bench.study, arm, scale)}" for arm in bench.study.arms)
    return (
        f"Batches of {scale.batch} crops of {scale.crop} pixels, {plan.settings['precision']}, constant learning rate "
        f"after a warm-up, averaged weights; the same crops and masks for all arms. Equal steps: {plan.equal_steps}. "
        f"Runs: {runs}; seed {bench.conditions.seed}. Bold: intervals that exclude zero."
    )


def _arms_table(bench: Bench, fields: Mapping[str, ReceptiveField | None]) -> Table:
    rows = []
    for arm in bench.study.arms:
        model = _trained(bench, arm)
        row = [
            arm.name,
            f"{_parameters(model):,}",
            f"{count_macs(model) / 1e9:.2f}",
            f"{bench.plan.step_seconds[arm.name]:.3f}",
            f"{bench.plan.equal_time[arm.name]}",
            f"{_seconds(bench, arm):.0f}",
        ]
        if fields:
            field = fields[arm.name]
            row.append("none" if field is None else " / ".join(f"{radius:.0f}" for radius in field.radii.values()))
        if bench.study.continues:
            losses = {**REFERENCE_LOSSES, **bench.plan.losses[arm.name]}
            row.append(", ".join(f"{name} {weight:g}" for name, weight in losses.items()))
        rows.append(tuple(row))
    header = (
        *("arm", "parameters", "G multiply-adds, 256x256", "s a step", "steps in equal time", "s taken"),
        *("radius of 50 / 90 / 99 % of the gradient energy, px",) * bool(fields),
        *("weights of the losses",) * bench.study.continues,
    )
    return plain_table("The arms", header, rows)


def _trained(bench: Bench, arm: Arm) -> WavePaint:
    """The arm's network at its first run's end."""
    return load_network(snapshot_path(bench.run_folder(arm, 0), bench.plan.equal_time[arm.name]))


def _snapshots(bench: Bench, arm: Arm) -> list[dict[str, float]]:
    """Steps and seconds of all snapshots, run by run."""
    notes = (
        read_metadata(snapshot_path(bench.run_folder(arm, run), steps))
        for run in range(runs_of(bench.study, arm, bench.conditions.scale))
        for steps in sorted(set(bench.plan.moments(arm.name).values()))
    )
    return [{"steps": int(note["steps"]), "seconds": float(note["seconds"])} for note in notes]


def _seconds(bench: Bench, arm: Arm) -> float:
    """What a run really took to its end, the mean over the arm's runs."""
    return fmean(s["seconds"] for s in _snapshots(bench, arm) if s["steps"] == bench.plan.equal_time[arm.name])


def _parameters(model: WavePaint) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _scores_table(place: str, compared: Sequence[Compared], metrics: Sequence[str]) -> Table:
    """All kinds together: means and differences."""
    arms = dict.fromkeys(row.arm for row in compared)
    row_of = {(row.arm, row.metric): row for row in compared if row.kind == ALL_KINDS}
    rows, bold = [], []
    for arm in arms:
        cells, marks = [arm], [False]
        for metric in metrics:
            row = row_of[arm, metric]
            by_seed = ", ".join(f"{value:+.{DIGITS[metric]}f}" for value in row.by_seed) if row.by_seed else ""
            cells += [f"{row.summary.mean:.{DIGITS[metric]}f}", _difference_cell(row), by_seed]
            marks += [False, row.difference is not None and excludes_zero(row.difference), False]
        rows.append(tuple(cells))
        bold.append(tuple(marks))
    noise = {SHORT[m][0]: row_of[next(iter(arms)), m].noise for m in metrics}
    seeds = ", ".join(f"{name} {value:.4f}" for name, value in noise.items() if value is not None)
    of_each = ("difference [95 % interval]", "by seed")
    header = ("arm", *(text for metric in metrics for text in (SHORT[metric][0], *of_each)))
    count = row_of[next(iter(arms)), metrics[0]].summary.count
    title = f"At {place}: {count} images, all kinds of holes" + (
        f"; seeds of the reference differ by {seeds}" * bool(seeds)
    )
    return Table(title, header, tuple(rows), tuple(bold))


def _matrix(rows: Mapping[tuple[str, str], list[Compared]], metric: str) -> Table:
    """At equal steps, all kinds together: every arm on every test set against the set's reference."""
    cells: dict[str, list[tuple[str, bool]]] = {}
    sets = [set_name for set_name, moment in rows if moment == EQUAL_STEPS]
    for set_name in sets:
        for row in rows[set_name, EQUAL_STEPS]:
            if (row.kind, row.metric) == (ALL_KINDS, metric):
                text = _difference_cell(row) if row.difference else f"{row.summary.mean:.{DIGITS[metric]}f}"
                cells.setdefault(row.arm, []).append((text, bool(row.difference and excludes_zero(row.difference))))
    name, unit = SHORT[metric]
    title = f"{name}{',' * bool(unit)}{unit}, on every test set: of its own source, and the others' difference to it"
    texts = tuple((arm, *(text for text, _ in line)) for arm, line in cells.items())
    return Table(title, ("arm", *sets), texts, tuple((False, *(bold for _, bold in line)) for line in cells.values()))


def _kinds_table(place: str, compared: Sequence[Compared], metric: str) -> Table:
    """Differences per kind of hole."""
    kinds = [kind for kind in dict.fromkeys(row.kind for row in compared) if kind != ALL_KINDS]
    row_of = {(row.arm, row.kind): row for row in compared if row.metric == metric}
    arms = dict.fromkeys(row.arm for row in compared)
    rows = tuple((arm, *(_difference_cell(row_of[arm, kind]) for kind in kinds)) for arm in arms)
    bold = tuple(
        (False, *((d := row_of[arm, kind].difference) is not None and excludes_zero(d) for kind in kinds))
        for arm in arms
    )
    name, unit = SHORT[metric]
    title = f"At {place}: difference in {name}{',' * bool(unit)}{unit}, by kind of hole"
    return Table(title, ("arm", *kinds), rows, bold)


def _difference_cell(row: Compared) -> str:
    return "reference" if row.difference is None else signed(row.difference, DIGITS[row.metric])


def _differences(compared: Sequence[Compared], metric: str) -> dict[str, dict[str, Summary]]:
    differences: dict[str, dict[str, Summary]] = {}
    for row in compared:
        if row.metric == metric and row.difference is not None and row.arm not in UNTRAINED:
            differences.setdefault(row.arm, {})[row.kind] = row.difference
    return differences


def _point(value: float) -> Summary:
    return Summary(value, 0.0, value, value, 1)


def _results(
    bench: Bench, rows: Mapping[tuple[str, str], list[Compared]], fields: Mapping[str, ReceptiveField]
) -> dict[str, Any]:
    arms = []
    for arm in bench.study.arms:
        model = _trained(bench, arm)
        field = fields.get(arm.name)
        arms.append(
            {
                **asdict(arm),
                "network": model.config.to_dict(),
                "parameters": _parameters(model),
                "multiply_adds": count_macs(model),
                "trained": _snapshots(bench, arm),
                "receptive_field": None
                if field is None
                else {"radii": field.radii, "share_within": {str(r): field.share_within(r) for r in PROFILE}},
            }
        )
    compared = [
        {"test": test, "moment": moment, **asdict(row), "verdict": row.verdict}
        for (test, moment), table in rows.items()
        for row in table
    ]
    return {"plan": asdict(bench.plan), "arms": arms, "compared": compared}
