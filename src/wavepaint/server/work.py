"""A bounded number of places, and a fixed number of threads that work for those who hold one.

A request takes its place before its body is read, so that places bound the memory of uploads too. It gives the place
back when its work has really ended: a client that left, or a deadline that passed, does not make room for more work
than the machine can do.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from wavepaint.cancellation import cancellable
from wavepaint.server.problems import Problem

T = TypeVar("T")
Run = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Does work, which is cancelled (`cancellation`) once nobody wants the result any more."""

MAX_RETRY_AFTER = 60
DRAIN_RETRY_AFTER = 5
_MEMORY = 0.8
"""Weight of the past in the running mean of the time that a piece of work takes."""


class WorkPool:
    """Threads for the work, and the count of places.

    Args:
        workers: threads.
        queue: places beyond those of the threads.

    Attributes:
        draining: set it to refuse new work.
        running: pieces of work in the threads.
        taken: places taken.
    """

    def __init__(self, workers: int, queue: int) -> None:
        self.draining = False
        self.running = 0
        self.taken = 0
        self._workers = workers
        self._capacity = workers + queue
        self._usual_seconds = 1.0
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="wavepaint-fill")

    @contextmanager
    def place(self) -> Iterator[Run]:
        """Take a place for one piece of work; what is yielded does it in a thread. Cancelled while it waits, it is
        never begun.

        Raises:
            Problem: 429 when all places are taken, 503 when the server is going down.
        """
        if self.draining:
            raise Problem(503, "the server is shutting down", {"Retry-After": str(DRAIN_RETRY_AFTER)})
        with self._lock:
            if self.taken >= self._capacity:
                wait = min(math.ceil(self._usual_seconds * self._capacity / self._workers), MAX_RETRY_AFTER)
                raise Problem(429, "all workers are busy and the queue is full", {"Retry-After": str(wait)})
            self.taken += 1
        stop = threading.Event()
        jobs: list[Future[Any]] = []

        def run(work: Callable[[], T]) -> Awaitable[T]:
            jobs.append(self._threads.submit(self._timed, work, stop))
            return asyncio.wrap_future(jobs[0])

        try:
            yield run
        finally:
            stop.set()
            for job in jobs:
                job.cancel()
                job.add_done_callback(self._release)
            if not jobs:
                self._release()

    def _release(self, _: Future[Any] | None = None) -> None:
        with self._lock:
            self.taken -= 1

    def _timed(self, work: Callable[[], T], stop: threading.Event) -> T:
        start = time.monotonic()
        with self._lock:
            self.running += 1
        try:
            with cancellable(stop.is_set):
                return work()
        finally:
            with self._lock:
                self.running -= 1
                self._usual_seconds = _MEMORY * self._usual_seconds + (1 - _MEMORY) * (time.monotonic() - start)
