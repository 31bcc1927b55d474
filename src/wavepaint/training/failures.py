"""What ends a run from outside, as one line that says what to change."""

from __future__ import annotations

import errno

import torch

from wavepaint.errors import WavepaintError


def out_of_memory(error: BaseException) -> bool:
    """Whether memory was lacking, as devices and PyTorch's allocator on CPUs, which has no error of its own, say it."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    text = str(error).lower()
    named = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return named or "out of memory" in text or "can't allocate memory" in text


def worker_died(error: BaseException) -> bool:
    """Whether a process that loads images is gone."""
    return str(error).startswith("DataLoader worker")


def explained(error: BaseException, doing: str, where: str, left: str) -> WavepaintError | None:
    """The error of a run that an error of a library means; None for what is nobody's fault but ours.

    Args:
        error: a RuntimeError, MemoryError or OSError.
        doing: the step, the device and the size of its batches.
        where: a path, in case the error names none.
        left: what is left on disk.
    """
    first = (str(error).splitlines() or [type(error).__name__])[0] or type(error).__name__
    if out_of_memory(error):
        return WavepaintError(f"out of memory {doing}: lower batch, and raise accumulate instead; {left} ({first})")
    if isinstance(error, OSError):
        reason = error.strerror or error
        return WavepaintError(f"{error.filename or where}: cannot be written: {reason}; {left}")
    if worker_died(error):
        return WavepaintError(
            f"a process that loads images has died, perhaps for want of memory: lower data.workers; {left} ({first})"
        )
    # Another process of the run is gone, as Gloo and NCCL say it.
    if isinstance(error, torch.distributed.DistError) or "by peer" in str(error):
        return WavepaintError("this process ends because another one of the run has")
    return None
