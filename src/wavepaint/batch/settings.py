"""How the work of a batch is spread."""

from __future__ import annotations

from dataclasses import dataclass

from wavepaint.errors import OptionError
from wavepaint.options import check, option


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Where a batch works, and what it puts up with."""

    address: str | None = option(None, "Ray cluster; by default RAY_ADDRESS, or this machine alone.")
    workers: int | None = option(None, "Workers without a GPU; by default one per --cores; 0 with --gpus.")
    cores: int = option(1, "Cores of a worker.", least=1)
    gpus: float = option(0.0, "Share of a GPU of further workers; 0.5 lets two use one.", least=0)
    gpu_workers: int | None = option(None, "Workers with that share; by default as many as have room.")
    concurrency: int = option(1, "Images a GPU worker has under way; their crops run together.", least=1)
    max_retries: int = option(3, "Times an image may be begun without a result.", least=1)
    deadline: float = option(600.0, "Seconds an image may take; then its worker ends.", least=1)

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
