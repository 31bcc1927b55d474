"""How good a network is on images that it does not train on: always the same crops with the same holes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wavepaint.data.damage import DamagedSet
from wavepaint.data.held_out import ValidationSet
from wavepaint.network import Network
from wavepaint.training.losses import Loss, dice, hole_l1

_BATCH = 8
_TINY_MSE = 1e-10


def hole_psnr(filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """PSNR of the hole samples, dB: a score, not a loss; larger is better."""
    mse = ((filled - truth) ** 2).sum() / (3 * mask.sum())
    return -10 * torch.log10(mse.double().clamp_min(_TINY_MSE))


_REPORTED: Mapping[str, Mapping[str, Loss]] = MappingProxyType(
    {"image": {"hole-psnr": hole_psnr, "hole-l1": hole_l1}, "damage": {"dice": dice}}
)
"""What every validation reports beside the recipe's metric, by what the network gives."""


@torch.no_grad()
def validate(
    network: Network, crops: ValidationSet | DamagedSet, metrics: Mapping[str, Loss], decisive: str
) -> dict[str, float]:
    """Score a network in evaluation mode on at least one crop.

    Returns:
        A row of `metrics.csv`: `validation/SCORE/KIND`, the mean over the crops with a kind of hole, and
        `validation/metric`, the `decisive` metric over all; smaller is better.
    """
    device = next(network.parameters()).device
    metrics, row = {**_REPORTED[network.config.output], **metrics}, dict[str, float]()
    for kind in crops.kinds:
        scores: dict[str, list[float]] = {name: [] for name in metrics}
        for start in range(0, len(crops), _BATCH):
            image, mask = crops.batch(kind, start, min(start + _BATCH, len(crops)), device)
            result = network.scored(image, mask)
            for one in zip(result.split(1), image.split(1), mask.split(1), strict=True):
                for name, score in metrics.items():
                    scores[name].append(float(score(*one)))
        row |= {f"validation/{name}/{kind}": float(np.mean(values)) for name, values in scores.items()}
    return {**row, "validation/metric": float(np.mean([row[f"validation/{decisive}/{kind}"] for kind in crops.kinds]))}


@torch.no_grad()
def sample_grid(network: Network, crops: ValidationSet | DamagedSet, count: int = 6) -> NDArray[np.uint8]:
    """An image (rows * H, 3 * W, 3) uint8 of what the network shows of each crop, a row, kinds taken in turn."""
    device = next(network.parameters()).device
    rows = []
    for index in range(min(count, len(crops))):
        image, mask = crops.batch(crops.kinds[index % len(crops.kinds)], index, index + 1, device)
        row = torch.cat(network.shown(image, mask), dim=-1)[0]
        rows.append((row * 255 + 0.5).to(torch.uint8).permute(1, 2, 0).cpu().numpy())
    return np.concatenate(rows)
