"""Samples of any type as float32 in [0, 1], and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def to_unit(samples: NDArray[Any]) -> NDArray[np.float32]:
    """Samples of any shape (uint8, uint16, or float in [0, 1]) as float32 in [0, 1]; an array of its own."""
    if np.issubdtype(samples.dtype, np.floating):
        return samples.astype(np.float32)
    return samples.astype(np.float32) / np.float32(np.iinfo(samples.dtype).max)


def colours_of(samples: NDArray[Any]) -> int:
    """How many channels of (H, W, channels) samples are colours: 1 or 3; what is left is alpha."""
    return 1 if samples.shape[2] < 3 else 3


def from_unit(values: NDArray[np.float32], dtype: np.dtype[Any]) -> NDArray[Any]:
    """The inverse of `to_unit`, clipped to the range of `dtype`; integers are rounded, halves up."""
    clipped = values.clip(0, 1)
    if np.issubdtype(dtype, np.floating):
        return clipped.astype(dtype)
    rounded: NDArray[Any] = np.floor(clipped * np.float32(np.iinfo(dtype).max) + np.float32(0.5)).astype(dtype)
    return rounded
