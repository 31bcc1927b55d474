"""The methods and metrics that the lab adds to `wavepaint.evaluation`; their modules are imported when one is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wavepaint.evaluation.registry import METHODS, METRIC_LOADERS, MethodEntry, MetricEntry

if TYPE_CHECKING:
    from wavepaint.evaluation.methods import Fill
    from wavepaint.evaluation.protocol import Method, Scorer, SetScorer
    from wavepaint.evaluation.registry import Weights

CLASSICAL = ("opencv-telea", "opencv-ns", "biharmonic", "patchmatch")
"""Methods without a network, each an `ImageMethod`."""


def register() -> None:
    """Add `patchmatch`, `fid`, `frechet-vgg` and `vgg`; a second call changes nothing."""
    words = "PatchMatch with voting, coarse to fine, patches up to 7x7"
    METHODS["patchmatch"] = MethodEntry(_patchmatch, lambda: words)
    METRIC_LOADERS["fid"] = MetricEntry(("inception",), _inception)
    METRIC_LOADERS["frechet-vgg"] = MetricEntry(("vgg16",), _frechet_vgg)
    METRIC_LOADERS["vgg"] = MetricEntry(("vgg16",), _vgg_distance)


def classical_fill(name: str) -> Fill:
    """The function behind a name of `CLASSICAL`: known samples and mask -> the filled image."""
    from wavepaint.evaluation.methods import ImageMethod

    method = METHODS[name].load()
    assert isinstance(method, ImageMethod)
    return method.fill


def _patchmatch() -> Method:
    from lab.patchmatch import patchmatch_inpaint
    from wavepaint.evaluation.methods import ImageMethod

    return ImageMethod("patchmatch", patchmatch_inpaint)


def _inception(weights: Weights) -> SetScorer:
    from lab.inception import InceptionScores, load_inception

    return InceptionScores(load_inception(weights.get("inception")))


def _frechet_vgg(weights: Weights) -> SetScorer:
    from lab.vgg import frechet_vgg

    return frechet_vgg(weights)


def _vgg_distance(weights: Weights) -> Scorer:
    from lab.vgg import vgg_distance

    return vgg_distance(weights)
