"""From scores of single images to the tables of a report."""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from wavepaint.evaluation.metrics import METRICS, FloatArray, Metric, Summary, area_bin, pooled_psnr, summarise_columns
from wavepaint.evaluation.protocol import Evaluated, Row, SetScorer

RANKED_BY = "hole_psnr"
SHOWN = 12

SET_METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        "pooled_hole_psnr": Metric("PSNR of all hole samples together, dB", True, 2),
        "vgg_frechet": Metric("Frechet distance of VGG16 relu3_3 in the hole (offline, not FID)", False, 2),
        "fid": Metric("FID", False, 2),
        "p_ids": Metric("P-IDS", True),
        "u_ids": Metric("U-IDS", True),
    }
)
"""Scores of whole sets, in the order of tables."""


@dataclass(frozen=True)
class SummaryRow:
    """One mean of the tables.

    Attributes:
        kind: of masks.
        area_bin: index of the 10 % area bin, or None for all areas.
        method: its name.
        metric: key of `METRICS`.
        summary: of the scores.
        difference: of the scores minus the first method's on the same images; None for the first method.
    """

    kind: str
    area_bin: int | None
    method: str
    metric: str
    summary: Summary
    difference: Summary | None


@dataclass(frozen=True)
class SetScore:
    """A score of all images of a kind together; `metric` is a key of `SET_METRICS`."""

    kind: str
    method: str
    metric: str
    value: float


@dataclass
class Results:
    """Collects an evaluation; holds scores and the few best and worst images, not the rest.

    Attributes:
        methods: names in their order; the first is what the others are compared with, and whose `RANKED_BY`
            decides which images are the best and the worst.
        set_scorers: take in every item, too.
        rows: all scores, in the order of evaluation.
        best, worst: `SHOWN` items each, the most extreme first.
    """

    methods: tuple[str, ...]
    set_scorers: Sequence[SetScorer] = ()
    rows: list[Row] = field(default_factory=list)
    best: list[Evaluated] = field(default_factory=list)
    worst: list[Evaluated] = field(default_factory=list)

    def add(self, evaluated: Evaluated) -> None:
        """Take in one item."""
        self.rows.extend(evaluated.rows)
        for sign, extremes in ((1, self.worst), (-1, self.best)):
            bisect.insort(extremes, evaluated, key=partial(_order, sign))
            del extremes[SHOWN:]
        for scorer in self.set_scorers:
            scorer.add(evaluated)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of masks in the order of their first item."""
        return tuple(dict.fromkeys(row.kind for row in self.rows))

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics measured, in the order of `METRICS`."""
        return tuple(name for name in METRICS if self.rows and name in self.rows[0].scores)

    def summaries(self, seed: int = 0) -> list[SummaryRow]:
        """Every mean: per kind, overall and in each area bin that occurs, per method and metric."""
        rows = []
        for kind in self.kinds:
            values, bins = self._table(kind)
            for index in (None, *sorted(set(bins.tolist()))):
                chosen = values if index is None else values[bins == index]
                rows.extend(self._summaries_of(kind, index, chosen, seed))
        return rows

    def _table(self, kind: str) -> tuple[FloatArray, NDArray[np.int64]]:
        """Scores `(N, M, K)` of the items of a kind, and their area bins `(N,)`."""
        rows = [row for row in self.rows if row.kind == kind]
        flat = np.array([[row.scores[name] for name in self.metrics] for row in rows])
        bins = np.array([area_bin(row.hole_area) for row in rows[:: len(self.methods)]])
        return flat.reshape(len(bins), len(self.methods), len(self.metrics)), bins

    def _summaries_of(self, kind: str, index: int | None, values: FloatArray, seed: int) -> list[SummaryRow]:
        count, columns = len(values), len(self.methods) * len(self.metrics)
        names = [(method, metric) for method in self.methods for metric in self.metrics]
        medians = [column for column, (_, metric) in enumerate(names) if METRICS[metric].higher_is_better is None]
        means = summarise_columns(values.reshape(count, columns), seed, medians)
        differences = summarise_columns((values - values[:, :1]).reshape(count, columns), seed, medians)
        return [
            SummaryRow(kind, index, method, metric, mean, None if method == self.methods[0] else difference)
            for (method, metric), mean, difference in zip(names, means, differences, strict=True)
        ]

    def set_scores(self) -> list[SetScore]:
        """Scores of whole sets, per kind and method."""
        return [score for kind in self.kinds for score in self._set_scores_of(kind)]

    def _set_scores_of(self, kind: str) -> list[SetScore]:
        columns: dict[str, list[float]] = {"pooled_hole_psnr": []}
        for method in self.methods:
            rows = [row for row in self.rows if row.kind == kind and row.method == method]
            pooled = pooled_psnr([row.scores["hole_mse"] for row in rows], [row.hole_pixels for row in rows])
            columns["pooled_hole_psnr"].append(pooled)
        for scorer in self.set_scorers:
            columns.update(scorer.scores(kind, len(self.methods)))
        return [
            SetScore(kind, method, name, values[index])
            for index, method in enumerate(self.methods)
            for name, values in columns.items()
        ]


def _order(sign: int, case: Evaluated) -> tuple[float, str, str]:
    # By what ranks the images, then by the item.
    return sign * case.rows[0].scores[RANKED_BY], case.item.kind, case.item.name
