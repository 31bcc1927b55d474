"""The Inception network of FID: Inception v3 (Szegedy et al., 2015) as the original FID code ran it.

It differs from the classifier of the same name in three ways that published numbers depend on: average
poolings leave the padding out of the mean, the last block pools by maximum, and images are resized to
299x299 bilinearly without smoothing.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lab.discriminative import inception_discriminative_scores
from lab.frechet import frechet_distance
from wavepaint.errors import CheckpointError, OptionError
from wavepaint.evaluation.metrics import FloatArray
from wavepaint.evaluation.protocol import Evaluated

FEATURES = 2048
INPUT_SIDE = 299

Kernel = int | tuple[int, int]
Shape = tuple[int, int, Kernel, int, Kernel]
"""Channels in and out, kernel, stride, padding."""
Chain = tuple[str | tuple[str, str], ...]
"""Names of convolutions one after the other; a pair runs side by side and is concatenated."""
Pool = Literal["average", "max", "reduce"]

_WIDE, _TALL = ((1, 7), (0, 3)), ((7, 1), (3, 0))


class _Convolution(nn.Module):
    """Convolution without bias, BatchNorm, ReLU; key names are the published ones."""

    def __init__(self, fan_in: int, fan_out: int, kernel: Kernel, stride: int = 1, padding: Kernel = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(fan_in, fan_out, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(fan_out, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        """(B, fan_in, H, W) -> (B, fan_out, h, w)."""
        return F.relu(self.bn(self.conv(x)))


class _Mixed(nn.Module):
    """Chains of convolutions and a pooling branch next to each other, concatenated in this order."""

    def __init__(self, convolutions: Mapping[str, Shape], chains: tuple[Chain, ...], pool: Pool) -> None:
        super().__init__()
        for name, shape in convolutions.items():
            self.add_module(name, _Convolution(*shape))
        self.chains = chains
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, sum of the branches' channels, h, w)."""
        return torch.cat([*(self._run(chain, x) for chain in self.chains), self._pooled(x)], 1)

    def _run(self, chain: Chain, x: Tensor) -> Tensor:
        for step in chain:
            names = (step,) if isinstance(step, str) else step
            x = torch.cat([self.get_submodule(name)(x) for name in names], 1)
        return x

    def _pooled(self, x: Tensor) -> Tensor:
        if self.pool == "reduce":
            return F.max_pool2d(x, 3, 2)
        average = self.pool == "average"
        x = F.avg_pool2d(x, 3, 1, 1, count_include_pad=False) if average else F.max_pool2d(x, 3, 1, 1)
        pooled: Tensor = self.get_submodule("branch_pool")(x)
        return pooled


def _block_35(fan_in: int, pool_width: int) -> _Mixed:
    convolutions: dict[str, Shape] = {
        "branch1x1": (fan_in, 64, 1, 1, 0),
        "branch5x5_1": (fan_in, 48, 1, 1, 0),
        "branch5x5_2": (48, 64, 5, 1, 2),
        "branch3x3dbl_1": (fan_in, 64, 1, 1, 0),
        "branch3x3dbl_2": (64, 96, 3, 1, 1),
        "branch3x3dbl_3": (96, 96, 3, 1, 1),
        "branch_pool": (fan_in, pool_width, 1, 1, 0),
    }
    chains: tuple[Chain, ...] = (
        ("branch1x1",),
        ("branch5x5_1", "branch5x5_2"),
        ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"),
    )
    return _Mixed(convolutions, chains, "average")


def _to_17() -> _Mixed:
    convolutions: dict[str, Shape] = {
        "branch3x3": (288, 384, 3, 2, 0),
        "branch3x3dbl_1": (288, 64, 1, 1, 0),
        "branch3x3dbl_2": (64, 96, 3, 1, 1),
        "branch3x3dbl_3": (96, 96, 3, 2, 0),
    }
    chains: tuple[Chain, ...] = (("branch3x3",), ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"))
    return _Mixed(convolutions, chains, "reduce")


def _block_17(width: int) -> _Mixed:
    def step(fan_in: int, fan_out: int, direction: tuple[tuple[int, int], tuple[int, int]]) -> Shape:
        kernel, padding = direction
        return fan_in, fan_out, kernel, 1, padding

    convolutions: dict[str, Shape] = {
        "branch1x1": (768, 192, 1, 1, 0),
        "branch7x7_1": (768, width, 1, 1, 0),
        "branch7x7_2": step(width, width, _WIDE),
        "branch7x7_3": step(width, 192, _TALL),
        "branch7x7dbl_1": (768, width, 1, 1, 0),
        "branch7x7dbl_2": step(width, width, _TALL),
        "branch7x7dbl_3": step(width, width, _WIDE),
        "branch7x7dbl_4": step(width, width, _TALL),
        "branch7x7dbl_5": step(width, 192, _WIDE),
        "branch_pool": (768, 192, 1, 1, 0),
    }
    chains: tuple[Chain, ...] = (
        ("branch1x1",),
        tuple(f"branch7x7_{i}" for i in range(1, 4)),
        tuple(f"branch7x7dbl_{i}" for i in range(1, 6)),
    )
    return _Mixed(convolutions, chains, "average")


def _to_8() -> _Mixed:
    convolutions: dict[str, Shape] = {
        "branch3x3_1": (768, 192, 1, 1, 0),
        "branch3x3_2": (192, 320, 3, 2, 0),
        "branch7x7x3_1": (768, 192, 1, 1, 0),
        "branch7x7x3_2": (192, 192, _WIDE[0], 1, _WIDE[1]),
        "branch7x7x3_3": (192, 192, _TALL[0], 1, _TALL[1]),
        "branch7x7x3_4": (192, 192, 3, 2, 0),
    }
    chains: tuple[Chain, ...] = (
        ("branch3x3_1", "branch3x3_2"),
        tuple(f"branch7x7x3_{i}" for i in range(1, 5)),
    )
    return _Mixed(convolutions, chains, "reduce")


def _block_8(fan_in: int, pool: Pool) -> _Mixed:
    wide, tall = ((1, 3), (0, 1)), ((3, 1), (1, 0))
    convolutions: dict[str, Shape] = {
        "branch1x1": (fan_in, 320, 1, 1, 0),
        "branch3x3_1": (fan_in, 384, 1, 1, 0),
        "branch3x3_2a": (384, 384, wide[0], 1, wide[1]),
        "branch3x3_2b": (384, 384, tall[0], 1, tall[1]),
        "branch3x3dbl_1": (fan_in, 448, 1, 1, 0),
        "branch3x3dbl_2": (448, 384, 3, 1, 1),
        "branch3x3dbl_3a": (384, 384, wide[0], 1, wide[1]),
        "branch3x3dbl_3b": (384, 384, tall[0], 1, tall[1]),
        "branch_pool": (fan_in, 192, 1, 1, 0),
    }
    chains: tuple[Chain, ...] = (
        ("branch1x1",),
        ("branch3x3_1", ("branch3x3_2a", "branch3x3_2b")),
        ("branch3x3dbl_1", "branch3x3dbl_2", ("branch3x3dbl_3a", "branch3x3dbl_3b")),
    )
    return _Mixed(convolutions, chains, pool)


class FIDInception(nn.Module):
    """Inception v3 up to its last pooling, frozen; parameters have the names of the published conversions."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = _Convolution(3, 32, 3, 2)
        self.Conv2d_2a_3x3 = _Convolution(32, 32, 3)
        self.Conv2d_2b_3x3 = _Convolution(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = _Convolution(64, 80, 1)
        self.Conv2d_4a_3x3 = _Convolution(80, 192, 3)
        self.Mixed_5b = _block_35(192, 32)
        self.Mixed_5c = _block_35(256, 64)
        self.Mixed_5d = _block_35(288, 64)
        self.Mixed_6a = _to_17()
        self.Mixed_6b = _block_17(128)
        self.Mixed_6c = _block_17(160)
        self.Mixed_6d = _block_17(160)
        self.Mixed_6e = _block_17(192)
        self.Mixed_7a = _to_8()
        self.Mixed_7b = _block_8(1280, "average")
        self.Mixed_7c = _block_8(FEATURES, "max")
        self.requires_grad_(False).eval()

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) RGB in [0, 1] -> (B, 2048)."""
        x = F.interpolate(image, (INPUT_SIDE, INPUT_SIDE), mode="bilinear", align_corners=False)
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(2 * x - 1)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(x, 3, 2)))
        x = F.max_pool2d(x, 3, 2)
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(x)))
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))))
        features: Tensor = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x))).mean((2, 3))
        return features


class InceptionScores:
    """FID, P-IDS and U-IDS of composites by 2048 Inception features an image; see `protocol.SetScorer`."""

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self._features: dict[str, list[FloatArray]] = {}

    def add(self, evaluated: Evaluated) -> None:
        images = np.concatenate((evaluated.item.truth[None], evaluated.composites))
        tensors = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
        with torch.inference_mode():
            features = np.stack([self._network(image[None])[0].double().numpy() for image in tensors])
        self._features.setdefault(evaluated.item.kind, []).append(features)

    def scores(self, kind: str, methods: int) -> Mapping[str, list[float]]:
        features = np.stack(self._features[kind])
        if len(features) < 2:
            return {}
        real = features[:, 0]
        rows = [
            (frechet_distance(real, fake), *inception_discriminative_scores(real, fake))
            for fake in (features[:, 1 + index] for index in range(methods))
        ]
        columns = zip(*rows, strict=True)
        return {name: list(column) for name, column in zip(("fid", "p_ids", "u_ids"), columns, strict=True)}


def load_inception(path: Path | None) -> FIDInception:
    """The network with the official weights, from a file.

    FID is comparable only with the weights of 2015-12-05 converted to PyTorch, published by the pytorch-fid
    project as `pt_inception-2015-12-05-6726825d.pth`. They are not downloaded here.

    Raises:
        OptionError: no file given.
        CheckpointError: not those weights.
    """
    if path is None:
        raise OptionError("FID needs the official Inception weights: --weights inception=FILE")
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        reason = (str(error).splitlines() or ["unreadable"])[0]
        raise CheckpointError(f"{path}: cannot read Inception weights: {reason}") from None
    network = FIDInception()
    expected = network.state_dict()
    try:
        # Conversions also hold the classifier, which features do not need, and may lack batch counters.
        network.load_state_dict(
            {k: state[k] for k in expected if k in state or not k.endswith("num_batches_tracked")}, strict=False
        )
    except (KeyError, TypeError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{path}: not Inception v3 weights of FID: {reason}") from None
    return network
