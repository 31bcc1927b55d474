"""Scores that look through a trained network: VGG16 feature distance, LPIPS, features of whole sets."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wavepaint.evaluation.features import VGG16Features, feature_distance
from wavepaint.evaluation.metrics import BoolMask, FloatArray, Picture
from wavepaint.evaluation.perceptual import LPIPS, Net

EMBEDDING_LAYER = "relu5_3"


class VGGDistanceScorer:
    """VGG16 feature distance of whole composites; neither LPIPS nor FID.

    Mean absolute difference of the activations relu1_2, relu2_2 and relu3_3, each relative to the truth's mean
    absolute activation, averaged over the three layers.

    Args:
        features: VGG16 with the layers `features.DISTANCE_LAYERS`.
    """

    def __init__(self, features: VGG16Features) -> None:
        self._features = features
        self._last: tuple[Picture, list[Tensor]] | None = None

    def __call__(self, truth: Picture, composites: NDArray[np.uint8], mask: BoolMask) -> dict[str, FloatArray]:
        """See `protocol.Scorer`: `vgg_distance`."""
        # Holes in the same picture often follow each other.
        if self._last is None or not np.array_equal(self._last[0], truth):
            self._last = truth.copy(), self._activations(truth)
        wanted = self._last[1]
        distances = [float(feature_distance(self._activations(picture), wanted)) for picture in composites]
        return {"vgg_distance": np.array(distances)}

    def _activations(self, picture: Picture) -> list[Tensor]:
        with torch.inference_mode():
            found: list[Tensor] = self._features(_tensor(picture[None]))
        return found


class LPIPSScorer:
    """LPIPS of whole composites, and the mean of its map over the hole's samples.

    Args:
        net: which LPIPS `model` is; names the scores.
        model: see `perceptual.load_lpips`.
    """

    def __init__(self, net: Net, model: LPIPS) -> None:
        self._net = net
        self._model = model

    def __call__(self, truth: Picture, composites: NDArray[np.uint8], mask: BoolMask) -> dict[str, FloatArray]:
        """See `protocol.Scorer`: `lpips_NET` and `hole_lpips_NET`."""
        hole = torch.from_numpy(mask)
        whole, inside = [], []
        with torch.inference_mode():
            a = self._model.features(_tensor(truth[None]))
            for composite in composites:
                b = self._model.features(_tensor(composite[None]))
                whole.append(float(self._model.distance(a, b)))
                inside.append(float(self._model.distance_map(a, b, mask.shape)[0, 0][hole].mean()))
        return {f"lpips_{self._net}": np.array(whole), f"hole_lpips_{self._net}": np.array(inside)}


class VGGEmbedder:
    """512 features of a picture: VGG16's relu5_3, averaged over positions.

    Frechet distances and P-IDS/U-IDS of these are not the published scores, which need Inception.

    Args:
        features: VGG16 with `EMBEDDING_LAYER` alone.
    """

    def __init__(self, features: VGG16Features) -> None:
        self._features = features

    def __call__(self, pictures: NDArray[np.uint8]) -> FloatArray:
        """See `protocol.Embedder`: `(N, H, W, 3)` -> `(N, 512)`."""
        with torch.inference_mode():
            found = [self._features(_tensor(picture[None]))[0].mean((2, 3))[0] for picture in pictures]
        return np.stack([vector.double().numpy() for vector in found])


def _tensor(pictures: NDArray[np.uint8]) -> Tensor:
    """`(N, H, W, 3)` uint8 -> `(N, 3, H, W)` float32 in [0, 1]."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
