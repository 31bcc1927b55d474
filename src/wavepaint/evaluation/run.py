"""An evaluation from names to results: what `wavepaint evaluate` does apart from showing it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from wavepaint.errors import MissingExtraError, OptionError
from wavepaint.evaluation.methods import FolderMethod, describe_method, find_method
from wavepaint.evaluation.metrics import pixel_scores
from wavepaint.evaluation.protocol import Embedder, Scorer, evaluate
from wavepaint.evaluation.registry import Registry
from wavepaint.evaluation.report import Provenance
from wavepaint.evaluation.results import Results
from wavepaint.evaluation.testset import EvaluationSet

if TYPE_CHECKING:
    from wavepaint.evaluation.perceptual import Net

Weights = Mapping[str, Path]
"""Files by the names of weights; what is not named is downloaded once."""


@dataclass(frozen=True)
class MetricEntry:
    """A metric that needs a trained network.

    Attributes:
        weights: names of the files that it takes.
        load: the scorer of pictures, or the embedder with its name, for scores of whole sets.
    """

    weights: tuple[str, ...]
    load: Callable[[Weights], Scorer | tuple[str, Embedder]]


METRIC_LOADERS: Registry[MetricEntry] = Registry("metric")
"""What `--metric` adds to L1, MSE, PSNR and SSIM."""


def evaluate_set(
    test_set: EvaluationSet,
    specs: Sequence[str],
    *,
    metrics: Sequence[str] = (),
    weights: Weights = MappingProxyType({}),
    on_item: Callable[[], None] = lambda: None,
) -> Results:
    """Score methods on a test set.

    Args:
        test_set: see `testset.open_test_set`.
        specs: see `methods.find_method`; the first is what the others are compared with.
        metrics: names of `METRIC_LOADERS`, besides L1, MSE, PSNR and SSIM.
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
    scorers, embedders = load_scorers(metrics, weights)
    results = Results(tuple(specs))
    for evaluated in evaluate(test_set, methods, (pixel_scores, *scorers), embedders=embedders):
        results.add(evaluated)
        on_item()
    return results


def provenance_of(test_set: EvaluationSet, specs: Sequence[str], seed: int = 0) -> Provenance:
    """Where the results of `evaluate_set` come from; `seed` is the bootstrap's."""
    described = {spec: describe_method(spec) for spec in specs}
    return Provenance(test_set.folder.resolve().name, test_set.sha256, described, seed)


def load_scorers(metrics: Sequence[str], weights: Weights) -> tuple[list[Scorer], dict[str, Embedder]]:
    """The scorers and embedders of `METRIC_LOADERS` by name; see `evaluate_set`."""
    entries = [METRIC_LOADERS[name] for name in metrics]
    known = dict.fromkeys(weight for name in METRIC_LOADERS for weight in METRIC_LOADERS[name].weights)
    for name in weights:
        if name not in known:
            raise OptionError(f"unknown weights {name!r}; known: {', '.join(known)}")
    scorers: list[Scorer] = []
    embedders: dict[str, Embedder] = {}
    for entry in entries:
        try:
            loaded = entry.load(weights)
        except ModuleNotFoundError as error:
            raise MissingExtraError("scoring through trained networks", "train", str(error.name)) from None
        if isinstance(loaded, tuple):
            embedders[loaded[0]] = loaded[1]
        else:
            scorers.append(loaded)
    return scorers, embedders


def _vgg_distance(weights: Weights) -> Scorer:
    from wavepaint.evaluation.features import DISTANCE_LAYERS
    from wavepaint.evaluation.perceptual import load_vgg16
    from wavepaint.evaluation.scorers import VGGDistanceScorer

    return VGGDistanceScorer(load_vgg16(weights.get("vgg16"), DISTANCE_LAYERS))


def _vgg_embedder(weights: Weights) -> tuple[str, Embedder]:
    from wavepaint.evaluation.perceptual import load_vgg16
    from wavepaint.evaluation.scorers import EMBEDDING_LAYER, VGGEmbedder

    return "vgg", VGGEmbedder(load_vgg16(weights.get("vgg16"), (EMBEDDING_LAYER,)))


def _lpips(net: Net, backbone: str) -> MetricEntry:
    def load(weights: Weights) -> Scorer:
        from wavepaint.evaluation.perceptual import load_lpips
        from wavepaint.evaluation.scorers import LPIPSScorer

        return LPIPSScorer(net, load_lpips(net, weights.get(backbone), weights.get(f"lpips-{net}")))

    return MetricEntry((backbone, f"lpips-{net}"), load)


METRIC_LOADERS.add("vgg", MetricEntry(("vgg16",), _vgg_distance))
METRIC_LOADERS.add("vgg-set", MetricEntry(("vgg16",), _vgg_embedder))
METRIC_LOADERS.add("lpips-alex", _lpips("alex", "alexnet"))
METRIC_LOADERS.add("lpips-vgg", _lpips("vgg", "vgg16"))
