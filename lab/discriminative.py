"""P-IDS and U-IDS (Zhao et al., 2021): how often a linear classifier mistakes fills for truth."""

from __future__ import annotations

import numpy as np
from sklearn.svm import LinearSVC

from wavepaint.errors import OptionError
from wavepaint.evaluation.metrics import FloatArray


def inception_discriminative_scores(real: FloatArray, fake: FloatArray) -> tuple[float, float]:
    """P-IDS and U-IDS by the authors' classifier, scikit-learn's `LinearSVC(dual=False)`.

    P-IDS is the share of pairs whose fill looks more real than its truth, U-IDS the error rate. Fewer images than
    feature dimensions are always separable: both are then 0 and say nothing.

    Args:
        real, fake: `(N, D)` features; row i of both belongs to the same image.

    Raises:
        OptionError: shapes that differ.
    """
    if real.ndim != 2 or real.shape != fake.shape:
        raise OptionError(f"P-IDS needs paired (N, D) features, got {real.shape} and {fake.shape}")
    features = np.concatenate((real, fake))
    is_real = np.repeat((1, 0), len(real))
    classifier = LinearSVC(dual=False).fit(features, is_real)
    real_score, fake_score = (classifier.decision_function(each) for each in (real, fake))
    return float(np.mean(fake_score > real_score)), float(1 - classifier.score(features, is_real))
