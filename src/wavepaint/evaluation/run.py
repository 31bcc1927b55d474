"""An evaluation from names to results: what `wavepaint evaluate` does apart from showing it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from wavepaint.errors import MissingExtraError, check_known
from wavepaint.evaluation.artefacts import artefact_scores
from wavepaint.evaluation.methods import FolderMethod, describe_method, find_method
from wavepaint.evaluation.metrics import pixel_scores, zero_padded_ssim
from wavepaint.evaluation.protocol import Scorer, SetScorer, evaluate
from wavepaint.evaluation.registry import DEFAULT_METHODS, DEFAULT_METRICS, METRIC_LOADERS, MetricEntry, Weights
from wavepaint.evaluation.report import Provenance
from wavepaint.evaluation.results import Results
from wavepaint.evaluation.testset import EvaluationSet

if TYPE_CHECKING:
    from wavepaint.evaluation.perceptual import Net


def evaluate_set(
    test_set: EvaluationSet,
    specs: Sequence[str] = DEFAULT_METHODS,
    *,
    metrics: Sequence[str] = DEFAULT_METRICS,
    weights: Weights = MappingProxyType({}),
    on_item: Callable[[], None] = lambda: None,
) -> Results:
    """Score methods on a test set.

    Args:
        test_set: see `testset.open_test_set`.
        specs: see `methods.find_method`; the first is what the others are compared with.
        metrics: names of `METRIC_LOADERS`; `pixels` is measured in any case.
        weights: files by name, see `MetricEntry`; what is missing is downloaded once.
        on_item: called after every item.

    Raises:
        OptionError: an unknown name, a set whose files do not match its manifest, or results that are missing or
            of another size.
    """
    methods = [find_method(spec) for spec in specs]
    for method in methods:
        if isinstance(method, FolderMethod):
            for entry in test_set.entries:
                method.path_of(entry.kind, entry.name)
    scorers, set_scorers = load_scorers(("pixels", *metrics), weights)
    results = Results(tuple(specs), set_scorers)
    for evaluated in evaluate(test_set, methods, scorers):
        results.add(evaluated)
        on_item()
    return results


def provenance_of(test_set: EvaluationSet, specs: Sequence[str], seed: int = 0) -> Provenance:
    """Where the results of `evaluate_set` come from; `seed` is the bootstrap's."""
    described = {spec: describe_method(spec) for spec in specs}
    return Provenance(test_set.folder.resolve().name, test_set.sha256, described, seed)


def load_scorers(metrics: Sequence[str], weights: Weights) -> tuple[list[Scorer], list[SetScorer]]:
    """The scorers of images and of whole sets by their names in `METRIC_LOADERS`; see `evaluate_set`."""
    check_known("metric", metrics, sorted(METRIC_LOADERS))
    known = dict.fromkeys(weight for name in sorted(METRIC_LOADERS) for weight in METRIC_LOADERS[name].weights)
    check_known("weights", weights, known)
    try:
        loaded = [METRIC_LOADERS[name].load(weights) for name in dict.fromkeys(metrics)]
    except ModuleNotFoundError as error:  # any other `ImportError` comes from a package that is broken, not missing
        raise MissingExtraError("scoring through trained networks", "train", str(error.name)) from None
    return [each for each in loaded if callable(each)], [each for each in loaded if not callable(each)]


def _lpips(net: Net, backbone: str) -> MetricEntry:
    def load(weights: Weights) -> Scorer:
        from wavepaint.evaluation.perceptual import load_lpips, lpips_scorer

        return lpips_scorer(net, load_lpips(net, weights.get(backbone)))

    return MetricEntry((backbone,), load)


def _dists(weights: Weights) -> Scorer:
    from wavepaint.evaluation.perceptual import distance_scorer, load_dists

    model = load_dists(weights.get("vgg16"))
    return distance_scorer("dists", model.layers, model.distance)


METRIC_LOADERS["pixels"] = MetricEntry((), lambda weights: pixel_scores)
METRIC_LOADERS["artefacts"] = MetricEntry((), lambda weights: artefact_scores)
METRIC_LOADERS["ssim-zero-padded"] = MetricEntry((), lambda weights: zero_padded_ssim)
METRIC_LOADERS["lpips-vgg"] = _lpips("vgg", "vgg16")
METRIC_LOADERS["dists"] = MetricEntry(("vgg16",), _dists)
METRIC_LOADERS["lpips-alex"] = _lpips("alex", "alexnet")
