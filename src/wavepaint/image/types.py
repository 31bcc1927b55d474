"""The names of what goes in and out of an image."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

from numpy.typing import NDArray

from wavepaint.box import Box

Samples: TypeAlias = NDArray[Any]
"""(height, width, channels) uint8 or uint16, of a whole image or of a box of it."""
Patch: TypeAlias = tuple[Box, Samples]
"""Samples that replace those of a box."""
Source: TypeAlias = str | Path | bytes
"""The path of a file, or its contents."""
