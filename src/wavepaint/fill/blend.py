"""From matches to samples: votes of overlapping patches, and a screened Poisson equation against seams of tone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wavepaint.fill.patches import RADIUS, Doubles, Floats, Indices, Mask, box_around
from wavepaint.fill.pyramid import haar_fill

BLOCK = 512
"""Samples that are voted on together."""
SCREENING = 0.003
"""Weight of the voted colours against the voted gradients."""
MOST_STEPS = 100
ENOUGH = 1e-5
"""Conjugate gradients end at this share of the first squared residual."""


def vote(
    source: Doubles,
    known: Mask | None,
    matching: tuple[Indices, Indices, Doubles],
    region: Mask,
    window: float,
    reach: int = RADIUS,
) -> tuple[Doubles, Doubles]:
    """Weighted means of what the patches over each sample say, those centred near it loudest.

    Args:
        source: (C, H * W) float64, what is copied.
        known: (H, W) bool, samples that may be copied, or None where patches hold no others.
        matching: (N,) indices of patch centres, (N,) indices of the centres that they copy, and (N,) float64 weights.
        region: (H, W) bool, the M samples that are voted on.
        window: standard deviation of a patch's weight around its centre, samples.
        reach: how far from its centre a patch speaks.

    Returns:
        (C, M) means, and (M,) sums of the weights, 0 where no patch speaks; the means go on smoothly there.
    """
    width = region.shape[1]
    pitch = width + 2 * RADIUS

    def padded(indices: Indices) -> Any:
        """With a margin as wide as a patch, so that a centre outside the image lies in it and has no weight."""
        return indices + 2 * RADIUS * (indices // width) + RADIUS * (pitch + 1)

    targets, matches, weights = matching
    match = np.zeros((region.shape[0] + 2 * RADIUS) * pitch, np.int64)
    weight = np.zeros(match.shape)
    at = padded(targets)
    match[at], weight[at] = matches, weights
    allowed = None if known is None else np.pad(known, RADIUS).ravel()
    down, right = (each - reach for each in np.divmod(np.arange((2 * reach + 1) ** 2)[:, None], 2 * reach + 1))
    closeness = np.exp(-(down * down + right * right) / (2 * window * window))
    where = np.flatnonzero(region)
    totals, sums = [], []
    for part in np.array_split(where, len(where) // BLOCK + 1):
        centre = padded(part) - (down * pitch + right)
        own, copied = weight.take(centre) * closeness, match.take(centre)
        if allowed is not None:
            own *= allowed.take(padded(copied) + (down * pitch + right))
        # Where this leads out of the image, the weight is 0.
        copied += down * width + right
        votes = source.take(copied, axis=1, mode="clip")
        votes *= own
        totals.append(votes.sum(axis=1))
        sums.append(own.sum(axis=0))
    total = np.concatenate(sums)
    means = np.concatenate(totals, axis=1) / np.maximum(total, 1e-300)
    if (total == 0).any():
        silent = np.ones_like(region)
        silent[region] = total == 0
        for each in means:
            plane = np.zeros(region.shape, np.float32)
            plane[region] = each
            each[total == 0] = haar_fill(plane, silent)[region][total == 0]
    return means, total


def vote_with_gradients(
    samples: NDArray[Any], known: Mask | None, hole: Mask, matching: tuple[Indices, Indices, Doubles], window: float
) -> tuple[Doubles, Doubles, Doubles]:
    """What the patches say of the samples of a hole, and of the differences to the next sample.

    Returns:
        Three (h, w, C) float64, the box of the hole and a sample around it: `samples` with the hole voted, and the
        voted differences to the right and downwards (where nobody speaks, and where patches hold unknown samples,
        those of the first).
    """
    width, channels = samples.shape[1:]
    where = hole.copy()
    # A difference at a known sample counts where it leads into the hole.
    where[:, :-1] |= hole[:, 1:]
    where[:-1] |= hole[1:]
    # Patches without unknown samples have a next sample everywhere.
    source = np.zeros((channels if known is not None else 3 * channels, hole.size))
    source[:channels] = samples.reshape(-1, channels).T
    if known is None:
        np.subtract(source[:channels, 1:], source[:channels, :-1], out=source[channels : 2 * channels, :-1])
        np.subtract(source[:channels, width:], source[:channels, :-width], out=source[2 * channels :, :-width])
    # The difference at the edge of a patch leads out of it, perhaps to an unknown sample.
    means, sums = vote(source, known, matching, where, window, RADIUS - 1)
    box = box_around(hole, 1)
    colours = samples[box].astype(np.float64)
    colours[hole[box]] = means[:channels, hole[where]].T
    right = np.diff(colours, axis=1, append=colours[:, -1:])
    down = np.diff(colours, axis=0, append=colours[-1:])
    if known is None:
        voted = np.flatnonzero(where[box])[sums > 0]
        right.reshape(-1, channels)[voted] = means[channels : 2 * channels, sums > 0].T
        down.reshape(-1, channels)[voted] = means[2 * channels :, sums > 0].T
    return colours, right, down


def remove_seams(colours: Doubles, right: Doubles, down: Doubles, hole: Mask) -> Doubles:
    """Solve for samples with the voted differences and, more weakly, the voted colours; known samples stay.

    Args:
        colours: (H, W, C) float64.
        right, down: (H, W, C) float64, the voted differences to the next sample.
        hole: (H, W) bool.

    Returns:
        (M, C) float64, the samples of the hole.
    """
    height, width = hole.shape
    unknowns = np.flatnonzero(hole)
    number = np.full(hole.size + 1, len(unknowns))
    number[unknowns] = np.arange(len(unknowns))
    row, column = np.divmod(unknowns, width)
    flat = colours.reshape(hole.size, -1)
    count = flat.shape[1]
    residual = np.zeros((count, len(unknowns)), np.float32)
    diagonal = np.full(len(unknowns), SCREENING, np.float32)
    neighbours = []
    for exists, step, differences in (
        (column + 1 < width, 1, right),
        (row + 1 < height, width, down),
        (column > 0, -1, right),
        (row > 0, -width, down),
    ):
        beside = np.where(exists, unknowns + step, hole.size)
        neighbours.append(number[beside])
        here = np.minimum(unknowns, unknowns + step)[exists]
        missing = differences.reshape(hole.size, -1)[here] - (flat[here + abs(step)] - flat[here])
        residual[:, exists] -= np.sign(step) * missing.T
        diagonal[exists] += 1
    correction = _conjugate_gradients(residual, diagonal, neighbours)
    solved: Doubles = flat[unknowns] + correction.T
    return solved


def _conjugate_gradients(residual: Floats, diagonal: Floats, neighbours: list[Indices]) -> Floats:
    """Solve diagonal * e - sum of neighbouring e = residual; a neighbour with the last number is zero."""
    solution = np.zeros_like(residual)
    direction = np.zeros((len(residual), residual.shape[1] + 1), np.float32)
    direction[:, :-1] = residual
    beside = np.empty_like(residual)
    squares = np.einsum("ij,ij->i", residual, residual, dtype=np.float64)
    enough = ENOUGH * squares.max()
    for _ in range(MOST_STEPS):
        if max(squares) <= enough:
            break
        own = direction[:, :-1]
        applied = diagonal * own
        for neighbour in neighbours:
            applied -= direction.take(neighbour, axis=1, out=beside, mode="clip")
        step = squares / np.maximum(np.einsum("ij,ij->i", own, applied, dtype=np.float64), 1e-30)
        step = step.astype(np.float32)[:, None]
        solution += step * own
        residual = residual - step * applied
        before, squares = squares, np.einsum("ij,ij->i", residual, residual, dtype=np.float64)
        direction[:, :-1] = residual + (squares / np.maximum(before, 1e-30)).astype(np.float32)[:, None] * own
    return solution
