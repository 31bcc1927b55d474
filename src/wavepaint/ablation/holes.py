"""Quality against the size of the hole: how far a network sees, and where it breaks down."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from wavepaint.ablation.comparison import COMPARED, DIGITS, SHORT, excludes_zero, signed
from wavepaint.ablation.figures import with_legend
from wavepaint.ablation.measuring import coarse_to_fine_method, first_pictures, kept
from wavepaint.ablation.plan import Plan, Scale, read_plan, write_plan
from wavepaint.ablation.receptive_field import disc
from wavepaint.ablation.report import INTERVALS, Report
from wavepaint.ablation.studies import MASK_SIZE
from wavepaint.errors import OptionError
from wavepaint.evaluation.charts import line_chart
from wavepaint.evaluation.methods import describe_method, find_method, haar_method
from wavepaint.evaluation.metrics import FloatArray, Summary, summarise_columns
from wavepaint.evaluation.protocol import Evaluated, Item, Method, centre_crop, evaluate
from wavepaint.evaluation.report import Table
from wavepaint.evaluation.testset import EvaluationSet
from wavepaint.network import load_checkpoint

RADII = (4, 8, 12, 16, 24, 32, 48, 64, 80, 96, 128, 192)
"""Of the discs, pixels; those of more than 3/8 of the picture's side are left out."""
RING = 8
"""Width of the rings in which the depth of a hole is counted, pixels."""

ONE_LOOK, HALF, QUARTER, PREFILL, TELEA = "one look", "half first", "quarter first", "prefill", "opencv-telea"
_MSE_FLOOR = 1e-6
"""Below the error of rounding to 8 bits; it keeps a ratio of errors finite."""

Measured = Mapping[str, Mapping[str, Any]]
"""Method -> metric -> one value per picture; `rings` -> one list of errors per picture."""


def run_mask_size(
    model: str,
    test_set: EvaluationSet,
    folder: Path,
    scale: Scale,
    seed: int = 0,
    say: Callable[[str], None] = lambda text: None,
) -> Report:
    """Fill discs of growing radius in the middle of the same photographs.

    Args:
        model: "default" or a checkpoint.
        test_set: gives the photographs; its masks are not used.
        folder: new, empty, or of a run with the same arguments, which goes on.
        scale: how many pictures.
        seed: of the bootstrap.
        say: called with a line before every piece of work.

    Raises:
        OptionError: a folder of something else, or pictures too small for any disc.
        CheckpointError: no such network.
    """
    chosen = first_pictures(test_set, scale.pictures)
    network = load_checkpoint(model)
    settings = {
        "model": describe_method(model),
        "test": {test_set.folder.resolve().name: chosen.sha256},
        "pictures": scale.pictures,
        "seed": seed,
    }
    methods: tuple[Method, ...] = (
        coarse_to_fine_method(network, ONE_LOOK, 0),
        coarse_to_fine_method(network, HALF, 1),
        coarse_to_fine_method(network, QUARTER, 2),
        haar_method(PREFILL, network.config.sweeps),
        find_method(TELEA),
    )
    truths = _truths(chosen)
    side = min(min(item.truth.shape[:2]) for item in truths)
    radii = [radius for radius in RADII if radius <= 3 * side / 8]
    if not radii:
        raise OptionError(f"{test_set.folder}: pictures of {side} pixels are too small for this study")
    if read_plan(folder, MASK_SIZE, settings) is None:
        write_plan(folder, Plan(MASK_SIZE, settings))
    found: dict[int, Measured] = {}
    for radius in radii:

        def measure(radius: int = radius) -> Measured:
            say(f"filling discs of radius {radius}")
            return _measure(truths, side, radius, methods)

        found[radius] = kept(folder / "radii" / f"{radius:03d}.json", measure)
    return _report(found, model, settings, side, seed)


def _truths(test_set: EvaluationSet) -> list[Item]:
    """One item per photograph."""
    one_kind = [entry for entry in test_set.entries if entry.kind == test_set.kinds[0]]
    return list(replace(test_set, entries=tuple(one_kind)))


def _measure(truths: Sequence[Item], side: int, radius: int, methods: Sequence[Method]) -> Measured:
    hole = disc(side, radius)
    items = (Item(item.name, str(radius), centre_crop(item.truth, side), hole) for item in truths)
    found: dict[str, dict[str, list[Any]]] = {
        method.name: {name: [] for name in (*COMPARED, "rings")} for method in methods
    }
    for evaluated in evaluate(items, methods):
        for row, rings in zip(evaluated.rows, _ring_errors(evaluated, radius), strict=True):
            for metric in COMPARED:
                found[row.method][metric].append(row.scores[metric])
            found[row.method]["rings"].append(rings)
    return found


def _ring_errors(evaluated: Evaluated, radius: int) -> list[list[float]]:
    """For every method the mean squared error in rings of the hole, the outermost first."""
    mask = evaluated.item.mask
    rows, columns = np.nonzero(mask)
    depth = radius - np.hypot(rows - (mask.shape[0] - 1) / 2, columns - (mask.shape[1] - 1) / 2)
    ring = np.minimum(depth // RING, max(0, radius // RING - 1)).astype(int)
    count = np.bincount(ring)
    truth = evaluated.item.truth[mask] / 255
    errors = (((composite[mask] / 255 - truth) ** 2).mean(axis=1) for composite in evaluated.composites)
    return [(np.bincount(ring, error) / count).tolist() for error in errors]


def differences(found: Measured, method: str, other: str, metric: str, seed: int) -> Summary:
    """Paired difference of two methods' scores."""
    return summarise_columns((_column(found, method, metric) - _column(found, other, metric))[:, None], seed)[0]


def gains_by_depth(found: Measured, method: str, other: str, seed: int) -> list[Summary]:
    """Paired difference in PSNR of two methods, ring by ring from the edge inwards."""
    errors = (np.maximum(np.array(found[name]["rings"]), _MSE_FLOOR) for name in (other, method))
    return summarise_columns(10 * np.log10(np.divide(*errors)), seed)


def sure_runs(labels: Sequence[str], gains: Sequence[Summary], sign: int) -> str:
    """Where gains are surely above (`sign` 1) or below (-1) zero: "8 to 24, 48", or "none"."""
    sure = [sign * (gain.low if sign > 0 else gain.high) > 0 for gain in gains]
    groups = (list(group) for is_sure, group in groupby(zip(labels, sure, strict=True), itemgetter(1)) if is_sure)
    runs = [group[0][0] if len(group) == 1 else f"{group[0][0]} to {group[-1][0]}" for group in groups]
    return ", ".join(runs) or "none"


def fades_at(gains: Sequence[Summary]) -> int | None:
    """Index from which on every gain is less than half of the largest; None where the last is not."""
    half = max(gain.mean for gain in gains) / 2
    strong = [index for index, gain in enumerate(gains) if gain.mean >= half]
    return strong[-1] + 1 if strong and strong[-1] + 1 < len(gains) else None


def _column(found: Measured, method: str, metric: str) -> FloatArray:
    return np.array(found[method][metric], np.float64)


def _report(found: Mapping[int, Measured], model: str, settings: Mapping[str, Any], side: int, seed: int) -> Report:
    labels = [str(radius) for radius in found]
    methods = list(next(iter(found.values())))
    means = {
        metric: {
            method: [summarise_columns(_column(each, method, metric)[:, None], seed)[0] for each in found.values()]
            for method in methods
        }
        for metric in COMPARED
    }
    leads = {
        (metric, first, second): [differences(each, first, second, metric, seed) for each in found.values()]
        for metric in COMPARED
        for first, second in _PAIRS
    }
    largest = max(found)
    depths = {pair: gains_by_depth(found[largest], *pair, seed) for pair in _PAIRS}
    rings = [f"{RING * index}-{RING * (index + 1)}" for index in range(len(depths[_PAIRS[0]]))]
    tables, figures = [], {}
    for metric in COMPARED:
        name, unit = SHORT[metric]
        tables.append(_means_table(f"{name} in discs by radius in pixels", labels, means[metric], DIGITS[metric] - 1))
        pairs = {pair: leads[metric, *pair] for pair in _PAIRS}
        tables.append(_leads_table(f"Differences in {name} by radius", labels, pairs, DIGITS[metric]))
        by_radius = "radius of the disc, pixels"
        shown = {_pair_name(pair): line for pair, line in pairs.items()}
        figures[f"{name.lower()}-by-radius"] = with_legend(
            line_chart(f"{name} in the hole", by_radius, labels, means[metric]), methods
        )
        figures[f"{name.lower()}-lead-by-radius"] = with_legend(
            line_chart(f"Differences in {name}{',' * bool(unit)}{unit}", by_radius, labels, shown), shown
        )
    depth_title = f"Difference in PSNR, dB, by distance from the edge, radius {largest}"
    tables.append(_leads_table(depth_title, rings, depths, DIGITS["hole_psnr"]))
    deep = {_pair_name(pair): line for pair, line in depths.items()}
    figures["lead-by-depth"] = with_legend(
        line_chart(f"Difference in PSNR, dB, in discs of radius {largest}", "pixels from the edge", rings, deep), deep
    )
    pictures = means["hole_psnr"][ONE_LOOK][0].count
    note = (
        f"Discs in the middle of {pictures} pictures of {side} pixels, filled by {model} ({settings['model']}): in one "
        f"look; after filling the picture at half, or a quarter and half of its resolution first, each result enlarged "
        f"being the next guess; by the network's prefill alone; and by OpenCV. Bold: intervals that exclude zero."
    )
    return Report(
        MASK_SIZE,
        "How large may a hole be?",
        _conclusion(list(found), leads, depths, largest),
        (INTERVALS, note),
        tuple(tables),
        figures,
        {
            "settings": dict(settings),
            "radii": list(found),
            "means": {
                metric: {method: [asdict(point) for point in line] for method, line in lines.items()}
                for metric, lines in means.items()
            },
            "differences": [
                {"metric": metric, "method": first, "to": second, "by_radius": [asdict(point) for point in line]}
                for (metric, first, second), line in leads.items()
            ],
            "by_depth": [
                {"method": first, "to": second, "radius": largest, "ring": RING, "psnr": [asdict(p) for p in line]}
                for (first, second), line in depths.items()
            ],
        },
    )


_PAIRS = ((ONE_LOOK, PREFILL), (ONE_LOOK, TELEA), (HALF, ONE_LOOK), (QUARTER, ONE_LOOK))


def _pair_name(pair: tuple[str, str]) -> str:
    return f"{pair[0]} - {pair[1]}"


def _conclusion(
    radii: Sequence[int],
    leads: Mapping[tuple[str, str, str], Sequence[Summary]],
    depths: Mapping[tuple[str, str], Sequence[Summary]],
    largest: int,
) -> str:
    labels = [str(radius) for radius in radii]
    sentences = []
    for other in (PREFILL, TELEA):
        runs = "; ".join(
            f"{SHORT[metric][0]}: {sure_runs(labels, leads[metric, ONE_LOOK, other], 1)}" for metric in COMPARED
        )
        sentences.append(f"Radii at which the network is surely better than {other}: {runs}.")
    lead = leads["hole_psnr", ONE_LOOK, PREFILL]
    best = max(range(len(lead)), key=lambda index: lead[index].mean)
    shown = [f"{signed(lead[index], DIGITS['hole_psnr'], ' dB')} at radius {labels[index]}" for index in (best, -1)]
    fade = fades_at(lead)
    end = "" if fade is None else f"; it is less than half of the largest from radius {labels[fade]} on"
    sentences.append(f"Its lead over the prefill is largest, {shown[0]}, and {shown[1]}{end}.")
    for method, words in ((HALF, "half"), (QUARTER, "a quarter of")):
        line = leads["hole_psnr", method, ONE_LOOK]
        better, worse = (sure_runs(labels, line, sign) for sign in (1, -1))
        sentences.append(
            f"Filling {words} the resolution first is surely better than one look in PSNR at radii: {better}; surely "
            f"worse: {worse}."
        )
    rings = depths[ONE_LOOK, PREFILL]
    fade = fades_at(rings)
    told = (
        "at every depth at least half of that"
        if fade is None
        else f"less than half of that beyond {fade * RING} pixels"
    )
    deepest = signed(max(rings, key=lambda gain: gain.mean), DIGITS["hole_psnr"], " dB")
    sentences.append(
        f"By depth in discs of radius {largest}, the lead over the prefill is up to {deepest}, and {told}."
    )
    return " ".join(sentences)


def _means_table(title: str, labels: Sequence[str], lines: Mapping[str, Sequence[Summary]], digits: int) -> Table:
    rows, bold = [], []
    for index, label in enumerate(labels):
        values = [line[index].mean for line in lines.values()]
        rows.append((label, *(f"{value:.{digits}f}" for value in values)))
        bold.append((False, *(value == max(values) for value in values)))
    return Table(title, ("pixels", *lines), tuple(rows), tuple(bold))


def _leads_table(
    title: str, labels: Sequence[str], lines: Mapping[tuple[str, str], Sequence[Summary]], digits: int
) -> Table:
    rows = [(label, *(signed(line[i], digits) for line in lines.values())) for i, label in enumerate(labels)]
    bold = [(False, *(excludes_zero(line[i]) for line in lines.values())) for i in range(len(labels))]
    return Table(title, ("pixels", *map(_pair_name, lines)), tuple(rows), tuple(bold))
