"""Training steps of this package against the published formulation of the same network.

    python -m lab.benchmarks.train_step [--crop 256] [--batch 2] [--steps 5] [--json train_step.json]

The baseline is written anew here after the paper's description: the same layers with the same weights, but the DWT as
grouped convolutions in an autograd function of its own, batch-major float32, and (on CUDA) autocast around the loss
alone. Ours is what `wavepaint train` runs: a sliced Haar transform, and where the device multiplies in bfloat16 (CUDA,
CPUs with AMX or AVX512-BF16) channels last and autocast over the whole step. Steps of the two alternate, so that
whatever else the machine does meets both; rates are medians, by the clock on the wall or by processor time. Both must
agree on the image before anything is timed. Peak memory is that of a process of its own for each.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lab.benchmark.machine import process_memory
from wavepaint.network import WavePaint, preset
from wavepaint.network.blocks import WaveMixBlock
from wavepaint.network.dwt import analysis_filters
from wavepaint.training.learner import FillTraining, has_bfloat16, memory_format
from wavepaint.training.losses import WeightedLosses, load_losses

MODELS = ("default", "published-4")
LOSSES = {"l1": 0.5, "l2": 0.5}
"""The published hybrid without LPIPS, which costs both the same."""
TOLERANCE = 1e-4

Step = Callable[[], None]


class GroupedDWT(torch.autograd.Function):
    """Four grouped convolutions and a concatenation; backwards one grouped transposed convolution."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, filters: Tensor) -> Tensor:
        ctx.save_for_backward(filters)
        channels = x.shape[1]
        bands = [F.conv2d(x, kernel.expand(channels, 1, 2, 2), stride=2, groups=channels) for kernel in filters]
        return torch.cat(bands, dim=1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (filters,) = ctx.saved_tensors
        batch, bands, height, width = grad.shape
        channels = bands // 4
        grad = grad.view(batch, 4, channels, height, width).transpose(1, 2).reshape(batch, bands, height, width)
        return F.conv_transpose2d(grad, filters.repeat(channels, 1, 1, 1), stride=2, groups=channels), None


def grouped_dwt2(x: Tensor, wavelet: str) -> tuple[Tensor, Tensor]:
    """`network.dwt.dwt2` by way of `GroupedDWT`."""
    channels = x.shape[1]
    bands = GroupedDWT.apply(x, analysis_filters(wavelet).to(x)[:, None, 0])
    details = bands[:, channels:].unflatten(1, (3, channels)).transpose(1, 2).flatten(1, 2)
    return bands[:, :channels], details


class GroupedBlock(WaveMixBlock):
    """A WaveMix block whose wavelet transform is the grouped one."""

    def analyse(self, x: Tensor, level: int) -> tuple[Tensor, Tensor]:
        return grouped_dwt2(x, self.wavelet)


def with_grouped_blocks(network: WavePaint) -> WavePaint:
    """The same network, with the same weights, of `GroupedBlock`s."""
    grouped = WavePaint(network.config)
    for module in grouped.wavemodules:
        for index in range(len(module.layers)):
            module.layers[index] = GroupedBlock(network.config)
    grouped.load_state_dict(network.state_dict())
    return grouped.to(next(network.parameters()).device)


def make_batch(batch: int, crop: int, device: torch.device) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (batch, 3, crop, crop), generator=generator, dtype=torch.uint8)
    mask = torch.zeros(batch, 1, crop, crop, dtype=torch.bool)
    mask[..., crop // 4 : crop // 2, crop // 4 : crop // 2] = True
    return image.to(device), mask.to(device)


def make_network(name: str, device: torch.device) -> WavePaint:
    torch.manual_seed(0)
    network = WavePaint(preset(name))
    # A last layer of zeros would stop all gradients, and the comparison of the images would prove nothing.
    for module in network.wavemodules:
        torch.nn.init.normal_(module.last.weight, std=0.02)
    return network.to(device)


def our_step(network: WavePaint, image: Tensor, mask: Tensor) -> Step:
    device = image.device
    network = network.to(memory_format=memory_format(device))
    training = FillTraining(network, WeightedLosses(load_losses(LOSSES, {}), LOSSES)).to(device).train()
    if device.type == "cuda":
        network.compile()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=has_bfloat16(device)):
            total = torch.stack(list(training(image, mask, False).values())).sum()
        total.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        synchronise(device)

    return step


def published_step(network: WavePaint, image: Tensor, mask: Tensor) -> Step:
    device = image.device
    network = with_grouped_blocks(network).train()
    losses = WeightedLosses(load_losses(LOSSES, {}), LOSSES).to(device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)

    def step() -> None:
        truth, hole = image.float() / 255, mask.float()
        filled = network(truth, hole)
        with torch.autocast(device.type, torch.float16, enabled=device.type == "cuda"):
            total = torch.stack(list(losses(filled, truth, hole).values())).sum()
        total.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        synchronise(device)

    return step


CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
STEPS = {"ours": our_step, "published": published_step}


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def check_agreement(network: WavePaint, image: Tensor, mask: Tensor) -> None:
    """Both formulations compute the same image."""
    network = copy.deepcopy(network).eval()
    truth, hole = image[:1].float() / 255, mask[:1].float()
    with torch.no_grad():
        ours = network.to(memory_format=memory_format(image.device))(truth, hole)
        published = with_grouped_blocks(network).eval()(truth, hole)
    difference = float((ours - published).abs().max())
    if difference > TOLERANCE:
        raise SystemExit(f"the two formulations differ by {difference}")


def measure(
    name: str, batch: int, crop: int, steps: int, device: torch.device, now: Callable[[], float]
) -> dict[str, list[float]]:
    """Seconds of every step, first ones left out."""
    image, mask = make_batch(batch, crop, device)
    network = make_network(name, device)
    check_agreement(network, image, mask)
    made = {kind: make(copy.deepcopy(network), image, mask) for kind, make in STEPS.items()}
    seconds: dict[str, list[float]] = {kind: [] for kind in made}
    for number in range(steps + 1):
        for kind, step in made.items():
            began = now()
            step()
            if number > 0:
                seconds[kind].append(now() - began)
    return seconds


def peak_memory(name: str, kind: str, batch: int, crop: int, device: torch.device) -> float:
    """MiB after two steps: of the whole process on a CPU, PyTorch included; of tensors on a GPU."""
    image, mask = make_batch(batch, crop, device)
    step = STEPS[kind](make_network(name, device), image, mask)
    step()
    step()
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return (process_memory("VmHWM") or 0) / 2**20


def peak_memory_apart(name: str, kind: str, arguments: argparse.Namespace) -> float:
    command = [sys.executable, "-m", "lab.benchmarks.train_step", "--memory", name, kind, "--device", arguments.device]
    command += ["--batch", str(arguments.batch), "--crop", str(arguments.crop)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=MODELS, help="network presets")
    parser.add_argument("--crop", type=int, default=256)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--steps", type=int, default=5, help="timed steps of each formulation")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: processor time, for a busy machine")
    parser.add_argument("--json", type=Path, help="file to write")
    parser.add_argument("--memory", nargs=2, metavar=("MODEL", "KIND"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    if arguments.memory:
        print(peak_memory(*arguments.memory, arguments.batch, arguments.crop, device))
        return
    rows = []
    for name in arguments.models:
        seconds = measure(name, arguments.batch, arguments.crop, arguments.steps, device, CLOCKS[arguments.clock])
        rates = {kind: arguments.batch / statistics.median(values) for kind, values in seconds.items()}
        memory = {kind: peak_memory_apart(name, kind, arguments) for kind in STEPS}
        rows.append({"model": name, "images_per_second": rates, "memory_mib": memory})
        print(
            f"{name:<12} ours {rates['ours']:7.2f} images/s {memory['ours']:6.0f} MiB   "
            f"published {rates['published']:7.2f} images/s {memory['published']:6.0f} MiB   "
            f"{rates['ours'] / rates['published']:.2f} times as fast",
            flush=True,
        )
    if arguments.json:
        settings = {
            "crop": arguments.crop,
            "batch": arguments.batch,
            "steps": arguments.steps,
            "device": str(device),
            "clock": arguments.clock,
            "threads": torch.get_num_threads(),
        }
        arguments.json.write_text(json.dumps({**settings, "models": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
