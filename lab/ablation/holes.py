"""Quality against the size of the hole: how far networks see, and where they break down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.ablation.comparison import COMPARED, VGG_DISTANCE
from lab.ablation.hole_findings import hole_findings
from lab.ablation.hole_leads import (
    BY_DEPTH,
    HALF,
    ONE_LOOK,
    PREFILL,
    QUARTER,
    RING,
    TELEA,
    HoleStudy,
    Measured,
    StudiedModel,
)
from lab.ablation.measuring import coarse_to_fine_method, first_pictures, kept
from lab.ablation.plan import Plan, Scale, read_plan, write_plan
from lab.ablation.receptive_field import disc
from lab.ablation.report import Report
from lab.ablation.studies import MASK_SIZE
from wavepaint.errors import OptionError
from wavepaint.evaluation.methods import describe_weights, find_method, haar_method, network_method
from wavepaint.evaluation.metrics import pixel_scores
from wavepaint.evaluation.protocol import Evaluated, Item, Method, Scorer, centre_crop, evaluate
from wavepaint.evaluation.run import load_scorers
from wavepaint.evaluation.testset import EvaluationSet
from wavepaint.network import WavePaint, load_checkpoint

RADII = (4, 8, 12, 16, 24, 32, 48, 64, 80, 96, 112, 128, 192)
"""Of the discs, pixels; those of more than 7/16 of the picture's side are left out."""
BOXES = (64, 96, 128)
"""Sides of the squares, pixels; those of more than 3/4 of the picture's side are left out."""


def run_mask_size(
    models: Sequence[str],
    test_set: EvaluationSet,
    folder: Path,
    scale: Scale,
    seed: int = 0,
    vgg_weights: Path | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Report:
    """Fill discs of growing radius, and squares, in the middle of the same photographs.

    Args:
        models: "default" or checkpoints; the others are compared with the first.
        test_set: gives the photographs; its masks are not used.
        folder: new, empty, or of a run with the same arguments, which goes on.
        scale: how many pictures.
        seed: of the bootstrap.
        vgg_weights: file of VGG16 weights; None measures no VGG distance.
        say: called with a line before every piece of work.

    Raises:
        OptionError: a folder of something else, a network given twice, or pictures too small for any disc.
        CheckpointError: no such network.
    """
    chosen = first_pictures(test_set, scale.pictures)
    studied = _studied(models)
    networks = [load_checkpoint(model.spec) for model in studied]
    settings = {
        "models": {model.label: describe_weights(model.spec) for model in studied},
        "test": {test_set.folder.resolve().name: chosen.sha256},
        "pictures": scale.pictures,
        "seed": seed,
        "vgg_weights": None if vgg_weights is None else describe_weights(vgg_weights),
    }
    methods = _methods(studied, networks)
    truths = _truths(chosen)
    side = min(min(item.truth.shape[:2]) for item in truths)
    discs = _Shape("discs", "radius", tuple(radius for radius in RADII if radius <= 7 * side / 16), disc, rings=True)
    boxes = _Shape("boxes", "side", tuple(edge for edge in BOXES if edge <= 3 * side / 4), box)
    if not discs.sizes:
        raise OptionError(f"{test_set.folder}: pictures of {side} pixels are too small for this study")
    if read_plan(folder, MASK_SIZE, settings) is None:
        write_plan(folder, Plan(MASK_SIZE, settings))
    metrics = COMPARED if vgg_weights is None else (*COMPARED, VGG_DISTANCE)

    @cache
    def scorers() -> tuple[Scorer, ...]:
        return (pixel_scores, *(load_scorers(("vgg",), {"vgg16": vgg_weights})[0] if vgg_weights else ()))

    def measured(shape: _Shape, size: int) -> Measured:
        def measure() -> Measured:
            say(f"filling {shape.name} of {shape.measure} {size}")
            return _measure(truths, side, shape, size, methods, metrics, scorers())

        found: Measured = kept(folder / shape.name / f"{size:03d}.json", measure)
        return found

    in_discs, in_boxes = ({size: measured(shape, size) for size in shape.sizes} for shape in (discs, boxes))
    return hole_findings(HoleStudy(in_discs, in_boxes, studied, metrics, seed), settings, side)


@dataclass(frozen=True)
class _Shape:
    """Holes of one shape: what a size is called, which there are, and the (side, side) mask of one."""

    name: str
    measure: str
    sizes: tuple[int, ...]
    mask: Callable[[int, float], NDArray[np.bool_]]
    rings: bool = False


def box(side: int, edge: float) -> NDArray[np.bool_]:
    """(side, side) mask, True inside a square of this edge around the middle."""
    inside = np.abs(np.arange(side) - (side - 1) / 2) < edge / 2
    mask: NDArray[np.bool_] = inside[:, None] & inside
    return mask


def _studied(models: Sequence[str]) -> tuple[StudiedModel, ...]:
    if len(set(models)) < len(models):
        raise OptionError(f"the networks must be different, got: {', '.join(models)}")
    stems = [Path(model).stem for model in models]
    labels = stems if len(set(stems)) == len(stems) else models
    return tuple(StudiedModel(label, model, len(models) > 1) for label, model in zip(labels, models, strict=True))


def _methods(studied: Sequence[StudiedModel], networks: Sequence[WavePaint]) -> tuple[Method, ...]:
    procedures: list[Method] = []
    for model, network in zip(studied, networks, strict=True):
        procedures += [
            coarse_to_fine_method(network, model.named(procedure), octaves)
            for octaves, procedure in enumerate((ONE_LOOK, HALF, QUARTER))
        ]
        procedures.append(network_method(network.eval(), model.named(BY_DEPTH)))
    # One prefill for all, as they are compared by their leads over it.
    return (*procedures, haar_method(PREFILL, networks[0].config.sweeps), find_method(TELEA))


def _truths(test_set: EvaluationSet) -> list[Item]:
    """One item per photograph."""
    one_kind = [entry for entry in test_set.entries if entry.kind == test_set.kinds[0]]
    return list(replace(test_set, entries=tuple(one_kind)))


def _measure(
    truths: Sequence[Item],
    side: int,
    shape: _Shape,
    size: int,
    methods: Sequence[Method],
    metrics: Sequence[str],
    scorers: Sequence[Scorer],
) -> Measured:
    hole = shape.mask(side, size)
    items = (Item(item.name, str(size), centre_crop(item.truth, side), hole) for item in truths)
    found: dict[str, dict[str, list[Any]]] = {method.name: {name: [] for name in metrics} for method in methods}
    for evaluated in evaluate(items, methods, scorers):
        for row in evaluated.rows:
            for metric in metrics:
                found[row.method][metric].append(row.scores[metric])
        if shape.rings:
            for row, rings in zip(evaluated.rows, _ring_errors(evaluated, size), strict=True):
                found[row.method].setdefault("rings", []).append(rings)
    return found


def _ring_errors(evaluated: Evaluated, radius: int) -> list[list[float]]:
    """For every method the mean squared error in rings of the hole, the outermost first."""
    mask = evaluated.item.mask
    rows, columns = np.nonzero(mask)
    depth = radius - np.hypot(rows - (mask.shape[0] - 1) / 2, columns - (mask.shape[1] - 1) / 2)
    ring = np.minimum(depth // RING, max(0, radius // RING - 1)).astype(int)
    count = np.bincount(ring)
    truth = evaluated.item.truth[mask] / 255
    errors = (((composite[mask] / 255 - truth) ** 2).mean(axis=1) for composite in evaluated.composites)
    return [(np.bincount(ring, error) / count).tolist() for error in errors]
