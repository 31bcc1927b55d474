"""Scores of filled images: per image, over a set of images, and their confidence intervals.

Images are uint8 RGB `(H, W, 3)`; every score is computed on values in [0, 1]. Masks are bool `(H, W)`,
True = hole. A *composite* is the truth outside the hole and a method's image inside. Names beginning with
`hole_` look at hole samples only, the others at the whole image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wavepaint.data.seeding import rng_for
from wavepaint.errors import OptionError, needs_extra

Image = NDArray[np.uint8]
BoolMask = NDArray[np.bool_]
FloatArray = NDArray[np.float64]

PSNR_CEILING = 100.0
"""dB given to a perfect fill (a saturated sky, say), so that means stay finite."""

AREA_BINS = 10
RESAMPLES = 2000
_BLOCK = 100


@dataclass(frozen=True)
class Metric:
    """How to show a score; `higher_is_better` None = the nearer to 1 the better, and the median stands for the mean."""

    label: str
    higher_is_better: bool | None
    digits: int = 4

    def best(self, values: Sequence[float]) -> float:
        """The best of some values."""
        if self.higher_is_better is None:
            return min(values, key=lambda value: abs(value - 1))
        return max(values) if self.higher_is_better else min(values)


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        "hole_psnr": Metric("PSNR in the hole, dB", True, 2),
        "hole_ssim": Metric("SSIM in the hole", True),
        "hole_lpips_vgg": Metric("LPIPS (VGG) in the hole", False),
        "hole_lpips_alex": Metric("LPIPS (Alex) in the hole", False),
        "hole_l1": Metric("L1 in the hole", False),
        "hole_mse": Metric("MSE in the hole", False, 5),
        "psnr": Metric("PSNR, dB", True, 2),
        "ssim": Metric("SSIM (windows inside the image)", True),
        "ssim_zero_padded": Metric("SSIM (zero-padded)", True),
        "l1": Metric("L1", False),
        "lpips_vgg": Metric("LPIPS (VGG)", False),
        "lpips_alex": Metric("LPIPS (Alex)", False),
        "dists": Metric("DISTS", False),
        "lattice_4": Metric("lattice of 4 samples, levels²", False, 2),
        "lattice_8": Metric("lattice of 8 samples, levels²", False, 2),
        "lattice_16": Metric("lattice of 16 samples, levels²", False, 2),
        "texture_ratio": Metric("texture, hole / ring, median", None, 2),
        "vgg_distance": Metric("VGG16 feature distance (a training loss)", False),
    }
)
"""Every per-image score, in the order of tables."""


def to_uint8(values: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Values in [0, 1] (others are clipped) as 8-bit samples, halves rounded up; any shape."""
    samples: NDArray[np.uint8] = np.floor(np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8)
    return samples


def pixel_scores(truth: Image, composites: NDArray[np.uint8], mask: BoolMask) -> dict[str, FloatArray]:
    """L1, MSE, PSNR and SSIM of several composites of one image.

    SSIM is scikit-image's, Gaussian window 11x11 with sigma 1.5, per RGB channel. The whole-image value is
    the mean over windows that lie inside the image; the value in the hole is the mean of the SSIM map over
    the hole's samples.

    Args:
        truth: `(H, W, 3)`, each side at least 11.
        composites: `(M, H, W, 3)`.
        mask: `(H, W)` with at least one hole pixel.

    Returns:
        `hole_psnr`, `hole_ssim`, `hole_l1`, `hole_mse`, `psnr`, `ssim` and `l1`, each `(M,)`.
    """
    a = truth / 255.0
    rows = [_pixel_scores(a, composite / 255.0, mask) for composite in composites]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def _pixel_scores(a: FloatArray, b: FloatArray, mask: BoolMask) -> dict[str, float]:
    ssim, ssim_map = _ssim(a, b)
    hole_a, hole_b = a[mask], b[mask]
    return {
        "hole_psnr": _psnr(hole_a, hole_b),
        "hole_ssim": float(ssim_map[mask].mean()),
        "hole_l1": float(np.abs(hole_a - hole_b).mean()),
        "hole_mse": float(_skimage_metrics().mean_squared_error(hole_a, hole_b)),
        "psnr": _psnr(a, b),
        "ssim": ssim,
        "l1": float(np.abs(a - b).mean()),
    }


def zero_padded_ssim(truth: Image, composites: NDArray[np.uint8], mask: BoolMask) -> dict[str, FloatArray]:
    """SSIM as the field's evaluators compute it, `ssim_zero_padded`; see `protocol.Scorer`.

    The same window as in `pixel_scores`, but the image continues as zeros beyond its border and every position counts,
    so that it is a little higher: beyond the border composite and truth agree.
    """
    reach = ((5, 5), (5, 5), (0, 0))  # of the window
    a, *others = (np.pad(image / 255.0, reach) for image in (truth, *composites))
    return {"ssim_zero_padded": np.array([_ssim(a, b)[1][5:-5, 5:-5].mean() for b in others])}


def _ssim(a: FloatArray, b: FloatArray) -> tuple[float, FloatArray]:
    """The mean over windows that lie inside the image, and the value at every position, `(H, W, 3)`."""
    window = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    mean, values = _skimage_metrics().structural_similarity(a, b, data_range=1.0, channel_axis=-1, full=True, **window)
    return float(mean), values


def _psnr(a: FloatArray, b: FloatArray) -> float:
    with np.errstate(divide="ignore"):
        value = _skimage_metrics().peak_signal_noise_ratio(a, b, data_range=1.0)
    return min(float(value), PSNR_CEILING)


def pooled_psnr(mse: Sequence[float] | FloatArray, pixels: Sequence[int] | NDArray[np.int64]) -> float:
    """PSNR in dB of all hole samples of a set taken together: `mse` per image, weighted by its hole."""
    mean = float(np.average(mse, weights=pixels))
    return PSNR_CEILING if mean == 0 else min(-10 * float(np.log10(mean)), PSNR_CEILING)


@dataclass(frozen=True)
class Summary:
    """A mean (or median) over images with its spread: sample standard deviation and 95 % bootstrap interval."""

    mean: float
    std: float
    low: float
    high: float
    count: int


def summarise_columns(values: FloatArray, seed: int = 0, medians: Sequence[int] = ()) -> list[Summary]:
    """Mean, standard deviation and percentile-bootstrap 95 % interval of the mean, for every column.

    All columns are resampled alike, and the resampling depends on `seed` and the number of rows alone. A column
    of *differences* of two methods on the same images therefore gets the paired interval.

    Args:
        values: `(N, K)`, a row per image.
        seed: of the resampling.
        medians: columns of which the median takes the place of the mean.

    Raises:
        OptionError: no rows.
    """
    count = len(values)
    if count == 0:
        raise OptionError("cannot summarise an empty list of scores")
    rng = rng_for(seed, f"bootstrap/{count}")
    equal = np.full(count, 1 / count)
    mean, blocks = values.mean(axis=0), []
    mean[list(medians)] = np.median(values[:, medians], axis=0)
    for _ in range(RESAMPLES // _BLOCK):
        drawn = rng.multinomial(count, equal, size=_BLOCK)
        blocks.append(drawn @ values / count)
        for column in medians:
            order = values[:, column].argsort()
            middle = (2 * drawn[:, order].cumsum(axis=1) >= count).argmax(axis=1)
            blocks[-1][:, column] = values[order[middle], column]
    low, high = np.percentile(np.concatenate(blocks), (2.5, 97.5), axis=0)
    std = values.std(axis=0, ddof=1) if count > 1 else np.zeros_like(mean)
    return [
        Summary(float(m), float(s), float(lo), float(hi), count)
        for m, s, lo, hi in zip(mean, std, low, high, strict=True)
    ]


def area_bin(share: float) -> int:
    """Index of the 10 % bin of a hole's share of the image; the last bin includes 1."""
    return min(int(share * AREA_BINS), AREA_BINS - 1)


def _skimage_metrics() -> Any:
    with needs_extra("scoring", "train", "scikit-image"):
        from skimage import metrics
    return metrics
