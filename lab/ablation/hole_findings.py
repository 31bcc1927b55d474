"""The report on holes of growing size: leads, break-down radii, and what depth in a hole changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from operator import itemgetter
from typing import Any

from lab.ablation.comparison import COMPARED, DIGITS, SHORT, VGG_DISTANCE, excludes_zero, signed
from lab.ablation.hole_leads import (
    BROKEN_BY,
    BY_DEPTH,
    HALF,
    LEAD_UNITS,
    ONE_LOOK,
    PREFILL,
    QUARTER,
    RING,
    TELEA,
    HoleStudy,
    Leads,
    Measured,
    Pair,
    StudiedModel,
)
from lab.ablation.report import INTERVALS, Report, plain_table
from lab.ablation.studies import MASK_SIZE
from wavepaint.evaluation.charts import line_chart
from wavepaint.evaluation.metrics import Summary
from wavepaint.evaluation.tables import Table


def hole_findings(study: HoleStudy, settings: Mapping[str, Any], side: int) -> Report:
    """What the study found.

    Args:
        study: what was measured.
        settings: of the plan.
        side: of the pictures, pixels.
    """
    sentences = [sentence for model in study.models for sentence in _told(study, model)]
    sentences += [_told_ratio(study, model) for model in study.models[1:]]
    sentences += [
        f"The break-down depth of {one}, over that of {other}: "
        f"{study.too_deep[one].ratio(study.too_deep[other]).text(2)}."
        for one, other in study.between
    ]
    tables = [_breakdown_table(study), *([_ratio_table(study)] if study.between else []), _depth_table(study)]
    for metric in study.metrics:
        tables += _tables_by_size(study, metric)
    for label, pairs in study.pairs.items():
        lines = {_pair_name(pair, label): study.depths[pair] for pair in pairs}
        title = f"Difference in PSNR, dB, by distance from the edge, radius {study.largest}{study.suffix(label)}"
        tables.append(_leads_table(title, study.rings, lines, DIGITS["hole_psnr"]))
    return Report(
        MASK_SIZE,
        "How large may a hole be?",
        " ".join(sentences),
        (INTERVALS, *_notes(study, settings, side)),
        tuple(tables),
        _figures(study),
        _results(study, settings),
    )


def significant_runs(labels: Sequence[str], gains: Sequence[Summary], sign: int) -> str:
    """Where gains are significantly above (`sign` 1) or below (-1) zero: "8 to 24, 48", or "none"."""
    significant = [sign * (gain.low if sign > 0 else gain.high) > 0 for gain in gains]
    groups = (list(group) for holds, group in groupby(zip(labels, significant, strict=True), itemgetter(1)) if holds)
    runs = [group[0][0] if len(group) == 1 else f"{group[0][0]} to {group[-1][0]}" for group in groups]
    return ", ".join(runs) or "none"


def _told(study: HoleStudy, model: StudiedModel) -> list[str]:
    """What the intervals say of one network."""
    who = model.label if model.one_of_several else "the network"
    return [*_told_of_rivals(study, model, who), *_told_of_radii(study, model), *_told_of_depth(study, model)]


def _told_of_rivals(study: HoleStudy, model: StudiedModel, who: str) -> list[str]:
    sentences = []
    depth = model.named(BY_DEPTH)  # is how the package fills
    for other in (PREFILL, TELEA):
        for what, sizes, leads in (
            ("Radii", study.discs, study.leads),
            ("Sides of boxes", study.boxes, study.box_leads),
        ):
            if sizes:
                labels = [str(size) for size in sizes]
                runs = "; ".join(
                    f"{SHORT[m][0]}: {significant_runs(labels, leads[m, depth, other], 1)}" for m in study.metrics
                )
                sentences.append(f"{what} at which {who} is significantly better than {other}: {runs}.")
    return sentences


def _told_of_radii(study: HoleStudy, model: StudiedModel) -> list[str]:
    one, half, quarter, depth = model.procedures
    labels = [str(radius) for radius in study.discs]
    sentences = []
    for metric in BROKEN_BY:
        if metric in study.metrics:
            line = study.leads[metric, one, PREFILL]
            best = max(range(len(line)), key=lambda index: line[index].mean)
            shown = [f"{signed(line[index], *LEAD_UNITS[metric])} at radius {labels[index]}" for index in (best, -1)]
            up_to = ", ".join(
                f"{study.broken[metric, method].estimate.text(0)} px {words}"
                for method, words in zip(model.procedures, ("in one look", HALF, QUARTER, BY_DEPTH), strict=True)
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
        line = study.leads["hole_psnr", method, one]
        better, worse = (significant_runs(labels, line, sign) for sign in (1, -1))
        sentences.append(
            f"{words} is significantly better than one look in PSNR at radii: {better}; significantly worse: {worse}."
        )
    return sentences


def _told_of_depth(study: HoleStudy, model: StudiedModel) -> list[str]:
    sentences = []
    for method, words in ((model.named(ONE_LOOK), "in one look"), (model.named(BY_DEPTH), BY_DEPTH)):
        deepest = signed(max(study.depths[method, PREFILL], key=lambda gain: gain.mean), *LEAD_UNITS["hole_psnr"])
        sentences.append(
            f"From the edge of discs of radius {study.largest} inwards, its lead over the prefill {words} is up to "
            f"{deepest}; at least half of that is kept up to a depth of {study.too_deep[method].estimate.text(0)} px."
        )
    return sentences


def _told_ratio(study: HoleStudy, model: StudiedModel) -> str:
    first = study.models[0]
    told = []
    for procedure, words in ((ONE_LOOK, "in one look"), (BY_DEPTH, BY_DEPTH)):
        shown = " and ".join(
            f"{ratio.text(2)} in {SHORT[metric][0]}"
            for (metric, method, other), ratio in study.ratios.items()
            if (method, other) == (model.named(procedure), first.named(ONE_LOOK))
        )
        told.append(f"The break-down radius of {model.label} {words}, over that of {first.label} in one look: {shown}.")
    return " ".join(told)


def _breakdown_table(study: HoleStudy) -> Table:
    metrics = tuple(dict.fromkeys(metric for metric, _ in study.broken))
    rows = []
    for method in (each for model in study.models for each in model.procedures):
        cells = [method]
        for metric in metrics:
            line = study.lead_over_prefill(method, metric)
            best = max(range(len(line)), key=lambda index: line[index].mean)
            cells += [
                f"{signed(line[best], *LEAD_UNITS[metric])} at {list(study.discs)[best]}",
                study.broken[metric, method].estimate.text(1),
            ]
        rows.append(tuple(cells))
    header = ("", *(f"{SHORT[m][0]}: {what}" for m in metrics for what in ("largest lead", "break-down radius, px")))
    return plain_table(
        "Leads over the prefill in discs, and up to which radius half of the largest is kept", header, rows
    )


def _tables_by_size(study: HoleStudy, metric: str) -> list[Table]:
    """Means of all methods, and leads group by group, in discs and in boxes."""
    tables = []
    for what, found, leads in (
        ("discs by radius", study.discs, study.leads),
        ("boxes by side", study.boxes, study.box_leads),
    ):
        if not found:
            continue
        labels = [str(size) for size in found]
        title = f"{SHORT[metric][0]} in {what} in pixels"
        tables.append(_means_table(title, study.means(found, metric), labels, metric))
        for label, group in study.groups.items():
            lines = {_pair_name(pair, label): leads[metric, *pair] for pair in group}
            title = f"{_lead_title(metric)} in {what}{study.suffix(label)}"
            tables.append(_leads_table(title, labels, lines, LEAD_UNITS[metric][0]))
    return tables


def _figures(study: HoleStudy) -> dict[str, str]:
    """Charts of means and of leads, by radius and by depth, by file name."""
    figures = {}
    labels, below = [str(radius) for radius in study.discs], "radius of the disc, pixels"
    for metric in study.metrics:
        name, unit = SHORT[metric]
        title = f"{name}{' in the hole' * (metric != VGG_DISTANCE)}"
        figures[f"{_slug(name)}-by-radius"] = line_chart(title, below, labels, study.means(study.discs, metric))
        for label, group in study.groups.items():
            lines = {_pair_name(pair, label): study.leads[metric, *pair] for pair in group}
            chart = line_chart(f"{_lead_title(metric)}{',' * bool(unit)}{unit}", below, labels, lines)
            figures[f"{_slug(name)}-lead-by-radius{_slug(study.suffix(label))}"] = chart
    for label, pairs in study.pairs.items():
        lines = {_pair_name(pair, label): study.depths[pair] for pair in pairs}
        title = f"Difference in PSNR, dB, in discs of radius {study.largest}"
        chart = line_chart(title, "pixels from the edge", study.rings, lines)
        figures[f"lead-by-depth{_slug(study.suffix(label))}"] = chart
    return figures


def _ratio_table(study: HoleStudy) -> Table:
    ratios = study.ratios
    metrics = tuple(dict.fromkeys(metric for metric, _, _ in ratios))
    pairs = dict.fromkeys((method, other) for _, method, other in ratios)
    rows = [(f"{method} / {other}", *(ratios[m, method, other].text(2) for m in metrics)) for method, other in pairs]
    return plain_table("Ratios of break-down radii", ("", *(SHORT[metric][0] for metric in metrics)), rows)


def _depth_table(study: HoleStudy) -> Table:
    too_deep = study.too_deep
    ratios = {one: f"{too_deep[one].ratio(too_deep[other]).text(2)} ({other})" for one, other in study.between}
    rows = []
    for method, broken in too_deep.items():
        line = study.depths[method, PREFILL]
        best = max(range(len(line)), key=lambda index: line[index].mean)
        where = f"{signed(line[best], *LEAD_UNITS['hole_psnr'])} at {RING * best}-{RING * (best + 1)}"
        rows.append((method, where, broken.estimate.text(1), *((ratios.get(method, ""),) if ratios else ())))
    header = ("", "largest lead, px from the edge", "break-down depth, px", *(("ratio to",) if ratios else ()))
    return plain_table(f"Leads over the prefill by distance from the edge, radius {study.largest}", header, rows)


def _notes(study: HoleStudy, settings: Mapping[str, Any], side: int) -> tuple[str, ...]:
    pictures = len(study.discs[study.largest][PREFILL][COMPARED[0]])
    names = "; ".join(f"{model.label}: {model.spec} ({settings['models'][model.label]})" for model in study.models)
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
    return (where, radius, *(vgg,) * (VGG_DISTANCE in study.metrics))


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


def _results(study: HoleStudy, settings: Mapping[str, Any]) -> dict[str, Any]:
    too_deep = study.too_deep
    return {
        "settings": dict(settings),
        "radii": list(study.discs),
        "boxes": list(study.boxes),
        "means": _mean_results(study, study.discs),
        "means_in_boxes": _mean_results(study, study.boxes),
        "differences": _lead_results(study.leads, "by_radius"),
        "differences_in_boxes": _lead_results(study.box_leads, "by_side"),
        "breakdown": [
            {"metric": metric, "method": method, **asdict(each.estimate)}
            for (metric, method), each in study.broken.items()
        ],
        "breakdown_ratios": [
            {"metric": metric, "method": method, "to": other, **asdict(ratio)}
            for (metric, method, other), ratio in study.ratios.items()
        ],
        "breakdown_depths": [{"method": method, **asdict(each.estimate)} for method, each in too_deep.items()],
        "breakdown_depth_ratios": [
            {"method": one, "to": other, **asdict(too_deep[one].ratio(too_deep[other]))} for one, other in study.between
        ],
        "by_depth": [
            {"method": one, "to": other, "radius": study.largest, "ring": RING, "psnr": [asdict(p) for p in line]}
            for (one, other), line in study.depths.items()
        ],
    }


def _mean_results(study: HoleStudy, found: Mapping[int, Measured]) -> dict[str, Any]:
    return {
        metric: {method: [asdict(p) for p in line] for method, line in study.means(found, metric).items()}
        for metric in study.metrics
    }


def _lead_results(leads: Leads, by: str) -> list[dict[str, Any]]:
    return [
        {"metric": metric, "method": one, "to": other, by: [asdict(point) for point in line]}
        for (metric, one, other), line in leads.items()
    ]
