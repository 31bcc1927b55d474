"""Seeds for tests that change things at random."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager


def seeds(count: int) -> Iterator[int]:
    """Yield `count` seeds, always the same; with `WAVEPAINT_FUZZ_SECONDS` as many as that time allows."""
    seconds = os.environ.get("WAVEPAINT_FUZZ_SECONDS")
    if seconds is None:
        return iter(range(count))
    end = time.monotonic() + float(seconds)
    return itertools.takewhile(lambda _: time.monotonic() < end, itertools.count())


@contextmanager
def mutation(seed: int) -> Iterator[None]:
    """Name the seed of what the block raises."""
    try:
        yield
    except Exception as error:
        raise AssertionError(f"mutation {seed}") from error
