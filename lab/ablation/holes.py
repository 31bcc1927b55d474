"""Quality against the depth of the hole: up to where the package is better than others, and where it breaks down."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from lab.ablation.comparison import COMPARED, DIGITS, SHORT, excludes_zero, signed
from lab.ablation.measuring import cached, first_images
from lab.ablation.plan import Plan, Scale, read_plan, write_plan
from lab.ablation.receptive_field import disc
from lab.ablation.report import INTERVALS, Report
from lab.ablation.studies import MASK_SIZE
from wavepaint.errors import OptionError
from wavepaint.evaluation.charts import line_chart
from wavepaint.evaluation.methods import describe_method, describe_weights, find_method
from wavepaint.evaluation.metrics import METRICS, FloatArray, Summary, summarise_columns
from wavepaint.evaluation.protocol import Evaluated, Item, Method, Scorer, centre_crop, evaluate
from wavepaint.evaluation.run import load_scorers
from wavepaint.evaluation.tables import Table
from wavepaint.evaluation.testset import EvaluationSet

METHODS = ("package", "network")
"""What is studied by default; the first is compared with the others and with `RIVALS`."""
RIVALS = ("opencv-telea", "haar")
RADII = (8, 16, 24, 32, 48, 64, 96, 128, 192)
"""Of the discs, pixels; those of more than 7/16 of the image's side are left out."""
RING = 8
"""Width of the rings in which the distance from the edge of a hole is counted, pixels."""
RINGS = "rings"
PERCEPTUAL = ("lpips_vgg", "dists")
_MSE_FLOOR = 1e-6
"""Below the error of rounding to 8 bits; it keeps a logarithm finite."""

Measured = Mapping[str, Mapping[str, Any]]
"""Method -> metric -> one value per image; `RINGS` -> one list of errors per image, the outermost ring first."""


def run_mask_size(
    specs: Sequence[str],
    test_set: EvaluationSet,
    folder: Path,
    scale: Scale,
    seed: int = 0,
    vgg_weights: Path | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Report:
    """Fill discs of growing radius in the middle of the same images.

    Args:
        specs: methods to study, see `evaluation.methods.find_method`; `METHODS` if empty.
        test_set: gives the images; its masks are not used.
        folder: new, empty, or of a run with the same arguments, which is resumed.
        scale: how many images.
        seed: of the bootstrap.
        vgg_weights: file of VGG16 weights; None measures neither LPIPS nor DISTS.
        say: called with a line before every piece of work.

    Raises:
        OptionError: a folder of something else, an unknown method, or images too small for any disc.
        CheckpointError: no such network.
    """
    names = (*(specs or METHODS), *RIVALS)
    if len(set(names)) < len(names):
        raise OptionError(f"the methods must be all different, got: {', '.join(names)}")
    methods = [find_method(name) for name in names]
    chosen = first_images(test_set, scale.test_images)
    settings = {
        "methods": {name: describe_method(name) for name in names},
        "test": {test_set.folder.resolve().name: chosen.sha256},
        "test_images": scale.test_images,
        "seed": seed,
        "vgg_weights": None if vgg_weights is None else describe_weights(vgg_weights),
    }
    truths = list(replace(chosen, entries=tuple(e for e in chosen.entries if e.kind == chosen.kinds[0])))
    side = min(min(item.truth.shape[:2]) for item in truths)
    radii = [radius for radius in RADII if radius <= 7 * side / 16]
    if not radii:
        raise OptionError(f"{test_set.folder}: images of {side} pixels are too small for this study")
    if read_plan(folder, MASK_SIZE, settings) is None:
        write_plan(folder, Plan(MASK_SIZE, settings))

    @cache
    def scorers() -> list[Scorer]:
        extra = {} if vgg_weights is None else {"vgg16": vgg_weights}
        return load_scorers(("pixels", *(("lpips-vgg", "dists") if extra else ())), extra)[0]

    metrics = (*COMPARED, *(PERCEPTUAL if vgg_weights else ()))

    def measured(radius: int) -> Measured:
        def measure() -> Measured:
            say(f"filling discs of radius {radius}")
            return _measure(truths, side, radius, methods, metrics, scorers())

        scores: Measured = cached(folder / "discs" / f"{radius:03d}.json", measure)
        return scores

    return _report(_Discs({radius: measured(radius) for radius in radii}, names, metrics, seed), settings, side)


def _measure(
    truths: Sequence[Item],
    side: int,
    radius: int,
    methods: Sequence[Method],
    metrics: Sequence[str],
    scorers: Sequence[Scorer],
) -> Measured:
    hole = disc(side, radius)
    items = (Item(item.name, str(radius), centre_crop(item.truth, side), hole) for item in truths)
    scores: dict[str, dict[str, list[Any]]] = {m.name: {name: [] for name in (*metrics, RINGS)} for m in methods}
    for evaluated in evaluate(items, methods, scorers):
        for row, rings in zip(evaluated.rows, _ring_errors(evaluated, radius), strict=True):
            for metric in metrics:
                scores[row.method][metric].append(row.scores[metric])
            scores[row.method][RINGS].append(rings)
    return scores


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


@dataclass(frozen=True)
class _Discs:
    """What was measured, by radius; the first method is compared with the others."""

    by_radius: Mapping[int, Measured]
    methods: Sequence[str]
    metrics: Sequence[str]
    seed: int

    @property
    def others(self) -> Sequence[str]:
        return self.methods[1:]

    def means(self, metric: str, method: str) -> list[Summary]:
        return summarise_columns(self._values(metric, method), self.seed)

    def differences(self, metric: str, other: str) -> list[Summary]:
        """Paired, the first method's minus another's, by radius."""
        values = self._values(metric, self.methods[0]) - self._values(metric, other)
        return summarise_columns(values, self.seed)

    def by_depth(self, other: str) -> list[Summary]:
        """The same in PSNR, ring by ring of the largest discs from the edge inwards."""
        return summarise_columns(self._rings(self.methods[0]) - self._rings(other), self.seed)

    def _values(self, metric: str, method: str) -> FloatArray:
        return np.array([each[method][metric] for each in self.by_radius.values()], np.float64).T

    def _rings(self, method: str) -> FloatArray:
        errors = np.array(self.by_radius[max(self.by_radius)][method][RINGS])
        psnr: FloatArray = -10 * np.log10(np.maximum(errors, _MSE_FLOOR))
        return psnr


def significant_runs(labels: Sequence[str], gains: Sequence[Summary], sign: int) -> str:
    """Where gains are significantly above (`sign` 1) or below (-1) zero: "8 to 24, 48", or "none"."""
    significant = [sign * (gain.low if sign > 0 else gain.high) > 0 for gain in gains]
    groups = (list(group) for holds, group in groupby(zip(labels, significant, strict=True), itemgetter(1)) if holds)
    runs = [group[0][0] if len(group) == 1 else f"{group[0][0]} to {group[-1][0]}" for group in groups]
    return ", ".join(runs) or "none"


def _report(discs: _Discs, settings: Mapping[str, Any], side: int) -> Report:
    radii, largest = [str(radius) for radius in discs.by_radius], max(discs.by_radius)
    depths = {other: discs.by_depth(other) for other in discs.others}
    rings = [f"{RING * i}-{RING * (i + 1)}" for i in range(len(next(iter(depths.values()))))]
    first = discs.methods[0]
    sentences, tables, figures = [], [], {}
    for metric in discs.metrics:
        name, unit = SHORT[metric]
        better = 1 if METRICS[metric].higher_is_better else -1
        lines = {method: discs.means(metric, method) for method in discs.methods}
        differences = {other: discs.differences(metric, other) for other in discs.others}
        for other, line in differences.items():
            ahead, behind = (significant_runs(radii, line, sign * better) for sign in (1, -1))
            sentences.append(f"{name} of {first} is better than {other}'s at radii {ahead}; worse at {behind}.")
        tables.append(_means_table(f"{name} by radius of the disc, pixels", radii, lines, metric))
        tables.append(_table(f"{name}{',' * bool(unit)}{unit} of {first}, minus", radii, differences, DIGITS[metric]))
        figures[f"{name.lower()}-by-radius"] = line_chart(name, "radius of the disc, pixels", radii, lines)
    for other, line in depths.items():
        ahead, behind = (significant_runs(rings, line, sign) for sign in (1, -1))
        sentences.append(
            f"In discs of radius {largest}, PSNR of {first} is higher than {other}'s at these distances from the edge, "
            f"pixels: {ahead}; lower at {behind}."
        )
    title = f"PSNR, dB, of {first} by distance from the edge of discs of radius {largest}, pixels, minus"
    tables.append(_table(title, rings, depths, DIGITS["hole_psnr"]))
    figures["psnr-by-depth"] = line_chart(title, "pixels from the edge", rings, depths)
    count = len(discs.by_radius[largest][first][COMPARED[0]])
    note = f"Discs in the middle of {count} images of {side} pixels. Bold: intervals that exclude zero."
    question = "Up to which depth of a hole is the package better than others, and where does it break down?"
    return Report(
        MASK_SIZE, question, " ".join(sentences), (INTERVALS, note), tuple(tables), figures, _results(discs, settings)
    )


def _means_table(title: str, labels: Sequence[str], lines: Mapping[str, Sequence[Summary]], metric: str) -> Table:
    best = max if METRICS[metric].higher_is_better else min
    rows, bold = [], []
    for index, label in enumerate(labels):
        values = [line[index].mean for line in lines.values()]
        rows.append((label, *(f"{value:.{METRICS[metric].digits}f}" for value in values)))
        bold.append((False, *(value == best(values) for value in values)))
    return Table(title, ("pixels", *lines), tuple(rows), tuple(bold))


def _table(title: str, labels: Sequence[str], lines: Mapping[str, Sequence[Summary]], digits: int) -> Table:
    rows = [(label, *(signed(line[i], digits) for line in lines.values())) for i, label in enumerate(labels)]
    bold = [(False, *(excludes_zero(line[i]) for line in lines.values())) for i in range(len(labels))]
    return Table(title, ("pixels", *lines), tuple(rows), tuple(bold))


def _results(discs: _Discs, settings: Mapping[str, Any]) -> dict[str, Any]:
    def as_dicts(line: Sequence[Summary]) -> list[dict[str, Any]]:
        return [asdict(each) for each in line]

    return {
        "settings": dict(settings),
        "radii": list(discs.by_radius),
        "means": {m: {method: as_dicts(discs.means(m, method)) for method in discs.methods} for m in discs.metrics},
        "differences": {
            m: {other: as_dicts(discs.differences(m, other)) for other in discs.others} for m in discs.metrics
        },
        "by_depth": {"ring": RING, **{other: as_dicts(discs.by_depth(other)) for other in discs.others}},
    }
