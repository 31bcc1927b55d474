"""libvips, imported when it is first needed."""

from __future__ import annotations

import functools
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wavepaint.errors import WavepaintError

_IDLE = "vips_concurrency_get"
_ALL_LEVELS = 0xFF
"""Of GLib's messages, with those that are fatal or come from within a handler."""


def libvips() -> Any:
    """Import pyvips, with the cache of operations and the messages of libvips switched off for the whole process.

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
    _drop_messages(pyvips)
    return pyvips, os.getpid()


def has_operation(name: str) -> bool:
    """Whether this build of libvips has an operation; for files under its name for buffers."""
    return bool(libvips().type_find("VipsOperation", name))


def _drop_messages(pyvips: Any) -> None:
    """Let what libvips reports beside its errors end in C, instead of in a logger of Python or on standard error.

    Its threads report while they hold locks. A collection of garbage that starts in a Python handler there frees other
    images, which may wait for such a lock, or report in turn: GLib aborts a process that does.
    """
    pyvips._remove_log_handler()
    # A C function without effect; its caller clears away the arguments that it does not take.
    library = pyvips.glib_lib
    idle = pyvips.ffi.addressof(library, _IDLE) if pyvips.API_mode else getattr(library, _IDLE)
    library.g_log_set_handler(b"VIPS", _ALL_LEVELS, pyvips.ffi.cast("GLogFunc", idle), pyvips.ffi.NULL)


def encode_png(samples: NDArray[np.uint8]) -> bytes:
    """A PNG of grey (H, W) or (H, W, 1), or of RGB (H, W, 3) samples."""
    return bytes(libvips().Image.new_from_array(np.ascontiguousarray(samples)).pngsave_buffer())


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
