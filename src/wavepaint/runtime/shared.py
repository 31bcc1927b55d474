"""Crops of the same size from different images, in one run of the network; for graphics processors."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np

from wavepaint.runtime.base import BATCH_PIXELS, Planes, Runtime


@dataclass(eq=False)
class _Request:
    """One caller's crops, and what becomes of them."""

    image: Planes
    mask: Planes
    filled: Future[Planes] = field(default_factory=Future)


class SharedRuntime:
    """A runtime for several threads, whose waiting crops of one size run together.

    Nobody waits for company: while one run is under way requests gather, and the next run takes all of one size that
    are there, up to `base.BATCH_PIXELS`. Each caller's thread may be the one that runs it for the others.

    Args:
        runtime: what runs the batches.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.name, self.multiple, self.coarse_levels = runtime.name, runtime.multiple, runtime.coarse_levels
        self._lock = threading.Lock()
        self._running = threading.Lock()
        self._waiting: list[_Request] = []

    def __call__(self, image: Planes, mask: Planes) -> Planes:
        """Fill the holes of a batch of crops; see `Runtime`."""
        request = _Request(image, mask)
        with self._lock:
            self._waiting.append(request)
        while not request.filled.done():
            with self._running:
                if not request.filled.done():
                    self._run(self._next_group())
        return request.filled.result()

    def _next_group(self) -> list[_Request]:
        """The oldest request with all of its size that fit beside it."""
        with self._lock:
            oldest, *others = self._waiting
            height, width = oldest.image.shape[2:]
            group, room = [oldest], BATCH_PIXELS // (height * width) - len(oldest.image)
            for request in others:
                if request.image.shape[2:] == (height, width) and len(request.image) <= room:
                    group.append(request)
                    room -= len(request.image)
            self._waiting = [request for request in self._waiting if request not in group]
            return group

    def _run(self, group: list[_Request]) -> None:
        try:
            filled = self._runtime(
                np.concatenate([request.image for request in group]), np.concatenate([each.mask for each in group])
            )
            parts = np.split(filled, np.cumsum([len(request.image) for request in group])[:-1])
        except BaseException as error:
            for request in group:
                request.filled.set_exception(error)
            if not isinstance(error, Exception):
                raise
        else:
            for request, crops in zip(group, parts, strict=True):
                request.filled.set_result(crops)
