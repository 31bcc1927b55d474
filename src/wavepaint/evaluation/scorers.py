"""Scores that look through a trained network: LPIPS, DISTS, a training loss, and the features of whole sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from wavepaint.evaluation.features import VGG16Features
from wavepaint.evaluation.metrics import BoolMask, FloatArray, Image, gaussian_frechet_distance
from wavepaint.evaluation.perceptual import LPIPS, Net
from wavepaint.evaluation.protocol import Evaluated

FRECHET_LAYER = "relu3_3"


class DistanceScorer:
    """A distance of whole composites from the truth through features.

    Args:
        name: of the score.
        features: `(1, 3, H, W)` in [0, 1] -> activations.
        distance: composite's and truth's activations -> `(1,)`.
    """

    def __init__(
        self,
        name: str,
        features: Callable[[Tensor], list[Tensor]],
        distance: Callable[[Sequence[Tensor], Sequence[Tensor]], Tensor],
    ) -> None:
        self._name = name
        self._features = features
        self._distance = distance

    def __call__(self, truth: Image, composites: NDArray[np.uint8], mask: BoolMask) -> dict[str, FloatArray]:
        """See `protocol.Scorer`."""
        with torch.inference_mode():
            reference = self._features(_tensor(truth))
            distances = [float(self._distance(self._features(_tensor(c)), reference)) for c in composites]
        return {self._name: np.array(distances)}


class LPIPSScorer:
    """LPIPS of whole composites, and the mean of its map over the hole's samples.

    Args:
        net: which LPIPS `model` is; names the scores.
        model: see `perceptual.load_lpips`.
    """

    def __init__(self, net: Net, model: LPIPS) -> None:
        self._net = net
        self._model = model

    def __call__(self, truth: Image, composites: NDArray[np.uint8], mask: BoolMask) -> dict[str, FloatArray]:
        """See `protocol.Scorer`: `lpips_NET` and `hole_lpips_NET`."""
        hole = torch.from_numpy(mask)
        whole, inside = [], []
        with torch.inference_mode():
            a = self._model.features(_tensor(truth))
            for composite in composites:
                b = self._model.features(_tensor(composite))
                whole.append(float(self._model.distance(a, b)))
                inside.append(float(self._model.distance_map(a, b, mask.shape)[0, 0][hole].mean()))
        return {f"lpips_{self._net}": np.array(whole), f"hole_lpips_{self._net}": np.array(inside)}


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
                activations = self.features(_tensor(image))[0][0]
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


def _tensor(image: NDArray[np.uint8]) -> Tensor:
    """`(H, W, 3)` uint8 -> `(1, 3, H, W)` float32 in [0, 1]."""
    return torch.from_numpy(image[None]).permute(0, 3, 1, 2).float() / 255
