"""Stopping a run between two steps, where its state is whole."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any, Self


class StopRequests:
    """Turns the first SIGINT or SIGTERM into a request that the loop meets between two steps.

    The second one is a KeyboardInterrupt. Outside the main thread signals are left as they are.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            raise KeyboardInterrupt
        self.received = number
