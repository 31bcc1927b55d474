"""Small random networks for tests."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn

from wavepaint.network import WavePaint, WavePaintConfig

Model = TypeVar("Model", bound=nn.Module)


def small_config(**changes: object) -> WavePaintConfig:
    fields = {
        "num_modules": 1,
        "blocks_per_module": 2,
        "final_dim": 16,
        "ff_channel": 16,
        "mult": 2,
        "dropout": 0.0,
        **changes,
    }
    return WavePaintConfig.from_dict(fields)


def random_network(config: WavePaintConfig, seed: int = 0) -> WavePaint:
    """A network in evaluation mode of which every parameter and statistic matters to the result."""
    return randomised(WavePaint(config), seed)


def randomised(model: Model, seed: int = 0) -> Model:
    """The same for any network, in place."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            fan_in = module.weight[0].numel()
            module.weight.data = torch.randn(module.weight.shape, generator=generator) / fan_in**0.5
            if module.bias is not None:
                module.bias.data = 0.1 * torch.randn(module.bias.shape, generator=generator)
        elif isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in (
                (module.weight.data, 0.5, 1.5),
                (module.bias.data, -0.5, 0.5),
                (module.running_mean, -0.5, 0.5),
                (module.running_var, 0.5, 2.0),
            ):
                assert tensor is not None
                tensor.copy_(low + (high - low) * torch.rand(tensor.shape, generator=generator))
    return model.eval()


def random_sample(
    batch: int, height: int, width: int, share: float = 0.4, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """An image (batch, 3, H, W) in [0, 1] and a mask (batch, 1, H, W) of about `share` holes."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand((batch, 3, height, width), generator=generator)
    mask = (torch.rand((batch, 1, height, width), generator=generator) < share).float()
    return image, mask
