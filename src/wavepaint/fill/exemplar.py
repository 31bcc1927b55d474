"""Guided exemplar completion: the network says what goes where, the image says what it looks like.

The method of Wexler, Shechtman and Irani, "Space-time completion of video" (2007), as in Newson et al., "Non-local
patch-based image inpainting" (2017): coarse to fine, every patch that touches the hole looks for a similar one that is
known as a whole, and every sample becomes what the patches over it say. A guide, the network's fill, is believed at
coarse levels as far as it is as detailed as what surrounds the hole; the samples are copied.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wavepaint.cancellation import Cancelled, check_cancelled
from wavepaint.errors import OptionError
from wavepaint.fill.levels import Level, build_levels, cell_sums, first_level
from wavepaint.fill.options import ExemplarOptions
from wavepaint.fill.patches import RADIUS, Floats, Mask, dilate, label
from wavepaint.fill.pyramid import halve_known
from wavepaint.fill.repeats import find_repeats
from wavepaint.fill.solution import Solution
from wavepaint.fill.stage import ALL_PAIRS, REPEATED, Matching, Stage

Progress = Callable[[float], bool | None]
MOST_PAIRS = 5 * REPEATED * ALL_PAIRS
"""Products of targets and sources up to which a level serves as the start of a further candidate."""
SHALLOW = 12
"""Depth up to which holes have one candidate only."""


def solve(
    samples: NDArray[Any],
    hole: Mask,
    guide: Floats | None,
    options: ExemplarOptions,
    exclude: Mask | None = None,
    progress: Progress | None = None,
) -> Solution:
    """Find where every sample of a hole is to be copied from.

    Args: as in `complete.complete`, but for samples (H, W, 1 or 3) without alpha.

    Raises:
        Cancelled: `progress` has returned False.
        OptionError: the hole is empty or all.
    """
    if not hole.any() or hole.all():
        raise OptionError("exemplar completion needs hole samples and known ones")
    finest = _finest(samples, hole, guide, exclude, options.searched)
    if (repeats := find_repeats(finest)) is not None:
        _report(progress, 0)
        return Solution(hole, finest.number, finest.hole, *repeats, np.ones(len(repeats[0])), None)
    levels = build_levels(finest, min(options.starts))
    stage, matching, start = _best_start(levels, options)
    for left in reversed(range(start, len(levels))):
        _report(progress, left)
    for left in reversed(range(start)):
        finer = Stage(levels[left], options)
        stage, matching = finer, finer.solve(stage, matching)
        _report(progress, left)
    return Solution(hole, finest.number, finest.hole, stage.targets, matching.matches, matching.weights, stage.known)


def _finest(samples: NDArray[Any], hole: Mask, guide: Floats | None, exclude: Mask | None, most: int) -> Level:
    """The finest level that is searched: its hole has at most so many samples."""
    number = 0
    while np.count_nonzero(hole) > most:
        number += 1
        if guide is not None:
            guide = halve_known(guide, np.zeros_like(hole))[0]
        if exclude is not None:
            exclude = cell_sums(exclude) > 0
        samples, hole = halve_known(samples, hole)
    return first_level(samples, hole, guide, exclude, number)


def _report(progress: Progress | None, left: int) -> None:
    """Say, after a level, how much is done, as so many finer ones are left: each costs four times as much."""
    check_cancelled()
    if progress is not None and progress(0.25**left) is False:
        raise Cancelled


def _best_start(levels: Sequence[Level], options: ExemplarOptions) -> tuple[Stage, Matching, int]:
    """The best candidate of every connected hole, on the finest level at which one starts; the number of finer ones."""
    starts = _starts(levels, options)
    common = min(starts)
    stages = [Stage(level, options) for level in levels[common:]]
    candidates = []
    for start in starts:
        coarser, matching = None, None
        for stage in reversed(stages[: start + 1 - common]):
            coarser, matching = stage, stage.solve(coarser, matching)
        assert matching is not None
        candidates.append(matching)
    best, matching = stages[0], candidates[0]
    if len(candidates) > 1:
        piece = label(best.touched).ravel()[best.targets]
        names, piece = np.unique(piece, return_inverse=True)
        scores = [np.bincount(piece, best.misfit(candidate), len(names)) for candidate in candidates]
        choice = np.argmin(scores, axis=0)[piece], np.arange(len(piece))
        matching = Matching(
            np.stack([candidate.matches for candidate in candidates])[choice],
            np.stack([candidate.weights for candidate in candidates])[choice],
        )
    return best, matching, common


def _starts(levels: Sequence[Level], options: ExemplarOptions) -> list[int]:
    """The levels at which candidates start, without those where comparing all pairs takes too long."""
    starts: list[int] = []
    for depth in options.starts[: None if levels[0].deepest > SHALLOW else 1]:
        start = next((index for index, level in enumerate(levels) if level.deepest <= depth), len(levels) - 1)
        touched = np.count_nonzero(dilate(levels[start].hole, RADIUS))
        pairs = touched * (levels[start].hole.size - touched)
        if start not in starts and (not starts or (start > 0 and pairs < MOST_PAIRS)):
            starts.append(start)
    return starts
