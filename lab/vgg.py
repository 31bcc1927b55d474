"""Scores through VGG16 for studies: a distance that is also a loss, and a Frechet distance of whole sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lab.frechet import gaussian_frechet_distance
from wavepaint.evaluation.features import VGG16Features
from wavepaint.evaluation.metrics import FloatArray
from wavepaint.evaluation.perceptual import distance_scorer, tensor_of
from wavepaint.evaluation.protocol import Evaluated, Scorer
from wavepaint.evaluation.registry import Weights

DISTANCE_LAYERS = ("relu1_2", "relu2_2", "relu3_3")
FRECHET_LAYER = "relu3_3"


def vgg_distance(weights: Weights) -> Scorer:
    """The scorer `vgg_distance`: `feature_distance` through VGG16."""
    return distance_scorer("vgg_distance", VGG16Features(weights.get("vgg16"), DISTANCE_LAYERS), feature_distance)


def frechet_vgg(weights: Weights) -> HoleFrechet:
    """The scorer `vgg_frechet`."""
    return HoleFrechet(VGG16Features(weights.get("vgg16"), (FRECHET_LAYER,)))


def feature_distance(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    """Mean absolute difference of activations relative to their mean size in `b`, averaged over layers.

    Returns:
        (B,) one distance per image; 0 for equal images. `b` is the reference.
    """
    dims = (1, 2, 3)
    terms = [(x - y).abs().mean(dims) / (y.abs().mean(dims) + 1e-6) for x, y in zip(a, b, strict=True)]
    return torch.stack(terms).mean(0)


@dataclass
class _Moments:
    """Sums from which the mean and the covariance of a stream of features follow."""

    count: int = 0
    total: FloatArray | float = 0.0
    products: FloatArray | float = 0.0

    def add(self, features: FloatArray) -> None:
        self.count += len(features)
        self.total = self.total + features.sum(0)
        self.products = self.products + features.T @ features

    def mean_and_covariance(self) -> tuple[FloatArray, FloatArray]:
        mean = np.asarray(self.total) / self.count
        covariance = (np.asarray(self.products) - self.count * np.outer(mean, mean)) / (self.count - 1)
        return mean, covariance


@dataclass
class HoleFrechet:
    """Frechet distance of VGG16's relu3_3 activations at the positions of holes; see `protocol.SetScorer`.

    Every position (4x4 samples) of which at least half lies in a hole is one sample of 256 features, so that a small
    set suffices. It needs no Inception weights and is not FID: compare it with nothing but itself on the same test set.

    Args:
        features: VGG16 with `FRECHET_LAYER` alone.
    """

    features: VGG16Features
    _moments: dict[tuple[str, int], _Moments] = field(default_factory=dict)

    def add(self, evaluated: Evaluated) -> None:
        """Take in one item; one whose hole covers no position adds nothing."""
        item = evaluated.item
        for index, image in enumerate((item.truth, *evaluated.composites)):
            with torch.inference_mode():
                activations = self.features(tensor_of(image))[0][0]
                share = F.adaptive_avg_pool2d(torch.from_numpy(item.mask)[None].float(), activations.shape[1:])
            inside = activations[:, share[0] >= 0.5].T.double().numpy()
            self._moments.setdefault((item.kind, index), _Moments()).add(inside)

    def scores(self, kind: str, methods: int) -> Mapping[str, list[float]]:
        """`vgg_frechet` of every method; nothing for fewer than two positions."""
        moments = [self._moments[kind, index] for index in range(1 + methods)]
        if moments[0].count < 2:
            return {}
        truth, *fills = (each.mean_and_covariance() for each in moments)
        return {"vgg_frechet": [gaussian_frechet_distance(*fill, *truth) for fill in fills]}
