"""Leads by the size of the hole, and the radius at which a network breaks down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lab.ablation.comparison import VGG_DISTANCE
from wavepaint.data.masks import rng_for
from wavepaint.evaluation.metrics import RESAMPLES, BoolMask, FloatArray, Summary, summarise_columns

_PERCENT = (2.5, 97.5)


@dataclass(frozen=True)
class Limit:
    """A number that may be known from one side only; from neither when it is both `at_least` and `at_most` that."""

    value: float
    at_least: bool = False
    at_most: bool = False

    def text(self, digits: int) -> str:
        """As shown: `64.7`, `>= 112.0`, `<= 1.50` or `unknown`."""
        if self.at_least and self.at_most:
            return "unknown"
        return f"{'>= ' * self.at_least}{'<= ' * self.at_most}{self.value:.{digits}f}"


@dataclass(frozen=True)
class Estimate:
    """What was found on all pictures, and the 95 % bootstrap interval over them."""

    found: Limit
    low: Limit
    high: Limit

    def text(self, digits: int) -> str:
        """The number with its interval."""
        return f"{self.found.text(digits)} [{self.low.text(digits)}, {self.high.text(digits)}]"


@dataclass(frozen=True, eq=False)
class Breakdown:
    """Break-down radii.

    Attributes:
        radii: (1 + K,) on all pictures, then on K resamples of them; 0 where there is no lead.
        beyond: (1 + K,) True where the lead never fell below half: the radius is at least that.
    """

    radii: FloatArray
    beyond: BoolMask

    @property
    def estimate(self) -> Estimate:
        """The radius with its interval, pixels."""
        return _estimate(self.radii, self.beyond, np.zeros_like(self.beyond))

    def ratio(self, before: Breakdown) -> Estimate:
        """How many times the radius of another network, measured on the same resamples."""
        known = before.radii > 0
        ratios = np.divide(self.radii, before.radii, out=np.zeros_like(self.radii), where=known)
        return _estimate(ratios, self.beyond | ~known, before.beyond | ~known)


def lead(first: FloatArray, second: FloatArray, metric: str, seed: int) -> list[Summary]:
    """How much better a method is than another, size by size; positive is better.

    Args:
        first: (N, R) scores of the method, a row per picture and a column per size.
        second: likewise, of the other.
        metric: a key of `comparison.SHORT` of which more is better, or the VGG distance: that lead is by how many
            per cent the mean distance is smaller than the other's.
        seed: of the bootstrap.
    """
    if metric != VGG_DISTANCE:
        return summarise_columns(first - second, seed)
    samples = lead_samples(first, second, metric, seed)
    low, high = np.percentile(samples[1:], _PERCENT, axis=0)
    # What each picture contributes to the ratio of means, to first order.
    share = first.mean(axis=0) / second.mean(axis=0)
    spread = 100 * (share * second - first) / second.mean(axis=0)
    std = spread.std(axis=0, ddof=1) if len(first) > 1 else np.zeros_like(share)
    columns = zip(samples[0], std, low, high, strict=True)
    return [Summary(float(m), float(s), float(lo), float(hi), len(first)) for m, s, lo, hi in columns]


def lead_samples(first: FloatArray, second: FloatArray, metric: str, seed: int) -> FloatArray:
    """(1 + RESAMPLES, R): `lead` on all pictures, then on resamples, which are the same for all methods and metrics."""
    count = len(first)
    equal = np.full(count, 1 / count)
    resampled = rng_for(seed, f"bootstrap/{count}").multinomial(count, equal, size=RESAMPLES) / count
    weights = np.concatenate((equal[None], resampled))
    if metric == VGG_DISTANCE:
        smaller: FloatArray = 100 * (1 - (weights @ first) / (weights @ second))
        return smaller
    difference: FloatArray = weights @ (first - second)
    return difference


def breakdown(radii: Sequence[float], leads: FloatArray) -> Breakdown:
    """The largest radius up to which a method keeps at least half of its largest lead.

    From the radius of the largest lead on, it is where the lead first falls below half of that, interpolated
    linearly between the measured radii.

    Args:
        radii: increasing.
        leads: (1 + K, R) at these radii: on all pictures, then on resamples; see `lead_samples`.
    """
    found = [_breakdown(radii, row) for row in leads]
    return Breakdown(np.array([radius for radius, _ in found]), np.array([beyond for _, beyond in found]))


def _breakdown(radii: Sequence[float], leads: FloatArray) -> tuple[float, bool]:
    peak = int(np.argmax(leads))
    if not leads[peak] > 0:
        return 0.0, False
    half = leads[peak] / 2
    for index in range(peak + 1, len(radii)):
        if leads[index] < half:
            # Between two radii: the one before still has half.
            way = (leads[index - 1] - half) / (leads[index - 1] - leads[index])
            return float(radii[index - 1] + way * (radii[index] - radii[index - 1])), False
    return float(radii[-1]), True


def _estimate(values: FloatArray, at_least: NDArray[np.bool_], at_most: NDArray[np.bool_]) -> Estimate:
    """The first value, and percentiles of the others; a percentile is open to the side to which they could move it."""
    quantiles = [
        np.percentile(samples[1:], _PERCENT, method="nearest")
        for samples in (values, np.where(at_least, np.inf, values), np.where(at_most, -np.inf, values))
    ]
    low, high = (Limit(float(q), bool(up > q), bool(down < q)) for q, up, down in zip(*quantiles, strict=True))
    return Estimate(Limit(float(values[0]), bool(at_least[0]), bool(at_most[0])), low, high)
