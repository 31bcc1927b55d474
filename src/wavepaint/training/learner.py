"""A network that learns: itself, its losses, its average, its optimiser, and one step of them all."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from wavepaint.data.crops import Batch
from wavepaint.network import Network
from wavepaint.network.coarse import coarse_guess
from wavepaint.training.losses import Loss, WeightedLosses
from wavepaint.training.pace import average_decay
from wavepaint.training.recipes import Phase, Recipe

_UNTIMED, _TIMED = 1, 3


class FillTraining(nn.Module):
    """A network and its losses as one module, so that one autocast and one gradient exchange cover a whole step.

    Frozen batch normalisation keeps normalising with the running statistics, and leaves them as they are.
    """

    def __init__(self, network: Network, losses: WeightedLosses, freeze_batch_norm: bool = False) -> None:
        super().__init__()
        self.network, self.losses, self._freeze_batch_norm = network, losses, freeze_batch_norm

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
        guess = coarse_guess(self.network, truth, hole, coarse_levels) if coarse_levels else None
        losses: dict[str, Tensor] = self.losses(self.network(truth, hole, guess).float(), truth, hole)
        return losses


class Learner:
    """A network in training, on one process's device; `losses` are those of the recipe, its metric among them."""

    def __init__(self, recipe: Recipe, fabric: Fabric, network: Network, losses: Mapping[str, Loss]) -> None:
        self._recipe, self._fabric, self.losses = recipe, fabric, losses
        self.average = copy.deepcopy(network).eval().requires_grad_(False).to(fabric.device)
        network = network.to(memory_format=memory_format(fabric.device))  # type: ignore[call-overload]
        if recipe.compile and fabric.device.type == "cuda":
            network.compile()
        if recipe.batch_norm == "sync" and fabric.world_size > 1:
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        self.network = network
        nn.ModuleList(loss for loss in losses.values() if isinstance(loss, nn.Module)).to(fabric.device)
        weighted = WeightedLosses(losses, recipe.losses)
        self._module = fabric.setup_module(FillTraining(network, weighted, recipe.batch_norm == "frozen"))
        self.begin_phase(recipe.phases[0])

    def begin_phase(self, phase: Phase) -> None:
        """A fresh optimiser."""
        parameters, rate, decay = self.network.parameters(), phase.learning_rate, phase.weight_decay
        if phase.optimizer == "adamw":
            optimizer: torch.optim.Optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=decay)
        else:
            optimizer = torch.optim.SGD(parameters, lr=rate, weight_decay=decay, momentum=phase.momentum)
        self._optimizer = cast(Any, self._fabric.setup_optimizers(optimizer))

    def step(self, next_batch: Callable[[], Batch], rate: float, coarse_levels: int, step: int) -> dict[str, Tensor]:
        """One optimiser step; returns the mean weighted losses of its batches, on the device.

        Args:
            next_batch: called once for every batch whose gradients are added up.
            rate: learning rate.
            coarse_levels: see `FillTraining`.
            step: number of the step, from 0, of the whole run; decides how quickly the average forgets.
        """
        recipe, fabric = self._recipe, self._fabric
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._module.train()
        sums: dict[str, Tensor] = {}
        for part in range(1, recipe.accumulate + 1):
            batch = next_batch()
            image, mask = (batch[name].to(fabric.device, non_blocking=True) for name in ("image", "mask"))
            with fabric.no_backward_sync(self._module, enabled=part < recipe.accumulate):
                losses: dict[str, Tensor] = self._module(image, mask, coarse_levels)
                fabric.backward(torch.stack(list(losses.values())).sum() / recipe.accumulate)
            for name, value in losses.items():
                sums[name] = sums.get(name, torch.zeros_like(value)) + value.detach() / recipe.accumulate
        if recipe.clip is not None:
            fabric.clip_gradients(self._module, self._optimizer, max_norm=recipe.clip, error_if_nonfinite=False)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        update_average(self.average.state_dict(), self.network.state_dict(), average_decay(recipe.ema, step + 1))
        return sums

    def seconds_per_step(self, side: int) -> float:
        """What a step with crops of this side takes, data apart; weights and optimiser are left as they were."""
        state, recipe = copy.deepcopy(self.state_dict()), self._recipe
        batch = Batch(
            image=torch.randint(0, 256, (recipe.batch, 3, side, side), dtype=torch.uint8),
            mask=torch.rand(recipe.batch, self.network.config.mask_channels, side, side) < 0.5,
            name=[],
        )
        for number in range(_UNTIMED + _TIMED):
            if number == _UNTIMED:
                started = time.monotonic()
            self.step(lambda: batch, 1e-6, number % 2 if recipe.self_condition else 0, 0)
        if self._fabric.device.type == "cuda":
            torch.cuda.synchronize(self._fabric.device)
        seconds = (time.monotonic() - started) / _TIMED
        self.begin_phase(recipe.phases[0])
        self.load_state_dict(state)
        return seconds

    def state_dict(self) -> dict[str, Any]:
        """All that another learner needs to continue."""
        return {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "precision": self._fabric.strategy.precision.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned, in the same phase."""
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])
        if state["precision"]:  # of float16 alone, and nothing on hardware of another precision
            self._fabric.strategy.precision.load_state_dict(state["precision"])


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

    `decay` says how much of the average stays; 0 makes it a copy.
    """
    floats = [name for name, value in current.items() if value.is_floating_point()]
    torch._foreach_lerp_([average[name] for name in floats], [current[name] for name in floats], 1 - decay)
    for name in current.keys() - floats:
        average[name].copy_(current[name])
