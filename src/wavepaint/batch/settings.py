"""How the work of a batch is spread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from wavepaint.errors import OptionError
from wavepaint.options import Option, check


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Where a batch works, and what it puts up with."""

    address: Annotated[str | None, Option("Ray cluster; by default RAY_ADDRESS, or this machine alone.")] = None
    workers: Annotated[int | None, Option("Workers without a GPU; by default one per --cores; 0 with --gpus.")] = None
    cores: Annotated[int, Option("Cores of a worker.", least=1)] = 1
    gpus: Annotated[float, Option("Share of a GPU of further workers; 0.5 lets two use one.", least=0)] = 0.0
    gpu_workers: Annotated[int | None, Option("Workers with that share; by default as many as have room.")] = None
    concurrency: Annotated[int, Option("Images a GPU worker has under way; their crops run together.", least=1)] = 1
    max_retries: Annotated[int, Option("Times an image may be begun without a result.", least=1)] = 3
    deadline: Annotated[float, Option("Seconds an image may take; then its worker ends.", least=1)] = 600.0

    def __post_init__(self) -> None:
        check(self)

    def sizes(self, resources: dict[str, float]) -> tuple[int, int]:
        """How many workers there are, without and with a GPU; `OptionError` for none."""
        cores, gpus = resources.get("CPU", 0), resources.get("GPU", 0)
        room, gpu_room = 0 if self.gpus else int(cores // self.cores), int(gpus / self.gpus) if self.gpus else 0
        without = room if self.workers is None else self.workers
        with_gpu = gpu_room if self.gpu_workers is None else self.gpu_workers
        if min(without, with_gpu) < 0 or without + with_gpu < 1:
            worker = f"no worker of {self.cores} cores and {self.gpus:g} GPUs"
            raise OptionError(f"{worker} has room in a cluster of {cores:g} cores and {gpus:g} GPUs")
        return without, with_gpu
