"""Giving up work that nobody waits for any more.

A thread cannot be interrupted, but long work asks between two pieces of it whether to continue: before a crop, a page,
a strip of rows. Who starts the work says with `cancellable` when it is to end; without that it never is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_is_cancelled: ContextVar[Callable[[], bool] | None] = ContextVar("is_cancelled", default=None)


class Cancelled(Exception):
    """The work was given up. Not an error of the input, and so not a `WavepaintError`."""


@contextmanager
def cancellable(is_cancelled: Callable[[], bool]) -> Iterator[None]:
    """Let the work of this thread, within the block, end with `Cancelled` once `is_cancelled()` is true.

    Args:
        is_cancelled: is asked often, and from other threads too.
    """
    token = _is_cancelled.set(is_cancelled)
    try:
        yield
    finally:
        _is_cancelled.reset(token)


def check_cancelled() -> None:
    """Raise `Cancelled` if the work of this thread is to end."""
    is_cancelled = _is_cancelled.get()
    if is_cancelled is not None and is_cancelled():
        raise Cancelled


def kill_when_cancelled(image: Any) -> None:
    """Let libvips give up a computation, with an error of its own, once the work of this thread is to end.

    Args:
        image: the last `pyvips.Image` of a pipeline, before it is computed or encoded. Encoders of TIFF and WebP ask
            until the end, others while they take rows.
    """
    is_cancelled = _is_cancelled.get()
    if is_cancelled is None:
        return

    # libvips calls from threads of its own, which do not have this one's context.
    def ask(image: Any, _: Any) -> None:
        if is_cancelled():
            image.set_kill(True)

    image.set_progress(True)
    image.signal_connect("eval", ask)
