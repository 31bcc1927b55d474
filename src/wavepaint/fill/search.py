"""Which source every target copies: all pairs where they are few, else the offsets of neighbours and small windows.

Both are deterministic. The second is the coherent search of Ashikhmin ("Synthesizing natural textures", 2001) with an
exhaustive look around the match so far; a bonus for continuing the neighbours' offsets keeps pieces whole, and a
charge for sources that are used more than once keeps them from repeating.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from wavepaint.fill.patches import LENGTH, Floats, Indices, Mask

BLOCK = 64
"""Targets, at least, that are compared with all sources together; more of them with few sources."""
PAIRS = 2**20
"""So many comparisons at a time pay for the preparation of a matrix product."""
_SAFELY = 1 + 1e-5
"""More than the rounding of distances."""
_MARGIN = 8
_NOWHERE = -(10**8)
_ONES = np.ones(LENGTH, np.float32)
Half: TypeAlias = tuple[Indices, Indices, Indices, Floats]
"""Every other target: its number, where it and its four neighbours lie, and its description."""


def squared_distances(a: Floats, b: Floats) -> Floats:
    """(N, L), (N, L) -> (N,); exact, as all are whole numbers."""
    squares = a - b
    squares *= squares
    return np.asarray(squares.dot(_ONES))


class AllPairs:
    """The best source of every target, by comparing all with all.

    That is repeated for those targets only for which another source may have become the best: while a description moves
    by some distance, none comes nearer by more (Hamerly, "Making k-means even faster", 2010).

    Args:
        offered: (S, L) descriptions of the sources.
        bias: (S,) whole numbers, not negative, that are added to the squared distances.
    """

    def __init__(self, offered: Floats, bias: Floats) -> None:
        self._offered, self._bias = offered, bias
        norms = np.einsum("ij,ij->i", offered, offered) + bias
        # A product with a description and a 1 is the squared distance less the square of the description.
        self._turned = np.concatenate((-2 * offered.T, norms[None]))
        self._best: Indices | None = None

    def __call__(self, wanted: Floats) -> Indices:
        """(N, L), of the same targets in every call -> (N,); the first of equals."""
        if self._best is None:
            again = np.arange(len(wanted))
            self._best, self._second = np.empty(len(wanted), np.int64), np.empty(len(wanted))
            self._compared = np.empty_like(wanted)
        else:
            cost = squared_distances(self._offered.take(self._best, axis=0), wanted) + self._bias.take(self._best)
            moved = squared_distances(wanted, self._compared)
            reach = np.sqrt(cost, dtype=np.float64) + np.sqrt(moved, dtype=np.float64)
            (again,) = (reach * _SAFELY > self._second).nonzero()
        block = max(BLOCK, PAIRS // len(self._bias))
        for start in range(0, len(again), block):
            self._compare(again[start : start + block], wanted)
        return self._best.copy()

    def _compare(self, who: Indices, wanted: Floats) -> None:
        assert self._best is not None
        self._compared[who] = rows = wanted.take(who, axis=0)
        costs = np.concatenate((rows, np.ones((len(who), 1), np.float32)), axis=1) @ self._turned
        self._best[who] = best = costs.argmin(axis=1)
        costs[np.arange(len(who)), best] = np.inf
        self._second[who] = np.sqrt(costs.min(axis=1) + np.einsum("ij,ij->i", rows, rows), dtype=np.float64)


class Field:
    """Offsets of all targets of one level, while they are improved.

    The level is laid out with a margin around it, so that neighbours and shifted matches need no test for the border.

    Args:
        sources: (H, W) bool.
        targets: (N,) indices.
        matches: (N,) indices of sources.
        wanted: (N, L) descriptions.
        offered: (H*W, L) descriptions.
        coherence: what a match costs besides its distance for each of the four neighbours that has another offset.
        charge: (H*W,) float32, what it costs for each source.
    """

    def __init__(
        self,
        sources: Mask,
        targets: Indices,
        matches: Indices,
        wanted: Floats,
        offered: Floats,
        coherence: float,
        charge: Floats,
    ) -> None:
        (height, width), self.pitch = sources.shape, sources.shape[1] + 2 * _MARGIN
        self.offered, self.coherence = offered, coherence
        inside = slice(_MARGIN, -_MARGIN), slice(_MARGIN, -_MARGIN)
        # What is no source costs too much, be it in the level or outside.
        self.charge = np.where(sources.ravel(), charge, np.float32(np.inf))
        plain = np.full((height + 2 * _MARGIN, self.pitch), sources.argmin())
        plain[inside] = np.arange(sources.size).reshape(height, width)
        self.plain = plain.ravel()
        self.at, to = (each + 2 * _MARGIN * (each // width) + _MARGIN * (self.pitch + 1) for each in (targets, matches))
        self.shift = np.full(plain.size, _NOWHERE, np.int64)
        self.shift[self.at] = to - self.at
        self.cost = squared_distances(offered.take(matches, axis=0), wanted) + charge[matches]
        parity = (targets // width + targets % width) % 2
        beside = self.at + np.array([[-self.pitch], [self.pitch], [-1], [1]])
        halves = (np.flatnonzero(parity == each) for each in (0, 1))
        self.halves: list[Half] = [(half, self.at[half], beside[:, half], wanted[half]) for half in halves]

    @property
    def matches(self) -> Indices:
        """(N,) indices of sources."""
        matches: Indices = self.plain[self.at + self.shift[self.at]]
        return matches

    def propagate(self, steps: tuple[int, ...]) -> None:
        """Offer every target the offsets of its neighbours at some distances."""
        for step in steps:
            for towards in (step * self.pitch, -step * self.pitch, step, -step):
                for half in self.halves:
                    self._offer(half, self.shift.take(half[1] + towards))

    def look_around(self, radius: int) -> None:
        """Offer every target the eight sources at one distance around its match."""
        rows, columns = radius * self.pitch, radius
        for move in (-rows, rows, -columns, columns, -rows - columns, -rows + columns, rows - columns, rows + columns):
            for half in self.halves:
                self._offer(half, self.shift.take(half[1]) + move)

    def _offer(self, half: Half, shift: Indices) -> None:
        who, at, beside, wanted = half
        # The ends of the margin stand for all that lies outside.
        source = self.plain.take(at + shift, mode="clip")
        cost = squared_distances(self.offered.take(source, axis=0), wanted)
        cost += self.charge.take(source)
        # How many more neighbours have this offset than the present one.
        neighbours = self.shift.take(beside)
        more = (neighbours == shift).view(np.int8) - (neighbours == self.shift.take(at)).view(np.int8)
        gain = self.cost.take(who) - cost + self.coherence * more.sum(axis=0, dtype=np.float32)
        (better,) = (gain > 0).nonzero()
        self.cost[who.take(better)] = cost.take(better)
        self.shift[at.take(better)] = shift.take(better)
