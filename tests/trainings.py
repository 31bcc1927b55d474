"""Small images, recipes and weight files for tests of training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from images import pillow, soft
from wavepaint.evaluation.perceptual import ALEX_WIDTHS
from wavepaint.training.recipes import Recipe, load_recipe

TINY = (
    "network={preset: published-2, num_modules: 1, blocks_per_module: 1, final_dim: 8, ff_channel: 8, prefill: haar}",
    "network.sweeps=1",
    "steps=8",
    "batch=2",
    "crops=[48, 48]",
    "self_condition=0.5",
    "data={source: stream, masks: {box: 1}, mask_bank: 8, crops_per_image: 1, pool_size: 4, max_pixels: 1048576, "
    "max_scale: 2.0, workers: 0}",
    "validation={share: 0.3, at_least: 0, every: 4, metric: l1, masks: [box], images: 2, crop: 48, top: 1}",
    "phases.0.warmup=2",
    "log_every=1",
    "save_seconds=1000",
)
"""Changes to the default recipe: a run of a second or two in which dropout and coarse starts matter."""


def tiny_recipe(*changes: str) -> Recipe:
    return load_recipe("default", [*TINY, *changes])


def write_images(folder: Path, count: int = 20) -> Path:
    folder.mkdir(parents=True)
    for index in range(count):
        image = np.roll(soft(56 + index % 5, 64), 7 * index, axis=1)
        (folder / f"{index:02d}.png").write_bytes(pillow(image, "PNG"))
    return folder


def write_alexnet(folder: Path) -> dict[str, Path]:
    """Random weights of the right shapes: the backbone and the heads of LPIPS."""
    generator = torch.Generator().manual_seed(0)
    widths, kernels, state = (3, *ALEX_WIDTHS), (11, 5, 3, 3, 3), {}
    for position, fan_in, width, kernel in zip((0, 3, 6, 8, 10), widths, widths[1:], kernels, strict=False):
        weight = torch.randn((width, fan_in, kernel, kernel), generator=generator)
        state[f"features.{position}.weight"] = weight / (fan_in * kernel**2) ** 0.5
        state[f"features.{position}.bias"] = torch.zeros(width)
    heads = {
        f"lin{layer}.model.1.weight": torch.rand((1, width, 1, 1), generator=generator)
        for layer, width in enumerate(ALEX_WIDTHS)
    }
    files = {"alexnet": folder / "alexnet.safetensors", "lpips-alex": folder / "lpips.safetensors"}
    save_file(state, files["alexnet"])
    save_file(heads, files["lpips-alex"])
    return files


def write_vgg16(path: Path) -> Path:
    """VGG16 with random weights."""
    generator = torch.Generator().manual_seed(0)
    stages = (64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3
    position, fan_in, state = 0, 3, {}
    for width in (width for stage in stages for width in (*stage, 0)):
        if width == 0:
            position += 1
            continue
        state[f"features.{position}.weight"] = torch.randn((width, fan_in, 3, 3), generator=generator) / fan_in**0.5 / 3
        state[f"features.{position}.bias"] = torch.zeros(width)
        position, fan_in = position + 2, width
    save_file(state, path)
    return path
