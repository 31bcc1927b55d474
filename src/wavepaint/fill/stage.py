"""One level of exemplar completion: rounds of search and vote, from the matches of the next coarser level or none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wavepaint.fill.blend import vote
from wavepaint.fill.levels import Level
from wavepaint.fill.noise import hashes
from wavepaint.fill.options import ExemplarOptions
from wavepaint.fill.patches import (
    COLOURS,
    DETAIL,
    LENGTH,
    RADIUS,
    Doubles,
    Floats,
    Indices,
    Ints,
    Quantiser,
    box_around,
    box_maximum,
    box_sums,
    describe,
    describe_patches,
    detail_energy,
    dilate,
)
from wavepaint.fill.search import AllPairs, Field, squared_distances

Samples = NDArray[Any]
Estimate = tuple[Samples, Samples]
"""Whole numbers: (3, M) the samples of the hole, and (2, N) the texture at the targets."""
ROUNDS = {0: 2, 1: 3, 2: 4}
"""Rounds of search and vote on the finest levels; `MOST_ROUNDS` on the others and on the first."""
MOST_ROUNDS = 5
ALL_PAIRS = 12_000_000
"""Targets times sources up to which all pairs are compared; `REPEATED` times as many after the first round."""
REPEATED = 4
SHARPNESS = 6
"""Power of the weights in the last vote of a level."""
WINDOW = 2.0
"""Standard deviation of a patch's weight around its centre, samples."""
RING = 12
"""How far surroundings reach, samples of a level."""
TEXTURE_GAIN = 1.2
"""How much more texture is asked for than the patches say: the nearest source of a mean is smoother than the mean."""
NEARNESS = 1.25
"""How much louder a patch speaks for each sample that it is nearer to what is known."""
NARROW = 8.0
"""Depth of the deepest sample nearby at which belief in the guide has fallen to 1/e on the finest level."""
_LEAST_COST = 1e-4 * (2 * RADIUS + 1) ** 2 * 255**2
_SMALL_ENERGY = 0.02 * 255**2


@dataclass(frozen=True, eq=False)
class Matching:
    """What every target of a level copies: (N,) indices of sources, and (N,) float64, how loud each target speaks."""

    matches: Indices
    weights: Doubles


class Stage:
    """A level with what is fixed about its hole.

    Attributes:
        level: the level.
        touched: (H, W) bool, centres of the patches that touch the hole.
        targets: (N,) their indices.
        known: (H, W) bool, samples that may be copied, or None where sources hold no others.
    """

    def __init__(self, level: Level, options: ExemplarOptions) -> None:
        self.level, self.options = level, options
        self.touched = dilate(level.hole, RADIUS)
        self.targets = np.flatnonzero(self.touched)
        self._sources, whole = level.sources()
        self._source_indices = np.flatnonzero(self._sources)
        self.known = None if whole else ~(level.hole | level.excluded)
        self._nearness: Doubles = np.maximum(NEARNESS ** -level.depth.ravel()[self.targets].astype(np.float64), 1e-3)
        self._unknown = level.hole | (self.touched & ~level.rough)
        self._in_hole, self._is_smooth = level.hole[self._unknown], ~level.rough[self._unknown]
        self._inside = np.flatnonzero(level.hole.ravel()[self.targets])
        self._smooth = np.flatnonzero(~level.rough.ravel()[self.targets])
        self._texture = level.texture.reshape(2, -1).take(self.targets, axis=1)
        raw = describe(level.planes, level.texture)
        # Samples of the hole count as zeros there, so that they can be added.
        self._given = raw.take(self.targets, axis=1).astype(np.float64)
        # Only sources are compared with, and described as finely as they allow.
        np.copyto(raw, raw[:, self._source_indices[:1]], where=~self._sources.ravel())
        self._quantise, self._offered = Quantiser.fitting(raw)
        self._patches = self._numbered_patches()

    def solve(self, coarser: Stage | None, inherited: Matching | None) -> Matching:
        """Find matches, from those of the next coarser level or from the guide."""
        if coarser is None or inherited is None:
            matches = self.targets
            estimate = self._begin()
            rounds = MOST_ROUNDS
        else:
            matches = self._inherited(coarser, inherited.matches)
            estimate = self._centres(matches)
            rounds = ROUNDS.get(self.level.number, MOST_ROUNDS)
        pairs = len(self.targets) * len(self._source_indices)
        unit, before = 0.0, None
        for turn in range(rounds):
            queries = self._queries(*estimate)
            everywhere = pairs < ALL_PAIRS * (1 if turn == 0 else REPEATED) and (coarser is None or pairs < ALL_PAIRS)
            if everywhere or (coarser is None and turn == 0):
                if before is not None and np.array_equal(queries, before):
                    break  # The matches are the same, and so is all that would follow.
                before = queries
                matches = self._source_indices[self._all_pairs(queries)]
                cost = squared_distances(self._offered.take(matches, axis=0), queries)
            else:
                if turn == 0:
                    unit = self._unit(squared_distances(self._offered.take(matches, axis=0), queries), 0.5)
                matches, cost = self._improve(matches, queries, unit, first=turn == 0)
            unit = self._unit(cost, 0.75)
            weights = np.maximum(np.exp(-cost.astype(np.float64) / (2 * unit)), 1e-4) * self._nearness
            if turn < rounds - 1:
                estimate = self._voted(Matching(matches, weights))
        return Matching(matches, weights**SHARPNESS)

    def misfit(self, matching: Matching) -> Doubles:
        """(N,) how badly the copies fit each other, relative to the detail there and around.

        Every sample is the centre of its own match for that: votes would smooth, and favour smooth candidates.
        """
        described = self._quantise(self._raw(*self._centres(matching.matches)))
        seam = squared_distances(described, self._offered[matching.matches]).astype(np.float64)
        energy = detail_energy(self._offered[matching.matches]).astype(np.float64)
        around = self._around(detail_energy)
        return seam / (energy + around + _SMALL_ENERGY * self._quantise.scale**2)

    def _begin(self) -> Estimate:
        """The hole filled by the guide, or by means."""
        level = self.level
        filled, texture = level.planes if level.guide is None else level.guide, self._texture.copy()
        samples = filled[:, level.hole]
        if level.guide is None and not level.hole.all():
            samples[:] = np.rint(level.planes[:, ~level.hole].mean(axis=1, keepdims=True))
        if level.rough.any():
            texture[:, self._smooth] = np.rint(level.texture[:, level.rough].mean(axis=1, keepdims=True))
        return samples, texture

    def _centres(self, matches: Indices) -> Estimate:
        """The same, every sample being the centre of its own match."""
        texture = self._texture.copy()
        texture[:, self._smooth] = self.level.texture.reshape(2, -1)[:, matches[self._smooth]]
        return self.level.planes.reshape(3, -1)[:, matches[self._inside]], texture

    def _voted(self, matching: Matching) -> Estimate:
        """The same, every sample being what the patches over it say, but with more texture."""
        votes = self.targets, matching.matches, matching.weights
        whole = np.rint(vote(self._source, self.known, votes, self._unknown, WINDOW)[0])
        texture = self._texture.copy()
        texture[:, self._smooth] = np.rint(TEXTURE_GAIN * whole[3:, self._is_smooth])
        return whole[:3, self._in_hole], texture

    def _inherited(self, coarser: Stage, inherited: Indices) -> Indices:
        """Offsets of the coarser level, doubled; where they lead to no source, some source."""
        height, width = self.level.hole.shape
        below = coarser.level.hole.shape
        match = np.arange(coarser.level.hole.size)
        match[coarser.targets] = inherited
        row, column = np.divmod(self.targets, width)
        cell = np.minimum(row // 2, below[0] - 1) * below[1] + np.minimum(column // 2, below[1] - 1)
        row = (2 * (match[cell] // below[1]) + row % 2).clip(RADIUS, max(height - 1 - RADIUS, RADIUS))
        column = (2 * (match[cell] % below[1]) + column % 2).clip(RADIUS, max(width - 1 - RADIUS, RADIUS))
        matches: Indices = np.minimum(row, height - 1) * width + np.minimum(column, width - 1)
        lost = ~self._sources.ravel()[matches]
        scattered = (self.targets[lost] * 2654435761 + self.options.seed) % 2**32 % len(self._source_indices)
        matches[lost] = self._source_indices[scattered]
        return matches

    def _numbered_patches(self) -> Indices:
        """(49, N) numbers of the hole samples in the patches of the targets, `M` for all others."""
        height, width = self.level.hole.shape
        number = np.full(self.level.hole.size, len(self._inside))
        number[self.targets[self._inside]] = np.arange(len(self._inside))
        steps = np.arange(-RADIUS, RADIUS + 1)[:, None]
        row, column = np.divmod(self.targets, width)
        rows, columns = (row + steps).clip(0, height - 1), (column + steps).clip(0, width - 1)
        patches: Indices = number.take(rows[:, None] * width + columns).reshape(len(steps) ** 2, -1)
        return patches

    def _raw(self, samples: Samples, texture: Samples) -> Doubles:
        """(`LENGTH`, N) raw descriptions of the targets, by the samples of the hole and the texture at the targets."""
        raw = self._given.copy()
        raw[:COLOURS] += describe_patches(samples, self._patches)
        raw[COLOURS:] = texture
        return raw

    def _queries(self, samples: Samples, texture: Samples) -> Floats:
        """Descriptions of the targets as they are, with the guide's as far as it is believed."""
        raw = self._raw(samples, texture)
        if self._belief is not None:
            towards = np.rint(self._belief * (self._guide - samples))
            raw[:COLOURS] += self._evidence * describe_patches(towards, self._patches)
        return self._quantise(raw)

    @cached_property
    def _guide(self) -> Ints:
        """(3, M), at the samples of the hole."""
        assert self.level.guide is not None
        return self.level.guide.reshape(3, -1).take(self.targets[self._inside], axis=1)

    @cached_property
    def _source(self) -> Doubles:
        """(5, H * W): samples and texture, to be voted for."""
        return np.concatenate((self.level.planes, self.level.texture)).reshape(5, -1).astype(np.float64)

    @cached_property
    def _all_pairs(self) -> AllPairs:
        """For every seed but 0, other sources are attractive."""
        seed, count = self.options.seed, len(self._source_indices)
        # Whole numbers below 2^14.
        bias = (hashes((seed,), count) >> 18).astype(np.float32) if seed else np.zeros(count, np.float32)
        return AllPairs(self._offered[self._source_indices], bias, len(self.targets))

    @cached_property
    def _belief(self) -> Doubles | None:
        """(M,), in the guide at the hole's samples: less with every sample of depth.

        On the finest level only where the hole is narrow: in wide ones the guide is so blurred that its tones would
        move edges.
        """
        hole, depth = self.level.hole, self.level.depth
        if self.level.guide is None:
            return None
        if self.level.number:
            share, floor = depth[hole] * 2.0**self.level.number / self.options.trust, self.options.floor
        else:
            box, floor = box_around(hole, 0), 0.0
            share = box_maximum(depth[box], RING)[hole[box]] / NARROW
        return np.asarray(np.maximum(np.exp(-(share**2)), floor))

    @cached_property
    def _evidence(self) -> Doubles:
        """(`COLOURS`, N) belief in the guide, 1 but for detail: 0 where it has a fifth of the surroundings' or less."""
        guided = self._quantise(self._raw(self._guide, self._texture))
        own = np.sqrt(detail_energy(guided).astype(np.float64))
        around = self._around(lambda described: np.sqrt(detail_energy(described).astype(np.float64)))
        evidence = np.ones((COLOURS, len(self.targets)))
        evidence[list(DETAIL)] = np.clip(1.25 * own / np.maximum(around, 1e-6) - 0.25, 0, 1)
        return evidence

    def _around(self, measure: Callable[[Floats], NDArray[Any]]) -> Doubles:
        """(N,) means of what is measured on descriptions, as whole numbers, over the sources near each target.

        Over all sources where none is near.
        """
        shape, box = self.level.hole.shape, box_around(self.touched, RING)
        sources = self._sources[box]
        values = measure(self._offered.reshape(*shape, LENGTH)[box]).astype(np.int32)
        count = box_sums(sources, RING)
        near = box_sums(values * sources, RING) / np.maximum(count, 1)
        if (count == 0).any():
            near[count == 0] = measure(self._offered)[self._source_indices].astype(np.int64).mean()
        return near[self.touched[box]]

    def _unit(self, costs: Floats, share: float) -> float:
        """A quantile of squared distances, not below what can be seen."""
        rank = int(share * (len(costs) - 1))
        return max(float(np.partition(costs, rank)[rank]), _LEAST_COST * self._quantise.scale**2)

    def _improve(self, matches: Indices, queries: Floats, unit: float, first: bool) -> tuple[Indices, Floats]:
        """Search near the present matches: better ones, and their squared distances, charges included."""
        used = box_sums(np.bincount(matches, minlength=self.touched.size).reshape(self.touched.shape), 1).ravel()
        often = np.flatnonzero(used > 9)
        charge = np.zeros(used.shape, np.float32)
        charge[often] = self.options.uniformity * unit * (used[often] / 9 - 1)
        coherence = self.options.coherence * unit
        field = Field(self._sources, self.targets, matches, queries, self._offered, coherence, charge)
        field.propagate((4, 2, 1))
        for radius in (4, 2, 1) if first else (1,):
            field.look_around(radius)
        return field.result()
