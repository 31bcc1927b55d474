"""Writes `tests/golden`: tiny random networks with their outputs, made when `shared/golden` was matched to 1e-6."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from networks import random_network, random_sample, small_config

CASES = {
    "rgb_level1": {"level": 1, "input_channels": 3, "mult": 4},
    "rgbm_level1": {"level": 1, "num_modules": 2},
    "rgbm_level2": {"level": 2},
    "rgbm_level3": {"level": 3},
    "rgbm_level4": {"level": 4},
}

if __name__ == "__main__":
    folder = Path(__file__).parent / "golden"
    folder.mkdir(exist_ok=True)
    for name, fields in CASES.items():
        model = random_network(small_config(final_dim=8, ff_channel=8, blocks_per_module=1, **fields))
        image, mask = random_sample(1, 32, 64)
        masked = image * (1 - mask)
        with torch.no_grad():
            output = model(masked, mask)
        tensors = {f"state_dict/{key}": value for key, value in model.state_dict().items()}
        save_file({**tensors, "masked_image": masked, "mask": mask, "output": output}, folder / f"{name}.safetensors")
