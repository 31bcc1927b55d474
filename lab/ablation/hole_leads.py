"""Holes of growing size: what was measured, the leads that follow from it, and where they break down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from lab.ablation.breakdown import Breakdown, Estimate, breakdown, lead, lead_samples
from lab.ablation.comparison import VGG_DISTANCE
from wavepaint.evaluation.metrics import FloatArray, Summary, summarise_columns

RING = 8
"""Width of the rings in which the depth of a hole is counted, pixels."""
ONE_LOOK, HALF, QUARTER, BY_DEPTH = "one look", "half first", "quarter first", "by depth"
PREFILL, TELEA = "prefill", "opencv-telea"

LEAD_UNITS: Mapping[str, tuple[int, str]] = {"hole_psnr": (3, " dB"), "hole_ssim": (4, ""), VGG_DISTANCE: (1, " %")}
"""Digits and units of leads; the one in VGG distance is relative."""
BETWEEN = "between the networks"

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
class StudiedModel:
    """A network that is studied.

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


@dataclass(frozen=True)
class HoleStudy:
    """What was measured, and what follows from it.

    Attributes:
        discs: what was measured, by radius; increasing.
        boxes: by side; may be empty.
        models: the networks; the others are compared with the first.
        metrics: `COMPARED`, and the VGG distance if it was measured.
        seed: of the bootstrap.
    """

    discs: Mapping[int, Measured]
    boxes: Mapping[int, Measured]
    models: Sequence[StudiedModel]
    metrics: Sequence[str]
    seed: int

    @property
    def largest(self) -> int:
        """Radius of the largest discs."""
        return max(self.discs)

    @property
    def pairs(self) -> dict[str, tuple[Pair, ...]]:
        """By label of a network the methods that are compared."""
        return {model.label: model.pairs for model in self.models}

    @property
    def between(self) -> tuple[Pair, ...]:
        """Methods of other networks with the first one's."""
        reference = self.models[0].named(ONE_LOOK)
        return tuple((model.named(each), reference) for model in self.models[1:] for each in (ONE_LOOK, BY_DEPTH))

    @property
    def groups(self) -> dict[str, tuple[Pair, ...]]:
        """All pairs by what is shown together."""
        return {**self.pairs, **({BETWEEN: self.between} if self.between else {})}

    def suffix(self, label: str) -> str:
        """What a title says of a group where there are several networks."""
        return f", {label}" * (len(self.models) > 1)

    @cached_property
    def leads(self) -> Leads:
        """In discs."""
        return self._leads_in(self.discs)

    @cached_property
    def box_leads(self) -> Leads:
        """In boxes."""
        return self._leads_in(self.boxes)

    def _leads_in(self, found: Mapping[int, Measured]) -> Leads:
        pairs = (*sum(self.pairs.values(), ()), *self.between)
        return _all_leads(found, self.metrics, pairs, self.seed)

    @cached_property
    def broken(self) -> dict[tuple[str, str], Breakdown]:
        """Break-down radii by metric and method."""
        return {
            (metric, method): breakdown(tuple(self.discs), _samples(self.discs, method, PREFILL, metric, self.seed))
            for metric in BROKEN_BY
            if metric in self.metrics
            for model in self.models
            for method in model.procedures
        }

    @property
    def ratios(self) -> dict[tuple[str, str, str], Estimate]:
        """Of break-down radii to the first network's."""
        return radius_ratios(self.models, self.broken)

    @cached_property
    def depths(self) -> dict[Pair, list[Summary]]:
        """Gains by distance from the edge of the largest discs."""
        discs = self.discs[self.largest]
        return {pair: gains_by_depth(discs, *pair, self.seed) for each in self.pairs.values() for pair in each}

    @cached_property
    def too_deep(self) -> dict[str, Breakdown]:
        """Break-down depths by method."""
        methods = [model.named(procedure) for model in self.models for procedure in (ONE_LOOK, BY_DEPTH)]
        return {method: breakdown_depth(self.discs[self.largest], method, PREFILL, self.seed) for method in methods}

    @property
    def rings(self) -> list[str]:
        """Labels of the rings of the largest discs."""
        count = len(next(iter(self.depths.values())))
        return [f"{RING * index}-{RING * (index + 1)}" for index in range(count)]

    def means(self, found: Mapping[int, Measured], metric: str) -> dict[str, list[Summary]]:
        """Means by method, one for each size of `discs` or `boxes`."""
        methods = next(iter(found.values()), {})
        return {method: summarise_columns(_values(found, method, metric), self.seed) for method in methods}

    def lead_over_prefill(self, method: str, metric: str) -> list[Summary]:
        """In discs, by radius."""
        return lead(_values(self.discs, method, metric), _values(self.discs, PREFILL, metric), metric, self.seed)


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


def radius_ratios(
    models: Sequence[StudiedModel], broken: Mapping[tuple[str, str], Breakdown]
) -> dict[tuple[str, str, str], Estimate]:
    """(metric, method, the first network's method) -> ratio: by the same procedure, and by depth over one look."""
    first = models[0]
    pairs = [
        pair
        for model in models[1:]
        for pair in (
            *zip(model.procedures, first.procedures, strict=True),
            (model.named(BY_DEPTH), first.named(ONE_LOOK)),
        )
    ]
    metrics = dict.fromkeys(metric for metric, _ in broken)
    return {
        (metric, *pair): broken[metric, pair[0]].ratio(broken[metric, pair[1]]) for metric in metrics for pair in pairs
    }
