"""Texture: how much detail a fill has, and how strongly a texture loss may pull at a trained network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from lab.ablation.comparison import DETAIL
from lab.ablation.studies import Arm
from lab.ablation.training import REFERENCE_LOSSES, PairedTrainer
from wavepaint.errors import OptionError
from wavepaint.evaluation.metrics import BoolMask, FloatArray, Image
from wavepaint.network.dwt import dwt2

CONTINUED_RATE = 1e-3
"""Learning rate of networks that start from a checkpoint."""
GRADIENT_SHARE = 1.0
"""Norm of the gradient of the losses that an arm adds, as a share of that of the reference losses."""
GRADIENT_BATCHES = 8
"""Batches that the norms are averaged over."""

_FLOOR = 1e-5  # added to energies; about the square of one level of 256: less is no texture


def detail_scores(truth: Image, composites: NDArray[np.uint8], mask: BoolMask) -> dict[str, FloatArray]:
    """Energy of Haar details inside the hole, against the truth's; see `protocol.Scorer`.

    Returns:
        `detail_1` and `detail_2`: the binary logarithm of the ratio of the mean squares of all details of a level,
        in cells of 2x2 or 4x4 samples that lie in the hole as a whole (those that it touches where there are none).
        0 = as much detail as in the truth, -1 = half of its energy; see `_FLOOR` for flat images.
    """
    images = torch.from_numpy(np.concatenate((truth[None], composites))).permute(0, 3, 1, 2).double() / 255
    hole = torch.from_numpy(mask)[None, None].double()
    energies = {}
    for level, name in enumerate(DETAIL, start=1):
        share = F.avg_pool2d(hole, 2**level)
        inside = share == 1 if bool((share == 1).any()) else share > 0
        # A last odd row or column is left out: its cells would be padded.
        images, details = (x[..., : share.shape[-2], : share.shape[-1]] for x in dwt2(images))
        energy = details[:, :, inside[0, 0]].pow(2).mean((1, 2)) + _FLOOR
        energies[name] = torch.log2(energy[1:] / energy[0]).numpy()
    return energies


def measure_weights(trainer: PairedTrainer, arms: Sequence[Arm]) -> dict[str, dict[str, float]]:
    """Weights of the losses that arms add, with which they pull as strongly as the reference losses.

    Args:
        trainer: at the start that all arms have, with the losses of `all_losses`.
        arms: of the study.

    Returns:
        For every arm the weights of its `losses`: the mean norm of each one's gradient by the filled samples is
        `GRADIENT_SHARE` of that of the reference losses together, divided among the arm's losses.

    Raises:
        OptionError: a loss that has no gradient at the start.
    """
    added = {name: (name,) for arm in arms for name in arm.losses}
    norms = trainer.gradient_norms({"": tuple(REFERENCE_LOSSES), **added}, GRADIENT_BATCHES)
    for name in added:
        if not norms[name] > 0:
            raise OptionError(f"the loss {name} has no gradient at the start")
    return {
        arm.name: {
            name: float(f"{GRADIENT_SHARE / len(arm.losses) * norms[''] / norms[name]:.4g}") for name in arm.losses
        }
        for arm in arms
    }


def all_losses(arms: Sequence[Arm]) -> Mapping[str, float]:
    """What any of the arms adds to the reference losses, each with weight 1."""
    return {name: 1.0 for arm in arms for name in arm.losses}
