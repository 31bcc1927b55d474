"""The methods and metrics that the lab adds to `wavepaint.evaluation`; loading is left until one is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wavepaint.evaluation.methods import METHODS, add_fill
from wavepaint.evaluation.run import METRIC_LOADERS, MetricEntry

if TYPE_CHECKING:
    from wavepaint.evaluation.methods import Fill
    from wavepaint.evaluation.protocol import Embedder
    from wavepaint.evaluation.run import Weights

CLASSICAL = ("opencv-telea", "opencv-ns", "biharmonic", "patchmatch")
"""Methods without a network, each a `PictureMethod`."""


def register() -> None:
    """Add `patchmatch` and `fid`; a second call changes nothing."""
    if "patchmatch" not in METHODS:
        add_fill("patchmatch", _patchmatch, lambda: "PatchMatch with voting, coarse to fine, patches up to 7x7")
    if "fid" not in METRIC_LOADERS:
        METRIC_LOADERS.add("fid", MetricEntry(("inception",), _inception))


def classical_fill(name: str) -> Fill:
    """The function behind a name of `CLASSICAL`: known samples and mask -> the filled picture."""
    from wavepaint.evaluation.methods import PictureMethod

    method = METHODS[name].load()
    assert isinstance(method, PictureMethod)
    return method.fill


def _patchmatch() -> Fill:
    from lab.patchmatch import patchmatch_inpaint

    return patchmatch_inpaint


def _inception(weights: Weights) -> tuple[str, Embedder]:
    from lab.inception import InceptionEmbedder, load_inception

    return "inception", InceptionEmbedder(load_inception(weights.get("inception")))
