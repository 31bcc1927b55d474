"""How many cores there are to work on, and work on several of them."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def available_cores() -> int:
    """Cores this process may run on (a container's CPU quota is not visible here; set workers yourself)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_order(call: Callable[[Item], Result], items: Iterable[Item], threads: int) -> Iterator[Result]:
    """Call with each item, as many at a time as there are threads, and yield the results in the order of the items.

    Items are taken as there is room for them. Once the iteration is given up, or a call has raised an error, none is
    begun any more; those under way are finished.
    """
    executor = ThreadPoolExecutor(threads, thread_name_prefix="wavepaint")
    under_way: deque[Future[Result]] = deque()
    try:
        for item in items:
            # One more than are worked on, so that no thread waits for the next.
            if len(under_way) > threads:
                yield under_way.popleft().result()
            under_way.append(executor.submit(call, item))
        while under_way:
            yield under_way.popleft().result()
    finally:
        executor.shutdown(cancel_futures=True)
