"""How the work of a batch is spread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from wavepaint.errors import OptionError
from wavepaint.options import Option, check


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Where a batch works, and what it puts up with."""

    address: Annotated[str | None, Option("Ray cluster to work on; by default RAY_ADDRESS, or this machine alone.")] = (
        None
    )
    workers: Annotated[
        int | None, Option("Workers without a GPU; by default as many as there are cores for, or none with --gpus.")
    ] = None
    cores: Annotated[int, Option("Cores of a worker.", least=1)] = 1
    gpus: Annotated[float, Option("Share of a GPU of further workers; 0.5 lets two use one.", least=0)] = 0.0
    gpu_workers: Annotated[int | None, Option("Workers with that share; by default as many as there is room for.")] = (
        None
    )
    concurrency: Annotated[
        int, Option("Images that a worker with a GPU has under way; their crops of one size run together.", least=1)
    ] = 1
    max_retries: Annotated[int, Option("Times an image may be begun without a result.", least=1)] = 3
    deadline: Annotated[float, Option("Seconds an image may take; then its worker ends.", least=1)] = 600.0

    def __post_init__(self) -> None:
        check(self)

    def sizes(self, resources: dict[str, float]) -> tuple[int, int]:
        """How many workers there are, without and with a GPU; `OptionError` for none."""
        without, with_gpu = self.workers, self.gpu_workers
        if without is None:
            without = 0 if self.gpus else int(resources.get("CPU", 0) // self.cores)
        if with_gpu is None:
            with_gpu = int(resources.get("GPU", 0) / self.gpus) if self.gpus else 0
        if min(without, with_gpu) < 0 or without + with_gpu < 1:
            has = f"{resources.get('CPU', 0):g} cores and {resources.get('GPU', 0):g} GPUs"
            raise OptionError(f"no worker of {self.cores} cores and {self.gpus:g} GPUs has room in a cluster of {has}")
        return without, with_gpu
