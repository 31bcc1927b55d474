"""How fast crops come, and how fast a step takes them: reading should never be the slower one.

    python -m lab.benchmarks.loading IMAGES [--crops 96,256] [--batch 8] [--seconds 10] [--json loading.json]

First the loader alone, with 0, 1 and 2 workers; then steps of the default network alone, on one batch that is used
again and again; all by the clock on the wall, in this order for every size of crop.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch

from wavepaint.data.crops import CropDataset
from wavepaint.data.images import find_images
from wavepaint.data.stream import CropStream
from wavepaint.network import WavePaint, preset
from wavepaint.training.learner import FillTraining, memory_format
from wavepaint.training.losses import WeightedLosses, load_losses

LOSSES = {"hole-l1": 1.0, "gradient": 0.5}
WORKERS = (0, 1, 2)


def loader_rate(stream: CropStream, crop: int, seconds: float) -> float:
    """Return the images per second that `stream` alone delivers, over about `seconds`, start-up excluded."""
    stream.next(crop)
    images, begin = 0, time.perf_counter()
    while time.perf_counter() - begin < seconds:
        images += len(stream.next(crop)["name"])
    stream.close()
    return images / (time.perf_counter() - begin)


def step_rate(batch: int, crop: int, seconds: float) -> float:
    """Images a second of forward, backward and AdamW."""
    layout = memory_format(torch.device("cpu"))
    network = WavePaint(preset("default")).to(memory_format=layout)  # type: ignore[call-overload]
    training = FillTraining(network, WeightedLosses(load_losses(LOSSES, {}), LOSSES)).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
    image = torch.randint(0, 256, (batch, 3, crop, crop), dtype=torch.uint8)
    mask = torch.zeros(batch, 1, crop, crop, dtype=torch.bool)
    mask[..., crop // 4 : crop // 2, crop // 4 : crop // 2] = True
    steps, began = -1, 0.0
    while steps < 0 or time.perf_counter() - began < seconds:
        torch.stack(list(training(image, mask, False).values())).sum().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if steps < 0:  # the first one warms up
            began = time.perf_counter()
        steps += 1
    return steps * batch / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", metavar="IMAGES")
    parser.add_argument("--crops", default="96,256")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    source = find_images(options.images)
    report = []
    for crop in map(int, options.crops.split(",")):
        rates = {
            f"loader, {workers} workers": loader_rate(
                CropStream(lambda side, seed: CropDataset(source, crop=side), options.batch, 0, workers),
                crop,
                options.seconds,
            )
            for workers in WORKERS
        }
        rates["training step"] = step_rate(options.batch, crop, options.seconds)
        for name, rate in rates.items():
            print(f"crop {crop:3}  {name:18} {rate:8.1f} images/s", flush=True)
        report.append({"crop": crop, "batch": options.batch, "images/s": rates})
    if options.json:
        options.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
