"""What training costs: images per second and memory, against other networks; each in a process of its own."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lab.ablation.measuring import cached
from lab.ablation.plan import Plan, read_plan, write_plan
from lab.ablation.report import Report
from lab.ablation.studies import EFFICIENCY
from lab.benchmark.machine import process_memory
from lab.benchmark.report import plain_table
from lab.benchmark.subjects import PEERS, load_generator, repository_peers
from wavepaint.errors import OptionError
from wavepaint.network import WavePaint, preset
from wavepaint.training.losses import hole_l1

OWN = ("default", "published-2", "published-4")
SIDE = 256
BATCHES = {"cpu": 2, "cuda": 16}
_UNTIMED_STEPS, _TIMED_STEPS = 1, 5
_MEBI = 2**20


@dataclass(frozen=True)
class Job:
    """A network to train for a few steps.

    Attributes:
        name: a preset, or one of `PEERS`.
        peers: folder of the peers.
        batch: images per step.
        side: of the images, pixels.
        device: "cpu" or "cuda".
        threads: of PyTorch.
    """

    name: str
    peers: str
    batch: int
    side: int
    device: str
    threads: int


@dataclass(frozen=True)
class Cost:
    """What a training step of one network costs.

    Attributes:
        name: of the network.
        parameters: trained numbers of what fills holes.
        discriminator: trained numbers of what judges it in training; 0 without one.
        seconds: of every timed step; processor time on a CPU.
        images_per_second: from their median.
        peak_bytes: memory at its highest above that of the process before the network was made.
    """

    name: str
    parameters: int
    discriminator: int
    seconds: tuple[float, ...]
    images_per_second: float
    peak_bytes: int


def run_efficiency(
    folder: Path,
    peers: Path | None = None,
    device: torch.device | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Report:
    """Time training steps of the default network, of the published ones and of others with their discriminators.

    Args:
        folder: new, empty, or of a run with the same arguments, which is resumed.
        peers: folder with `lama.py` and `migan.py`, which are run; by default the repository's, if there is one.
        device: that trains; the CPU by default.
        say: called with a line before every piece of work.

    Raises:
        OptionError: a folder of something else, or no peers in theirs.
    """
    kind = "cpu" if device is None else device.type
    place = repository_peers() if peers is None else peers
    others = [name for name in PEERS if place is not None and (place / f"{name}.py").is_file()]
    if peers is not None and not others:
        raise OptionError(f"{peers}: holds none of {', '.join(f'{name}.py' for name in PEERS)}")
    names = (*OWN, *others)
    batch = BATCHES[kind]
    settings = {"networks": list(names), "device": kind, "side": SIDE, "batch": batch}
    if read_plan(folder, EFFICIENCY, settings) is None:
        write_plan(folder, Plan(EFFICIENCY, settings))
    costs = []
    for number, name in enumerate(names):
        job = Job(name, str(place or ""), batch, SIDE, kind, torch.get_num_threads())

        def make(job: Job = job) -> dict[str, Any]:
            say(f"training steps of {job.name}")
            return asdict(measure_apart(job))

        costs.append(Cost(**cached(folder / "costs" / f"{number}.json", make)))
    return _report(costs, settings)


def measure_apart(job: Job) -> Cost:
    """`measure` in a fresh process: memory once used by one network is not given back before the next."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        try:
            return pool.submit(measure, job).result()
        except BrokenProcessPool:
            raise OptionError(f"{job.name}: the process that trained it was killed; is there enough memory?") from None


def measure(job: Job) -> Cost:
    """Train a network for a few steps on random images, in this process."""
    device = job.device
    torch.set_num_threads(job.threads)
    torch.manual_seed(0)
    before = _memory(device)
    step = _Adversarial(job) if job.name in PEERS else _Plain(job)
    image = torch.rand(job.batch, 3, job.side, job.side, device=device)
    mask = (torch.rand(job.batch, 1, job.side, job.side, device=device) < 0.3).float()
    seconds = []
    for _ in range(_UNTIMED_STEPS + _TIMED_STEPS):
        started = _now(device)
        step(image, mask)
        seconds.append(_now(device) - started)
    timed = tuple(seconds[_UNTIMED_STEPS:])
    rate, memory = job.batch / statistics.median(timed), _peak_memory(device) - before
    return Cost(job.name, _parameters(step.network), _parameters(step.discriminator), timed, rate, memory)


def _parameters(network: nn.Module | None) -> int:
    return 0 if network is None else sum(parameter.numel() for parameter in network.parameters())


class _Plain:
    """A step that minimises hole L1."""

    discriminator: nn.Module | None = None

    def __init__(self, job: Job) -> None:
        self.network = make_network(job).to(job.device).train()
        self._optimizer = torch.optim.AdamW(self.network.parameters(), lr=1e-3)

    def __call__(self, image: Tensor, mask: Tensor) -> None:
        self.descend(self._loss(self.network(image, mask), image, mask), self._optimizer)

    def _loss(self, filled: Tensor, image: Tensor, mask: Tensor) -> Tensor:
        return hole_l1(filled, image, mask)

    @staticmethod
    def descend(loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()


class _Adversarial(_Plain):
    """A step of both players of the non-saturating game: the generator's, with hole L1, then the discriminator's."""

    discriminator: nn.Module

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        discriminator = load_generator(Path(job.peers) / f"{job.name}.py", f"{job.name}_discriminator")
        self.discriminator = discriminator.to(job.device).train()
        self._penalised = bool(discriminator.r1_every == 1)  # what comes once in many steps is not timed
        self._judge = torch.optim.AdamW(self.discriminator.parameters(), lr=1e-4)

    def _loss(self, filled: Tensor, image: Tensor, mask: Tensor) -> Tensor:
        self._filled = filled.detach()
        return super()._loss(filled, image, mask) + F.softplus(-self.discriminator(filled, mask)).mean()

    def __call__(self, image: Tensor, mask: Tensor) -> None:
        super().__call__(image, mask)
        real = image.clone().requires_grad_(self._penalised)
        verdict = self.discriminator(real, mask)
        loss = F.softplus(-verdict).mean() + F.softplus(self.discriminator(self._filled, mask)).mean()
        if self._penalised:
            (gradient,) = torch.autograd.grad(verdict.sum(), real, create_graph=True)
            loss = loss + gradient.square().sum((1, 2, 3)).mean()
        self.descend(loss, self._judge)


def make_network(job: Job) -> nn.Module:
    """The network of a job, with random weights."""
    if job.name in PEERS:
        return load_generator(Path(job.peers) / f"{job.name}.py", f"{job.name}_generator")
    return WavePaint(preset(job.name))


def _now(device: str) -> float:
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.monotonic()


def _memory(device: str) -> int:
    if device != "cpu":
        return torch.cuda.memory_allocated(device)
    return process_memory("VmRSS") or 0


def _peak_memory(device: str) -> int:
    if device != "cpu":
        return torch.cuda.max_memory_allocated(device)
    return process_memory("VmHWM") or 0


def _report(costs: Sequence[Cost], settings: dict[str, Any]) -> Report:
    shown = [cost.name for cost in costs]
    first = costs[0]
    rows = []
    for name, cost in zip(shown, costs, strict=True):
        low, high = (settings["batch"] / seconds for seconds in (max(cost.seconds), min(cost.seconds)))
        rows.append(
            (
                name,
                f"{cost.parameters / 1e6:.2f} M",
                f"{cost.discriminator / 1e6:.2f} M" if cost.discriminator else "none",
                f"{cost.images_per_second:.2f} [{low:.2f}, {high:.2f}]",
                f"{first.images_per_second / cost.images_per_second:.1f}",
                f"{cost.peak_bytes / _MEBI:,.0f}",
            )
        )
    header = (
        *("network", "parameters", "discriminator"),
        *("images/s: median [range]", "times the first one's cost", "peak memory, MiB"),
    )
    sentences = [
        f"{name} trains {first.images_per_second / cost.images_per_second:.1f} times slower than {shown[0]} and needs "
        f"{cost.peak_bytes / max(first.peak_bytes, 1):.1f} times its memory."
        for name, cost in zip(shown[1:], costs[1:], strict=True)
    ]
    apart = all(max(first.seconds) < min(cost.seconds) for cost in costs[1:])
    sentences.append(f"The ranges of the steps' times {'do not overlap' if apart else 'overlap'}.")
    note = (
        f"Forward, hole L1, backward and AdamW on batches of {settings['batch']} random images of {SIDE} pixels, "
        f"float32, {_TIMED_STEPS} steps after the first; on a CPU by processor time, one thread unless at full size. "
        "A network with a discriminator takes both players' steps of the non-saturating game, with the penalty of the "
        "gradient where the published training has it in every step; perceptual losses and teachers are left out. "
        "Peak memory is what the process gained over its size before the network was made."
    )
    return Report(
        EFFICIENCY,
        "What does training cost, against other networks?",
        " ".join(sentences),
        (note,),
        (plain_table(f"One step, batch {settings['batch']}, {SIDE}x{SIDE}", header, rows),),
        {},
        {"settings": settings, "costs": [asdict(cost) for cost in costs]},
    )
