"""Giving up work that nobody waits for any more.

A thread cannot be interrupted, but the main path comes back to its runtime for every crop; there it is asked.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from wavepaint.inpainter import Inpainter
from wavepaint.runtime import Runtime
from wavepaint.runtime.base import Planes

_current: ContextVar[threading.Event | None] = ContextVar("stop", default=None)


class Stopped(Exception):
    """The work was given up: the client left, or the deadline passed."""


@contextmanager
def stopping(stop: threading.Event) -> Iterator[None]:
    """Let `stop` end the work of this thread, within the block."""
    before = _current.set(stop)
    try:
        yield
    finally:
        _current.reset(before)


def check_stopped() -> None:
    """Raise `Stopped` if the work of this thread is to end."""
    stop = _current.get()
    if stop is not None and stop.is_set():
        raise Stopped


class StoppableRuntime:
    """A runtime that gives up, before a crop, what is to end.

    Args:
        runtime: does the work.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.name = runtime.name
        self.multiple, self.octaves = runtime.multiple, runtime.octaves
        self._runtime = runtime

    def __call__(self, image: Planes, mask: Planes) -> Planes:
        """Fill the holes of a batch of crops; see `Runtime`."""
        check_stopped()
        return self._runtime(image, mask)


class StoppableInpainter(Inpainter):
    """An inpainter whose work ends, at the next crop, with `Stopped`; see `stopping`."""

    def load(self, expected_crops: int | None = None) -> Runtime:
        """Load the network now, if it is not loaded yet; see `Inpainter`."""
        return StoppableRuntime(super().load(expected_crops))
