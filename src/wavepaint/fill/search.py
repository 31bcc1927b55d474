"""Which source every target copies: all pairs where they are few, else the offsets of neighbours and small windows.

Both are deterministic. The second is the coherent search of Ashikhmin ("Synthesizing natural textures", 2001) with an
exhaustive look around the match so far; a bonus for continuing the neighbours' offsets keeps pieces whole, and a
charge for sources that are used more than once keeps them from repeating.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wavepaint.fill.patches import Floats, Mask

Indices = NDArray[np.int64]

BLOCK = 1024
"""Targets that are compared with all sources together."""
_MARGIN = 8
_NOWHERE = -(10**8)


def nearest(wanted: Floats, offered: Floats, sources: Indices, bias: Floats | None = None) -> Indices:
    """The best source of every target, the first of equals.

    Args:
        wanted: (N, L) descriptions of targets.
        offered: (M, L) descriptions of all samples.
        sources: (S,) indices of `offered`.
        bias: (S,) whole numbers that are added to the squared distances, or None.
    """
    own = offered[sources]
    norms = np.einsum("ij,ij->i", own, own)
    if bias is not None:
        norms += bias
    turned = np.ascontiguousarray(-2 * own.T)
    best = np.empty(len(wanted), np.int64)
    for start in range(0, len(wanted), BLOCK):
        costs = wanted[start : start + BLOCK] @ turned
        costs += norms
        best[start : start + BLOCK] = costs.argmin(axis=1)
    return sources[best]


def squared_distances(a: Floats, b: Floats) -> Floats:
    """(N, L), (N, L) -> (N,)."""
    difference = a - b
    squares: Floats = np.einsum("ij,ij->i", difference, difference)
    return squares


@dataclass(frozen=True, eq=False)
class Terms:
    """What a match costs besides its distance.

    Attributes:
        coherence: for each of the four neighbours that has another offset.
        charge: (H*W,) float32 for each source, or None.
    """

    coherence: float
    charge: Floats | None


class Field:
    """Offsets of all targets of one level, while they are improved.

    The level is laid out with a margin around it, so that neighbours and shifted matches need no test for the border.

    Args:
        shape: (H, W) of the level.
        sources: (H, W) bool.
        targets: (N,) indices.
        matches: (N,) indices of sources.
        wanted: (N, L) descriptions.
        offered: (H*W, L) descriptions.
        terms: see `Terms`.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        sources: Mask,
        targets: Indices,
        matches: Indices,
        wanted: Floats,
        offered: Floats,
        terms: Terms,
    ) -> None:
        width = shape[1]
        self.width, self.pitch = width, width + 2 * _MARGIN
        self.offered, self.wanted, self.terms = offered, wanted, terms
        self.good = np.pad(sources, _MARGIN).ravel()
        self.at = self._padded(targets)
        self.shift = np.full(len(self.good), _NOWHERE, np.int64)
        self.shift[self.at] = self._padded(matches) - self.at
        self.cost = squared_distances(offered[matches], wanted)
        if terms.charge is not None:
            self.cost += terms.charge[matches]
        parity = (targets // width + targets % width) % 2
        self.halves = [np.flatnonzero(parity == half) for half in (0, 1)]

    def _padded(self, indices: Indices) -> Indices:
        return indices + 2 * _MARGIN * (indices // self.width) + _MARGIN * self.pitch + _MARGIN

    def _plain(self, padded: Indices) -> Indices:
        return padded - _MARGIN * self.pitch - _MARGIN - 2 * _MARGIN * (padded // self.pitch - _MARGIN)

    @property
    def matches(self) -> Indices:
        """(N,) indices of sources."""
        return self._plain(self.at + self.shift[self.at])

    def propagate(self, steps: tuple[int, ...]) -> None:
        """Offer every target the offsets of its neighbours at some distances."""
        for step in steps:
            for towards in (step * self.pitch, -step * self.pitch, step, -step):
                for half in self.halves:
                    self._offer(half, self.shift[self.at[half] + towards])

    def look_around(self, radius: int) -> None:
        """Offer every target the eight sources at one distance around its match."""
        rows, columns = radius * self.pitch, radius
        for move in (-rows, rows, -columns, columns, -rows - columns, -rows + columns, rows - columns, rows + columns):
            for half in self.halves:
                self._offer(half, self.shift[self.at[half]] + move)

    def _offer(self, who: Indices, shift: Indices) -> None:
        at = self.at[who]
        to = at + shift
        valid = (to >= 0) & (to < len(self.good)) & (shift != self.shift[at])
        valid &= self.good[np.where(valid, to, 0)]
        chosen = np.flatnonzero(valid)
        if not len(chosen):
            return
        who, at, shift, to = who[chosen], at[chosen], shift[chosen], to[chosen]
        source = self._plain(to)
        cost = squared_distances(self.offered[source], self.wanted[who])
        if self.terms.charge is not None:
            cost += self.terms.charge[source]
        gain = self.cost[who] - cost
        if self.terms.coherence:
            gain += self.terms.coherence * self._agreement(at, shift)
        better = gain > 0
        self.cost[who[better]] = cost[better]
        self.shift[at[better]] = shift[better]

    def _agreement(self, at: Indices, shift: Indices) -> Floats:
        """How many more neighbours have the offset `shift` than the present one."""
        present = self.shift[at]
        more = np.zeros(len(at), np.float32)
        for towards in (-self.pitch, self.pitch, -1, 1):
            neighbour = self.shift[at + towards]
            more += neighbour == shift
            more -= neighbour == present
        return more
