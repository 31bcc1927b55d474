"""Guided exemplar completion: the network says what goes where, the image says what it looks like.

The method of Wexler, Shechtman and Irani, "Space-time completion of video" (2007), as in Newson et al., "Non-local
patch-based image inpainting" (2017): coarse to fine, every patch that touches the hole looks for a similar one that is
known as a whole, and every sample becomes what the patches over it say. A guide, the network's fill, is believed at
coarse levels as far as it is as detailed as what surrounds the hole; the samples are copied.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wavepaint.fill.blend import Doubles, remove_seams, vote_with_gradients
from wavepaint.fill.levels import Level, build_levels, first_level
from wavepaint.fill.options import ExemplarOptions
from wavepaint.fill.patches import RADIUS, Floats, Mask, dilate, label
from wavepaint.fill.search import Indices
from wavepaint.fill.stage import ALL_PAIRS, REPEATED, Stage
from wavepaint.fill.units import from_unit, to_unit

Progress = Callable[[float], bool | None]
STARTS = 5 * REPEATED * ALL_PAIRS
"""Products of targets and sources up to which a level serves as the start of a further candidate."""
LAST_WINDOW = 1.0
"""Standard deviation of a patch's weight around its centre in the very last vote, samples."""


@dataclass(frozen=True, eq=False)
class Solution:
    """Where the samples of a hole come from.

    Attributes:
        hole: (H, W) bool.
        targets: (N,) indices of the centres of the patches that touch the hole.
        matches: (N,) indices of the centres of the known patches that they copy.
        weights: (N,) float64, how loud each patch speaks.
        known: (H, W) bool, the samples that may be copied, or None where no patch holds others.
    """

    hole: Mask
    targets: Indices
    matches: Indices
    weights: Doubles
    known: Mask | None

    def offsets(self) -> NDArray[np.int64]:
        """(H, W, 2) rows and columns from each hole sample to the centre of its patch's match; 0 elsewhere."""
        width = self.hole.shape[1]
        offsets = np.zeros((self.hole.size, 2), np.int64)
        offsets[self.targets, 0] = self.matches // width - self.targets // width
        offsets[self.targets, 1] = self.matches % width - self.targets % width
        offsets[~self.hole.ravel()] = 0
        return offsets.reshape(*self.hole.shape, 2)


class Cancelled(Exception):
    """`progress` has returned False."""


def fill_by_example(
    samples: NDArray[Any],
    hole: Mask,
    guide: Floats | None = None,
    options: ExemplarOptions | None = None,
    exclude: Mask | None = None,
    progress: Progress | None = None,
) -> NDArray[Any]:
    """`solve` and `carry_over` in one: (H, W, C) like `samples`, with the hole filled."""
    options = options or ExemplarOptions()
    solution = solve(samples[..., : 3 if samples.shape[2] >= 3 else 1], hole, guide, options, exclude, progress)
    return carry_over(solution, samples)


def carry_over(solution: Solution, samples: NDArray[Any]) -> NDArray[Any]:
    """Fill the hole of any samples of the same geometry by the votes of a solution.

    Args:
        solution: of `solve`.
        samples: (H, W, C) uint8, uint16 or float in [0, 1]; what it holds inside the hole is ignored.

    Returns:
        (H, W, C) of the same type.
    """
    filled = samples.copy()
    if solution.hole.any() and len(solution.targets):
        unit = to_unit(samples)
        unit[solution.hole] = 0
        matching = solution.targets, solution.matches, solution.weights
        voted = vote_with_gradients(unit, solution.known, solution.hole, matching, LAST_WINDOW)
        filled[solution.hole] = from_unit(remove_seams(*voted, solution.hole).astype(np.float32), samples.dtype)
    return filled


def solve(
    samples: NDArray[Any],
    hole: Mask,
    guide: Floats | None,
    options: ExemplarOptions,
    exclude: Mask | None = None,
    progress: Progress | None = None,
) -> Solution:
    """Find where every sample of a hole is to be copied from.

    Args:
        samples: (H, W, 1 or 3) uint8, uint16 or float in [0, 1]; what it holds inside the hole is ignored.
        hole: (H, W) bool, True = hole; not all of it.
        guide: (H, W, 1 or 3) float32 in [0, 1], what the hole roughly looks like, or None.
        options: see `ExemplarOptions`.
        exclude: (H, W) bool, True = not to copy from, or None.
        progress: called with the share done, 0 to 1; it may return False to stop.

    Raises:
        Cancelled: `progress` has returned False.
    """
    levels = build_levels(first_level(samples, hole, guide, exclude), min(options.starts))
    report = _Report(progress, len(levels))
    stage = _best_start(levels, options, report)
    while stage.level.number:
        finer = Stage(levels[stage.level.number - 1], options)
        finer.solve(stage)
        stage = finer
        report.step()
    return Solution(hole, stage.targets, stage.matches, stage.weights, stage.known)


class _Report:
    """Calls `progress` after every level, those weighted by their samples."""

    def __init__(self, progress: Progress | None, levels: int) -> None:
        self._progress, self._left = progress, levels

    def step(self) -> None:
        self._left -= 1
        if self._progress is not None and self._progress(0.25**self._left) is False:
            raise Cancelled


def _best_start(levels: Sequence[Level], options: ExemplarOptions, report: _Report) -> Stage:
    """The best candidate of every connected hole, on the finest level at which one starts."""
    starts = _starts(levels, options)
    common = min(starts)
    candidates = []
    for start in starts:
        stage = None
        for level in reversed(levels[common : start + 1]):
            finer = Stage(level, options)
            finer.solve(stage)
            stage = finer
        assert stage is not None
        candidates.append(stage)
    for _ in levels[common:]:
        report.step()
    best = candidates[0]
    if len(candidates) > 1:
        piece = label(best.touched).ravel()[best.targets]
        names, piece = np.unique(piece, return_inverse=True)
        scores = [np.bincount(piece, candidate.misfit(), len(names)) for candidate in candidates]
        choice = np.argmin(scores, axis=0)[piece]
        best.matches = np.stack([candidate.matches for candidate in candidates])[choice, np.arange(len(choice))]
    return best


def _starts(levels: Sequence[Level], options: ExemplarOptions) -> list[int]:
    """The levels at which candidates start, without those where comparing all pairs takes too long."""
    starts: list[int] = []
    for depth in options.starts:
        start = next((level.number for level in levels if level.deepest <= depth), len(levels) - 1)
        touched = np.count_nonzero(dilate(levels[start].hole, RADIUS))
        pairs = touched * (levels[start].hole.size - touched)
        if start not in starts and (not starts or (start > 0 and pairs < STARTS)):
            starts.append(start)
    return starts
