"""A network that learns: itself, its average, its optimiser, and one step of all three."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from lightning.fabric import Fabric
from lightning.fabric.plugins.precision.amp import MixedPrecision
from lightning.fabric.wrappers import _FabricOptimizer
from torch import Tensor, nn

from wavepaint.data.crops import Batch
from wavepaint.network import Network
from wavepaint.training.losses import Loss, WeightedLosses
from wavepaint.training.module import FillTraining, memory_format, update_average
from wavepaint.training.recipes import Phase, Recipe
from wavepaint.training.schedule import average_decay

_UNTIMED, _TIMED = 1, 3


class Learner:
    """A network in training, on one process's device.

    Args:
        recipe: batches, average, clipping, normalisation.
        fabric: launched.
        network: to train.
        losses: those of the recipe, by name.
    """

    def __init__(self, recipe: Recipe, fabric: Fabric, network: Network, losses: Mapping[str, Loss]) -> None:
        self._recipe, self._fabric = recipe, fabric
        self.average = copy.deepcopy(network).eval().requires_grad_(False).to(fabric.device)
        network = network.to(memory_format=memory_format(fabric.device))  # type: ignore[call-overload]
        if recipe.compile and fabric.device.type == "cuda":
            network.compile()
        if recipe.batch_norm == "sync" and fabric.world_size > 1:
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        self.network = network
        self._training = FillTraining(
            network, WeightedLosses(losses, recipe.losses), freeze_batch_norm=recipe.batch_norm == "frozen"
        )
        self._module = fabric.setup_module(self._training)
        self.begin_phase(recipe.phases[0])

    def begin_phase(self, phase: Phase) -> None:
        """A fresh optimiser."""
        parameters, rate, decay = self.network.parameters(), phase.learning_rate, phase.weight_decay
        self._raw_optimizer: torch.optim.Optimizer
        if phase.optimizer == "adamw":
            self._raw_optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=decay)
        else:
            self._raw_optimizer = torch.optim.SGD(parameters, lr=rate, weight_decay=decay, momentum=phase.momentum)
        optimizer = self._fabric.setup_optimizers(self._raw_optimizer)
        assert isinstance(optimizer, _FabricOptimizer)
        self._optimizer = optimizer

    def restart_from(self, state: Mapping[str, Tensor], phase: Phase) -> None:
        """Other weights, for the network and its average, and a fresh optimiser."""
        self.network.load_state_dict(state)
        self.average.load_state_dict(state)
        self.begin_phase(phase)

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
        self._training.train()
        sums: dict[str, Tensor] = {}
        for part in range(1, recipe.accumulate + 1):
            batch = next_batch()
            image = batch["image"].to(fabric.device, non_blocking=True)
            mask = batch["mask"].to(fabric.device, non_blocking=True)
            with fabric.no_backward_sync(self._module, enabled=part < recipe.accumulate):
                losses: dict[str, Tensor] = self._module(image, mask, coarse_levels)
                fabric.backward(torch.stack(list(losses.values())).sum() / recipe.accumulate)
            for name, value in losses.items():
                sums[name] = sums.get(name, torch.zeros_like(value)) + value.detach() / recipe.accumulate
        if recipe.clip is not None:
            fabric.clip_gradients(self._training, self._optimizer, max_norm=recipe.clip, error_if_nonfinite=False)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        decay = average_decay(recipe.ema, step + 1)
        update_average(self.average.state_dict(), self.network.state_dict(), decay)
        return sums

    def seconds_per_step(self, side: int) -> float:
        """What a step with crops of this side takes, data apart; weights and optimiser are left as they were."""
        state = copy.deepcopy(self.state_dict())
        batch = Batch(
            image=torch.randint(0, 256, (self._recipe.batch, 3, side, side), dtype=torch.uint8),
            mask=torch.rand(self._recipe.batch, self.network.config.mask_channels, side, side) < 0.5,
            name=[],
        )
        for number in range(_UNTIMED + _TIMED):
            if number == _UNTIMED:
                started = time.monotonic()
            self.step(lambda: batch, 1e-6, number % 2, 0)
        if self._fabric.device.type == "cuda":
            torch.cuda.synchronize(self._fabric.device)
        seconds = (time.monotonic() - started) / _TIMED
        self.begin_phase(self._recipe.phases[0])
        self.load_state_dict(state)
        return seconds

    def state_dict(self) -> dict[str, Any]:
        """All that another learner needs to continue."""
        precision = self._fabric.strategy.precision
        return {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self._raw_optimizer.state_dict(),
            "precision": precision.state_dict() if isinstance(precision, MixedPrecision) else {},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned, in the same phase."""
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self._raw_optimizer.load_state_dict(state["optimizer"])
        precision = self._fabric.strategy.precision
        if isinstance(precision, MixedPrecision) and state["precision"]:
            precision.load_state_dict(state["precision"])
