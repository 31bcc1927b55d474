"""Noise that is the same in every run, on every machine and in the browser: a hash of where each sample lies.

The hash is Wellons' "lowbias32" (Prospecting for hash functions, 2018). The sum of its four bytes is nearly normal
(Irwin and Hall), its tails end at 3.45 standard deviations. `web/src/device/noise.ts` computes the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint32]

_MEAN = 2 * 255
_DEVIATION = (4 * (256**2 - 1) / 12) ** 0.5
"""Of the sum of four bytes."""


def hashes(seed: Sequence[int], count: int) -> Hashes:
    """(count,) uint32, evenly distributed; `seed` holds whole numbers, of which the lower 32 bits count."""
    key = np.zeros(1, np.uint32)
    for number in seed:
        key = _mix(key ^ np.uint32(number & 0xFFFFFFFF))
    return _mix(key ^ np.arange(count, dtype=np.uint32))


def normals(seed: Sequence[int], planes: int, height: int, width: int) -> NDArray[np.float32]:
    """(planes, height, width) float32 of mean 0 and variance 1; another seed, as for `hashes`, gives other numbers."""
    rows = _mix(hashes(seed, planes)[:, None] ^ np.arange(height, dtype=np.uint32))
    each = _mix(rows[..., None] ^ np.arange(width, dtype=np.uint32))
    total = each.view(np.uint8).reshape(*each.shape, 4).sum(axis=-1, dtype=np.float32)
    noise: NDArray[np.float32] = (total - np.float32(_MEAN)) * np.float32(1 / _DEVIATION)
    return noise


def _mix(bits: Hashes) -> Hashes:
    """Spread every bit over all bits; products are modulo 2^32."""
    bits = (bits ^ bits >> np.uint32(16)) * np.uint32(0x7FEB352D)
    bits = (bits ^ bits >> np.uint32(15)) * np.uint32(0x846CA68B)
    return bits ^ bits >> np.uint32(16)
