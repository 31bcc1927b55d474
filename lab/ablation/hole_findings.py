"""The report on holes of growing size: leads, break-down radii, and what depth in a hole changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np

from lab.ablation.breakdown import Breakdown, Estimate, breakdown, lead, lead_samples
from lab.ablation.comparison import COMPARED, DIGITS, SHORT, VGG_DISTANCE, excludes_zero, signed
from lab.ablation.report import INTERVALS, Report, plain_table
from lab.ablation.studies import MASK_SIZE
from wavepaint.evaluation.charts import line_chart
from wavepaint.evaluation.metrics import FloatArray, Summary, summarise_columns
from wavepaint.evaluation.tables import Table

RING = 8
"""Width of the rings in which the depth of a hole is counted, pixels."""
ONE_LOOK, HALF, QUARTER, BY_DEPTH = "one look", "half first", "quarter first", "by depth"
PREFILL, TELEA = "prefill", "opencv-telea"

LEAD_UNITS: Mapping[str, tuple[int, str]] = {"hole_psnr": (3, " dB"), "hole_ssim": (4, ""), VGG_DISTANCE: (1, " %")}
"""Digits and units of leads; the one in VGG distance is relative."""
BROKEN_BY = ("hole_psnr", VGG_DISTANCE)
"""Metrics that a break-down radius is told for."""
_MSE_FLOOR = 1e-6
"""Below the error of rounding to 8 bits; it keeps a ratio of errors finite."""

Measured = Mapping[str, Mapping[str, Any]]
"""Method -> metric -> one value per picture; of discs, `rings` -> one list of errors per picture."""
Pair = tuple[str, str]
Leads = Mapping[tuple[str, str, str], Sequence[Summary]]
"""(metric, method, other) -> lead by size."""


@dataclass(frozen=True)
class Entrant:
    """A network that is measured.

    Attributes:
        label: as shown; unique.
        spec: "default" or a checkpoint.
        one_of_several: whether its methods must tell whose they are.
    """

    label: str
    spec: str
    one_of_several: bool = False

    def named(self, procedure: str) -> str:
        """Name of the method that fills with this network by a procedure."""
        return f"{self.label}, {procedure}" if self.one_of_several else procedure

    @property
    def procedures(self) -> tuple[str, ...]:
        """Names of all its methods."""
        return tuple(self.named(procedure) for procedure in (ONE_LOOK, HALF, QUARTER, BY_DEPTH))

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """What is told of it: leads of one look and by depth, and of coarse to fine over one look."""
        one, half, quarter, depth = self.procedures
        return ((one, PREFILL), (depth, PREFILL), (depth, TELEA), (half, one), (quarter, one), (depth, one))


def hole_findings(
    discs: Mapping[int, Measured],
    boxes: Mapping[int, Measured],
    entrants: Sequence[Entrant],
    metrics: Sequence[str],
    settings: Mapping[str, Any],
    side: int,
    seed: int,
) -> Report:
    """What the study found.

    Args:
        discs: what was measured, by radius; increasing.
        boxes: by side; may be empty.
        entrants: the networks.
        metrics: `COMPARED`, and the VGG distance if it was measured.
        settings: of the plan.
        side: of the pictures, pixels.
        seed: of the bootstrap.
    """
    first = entrants[0]
    between = tuple(
        (entrant.named(procedure), first.named(ONE_LOOK))
        for entrant in entrants[1:]
        for procedure in (ONE_LOOK, BY_DEPTH)
    )
    pairs = {entrant.label: entrant.pairs for entrant in entrants}
    leads, box_leads = (
        _all_leads(found, metrics, (*sum(pairs.values(), ()), *between), seed) for found in (discs, boxes)
    )
    broken = {
        (metric, method): breakdown(tuple(discs), _samples(discs, method, PREFILL, metric, seed))
        for metric in BROKEN_BY
        if metric in metrics
        for entrant in entrants
        for method in entrant.procedures
    }
    largest = max(discs)
    depths = {pair: gains_by_depth(discs[largest], *pair, seed) for each in pairs.values() for pair in each}
    too_deep = {
        entrant.named(procedure): breakdown_depth(discs[largest], entrant.named(procedure), PREFILL, seed)
        for entrant in entrants
        for procedure in (ONE_LOOK, BY_DEPTH)
    }
    rings = [f"{RING * index}-{RING * (index + 1)}" for index in range(len(next(iter(depths.values()))))]
    groups: dict[str, tuple[Pair, ...]] = {**pairs, **({_BETWEEN: between} if between else {})}
    suffixes = {label: f", {label}" * (len(entrants) > 1) for label in groups}

    figures: dict[str, str] = {}
    tables = [_breakdown_table(entrants, broken, discs, seed)]
    if between:
        tables.append(_ratio_table(entrants, broken))
    tables.append(_depth_table(too_deep, depths, between, largest))
    for metric in metrics:
        for what, found, by_size in (("discs by radius", discs, leads), ("boxes by side", boxes, box_leads)):
            if found:
                tables += _tables_by_size(what, found, metric, by_size, groups, suffixes, seed)
        figures |= _figures_by_radius(discs, metric, leads, groups, suffixes, seed)
    for label, each in pairs.items():
        lines = {_pair_name(pair, label): depths[pair] for pair in each}
        title = f"Difference in PSNR, dB, by distance from the edge, radius {largest}{suffixes[label]}"
        tables.append(_leads_table(title, rings, lines, DIGITS["hole_psnr"]))
        title = f"Difference in PSNR, dB, in discs of radius {largest}"
        chart = line_chart(title, "pixels from the edge", rings, lines)
        figures[f"lead-by-depth{_slug(suffixes[label])}"] = chart
    told = [
        sentence
        for entrant in entrants
        for sentence in _told(entrant, list(discs), list(boxes), metrics, leads, box_leads, broken, depths, too_deep)
    ]
    told += [_told_ratio(entrant, first, broken) for entrant in entrants[1:]]
    told += [
        f"The break-down depth of {one}, over that of {other}: {too_deep[one].ratio(too_deep[other]).text(2)}."
        for one, other in between
    ]
    return Report(
        MASK_SIZE,
        "How large may a hole be?",
        " ".join(told),
        (INTERVALS, *_notes(discs, entrants, metrics, settings, side)),
        tuple(tables),
        figures,
        {
            "settings": dict(settings),
            "radii": list(discs),
            "boxes": list(boxes),
            "means": _mean_results(discs, metrics, seed),
            "means_in_boxes": _mean_results(boxes, metrics, seed),
            "differences": _lead_results(leads, "by_radius"),
            "differences_in_boxes": _lead_results(box_leads, "by_side"),
            "breakdown": [
                {"metric": metric, "method": method, **asdict(each.estimate)}
                for (metric, method), each in broken.items()
            ],
            "breakdown_ratios": [
                {"metric": metric, "method": method, "to": other, **asdict(ratio)}
                for (metric, method, other), ratio in _ratios(entrants, broken).items()
            ],
            "breakdown_depths": [{"method": method, **asdict(each.estimate)} for method, each in too_deep.items()],
            "breakdown_depth_ratios": [
                {"method": one, "to": other, **asdict(too_deep[one].ratio(too_deep[other]))} for one, other in between
            ],
            "by_depth": [
                {"method": one, "to": other, "radius": largest, "ring": RING, "psnr": [asdict(p) for p in line]}
                for (one, other), line in depths.items()
            ],
        },
    )


_BETWEEN = "between the networks"


def gains_by_depth(found: Measured, method: str, other: str, seed: int) -> list[Summary]:
    """Paired difference in PSNR of two methods, ring by ring from the edge inwards."""
    return summarise_columns(_psnr_of_rings(found, method) - _psnr_of_rings(found, other), seed)


def breakdown_depth(found: Measured, method: str, other: str, seed: int) -> Breakdown:
    """Up to which distance from the edge of a disc a method keeps half of its largest lead in PSNR over another.

    Every ring counts at its middle. Unlike the radius it does not compare holes of different sizes: the largest lead is
    nearly always next to the edge, where many samples say what it is.
    """
    psnr, psnr_of_other = (_psnr_of_rings(found, name) for name in (method, other))
    middles = [RING * (index + 0.5) for index in range(psnr.shape[1])]
    return breakdown(middles, lead_samples(psnr, psnr_of_other, "hole_psnr", seed))


def _psnr_of_rings(found: Measured, method: str) -> FloatArray:
    """(N, rings): a row per picture."""
    psnr: FloatArray = -10 * np.log10(np.maximum(np.array(found[method]["rings"]), _MSE_FLOOR))
    return psnr


def sure_runs(labels: Sequence[str], gains: Sequence[Summary], sign: int) -> str:
    """Where gains are surely above (`sign` 1) or below (-1) zero: "8 to 24, 48", or "none"."""
    sure = [sign * (gain.low if sign > 0 else gain.high) > 0 for gain in gains]
    groups = (list(group) for is_sure, group in groupby(zip(labels, sure, strict=True), itemgetter(1)) if is_sure)
    runs = [group[0][0] if len(group) == 1 else f"{group[0][0]} to {group[-1][0]}" for group in groups]
    return ", ".join(runs) or "none"


def _values(found: Mapping[int, Measured], method: str, metric: str) -> FloatArray:
    """(N, R): a row per picture, a column per size."""
    return np.array([each[method][metric] for each in found.values()], np.float64).T


def _samples(found: Mapping[int, Measured], method: str, other: str, metric: str, seed: int) -> FloatArray:
    return lead_samples(_values(found, method, metric), _values(found, other, metric), metric, seed)


def _all_leads(
    found: Mapping[int, Measured], metrics: Sequence[str], pairs: Sequence[Pair], seed: int
) -> dict[tuple[str, str, str], list[Summary]]:
    if not found:
        return {}
    return {
        (metric, one, other): lead(_values(found, one, metric), _values(found, other, metric), metric, seed)
        for metric in metrics
        for one, other in pairs
    }


def _means(found: Mapping[int, Measured], metric: str, seed: int) -> dict[str, list[Summary]]:
    methods = next(iter(found.values()), {})
    return {method: summarise_columns(_values(found, method, metric), seed) for method in methods}


def _ratios(
    entrants: Sequence[Entrant], broken: Mapping[tuple[str, str], Breakdown]
) -> dict[tuple[str, str, str], Estimate]:
    """(metric, method, the first network's method) -> ratio: by the same procedure, and by depth over one look."""
    first = entrants[0]
    pairs = [
        pair
        for entrant in entrants[1:]
        for pair in (
            *zip(entrant.procedures, first.procedures, strict=True),
            (entrant.named(BY_DEPTH), first.named(ONE_LOOK)),
        )
    ]
    metrics = dict.fromkeys(metric for metric, _ in broken)
    return {
        (metric, *pair): broken[metric, pair[0]].ratio(broken[metric, pair[1]]) for metric in metrics for pair in pairs
    }


def _told(
    entrant: Entrant,
    radii: Sequence[int],
    edges: Sequence[int],
    metrics: Sequence[str],
    leads: Leads,
    box_leads: Leads,
    broken: Mapping[tuple[str, str], Breakdown],
    depths: Mapping[Pair, Sequence[Summary]],
    too_deep: Mapping[str, Breakdown],
) -> list[str]:
    """What the intervals say of one network."""
    who = entrant.label if entrant.one_of_several else "the network"
    one, half, quarter, depth = entrant.procedures
    labels = [str(radius) for radius in radii]
    sentences = []
    for other in (PREFILL, TELEA):
        # By depth is how the package fills.
        for what, sizes, found in (("Radii", labels, leads), ("Sides of boxes", [str(e) for e in edges], box_leads)):
            if sizes:
                runs = "; ".join(f"{SHORT[m][0]}: {sure_runs(sizes, found[m, depth, other], 1)}" for m in metrics)
                sentences.append(f"{what} at which {who} is surely better than {other}: {runs}.")
    for metric in BROKEN_BY:
        if metric in metrics:
            line = leads[metric, one, PREFILL]
            best = max(range(len(line)), key=lambda index: line[index].mean)
            shown = [f"{signed(line[index], *LEAD_UNITS[metric])} at radius {labels[index]}" for index in (best, -1)]
            up_to = ", ".join(
                f"{broken[metric, method].estimate.text(0)} px {words}"
                for method, words in zip(entrant.procedures, ("in one look", HALF, QUARTER, BY_DEPTH), strict=True)
            )
            sentences.append(
                f"Its lead over the prefill in {SHORT[metric][0]} is largest, {shown[0]}, and {shown[1]}; at least "
                f"half of the largest is kept up to a radius of {up_to}."
            )
    for method, words in (
        (half, "Filling half the resolution first"),
        (quarter, "Filling a quarter of the resolution first"),
        (depth, "Filling first what the depth asks for"),
    ):
        line = leads["hole_psnr", method, one]
        better, worse = (sure_runs(labels, line, sign) for sign in (1, -1))
        sentences.append(f"{words} is surely better than one look in PSNR at radii: {better}; surely worse: {worse}.")
    for method, words in ((one, "in one look"), (depth, BY_DEPTH)):
        deepest = signed(max(depths[method, PREFILL], key=lambda gain: gain.mean), *LEAD_UNITS["hole_psnr"])
        sentences.append(
            f"From the edge of discs of radius {radii[-1]} inwards, its lead over the prefill {words} is up to "
            f"{deepest}; at least half of that is kept up to a depth of {too_deep[method].estimate.text(0)} px."
        )
    return sentences


def _told_ratio(entrant: Entrant, first: Entrant, broken: Mapping[tuple[str, str], Breakdown]) -> str:
    told = []
    for procedure, words in ((ONE_LOOK, "in one look"), (BY_DEPTH, BY_DEPTH)):
        shown = " and ".join(
            f"{ratio.text(2)} in {SHORT[metric][0]}"
            for (metric, method, other), ratio in _ratios((first, entrant), broken).items()
            if (method, other) == (entrant.named(procedure), first.named(ONE_LOOK))
        )
        told.append(
            f"The break-down radius of {entrant.label} {words}, over that of {first.label} in one look: {shown}."
        )
    return " ".join(told)


def _breakdown_table(
    entrants: Sequence[Entrant],
    broken: Mapping[tuple[str, str], Breakdown],
    discs: Mapping[int, Measured],
    seed: int,
) -> Table:
    metrics = tuple(dict.fromkeys(metric for metric, _ in broken))
    rows = []
    for entrant in entrants:
        for method in entrant.procedures:
            cells = [method]
            for metric in metrics:
                line = lead(_values(discs, method, metric), _values(discs, PREFILL, metric), metric, seed)
                best = max(range(len(line)), key=lambda index: line[index].mean)
                cells += [
                    f"{signed(line[best], *LEAD_UNITS[metric])} at {list(discs)[best]}",
                    broken[metric, method].estimate.text(1),
                ]
            rows.append(tuple(cells))
    header = ("", *(f"{SHORT[m][0]}: {what}" for m in metrics for what in ("largest lead", "break-down radius, px")))
    return plain_table(
        "Leads over the prefill in discs, and up to which radius half of the largest is kept", header, rows
    )


def _tables_by_size(
    what: str,
    found: Mapping[int, Measured],
    metric: str,
    leads: Leads,
    groups: Mapping[str, Sequence[Pair]],
    suffixes: Mapping[str, str],
    seed: int,
) -> list[Table]:
    """Means of all methods, and leads group by group."""
    labels = [str(size) for size in found]
    tables = [_means_table(f"{SHORT[metric][0]} in {what} in pixels", _means(found, metric, seed), labels, metric)]
    for label, group in groups.items():
        lines = {_pair_name(pair, label): leads[metric, *pair] for pair in group}
        title = f"{_lead_title(metric)} in {what}{suffixes[label]}"
        tables.append(_leads_table(title, labels, lines, LEAD_UNITS[metric][0]))
    return tables


def _figures_by_radius(
    discs: Mapping[int, Measured],
    metric: str,
    leads: Leads,
    groups: Mapping[str, Sequence[Pair]],
    suffixes: Mapping[str, str],
    seed: int,
) -> dict[str, str]:
    """Charts of means and of leads by file name."""
    name, unit = SHORT[metric]
    slug, labels, below = _slug(name), [str(radius) for radius in discs], "radius of the disc, pixels"
    means = _means(discs, metric, seed)
    title = f"{name}{' in the hole' * (metric != VGG_DISTANCE)}"
    figures = {f"{slug}-by-radius": line_chart(title, below, labels, means)}
    for label, group in groups.items():
        lines = {_pair_name(pair, label): leads[metric, *pair] for pair in group}
        chart = line_chart(f"{_lead_title(metric)}{',' * bool(unit)}{unit}", below, labels, lines)
        figures[f"{slug}-lead-by-radius{_slug(suffixes[label])}"] = chart
    return figures


def _ratio_table(entrants: Sequence[Entrant], broken: Mapping[tuple[str, str], Breakdown]) -> Table:
    ratios = _ratios(entrants, broken)
    metrics = tuple(dict.fromkeys(metric for metric, _, _ in ratios))
    pairs = dict.fromkeys((method, other) for _, method, other in ratios)
    rows = [(f"{method} / {other}", *(ratios[m, method, other].text(2) for m in metrics)) for method, other in pairs]
    return plain_table("Ratios of break-down radii", ("", *(SHORT[metric][0] for metric in metrics)), rows)


def _depth_table(
    too_deep: Mapping[str, Breakdown],
    depths: Mapping[Pair, Sequence[Summary]],
    between: Sequence[Pair],
    radius: int,
) -> Table:
    ratios = {one: f"{too_deep[one].ratio(too_deep[other]).text(2)} ({other})" for one, other in between}
    rows = []
    for method, broken in too_deep.items():
        line = depths[method, PREFILL]
        best = max(range(len(line)), key=lambda index: line[index].mean)
        where = f"{signed(line[best], *LEAD_UNITS['hole_psnr'])} at {RING * best}-{RING * (best + 1)}"
        rows.append((method, where, broken.estimate.text(1), *((ratios.get(method, ""),) if ratios else ())))
    header = ("", "largest lead, px from the edge", "break-down depth, px", *(("ratio to",) if ratios else ()))
    return plain_table(f"Leads over the prefill by distance from the edge, radius {radius}", header, rows)


def _notes(
    discs: Mapping[int, Measured],
    entrants: Sequence[Entrant],
    metrics: Sequence[str],
    settings: Mapping[str, Any],
    side: int,
) -> tuple[str, ...]:
    pictures = len(discs[max(discs)][PREFILL][COMPARED[0]])
    names = "; ".join(f"{entrant.label}: {entrant.spec} ({settings['models'][entrant.label]})" for entrant in entrants)
    where = (
        f"Discs and boxes in the middle of {pictures} pictures of {side} pixels, filled in one look; after filling the "
        f"picture at half, or a quarter and half of its resolution first, each result enlarged being the next guess; "
        f"by the prefill alone; and by OpenCV. By depth is how the package fills: each crop after as many octaves as "
        f"its depth asks for (`fill.depth.coarse_levels_of`). Networks: {names}. Bold: intervals that exclude zero."
    )
    radius = (
        "Break-down radius: the largest radius up to which a network keeps at least half of its largest lead over the "
        "prefill, in discs; where the lead first falls below that is interpolated between the measured radii. >= the "
        "lead never fell so far; the ratio of two radii is unknown where that is so for both. Break-down depth: the "
        "same by distance from the edge in the largest discs, every ring counted at its middle."
    )
    vgg = (
        "VGG distance: relative distance of VGG16 activations of the whole composite. Leads in it are relative: by how "
        "many per cent the mean distance is smaller; positive is better."
    )
    return (where, radius, *(vgg,) * (VGG_DISTANCE in metrics))


def _lead_title(metric: str) -> str:
    name = SHORT[metric][0]
    return f"Lead in {name}, %" if metric == VGG_DISTANCE else f"Differences in {name}"


def _pair_name(pair: Pair, label: str) -> str:
    """Without the network's label, which stands above."""
    return " - ".join(method.removeprefix(f"{label}, ") for method in pair)


def _slug(text: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in text.lower().replace(", ", "-"))


def _means_table(title: str, lines: Mapping[str, Sequence[Summary]], labels: Sequence[str], metric: str) -> Table:
    best = min if metric == VGG_DISTANCE else max
    rows, bold = [], []
    for index, label in enumerate(labels):
        values = [line[index].mean for line in lines.values()]
        rows.append((label, *(f"{value:.{_MEAN_DIGITS[metric]}f}" for value in values)))
        bold.append((False, *(value == best(values) for value in values)))
    return Table(title, ("pixels", *lines), tuple(rows), tuple(bold))


_MEAN_DIGITS: Mapping[str, int] = {"hole_psnr": 2, "hole_ssim": 3, VGG_DISTANCE: 4}


def _leads_table(title: str, labels: Sequence[str], lines: Mapping[str, Sequence[Summary]], digits: int) -> Table:
    rows = [(label, *(signed(line[i], digits) for line in lines.values())) for i, label in enumerate(labels)]
    bold = [(False, *(excludes_zero(line[i]) for line in lines.values())) for i in range(len(labels))]
    return Table(title, ("pixels", *lines), tuple(rows), tuple(bold))


def _mean_results(found: Mapping[int, Measured], metrics: Sequence[str], seed: int) -> dict[str, Any]:
    return {
        metric: {method: [asdict(p) for p in line] for method, line in _means(found, metric, seed).items()}
        for metric in metrics
    }


def _lead_results(leads: Leads, by: str) -> list[dict[str, Any]]:
    return [
        {"metric": metric, "method": one, "to": other, by: [asdict(point) for point in line]}
        for (metric, one, other), line in leads.items()
    ]
