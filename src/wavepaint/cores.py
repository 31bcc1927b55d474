"""How many cores there are to work on."""

from __future__ import annotations

import os


def available_cores() -> int:
    """Cores this process may run on (a container's CPU quota is not visible here; set workers yourself)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
