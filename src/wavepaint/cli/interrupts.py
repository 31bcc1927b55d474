"""Ctrl-C ends a command, whatever library it surfaces in."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interruptible() -> Iterator[Callable[[], None]]:
    """Make sure that Ctrl-C ends the command as an interrupt.

    Inside an extension module it may be swallowed, or surface as another error: a failed import, an unreadable file.
    Yields a function that raises the interrupt again, to be called where work can be given up.
    """
    interrupted = False

    def interrupt(signum: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        interrupted = True
        # In a callback from libvips, Python would print the interrupt and continue.
        sys.unraisablehook = lambda _: None
        raise KeyboardInterrupt

    def check_interrupt() -> None:
        if interrupted:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt), sys.unraisablehook
    try:
        yield check_interrupt
    finally:
        signal.signal(signal.SIGINT, before[0])
        sys.unraisablehook = before[1]
        check_interrupt()
