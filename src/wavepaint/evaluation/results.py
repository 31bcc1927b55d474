"""From scores of single images to the tables of a report."""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

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


class Mean(NamedTuple):
    """A method's scores by one metric, and by how much they differ from the first method's, of which there is none."""

    summary: Summary
    difference: Summary | None


Means = Mapping[tuple[str, str], Mean]
"""What is known of some items, by method and metric."""
Summaries = Mapping[tuple[str, int | None], Means]
"""The same for every kind of mask, and every 10 % bin of hole areas that occurs; bin None is all areas."""
SetScores = Mapping[tuple[str, str, str], float]
"""Scores of all images of a kind together, by kind, method and key of `SET_METRICS`."""


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

    def summaries(self, seed: int = 0) -> Summaries:
        """Every mean: per kind, overall and in each area bin that occurs, per method and metric."""
        means: dict[tuple[str, int | None], Means] = {}
        for kind in self.kinds:
            values, bins = self._table(kind)
            for index in (None, *sorted(set(bins.tolist()))):
                means[kind, index] = self._means(values if index is None else values[bins == index], seed)
        return means

    def _table(self, kind: str) -> tuple[FloatArray, NDArray[np.int64]]:
        """Scores `(N, M, K)` of the items of a kind, and their area bins `(N,)`."""
        rows = [row for row in self.rows if row.kind == kind]
        flat = np.array([[row.scores[name] for name in self.metrics] for row in rows])
        bins = np.array([area_bin(row.hole_area) for row in rows[:: len(self.methods)]])
        return flat.reshape(len(bins), len(self.methods), len(self.metrics)), bins

    def _means(self, values: FloatArray, seed: int) -> Means:
        """Of scores `(N, M, K)`."""
        names = [(method, metric) for method in self.methods for metric in self.metrics]
        medians = [column for column, (_, metric) in enumerate(names) if METRICS[metric].higher_is_better is None]
        means = summarise_columns(values.reshape(len(values), -1), seed, medians)
        differences = summarise_columns((values - values[:, :1]).reshape(len(values), -1), seed, medians)
        return {
            name: Mean(mean, None if name[0] == self.methods[0] else difference)
            for name, mean, difference in zip(names, means, differences, strict=True)
        }

    def set_scores(self) -> SetScores:
        """Scores of whole sets, per kind and method."""
        scores: dict[tuple[str, str, str], float] = {}
        for kind in self.kinds:
            of_set = [scorer.scores(kind, len(self.methods)) for scorer in self.set_scorers]
            for number, method in enumerate(self.methods):
                rows = [row for row in self.rows if row.kind == kind and row.method == method]
                pooled = pooled_psnr([row.scores["hole_mse"] for row in rows], [row.hole_pixels for row in rows])
                scores[kind, method, "pooled_hole_psnr"] = pooled
                scores |= {(kind, method, name): each[name][number] for each in of_set for name in each}
        return scores


def _order(sign: int, case: Evaluated) -> tuple[float, str, str]:
    # By what ranks the images, then by the item.
    return sign * case.rows[0].scores[RANKED_BY], case.item.kind, case.item.name
