"""An evaluation from names to results: what `wavepaint evaluate` does apart from showing it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from wavepaint.errors import MissingExtraError, OptionError
from wavepaint.evaluation.methods import FolderMethod, describe_method, find_method
from wavepaint.evaluation.metrics import pixel_scores
from wavepaint.evaluation.protocol import Embedder, Scorer, evaluate
from wavepaint.evaluation.report import Provenance
from wavepaint.evaluation.results import Results
from wavepaint.evaluation.testset import EvaluationSet

EXTRA_METRICS = ("vgg", "vgg-set", "lpips-alex", "lpips-vgg", "fid")
"""What costs a trained network: VGG16 feature distance of pictures; distances of whole sets by VGG16
features, which are not FID; LPIPS; FID with P-IDS and U-IDS."""

WEIGHTS = ("vgg16", "alexnet", "lpips-alex", "lpips-vgg", "inception")
"""Names of weight files that `load_scorers` takes."""


def evaluate_set(
    test_set: EvaluationSet,
    specs: Sequence[str],
    *,
    metrics: Sequence[str] = (),
    weights: Mapping[str, Path] = MappingProxyType({}),
    on_item: Callable[[], None] = lambda: None,
) -> Results:
    """Score methods on a test set.

    Args:
        test_set: see `testset.open_test_set`.
        specs: see `methods.find_method`; the first is what the others are compared with.
        metrics: names among `EXTRA_METRICS`, besides L1, MSE, PSNR and SSIM.
        weights: files for names among `WEIGHTS`; what is missing is downloaded once.
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


def load_scorers(metrics: Sequence[str], weights: Mapping[str, Path]) -> tuple[list[Scorer], dict[str, Embedder]]:
    """The scorers and embedders of `EXTRA_METRICS` by name; see `evaluate_set`."""
    for name, known in (*((m, EXTRA_METRICS) for m in metrics), *((w, WEIGHTS) for w in weights)):
        if name not in known:
            raise OptionError(f"unknown name {name!r}; known: {', '.join(known)}")
    if not metrics:
        return [], {}
    try:
        from lab.inception import InceptionEmbedder, load_inception
        from wavepaint.evaluation.features import DISTANCE_LAYERS
        from wavepaint.evaluation.perceptual import load_lpips, load_vgg16
        from wavepaint.evaluation.scorers import (
            EMBEDDING_LAYER,
            LPIPSScorer,
            VGGDistanceScorer,
            VGGEmbedder,
        )
    except ImportError:
        raise MissingExtraError("scoring through trained networks", "train", "torch") from None
    scorers: list[Scorer] = []
    embedders: dict[str, Embedder] = {}
    vgg16 = weights.get("vgg16")
    if "vgg" in metrics:
        scorers.append(VGGDistanceScorer(load_vgg16(vgg16, DISTANCE_LAYERS)))
    if "vgg-set" in metrics:
        embedders["vgg"] = VGGEmbedder(load_vgg16(vgg16, (EMBEDDING_LAYER,)))
    if "lpips-alex" in metrics:
        model = load_lpips("alex", weights.get("alexnet"), weights.get("lpips-alex"))
        scorers.append(LPIPSScorer("alex", model))
    if "lpips-vgg" in metrics:
        scorers.append(LPIPSScorer("vgg", load_lpips("vgg", vgg16, weights.get("lpips-vgg"))))
    if "fid" in metrics:
        embedders["inception"] = InceptionEmbedder(load_inception(weights.get("inception")))
    return scorers, embedders
