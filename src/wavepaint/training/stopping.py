"""What ends a run from outside: signals, between two steps, and errors, as one line that says what to change."""

from __future__ import annotations

import errno
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import torch

from wavepaint.errors import WavepaintError


@contextmanager
def stop_requests() -> Iterator[list[int]]:
    """Turn the first SIGINT or SIGTERM into a request, its number in the list, that the loop meets between two steps.

    The second one is a KeyboardInterrupt. Outside the main thread signals are left as they are.
    """
    received: list[int] = []

    def receive(number: int, frame: FrameType | None) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)

    numbers = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.signal(number, receive) for number in numbers}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def worker_died(error: BaseException) -> bool:
    """Whether a process that loads images is gone."""
    return str(error).startswith("DataLoader worker")


def explained(error: BaseException, doing: str, where: str, left: str) -> WavepaintError | None:
    """What a RuntimeError, MemoryError or OSError means for a run; None for what is nobody's fault but ours.

    The line takes in what the run was `doing`, where it writes, in case the error names no path, and what is `left`.
    """
    text = (str(error).splitlines() or [""])[0] or type(error).__name__
    if _out_of_memory(error):
        line = f"out of memory {doing}: lower batch, and raise accumulate instead; {left} ({text})"
    elif isinstance(error, OSError):
        line = f"{error.filename or where}: cannot be written: {error.strerror or error}; {left}"
    elif worker_died(error):
        line = f"a process that loads images has died, perhaps for want of memory: lower data.workers; {left} ({text})"
    elif isinstance(error, torch.distributed.DistError) or "by peer" in str(error):  # as Gloo and NCCL say it
        line = "this process ends because another one of the run has"
    else:
        return None
    return WavepaintError(line)


def _out_of_memory(error: BaseException) -> bool:
    """As devices say it, and PyTorch's allocator on CPUs, which has no error of its own."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    named, text = isinstance(error, torch.OutOfMemoryError | MemoryError), str(error).lower()
    return named or "out of memory" in text or "can't allocate memory" in text
