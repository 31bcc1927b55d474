"""Scores of filled images: per image, over a set of images, and how sure one can be of them.

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

from wavepaint.data.masks import rng_for
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
    metrics = _skimage_metrics()
    ssim, ssim_map = metrics.structural_similarity(
        a,
        b,
        data_range=1.0,
        channel_axis=-1,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )
    hole_a, hole_b = a[mask], b[mask]
    return {
        "hole_psnr": _psnr(hole_a, hole_b),
        "hole_ssim": float(ssim_map[mask].mean()),
        "hole_l1": float(np.abs(hole_a - hole_b).mean()),
        "hole_mse": float(metrics.mean_squared_error(hole_a, hole_b)),
        "psnr": _psnr(a, b),
        "ssim": float(ssim),
        "l1": float(np.abs(a - b).mean()),
    }


def zero_padded_ssim(truth: Image, composites: NDArray[np.uint8], mask: BoolMask) -> dict[str, FloatArray]:
    """SSIM as the field's evaluators compute it, `ssim_zero_padded`; see `protocol.Scorer`.

    The same window as in `pixel_scores`, but the image continues as zeros beyond its border and every position counts,
    so that it is a little higher: beyond the border composite and truth agree.
    """
    a = truth / 255.0
    return {"ssim_zero_padded": np.array([_zero_padded_ssim(a, composite / 255.0) for composite in composites])}


def _zero_padded_ssim(a: FloatArray, b: FloatArray) -> float:
    from scipy.ndimage import correlate1d

    window = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    window /= window.sum()

    def mean(x: FloatArray) -> FloatArray:
        rows = correlate1d(x, window, axis=0, mode="constant")
        return np.asarray(correlate1d(rows, window, axis=1, mode="constant"))

    mean_a, mean_b = mean(a), mean(b)
    variances = mean(a * a) - mean_a**2 + mean(b * b) - mean_b**2
    covariance = mean(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return float((luminance * (2 * covariance + c2) / (variances + c2)).mean())


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


def summarise(values: Sequence[float] | FloatArray, seed: int = 0) -> Summary:
    """Summary of one list of scores; see `summarise_columns`."""
    return summarise_columns(np.asarray(values, dtype=np.float64).reshape(-1, 1), seed)[0]


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


def frechet_distance(a: FloatArray, b: FloatArray) -> float:
    """Frechet distance between Gaussians fitted to two sets of features (Heusel et al., 2017).

    With features of the official Inception network this is FID; with any others it must not be called so.

    Args:
        a, b: `(N, D)` and `(M, D)` features, at least two of each.

    Raises:
        OptionError: shapes that do not fit.
    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise OptionError(f"Frechet distance needs (N, D) and (M, D) features, got {a.shape} and {b.shape}")
    return gaussian_frechet_distance(
        a.mean(0), np.atleast_2d(np.cov(a, rowvar=False)), b.mean(0), np.atleast_2d(np.cov(b, rowvar=False))
    )


def gaussian_frechet_distance(mean_a: FloatArray, cov_a: FloatArray, mean_b: FloatArray, cov_b: FloatArray) -> float:
    """Squared Wasserstein-2 distance of N(mean_a, cov_a) and N(mean_b, cov_b): means `(D,)`, covariances `(D, D)`.

    `tr (A B)^1/2` is taken as the sum of the roots of the eigenvalues of the symmetric `A^1/2 B A^1/2`, which
    stays real and stable for the singular covariances that few images give.
    """
    values, vectors = np.linalg.eigh(cov_a)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    cross = np.sqrt(np.clip(np.linalg.eigvalsh(root @ cov_b @ root), 0, None)).sum()
    distance = ((mean_a - mean_b) ** 2).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * cross
    return max(float(distance), 0.0)


def _skimage_metrics() -> Any:
    with needs_extra("scoring", "train", "scikit-image"):
        from skimage import metrics
    return metrics
