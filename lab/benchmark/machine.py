"""The machine on which something was measured, in words that a reader can compare."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from wavepaint.cores import available_cores

PACKAGES = (
    *("numpy", "onnxruntime", "openvino", "torch"),
    *("opencv-python-headless", "scikit-image", "scipy", "pyvips-binary"),
)


def describe_machine() -> dict[str, Any]:
    """Processor, cores, memory, system, load and versions; nothing that identifies the machine or its user."""
    return {
        "processor": _processor(),
        "cores": available_cores(),
        "memory_gib": _memory_gib(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None


def process_memory(field: str, process: int | str = "self") -> int | None:
    """Bytes of a process now (`VmRSS`) or at their highest (`VmHWM`).

    Where the system does not say, this process's highest, or None.
    """
    try:
        # Not getrusage: on Linux a process begins with the peak of the one that started it.
        status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
        return 1024 * int(status.split(f"{field}:")[1].split()[0])
    except (OSError, IndexError):
        pass
    try:
        import resource
    except ImportError:
        return None
    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return highest if sys.platform == "darwin" else 1024 * highest


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
