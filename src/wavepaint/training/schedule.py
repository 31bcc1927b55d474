"""What changes in the course of a run, as plain functions of how far the run has come."""

from __future__ import annotations

import math
import re

from wavepaint.errors import OptionError

CROP_STEP = 32
"""Crops grow by this many pixels at a time: a multiple of what every network needs."""

_FLOOR = 0.01
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def warmup(step: int, steps: int) -> float:
    """Factor of the learning rate: rises linearly to 1 over the first `steps`; 1 when there are none."""
    return min(1.0, (step + 1) / steps) if steps else 1.0


def cosine(progress: float) -> float:
    """Factor of the learning rate: half a cosine from 1 down to 0.01.

    Args:
        progress: share of the run that is done, 0 to 1.
    """
    return _FLOOR + (1 - _FLOOR) * 0.5 * (1 + math.cos(math.pi * progress))


def crop_side(progress: float, smallest: int, largest: int) -> int:
    """Side of the crops in pixels: from `smallest` to `largest` in steps of 32 that last equally long.

    Args:
        progress: share of the run that is done, 0 to 1.
        smallest: side at the start.
        largest: side at the end.
    """
    stages = (largest - smallest) // CROP_STEP + 1
    return min(smallest + CROP_STEP * int(progress * stages), largest)


def average_decay(limit: float, steps: int) -> float:
    """Decay of the weight average after `steps`: at the start it forgets quickly, or it would keep random weights."""
    return min(limit, (1 + steps) / (10 + steps))


def parse_duration(text: str) -> float:
    """Seconds from `90s`, `5m`, `1h30m`, `2h` or `1d`; a bare number is seconds.

    Raises:
        OptionError: anything else, and zero.
    """
    if re.fullmatch(r"\d+(\.\d+)?", text):
        seconds = float(text)
    elif re.fullmatch(r"(\d+(\.\d+)?[smhd])+", text):
        seconds = sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"([\d.]+)([smhd])", text))
    else:
        raise OptionError(f"not a duration: {text!r}; write 90s, 5m, 1h30m or 2d")
    if seconds <= 0:
        raise OptionError(f"a duration must be longer than nothing, not {text!r}")
    return seconds
