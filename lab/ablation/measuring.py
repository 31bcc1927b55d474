"""Scores of networks on a test set, kept in files so that nothing is measured twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lab.ablation.comparison import COMPARED, Scores
from lab.batched import NetworkMethod
from wavepaint.evaluation.metrics import pixel_scores
from wavepaint.evaluation.protocol import Item, Method, Scorer, evaluate
from wavepaint.evaluation.testset import EvaluationSet
from wavepaint.files import atomic_write
from wavepaint.network import WavePaint
from wavepaint.network.coarse import fill_coarse_to_fine


def first_images(test_set: EvaluationSet, count: int) -> EvaluationSet:
    """The part of a test set with its first `count` images by name, each with all its holes."""
    chosen = set(sorted({entry.name for entry in test_set.entries})[:count])
    return replace(test_set, entries=tuple(entry for entry in test_set.entries if entry.name in chosen))


def score(
    method: Method,
    items: Iterable[Item],
    metrics: Sequence[str] = COMPARED,
    scorers: Sequence[Scorer] = (pixel_scores,),
) -> Scores:
    """Scores of a method, by kind and name.

    Args:
        method: what fills the holes.
        items: the holes.
        metrics: which scores to keep, among those that `scorers` give.
        scorers: what measures a composite.
    """
    scores: dict[str, dict[str, dict[str, float]]] = {}
    for evaluated in evaluate(items, [method], scorers):
        row = evaluated.rows[0]
        scores.setdefault(row.kind, {})[row.name] = {metric: row.scores[metric] for metric in metrics}
    return scores


def cached(path: Path, make: Callable[[], Any]) -> Any:
    """What the JSON file holds; made and written first where there is none."""
    if not path.is_file():
        made = json.dumps(make())
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as unfinished:
            unfinished.write_text(made, encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8"))


def coarse_to_fine_method(model: WavePaint, name: str, levels: int) -> NetworkMethod:
    """The network from `levels` halvings on, coarse to fine; 0 = one run, from its prefill."""

    def run(image: NDArray[np.float32], mask: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            filled = fill_coarse_to_fine(model, torch.from_numpy(image), torch.from_numpy(mask), levels)
        return np.asarray(filled.numpy())

    return NetworkMethod(name, run, model.config.multiple * 2**levels)
