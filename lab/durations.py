"""Durations as people write them."""

from __future__ import annotations

import re

from wavepaint.errors import OptionError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


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
