"""libvips, imported when it is first needed."""

from __future__ import annotations

import functools
import os
from typing import Any

from wavepaint.errors import WavepaintError


def libvips() -> Any:
    """Import pyvips, with the cache of operations switched off for the whole process.

    The cache would keep decoded images alive and hand out stale samples of a file that has changed meanwhile, and
    nothing here runs the same operation twice.

    Raises:
        WavepaintError: the process was forked from one that had used it, whose threads libvips would await for ever.
    """
    pyvips, process = _imported()
    if process != os.getpid():
        raise WavepaintError(
            "image files cannot be used in a process that was forked after image files had been used: start it with "
            'multiprocessing.get_context("spawn")'
        )
    return pyvips


@functools.cache
def _imported() -> tuple[Any, int]:
    import pyvips

    pyvips.cache_set_max(0)
    return pyvips, os.getpid()


def has_operation(name: str) -> bool:
    """Whether this build of libvips has an operation; for files under its name for buffers."""
    return bool(libvips().type_find("VipsOperation", name))


def has_field(image: Any, field: str) -> bool:
    """Whether an image has a field; to list all of them fails on names that are not UTF-8."""
    return bool(image.get_typeof(field))


def integer_field(image: Any, field: str, default: int) -> int:
    """Return an integer that an image says about itself."""
    return int(image.get(field)) if has_field(image, field) else default


def bytes_field(image: Any, field: str) -> bytes | None:
    """Return the bytes of a field, None without it."""
    return image.get(field) if has_field(image, field) else None


def reason_of(error: Any) -> str:
    """Boil what libvips reports, many lines from many layers, down to the first that says something."""
    lines = [line.strip() for line in error.detail.splitlines() if line.strip()]
    telling = [line for line in lines if "bad seek" not in line] or lines or [error.message]
    reason = telling[0].partition(": ")[2] or telling[0]
    return str(reason[:200])
