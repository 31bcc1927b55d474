"""The names that `--method` and `--metric` understand; a program that brings its own adds them before it evaluates.

`methods` and `run` add those of this package. Nothing here imports what a method or a metric needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wavepaint.evaluation.protocol import Method, Scorer, SetScorer

Weights = Mapping[str, Path]
"""Files by the names of weights; what is not named is downloaded once."""


@dataclass(frozen=True)
class MethodEntry:
    """How a named method is made, and what identifies it in a report: a version, or the hash of its weights."""

    load: Callable[[], Method]
    describe: Callable[[], str]


@dataclass(frozen=True)
class MetricEntry:
    """How a metric is made.

    Attributes:
        weights: names of the files that it takes.
        load: the scorer of images or of whole sets.
    """

    weights: tuple[str, ...]
    load: Callable[[Weights], Scorer | SetScorer]


METHODS: dict[str, MethodEntry] = {}
"""Methods with a name of their own; checkpoints and folders of results need none."""

METRIC_LOADERS: dict[str, MetricEntry] = {}
"""What `--metric` knows: `pixels` (L1, MSE, PSNR and SSIM, always measured) and others."""

DEFAULT_METHODS = ("package", "opencv-telea", "opencv-ns")
DEFAULT_METRICS = ("pixels", "artefacts", "lpips-vgg", "dists")
"""What is scored and measured unless others are named."""
