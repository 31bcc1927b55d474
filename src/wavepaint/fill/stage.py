"""One level of exemplar completion: rounds of search and vote, from the matches of the next coarser level or none."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from wavepaint.fill.blend import Doubles, vote
from wavepaint.fill.levels import DEEPEST, Level
from wavepaint.fill.noise import hashes
from wavepaint.fill.options import ExemplarOptions
from wavepaint.fill.patches import (
    DETAIL,
    LENGTH,
    RADIUS,
    Floats,
    Ints,
    Mask,
    Quantiser,
    box_maximum,
    box_mean,
    box_sums,
    depth_of,
    describe,
    detail_energy,
    dilate,
)
from wavepaint.fill.search import Field, Indices, Terms, nearest, squared_distances

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
        self._depth = depth_of(level.hole, DEEPEST)
        nearness = np.maximum(NEARNESS ** -self._depth.astype(np.float64), 1e-3)
        self._nearness: Doubles = nearness.ravel()[self.targets]
        self._window = _box_around(self.touched, RADIUS)
        self._inner: Indices = np.flatnonzero(self.touched[self._window])
        raw = describe(level.planes, level.texture)
        self._quantise = Quantiser.fitting(raw, self._sources)
        self._offered = self._quantise(raw.reshape(LENGTH, -1))

    def solve(self, coarser: Stage | None, inherited: Matching | None) -> Matching:
        """Find matches, from those of the next coarser level or from the guide."""
        if coarser is None or inherited is None:
            matches = self.targets
            now = self._begin()
            rounds = MOST_ROUNDS
        else:
            matches = self._inherited(coarser, inherited.matches)
            now = self._centres(matches)
            rounds = ROUNDS.get(self.level.number, MOST_ROUNDS)
        pairs = len(self.targets) * len(self._source_indices)
        unit = 0.0
        for turn in range(rounds):
            wanted = self._wanted(*now)
            everywhere = pairs < ALL_PAIRS * (1 if turn == 0 else REPEATED) and (coarser is None or pairs < ALL_PAIRS)
            if everywhere or (coarser is None and turn == 0):
                matches = nearest(wanted, self._offered, self._source_indices, self._bias())
                cost = squared_distances(self._offered[matches], wanted)
            else:
                if turn == 0:
                    unit = self._unit(squared_distances(self._offered[matches], wanted), 0.5)
                matches, cost = self._improve(matches, wanted, unit, first=turn == 0)
            unit = self._unit(cost, 0.75)
            weights = np.maximum(np.exp(-cost.astype(np.float64) / (2 * unit)), 1e-4) * self._nearness
            if turn < rounds - 1:
                now = self._voted(Matching(matches, weights))
        return Matching(matches, weights**SHARPNESS)

    def misfit(self, matching: Matching) -> Doubles:
        """(N,) how badly the copies fit each other, relative to the detail there and around.

        Every sample is the centre of its own match for that: votes would smooth, and favour smooth candidates.
        """
        described = self._describe(*self._centres(matching.matches))
        seam = squared_distances(described, self._offered[matching.matches]).astype(np.float64)
        energy = detail_energy(self._offered).astype(np.float64)
        around = self._around(energy.astype(np.int64))
        return seam / (energy[matching.matches] + around + _SMALL_ENERGY * self._quantise.scale**2)

    def _begin(self) -> tuple[Ints, Ints]:
        """Samples and texture of the level, the hole filled by the guide, or by means."""
        level = self.level
        planes, texture = level.planes.copy(), level.texture.copy()
        if level.guide is not None:
            planes[level.hole] = level.guide[level.hole]
        elif not level.hole.all():
            planes[level.hole] = np.rint(planes[~level.hole].mean(axis=0))
        if level.rough.any():
            texture[~level.rough] = np.rint(texture[level.rough].mean(axis=0))
        return planes, texture

    def _centres(self, matches: Indices) -> tuple[Ints, Ints]:
        """The same, every sample being the centre of its own match."""
        level = self.level
        match = np.zeros(level.hole.size, np.int64)
        match[self.targets] = matches
        planes, texture = level.planes.copy(), level.texture.copy()
        planes[level.hole] = planes.reshape(-1, 3)[match[level.hole.ravel()]]
        unknown = ~level.rough & self.touched
        texture[unknown] = texture.reshape(-1, 2)[match[unknown.ravel()]]
        return planes, texture

    def _voted(self, matching: Matching) -> tuple[Ints, Ints]:
        """The same, every sample being what the patches over it say."""
        level = self.level
        unknown = level.hole | (~level.rough & self.touched)
        source = np.concatenate((level.planes, level.texture), axis=2).astype(np.float64)
        means, _ = vote(source, self.known, self.targets, matching.matches, matching.weights, unknown, WINDOW)
        whole = np.rint(means).astype(np.int32)
        planes, texture = level.planes.copy(), level.texture.copy()
        planes[level.hole] = whole[level.hole[unknown], :3]
        texture[unknown & ~level.rough] = whole[~level.rough[unknown], 3:]
        return planes, texture

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

    def _describe(self, planes: Ints, texture: Ints | None) -> Floats:
        return self._quantise(self._raw(planes, texture))

    def _raw(self, planes: Ints, texture: Ints | None) -> Ints:
        """(`LENGTH`, N) raw descriptions of the targets."""
        window = self._window
        raw = describe(planes[window], None if texture is None else texture[window])
        return raw.reshape(LENGTH, -1)[:, self._inner]

    def _wanted(self, planes: Ints, texture: Ints) -> Floats:
        """Descriptions of the targets as they are, with the guide's as far as it is believed."""
        raw = self._raw(planes, texture)
        if self._belief is None:
            return self._quantise(raw)
        assert self.level.guide is not None
        towards = np.rint(self._belief[..., None] * (self.level.guide - planes)).astype(np.int32)
        difference = self._raw(towards, None).astype(np.float64)
        difference[list(DETAIL)] *= self._evidence
        return self._quantise(raw + difference)

    @cached_property
    def _belief(self) -> Doubles | None:
        """(H, W), in the guide: less with every sample of depth.

        On the finest level only where the hole is narrow: in wide ones the guide is so blurred that its tones would
        move edges.
        """
        if self.level.guide is None:
            return None
        depth = self._depth * 2.0**self.level.number
        if self.level.number:
            belief = np.maximum(np.exp(-((depth / self.options.trust) ** 2)), self.options.floor)
        else:
            belief = np.exp(-((box_maximum(self._depth, RING) / NARROW) ** 2))
        return np.where(self.level.hole, belief, 0.0)

    @cached_property
    def _evidence(self) -> Doubles:
        """(N,) belief in the guide's detail: none where its amplitude is a fifth of the surroundings' or less."""
        assert self.level.guide is not None
        guided = np.where(self.level.hole[..., None], self.level.guide, self.level.planes)
        own = np.sqrt(detail_energy(self._describe(guided, self.level.texture)).astype(np.float64))
        around = self._around(np.sqrt(detail_energy(self._offered).astype(np.float64)).astype(np.int64))
        return np.clip(1.25 * own / np.maximum(around, 1e-6) - 0.25, 0, 1)

    def _around(self, values: NDArray[np.int64]) -> Doubles:
        """(N,) means of whole numbers over the sources near each target, over all of them where none is near."""
        values = values.reshape(self.level.hole.shape)
        near = box_mean(values, self._sources, RING)
        few = box_sums(self._sources, RING) == 0
        near[few] = values[self._sources].mean() if self._sources.any() else 1.0
        around: Doubles = near.ravel()[self.targets]
        return around

    def _bias(self) -> Floats | None:
        """Whole numbers below 2^14 that make other sources attractive for every seed but 0."""
        if self.options.seed == 0:
            return None
        return (hashes((self.options.seed,), len(self._source_indices)) >> 18).astype(np.float32)

    def _unit(self, costs: Floats, share: float) -> float:
        """A quantile of squared distances, not below what can be seen."""
        place = int(share * (len(costs) - 1))
        return max(float(np.partition(costs, place)[place]), _LEAST_COST * self._quantise.scale**2)

    def _improve(self, matches: Indices, wanted: Floats, unit: float, first: bool) -> tuple[Indices, Floats]:
        """Search near the present matches: better ones, and their squared distances, charges included."""
        shape = self.level.hole.shape
        used = box_sums(np.bincount(matches, minlength=self.level.hole.size).reshape(shape), 1)
        charge = (self.options.uniformity * unit * np.maximum(used / 9 - 1, 0)).ravel().astype(np.float32)
        terms = Terms(self.options.coherence * unit, charge)
        field = Field(shape, self._sources, self.targets, matches, wanted, self._offered, terms)
        field.propagate((4, 2, 1))
        for radius in (4, 2, 1) if first else (1,):
            field.look_around(radius)
        return field.matches, field.cost


def _box_around(mask: Mask, margin: int) -> tuple[slice, slice]:
    """The box of all marked samples, with a margin where the image goes on."""
    box = []
    for axis in (0, 1):
        marked = np.flatnonzero(mask.any(axis=1 - axis))
        box.append(slice(max(int(marked[0]) - margin, 0), int(marked[-1]) + 1 + margin))
    return box[0], box[1]
