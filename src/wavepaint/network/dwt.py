"""One level of the two-dimensional discrete wavelet transform, and Haar packets.

Conventions are PyWavelets': `dwt2(x, w)` equals `pywt.dwt2(x, w, mode="zero")` on every plane, odd sizes included.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from wavepaint.errors import OptionError


def dwt2(x: Tensor, wavelet: str = "haar") -> tuple[Tensor, Tensor]:
    """One analysis level with zero padding.

    Args:
        x: (B, C, H, W) floating point.
        wavelet: PyWavelets name of an orthogonal or biorthogonal wavelet.

    Returns:
        The approximation LL, (B, C, h, w), and the details, (B, 3C, h, w), channel-major: LH, HL, HH of the
        first channel, then of the next. h = (H + taps - 1) // 2, likewise w; ceil(H / 2) for Haar.

    Raises:
        OptionError: the wavelet is unknown or has no finite orthogonal or biorthogonal filters.
    """
    if wavelet == "haar":
        return _haar(x)
    filters = analysis_filters(wavelet).to(x)
    taps = filters.shape[-1]
    channels = x.shape[1]
    padded = F.pad(x, 2 * (taps - 2, taps - 1))
    bands = F.conv2d(padded, filters.repeat(channels, 1, 1, 1), stride=2, groups=channels)
    bands = bands.unflatten(1, (channels, 4))
    return bands[:, :, 0], bands[:, :, 1:].flatten(1, 2)


def _haar(x: Tensor) -> tuple[Tensor, Tensor]:
    height, width = x.shape[-2:]
    if height % 2 or width % 2:
        x = F.pad(x, (0, width % 2, 0, height % 2))
    half = x * 0.5
    a, b = half[..., 0::2, 0::2], half[..., 0::2, 1::2]
    c, d = half[..., 1::2, 0::2], half[..., 1::2, 1::2]
    top, bottom, left, right = a + b, c + d, a - b, c - d
    details = torch.stack((top - bottom, left + right, left - right), dim=2)
    return top + bottom, details.flatten(1, 2)


@lru_cache
def analysis_filters(wavelet: str) -> Tensor:
    """Correlation kernels of LL, LH, HL, HH for a stride of 2: (4, 1, taps, taps), float64."""
    import pywt

    try:
        bank = pywt.Wavelet(wavelet)
    except (TypeError, ValueError):
        bank = None
    if bank is None or not (bank.orthogonal or bank.biorthogonal):
        families = "haar, db, sym, coif, bior, rbio, dmey"
        raise OptionError(f"unknown wavelet {wavelet!r}; known families: {families}")
    low = torch.tensor(bank.dec_lo[::-1], dtype=torch.float64, device="cpu")
    high = torch.tensor(bank.dec_hi[::-1], dtype=torch.float64, device="cpu")
    pairs = ((low, low), (high, low), (low, high), (high, high))
    return torch.stack([torch.outer(vertical, horizontal) for vertical, horizontal in pairs]).unsqueeze(1)


def fit(x: Tensor, height: int, width: int) -> Tensor:
    """Crop (B, C, H, W) to its central (B, C, height, width): what a synthesis step leaves too much.

    Filters longer than Haar's give coefficients that reach beyond both borders, so the surplus is
    shared between the two sides; the single surplus line of an odd size is the last one.
    """
    top, left = (x.shape[-2] - height) // 2, (x.shape[-1] - width) // 2
    return x[..., top : top + height, left : left + width]


@lru_cache
def haar_packet_basis(levels: int) -> Tensor:
    """Orthonormal Haar packet of all bands: (4**levels, n, n), n = 2**levels, float64.

    Correlating an image with these kernels at stride n decomposes every band `levels` times; the transpose
    is the inverse. Bands are ordered as repeated analysis gives them: first-level band slowest.
    """
    # On the CPU whatever the default device: the result is kept for all callers.
    signs = [[1, 1, 1, 1], [1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]]
    one = torch.tensor(signs, dtype=torch.float64, device="cpu").reshape(4, 2, 2) / 2
    basis = one
    for _ in range(levels - 1):
        # The next level combines 2x2 positions of a band, each of which covers the kernel found so far.
        basis = torch.einsum("fhw,gyx->fgyhxw", basis, one).flatten(4, 5).flatten(2, 3).flatten(0, 1)
    return basis
