"""Which source every target copies: all pairs where they are few, else the offsets of neighbours and small windows.

Both are deterministic. The second is the coherent search of Ashikhmin ("Synthesizing natural textures", 2001) with an
exhaustive look around the match so far; a bonus for continuing the neighbours' offsets keeps pieces whole, and a
charge for sources that are used more than once keeps them from repeating.
"""

from __future__ import annotations

import numpy as np

from wavepaint.fill.patches import LENGTH, Floats, Indices, Mask

BLOCK = 64
"""Targets that are compared with all sources together."""
_MARGIN = 8
_NOWHERE = -(10**8)
_ONES = np.ones(LENGTH, np.float32)


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
        targets: N, their number; they are the same in every call.
    """

    def __init__(self, offered: Floats, bias: Floats, targets: int) -> None:
        self._offered, self._bias = offered, bias
        # A product with a description and a 1 is the squared distance less the square of the description.
        self._turned = np.concatenate((-2 * offered.T, (np.einsum("ij,ij->i", offered, offered) + bias)[None]))
        self._best, self._second = np.zeros(targets, np.int64), np.full(targets, -1.0)
        self._compared = np.zeros((targets, offered.shape[1]), np.float32)

    def __call__(self, queries: Floats) -> Indices:
        """(N, L) descriptions of the targets -> (N,) sources; the first of equals."""
        cost = squared_distances(self._offered.take(self._best, axis=0), queries) + self._bias.take(self._best)
        reach = np.sqrt(cost, dtype=np.float64) + np.sqrt(squared_distances(queries, self._compared), dtype=np.float64)
        (again,) = (reach * 1.00001 > self._second).nonzero()  # a little more than what rounding may take away
        room = np.empty((min(BLOCK, len(again)), len(self._bias)), np.float32)
        for who in np.split(again, range(BLOCK, len(again), BLOCK)):
            self._compared[who] = rows = queries.take(who, axis=0)
            row_and_1 = np.concatenate((rows, np.ones((len(who), 1), np.float32)), axis=1)
            costs = np.matmul(row_and_1, self._turned, out=room[: len(who)])
            self._best[who] = best = costs.argmin(axis=1)
            costs[np.arange(len(who)), best] = np.inf
            self._second[who] = np.sqrt(costs.min(axis=1) + np.einsum("ij,ij->i", rows, rows), dtype=np.float64)
        return self._best.copy()


class Field:
    """Offsets of all targets of one level, while they are improved.

    The level is laid out with a margin around it, so that neighbours and shifted matches need no test for the border.

    Args:
        sources: (H, W) bool.
        targets: (N,) indices.
        matches: (N,) indices of sources.
        queries: (N, L) descriptions of the targets.
        offered: (H*W, L) descriptions.
        coherence: what a match costs besides its distance for each of the four neighbours that has another offset.
        charge: (H*W,) float32, what it costs for each source.
    """

    def __init__(
        self,
        sources: Mask,
        targets: Indices,
        matches: Indices,
        queries: Floats,
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
        # A sample and its four neighbours are never in the same half.
        parity = (targets // width + targets % width) % 2
        self.order = parity.argsort(kind="stable")
        ends = len(targets) - np.count_nonzero(parity), len(targets)
        self.halves = slice(0, ends[0]), slice(*ends)
        targets, matches, self.queries = targets[self.order], matches[self.order], queries[self.order]
        self.at, to = (each + 2 * _MARGIN * (each // width) + _MARGIN * (self.pitch + 1) for each in (targets, matches))
        self.beside = self.at + np.array([[-self.pitch], [self.pitch], [-1], [1]])
        self.shift = np.full(plain.size, _NOWHERE, np.int64)
        self.shift[self.at] = to - self.at
        self.costs = self._costs(slice(None), self.shift[self.at])

    def result(self) -> tuple[Indices, Floats]:
        """(N,) indices of sources, and what each costs."""
        matches, costs = np.empty_like(self.at), np.empty_like(self.costs)
        matches[self.order], costs[self.order] = self.plain[self.at + self.shift[self.at]], self.costs
        return matches, costs

    def propagate(self, steps: tuple[int, ...]) -> None:
        """Offer every target the offsets of its neighbours at some distances."""
        for step in steps:
            for towards in (step * self.pitch, -step * self.pitch, step, -step):
                # At odd distances, what the first half takes is offered to the second.
                for half in self.halves:
                    self._offer(half, self.shift.take(self.at[half] + towards))

    def look_around(self, radius: int) -> None:
        """Offer every target the eight sources at one distance around its match."""
        rows, columns = radius * self.pitch, radius
        for move in (-rows, rows, -columns, columns, -rows - columns, -rows + columns, rows - columns, rows + columns):
            for half in self.halves:
                self._offer(half, self.shift.take(self.at[half]) + move)

    def _costs(self, part: slice, shift: Indices) -> Floats:
        # The ends of the margin stand for all that lies outside.
        source = self.plain.take(self.at[part] + shift, mode="clip")
        costs = squared_distances(self.offered.take(source, axis=0), self.queries[part])
        costs += self.charge.take(source)
        return costs

    def _offer(self, half: slice, shift: Indices) -> None:
        at, own, cost = self.at[half], self.costs[half], self._costs(half, shift)
        # How many more neighbours have this offset than the present one.
        neighbours = self.shift.take(self.beside[:, half])
        more = (neighbours == shift).view(np.int8) - (neighbours == self.shift.take(at)).view(np.int8)
        (better,) = (own - cost + self.coherence * more.sum(axis=0, dtype=np.float32) > 0).nonzero()
        own[better] = cost.take(better)
        self.shift[at.take(better)] = shift.take(better)
