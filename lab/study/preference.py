"""From votes to preferences: the model of Bradley and Terry (1952), with intervals by resampling the holes.

A method of strength `s` is preferred to one of strength `t` with probability `s / (s + t)`. A tie counts as half a vote
for each. Every pair is given one tie more than it had, so that a method that never lost keeps a finite strength.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import choix
import numpy as np

from lab.study.votes import Vote
from wavepaint.data.seeding import rng_for
from wavepaint.errors import OptionError
from wavepaint.evaluation.metrics import RESAMPLES, FloatArray


@dataclass(frozen=True)
class Preference:
    """How one method did.

    Attributes:
        kind: of masks, or "all".
        method: its name.
        wins, ties, losses: votes on pairs with it.
        share: probability of being preferred to the first method, by the model; 0.5 for the first itself.
        low, high: its 95 % interval.
    """

    kind: str
    method: str
    wins: int
    ties: int
    losses: int
    share: float
    low: float
    high: float


def preferences(methods: Sequence[str], votes: Sequence[Vote], seed: int = 0) -> list[Preference]:
    """Preferences of all votes together ("all"), then of every kind of mask that has votes.

    Args:
        methods: names; the first is what the others are compared with.
        votes: see `votes.read_votes`.
        seed: of the resampling.

    Raises:
        OptionError: no votes.
    """
    if not votes:
        raise OptionError("no votes yet")
    kinds = list(dict.fromkeys(vote.kind for vote in sorted(votes, key=lambda vote: vote.kind)))
    preferences = _preferences_of("all", methods, votes, seed)
    for kind in kinds if len(kinds) > 1 else []:
        preferences += _preferences_of(kind, methods, [vote for vote in votes if vote.kind == kind], seed)
    return preferences


def _preferences_of(kind: str, methods: Sequence[str], votes: Sequence[Vote], seed: int) -> list[Preference]:
    wins = wins_by_hole(methods, votes)
    holes = len(wins)
    rng = rng_for(seed, f"preferences/{kind}/{holes}")
    # Votes on the same hole are not independent, and so holes are drawn, each with all its votes.
    drawn = rng.multinomial(holes, np.full(holes, 1 / holes), size=RESAMPLES)
    share = shares_over_first(bradley_terry(wins.sum(axis=0)[None]))[0]
    resampled = shares_over_first(bradley_terry(np.tensordot(drawn, wins, axes=1)))
    low, high = np.percentile(resampled, (2.5, 97.5), axis=0)
    rows = []
    for index, method in enumerate(methods):
        own = [vote for vote in votes if method in (vote.left_method, vote.right_method)]
        won = sum(vote.choice != "tie" and _winner(vote) == method for vote in own)
        ties = sum(vote.choice == "tie" for vote in own)
        counts = (won, ties, len(own) - won - ties)
        rows.append(Preference(kind, method, *counts, float(share[index]), float(low[index]), float(high[index])))
    return rows


def _winner(vote: Vote) -> str:
    return vote.left_method if vote.choice == "left" else vote.right_method


def wins_by_hole(methods: Sequence[str], votes: Sequence[Vote]) -> FloatArray:
    """`(holes, M, M)`: how often the row's method was preferred to the column's, ties as halves."""
    index = {method: number for number, method in enumerate(methods)}
    holes = {hole: number for number, hole in enumerate(sorted({(vote.kind, vote.name) for vote in votes}))}
    wins = np.zeros((len(holes), len(methods), len(methods)))
    for vote in votes:
        hole = holes[vote.kind, vote.name]
        left, right = index[vote.left_method], index[vote.right_method]
        for_left = {"left": 1.0, "tie": 0.5, "right": 0.0}[vote.choice]
        wins[hole, left, right] += for_left
        wins[hole, right, left] += 1 - for_left
    return wins


def bradley_terry(wins: FloatArray) -> FloatArray:
    """Strengths of maximum likelihood, after a further tie of every pair.

    Args:
        wins: `(N, M, M)` tables of wins, each fitted on its own.

    Returns:
        `(N, M)` strengths, of sum 1.
    """
    wins = wins + 0.5 * (1 - np.eye(wins.shape[-1]))
    strengths = np.exp(np.stack([choix.ilsr_pairwise_dense(table, max_iter=1000) for table in wins]))
    return np.asarray(strengths / strengths.sum(axis=1, keepdims=True))


def shares_over_first(strengths: FloatArray) -> FloatArray:
    """`(N, M)` probabilities of being preferred to the first method."""
    shares: FloatArray = strengths / (strengths + strengths[:, :1])
    return shares
