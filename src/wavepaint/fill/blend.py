"""From matches to samples: votes of overlapping patches, and a screened Poisson equation against seams of tone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wavepaint.fill.patches import RADIUS, Mask
from wavepaint.fill.pyramid import haar_fill
from wavepaint.fill.search import Indices

Doubles = NDArray[np.float64]

SCREENING = 0.003
"""Weight of the voted colours against the voted gradients."""
MOST_STEPS = 100
ENOUGH = 1e-5
"""Conjugate gradients end at this share of the first squared residual."""


def vote(
    source: Doubles,
    known: Mask | None,
    targets: Indices,
    matches: Indices,
    weights: Doubles,
    where: Mask,
    window: float,
    reach: int = RADIUS,
) -> tuple[Doubles, Doubles]:
    """Weighted means of what the patches over each sample say, those centred near it loudest.

    Args:
        source: (H, W, C) float64, what is copied.
        known: (H, W) bool, samples that may be copied, or None where patches hold no others.
        targets: (N,) indices of patch centres.
        matches: (N,) indices of the centres that they copy.
        weights: (N,) float64.
        where: (H, W) bool, the samples wanted, M in number.
        window: standard deviation of a patch's weight around its centre, samples.
        reach: how far from its centre a patch speaks.

    Returns:
        (M, C) means, and (M,) sums of the weights, 0 where no patch speaks; the means go on smoothly there.
    """
    width, channels = source.shape[1:]
    pitch = width + 2 * RADIUS
    values = np.pad(source, ((RADIUS, RADIUS), (RADIUS, RADIUS), (0, 0)), mode="edge").reshape(-1, channels)
    allowed = None if known is None else np.pad(known, RADIUS).ravel()
    match, weight = np.full(len(values), RADIUS * pitch + RADIUS), np.zeros(len(values))
    at = targets + 2 * RADIUS * (targets // width) + RADIUS * pitch + RADIUS
    match[at] = matches + 2 * RADIUS * (matches // width) + RADIUS * pitch + RADIUS
    weight[at] = weights
    wanted = np.flatnonzero(np.pad(where, RADIUS))
    total, sums = np.zeros((len(wanted), channels)), np.zeros(len(wanted))
    for down in range(-reach, reach + 1):
        for right in range(-reach, reach + 1):
            closeness = np.exp(-(down * down + right * right) / (2 * window * window))
            centre = wanted - (down * pitch + right)
            # The margin is as wide as a patch, so that a centre outside it lies in it and has no weight.
            own = weight.take(centre, mode="clip") * closeness
            copied = match.take(centre, mode="clip") + (down * pitch + right)
            if allowed is not None:
                own *= allowed[copied]
            total += values[copied] * own[:, None]
            sums += own
    means = total / np.maximum(sums, 1e-300)[:, None]
    if (sums == 0).any():
        silent = np.ones_like(where)
        silent[where] = sums == 0
        for channel in range(channels):
            plane = np.zeros(where.shape, np.float32)
            plane[where] = means[:, channel]
            means[sums == 0, channel] = haar_fill(plane, silent)[where][sums == 0]
    return means, sums


def vote_with_gradients(
    samples: NDArray[Any],
    known: Mask | None,
    hole: Mask,
    matching: tuple[Indices, Indices, Doubles],
    window: float,
) -> tuple[Doubles, Doubles, Doubles]:
    """What the patches say of the samples of a hole, and of the differences to the next sample.

    Returns:
        Three (H, W, C) float64: `samples` with the hole voted, and the voted differences to the right and downwards
        (where nobody speaks, and where patches hold unknown samples, those of the first).
    """
    source = samples.astype(np.float64)
    channels = source.shape[2]
    right = np.diff(source, axis=1, append=source[:, -1:])
    down = np.diff(source, axis=0, append=source[-1:])
    # The next sample of a patch at its edge may lie in the hole.
    right[:, :-1][hole[:, 1:]] = 0
    down[:-1][hole[1:]] = 0
    where = hole.copy()
    # A difference at a known sample counts where it leads into the hole.
    where[:, :-1] |= hole[:, 1:]
    where[:-1] |= hole[1:]
    # The difference at the edge of a patch leads out of it, perhaps to an unknown sample.
    means, sums = vote(np.concatenate((source, right, down), axis=2), known, *matching, where, window, RADIUS - 1)
    inside = hole[where]
    colours = source.copy()
    colours[hole] = means[inside, :channels]
    right = np.diff(colours, axis=1, append=colours[:, -1:])
    down = np.diff(colours, axis=0, append=colours[-1:])
    if known is not None:
        # Patches hold unknown samples, and so do their differences.
        return colours, right, down
    said = np.flatnonzero(where)[sums > 0]
    right.reshape(-1, channels)[said] = means[sums > 0, channels : 2 * channels]
    down.reshape(-1, channels)[said] = means[sums > 0, 2 * channels :]
    return colours, right, down


def remove_seams(colours: Doubles, right: Doubles, down: Doubles, hole: Mask) -> Doubles:
    """Solve for samples with the voted differences and, more weakly, the voted colours; known samples stay.

    Args:
        colours: (H, W, C) float64.
        right, down: (H, W, C) float64, the differences wanted to the next sample.
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


def _conjugate_gradients(
    residual: NDArray[np.float32], diagonal: NDArray[np.float32], neighbours: list[Indices]
) -> NDArray[np.float32]:
    """Solve diagonal * e - sum of neighbouring e = residual; a neighbour with the last number is zero."""
    solution = np.zeros_like(residual)
    direction = np.zeros((len(residual), residual.shape[1] + 1), np.float32)
    direction[:, :-1] = residual
    squares = np.einsum("ij,ij->i", residual, residual, dtype=np.float64)
    enough = ENOUGH * squares.max()
    for _ in range(MOST_STEPS):
        if squares.max() <= enough:
            break
        own = direction[:, :-1]
        applied = diagonal * own
        for neighbour in neighbours:
            applied -= direction.take(neighbour, axis=1)
        step = squares / np.maximum(np.einsum("ij,ij->i", own, applied, dtype=np.float64), 1e-30)
        step = step.astype(np.float32)[:, None]
        solution += step * own
        residual = residual - step * applied
        before, squares = squares, np.einsum("ij,ij->i", residual, residual, dtype=np.float64)
        direction[:, :-1] = residual + (squares / np.maximum(before, 1e-30)).astype(np.float32)[:, None] * own
    return solution
