"""The network as it is trained: bytes in, weighted losses out, everything in between on one device."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from wavepaint.network import Network
from wavepaint.network.coarse import coarse_guess
from wavepaint.network.damage import DamageNetwork
from wavepaint.training.losses import WeightedLosses


class FillTraining(nn.Module):
    """A network and its losses as one module, so that one autocast and one gradient exchange cover a whole step.

    Args:
        network: what is trained.
        losses: what it is trained for; frozen.
        freeze_batch_norm: keep normalising with the running statistics, and leave them as they are.
    """

    def __init__(self, network: Network, losses: WeightedLosses, freeze_batch_norm: bool = False) -> None:
        super().__init__()
        self.network = network
        self.losses = losses
        self._freeze_batch_norm = freeze_batch_norm

    def train(self, mode: bool = True) -> FillTraining:
        """As in `nn.Module`, but frozen batch normalisation stays in evaluation mode."""
        super().train(mode)
        self.losses.eval()
        if self._freeze_batch_norm:
            for module in self.network.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self

    def forward(self, image: Tensor, mask: Tensor, coarse_levels: int) -> dict[str, Tensor]:
        """Fill a batch, or find its damage, and compare.

        Args:
            image: (B, 3, H, W) uint8 RGB, the truth; damaged, for a damage detector.
            mask: (B, 1, H, W) bool, True = hole; (B, 3, H, W), True = damage, for a damage detector.
            coarse_levels: start from the network's own result after so many halvings; 0 for the prefill.

        Returns:
            Weighted losses by name, float32 scalars.
        """
        truth = (image.float() / 255).contiguous(memory_format=memory_format(image.device))
        hole = mask.float()
        if isinstance(self.network, DamageNetwork):
            filled = self.network(truth).float()
        else:
            guess = coarse_guess(self.network, truth, hole, coarse_levels) if coarse_levels else None
            filled = self.network(truth, hole, guess).float()
        losses: dict[str, Tensor] = self.losses(filled, truth, hole)
        return losses


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies in bfloat16 natively: newer CUDA devices, CPUs with AMX or AVX512-BF16."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu" or not hasattr(torch.cpu, "get_capabilities"):
        return False
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))


def memory_format(device: torch.device) -> torch.memory_format:
    """Channels last where there are matrix units; on a CPU without them it makes a training step slower."""
    fast = device.type == "cuda" or has_bfloat16(device)
    return torch.channels_last if fast else torch.contiguous_format


def is_finite(network: nn.Module) -> bool:
    """Whether all weights and running statistics are finite."""
    return all(bool(value.isfinite().all()) for value in network.state_dict().values())


@torch.no_grad()
def update_average(average: Mapping[str, Tensor], current: Mapping[str, Tensor], decay: float) -> None:
    """Move an average of weights towards the current ones, in place; what is not floating point is copied.

    Args:
        average: state of the average.
        current: state of the network, same keys.
        decay: how much of the average stays; 0 makes it a copy.
    """
    floats = [name for name, value in current.items() if value.is_floating_point()]
    torch._foreach_lerp_([average[name] for name in floats], [current[name] for name in floats], 1 - decay)
    for name in current.keys() - floats:
        average[name].copy_(current[name])
