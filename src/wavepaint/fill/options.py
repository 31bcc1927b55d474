"""Options of exemplar completion."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ExemplarOptions:
    """How a hole is completed.

    Attributes:
        seed: 0, or another number for another plausible result.
        trust: depth in samples at which belief in the guide has fallen to 1/e.
        floor: least belief in the guide on all levels but the finest, which believes it in narrow holes alone.
        coherence: what a match costs for each neighbour with another offset, in units of a typical distance.
        uniformity: what further uses of a source cost, in the same units.
        starts: depths of the hole, in samples of a level, at which candidates start; the best one is carried on.
        searched: most hole samples of a level that is searched; finer levels inherit its offsets.
    """

    seed: int = 0
    trust: float = 16.0
    floor: float = 0.2
    coherence: float = 0.5
    uniformity: float = 2.0
    starts: tuple[int, ...] = (3, 6, 9)
    searched: int = 100_000
