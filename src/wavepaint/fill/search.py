"""Which source every target copies: all pairs where they are few, else the offsets of neighbours and small windows.

Both are deterministic. The second is the coherent search of Ashikhmin ("Synthesizing natural textures", 2001) with an
exhaustive look around the match so far; a bonus for continuing the neighbours' offsets keeps pieces whole, and a
charge for sources that are used more than once keeps them from repeating.
"""

from __future__ import annotations

import numpy as np

from wavepaint.fill.patches import Floats, Indices, Mask

BLOCK = 64
"""Targets that are compared with all sources together."""
_MARGIN = 8
_NOWHERE = -(10**8)


def turned(sources: Floats, bias: Floats | None = None) -> Floats:
    """What `nearest` compares with.

    Args:
        sources: (S, L) their descriptions.
        bias: (S,) whole numbers that are added to the squared distances, or None.

    Returns:
        (L + 1, S): a product with a description and a 1 is the squared distance less the square of the description.
    """
    norms = np.einsum("ij,ij->i", sources, sources)
    return np.concatenate((-2 * sources.T, (norms if bias is None else norms + bias)[None]))


def nearest(wanted: Floats, sources: Floats) -> Indices:
    """The best source of every target, the first of equals: (N, L), `turned` sources -> (N,)."""
    wanted = np.concatenate((wanted, np.ones((len(wanted), 1), np.float32)), axis=1)
    best = np.empty(len(wanted), np.int64)
    costs = np.empty((BLOCK, sources.shape[1]), np.float32)
    for start in range(0, len(wanted), BLOCK):
        part = wanted[start : start + BLOCK]
        best[start : start + BLOCK] = np.matmul(part, sources, out=costs[: len(part)]).argmin(axis=1)
    return best


def squared_distances(a: Floats, b: Floats) -> Floats:
    """(N, L), (N, L) -> (N,); exact, as all are whole numbers."""
    squares = a - b
    squares *= squares
    return np.asarray(squares @ np.ones(squares.shape[1], np.float32))


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
        self.offered, self.wanted, self.coherence, self.charge = offered, wanted, coherence, charge
        inside = slice(_MARGIN, -_MARGIN), slice(_MARGIN, -_MARGIN)
        good = np.zeros((height + 2 * _MARGIN, self.pitch), np.bool_)
        good[inside] = sources
        plain = np.zeros(good.shape, np.int64)
        plain[inside] = np.arange(sources.size).reshape(height, width)
        self.good, self.plain = good.ravel(), plain.ravel()
        self.at, to = (each + 2 * _MARGIN * (each // width) + _MARGIN * (self.pitch + 1) for each in (targets, matches))
        self.shift = np.full(good.size, _NOWHERE, np.int64)
        self.shift[self.at] = to - self.at
        self.cost = squared_distances(offered.take(matches, axis=0), wanted) + charge[matches]
        parity = (targets // width + targets % width) % 2
        self.halves = [(half, self.at[half]) for half in (np.flatnonzero(parity == each) for each in (0, 1))]
        self.beside = np.array([[-self.pitch], [self.pitch], [-1], [1]])

    @property
    def matches(self) -> Indices:
        """(N,) indices of sources."""
        matches: Indices = self.plain[self.at + self.shift[self.at]]
        return matches

    def propagate(self, steps: tuple[int, ...]) -> None:
        """Offer every target the offsets of its neighbours at some distances."""
        for step in steps:
            for towards in (step * self.pitch, -step * self.pitch, step, -step):
                for half, at in self.halves:
                    self._offer(half, at, self.shift.take(at + towards))

    def look_around(self, radius: int) -> None:
        """Offer every target the eight sources at one distance around its match."""
        rows, columns = radius * self.pitch, radius
        for move in (-rows, rows, -columns, columns, -rows - columns, -rows + columns, rows - columns, rows + columns):
            for half, at in self.halves:
                self._offer(half, at, self.shift.take(at) + move)

    def _offer(self, who: Indices, at: Indices, shift: Indices) -> None:
        to, present = at + shift, self.shift.take(at)
        # The ends of the margin stand for all that lies outside.
        valid = self.good.take(to, mode="clip")
        valid &= shift != present
        (chosen,) = valid.nonzero()
        if not len(chosen):
            return
        who, at, shift, to, present = (each.take(chosen) for each in (who, at, shift, to, present))
        source = self.plain.take(to)
        cost = squared_distances(self.offered.take(source, axis=0), self.wanted.take(who, axis=0))
        cost += self.charge.take(source)
        # How many more neighbours have this offset than the present one.
        neighbours = self.shift.take(at + self.beside)
        more = (neighbours == shift).view(np.int8) - (neighbours == present).view(np.int8)
        gain = self.cost.take(who) - cost + self.coherence * more.sum(axis=0, dtype=np.float32)
        (better,) = (gain > 0).nonzero()
        self.cost[who.take(better)] = cost.take(better)
        self.shift[at.take(better)] = shift.take(better)
