"""The Frechet distance of two sets of features."""

from __future__ import annotations

import numpy as np

from wavepaint.errors import OptionError
from wavepaint.evaluation.metrics import FloatArray


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
