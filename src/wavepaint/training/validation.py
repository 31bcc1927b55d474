"""How good a network is on images that it does not train on: always the same crops with the same holes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wavepaint.data.damage import DamagedSet
from wavepaint.data.held_out import ValidationSet
from wavepaint.network import Network
from wavepaint.network.damage import DamageNetwork
from wavepaint.training.losses import Loss

PSNR = "hole-psnr"
"""A score of every validation beside the recipe's metric: dB in the hole, larger is better."""

_BATCH = 8
_TINY_MSE = 1e-10
_HOLE_GREY = 0.5


@dataclass(frozen=True)
class Scores:
    """Result of a validation.

    Attributes:
        by_kind: for every mask preset the mean over its holes of every score, by name.
        metric: the recipe's metric over all holes; smaller is better.
    """

    by_kind: Mapping[str, Mapping[str, float]]
    metric: float


@torch.no_grad()
def validate(network: Network, crops: ValidationSet | DamagedSet, metrics: Mapping[str, Loss], decisive: str) -> Scores:
    """Score a network.

    Args:
        network: in evaluation mode.
        crops: at least one.
        metrics: losses to report, on the network's device.
        decisive: the one of them that becomes `Scores.metric`.
    """
    device = next(network.parameters()).device
    by_kind = {}
    for kind in crops.kinds:
        rows: list[dict[str, float]] = []
        for start in range(0, len(crops), _BATCH):
            image, mask = crops.batch(kind, start, min(start + _BATCH, len(crops)), device)
            detects = isinstance(network, DamageNetwork)
            found = network(image) if detects else network(image, mask).clamp(0, 1)
            for one in zip(found.split(1), image.split(1), mask.split(1), strict=True):
                psnr = {} if detects else {PSNR: _hole_psnr(*one)}
                rows.append({**psnr, **{name: float(loss(*one)) for name, loss in metrics.items()}})
        by_kind[kind] = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    return Scores(by_kind, float(np.mean([scores[decisive] for scores in by_kind.values()])))


@torch.no_grad()
def sample_grid(network: Network, crops: ValidationSet | DamagedSet, count: int = 6) -> NDArray[np.uint8]:
    """An image (rows * H, 3 * W, 3) uint8: with the hole, filled, true; one row per crop, kinds taken in turn.

    Of a damage detector: the damaged image, and what it finds and the true damage, a colour for each kind.
    """
    device = next(network.parameters()).device
    rows = []
    for index in range(min(count, len(crops))):
        image, mask = crops.batch(crops.kinds[index % len(crops.kinds)], index, index + 1, device)
        if isinstance(network, DamageNetwork):
            row = torch.cat((image, network(image).sigmoid(), mask), dim=-1)[0]
        else:
            filled = network(image, mask).clamp(0, 1)
            row = torch.cat((image * (1 - mask) + _HOLE_GREY * mask, filled, image), dim=-1)[0]
        rows.append((row * 255 + 0.5).to(torch.uint8).permute(1, 2, 0).cpu().numpy())
    return np.concatenate(rows)


def _hole_psnr(filled: Tensor, truth: Tensor, mask: Tensor) -> float:
    mse = float(((filled - truth) ** 2).sum() / (3 * mask.sum()))
    return float(-10 * np.log10(max(mse, _TINY_MSE)))
