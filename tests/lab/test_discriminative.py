import numpy as np
import pytest

pytest.importorskip("sklearn")

from lab.discriminative import inception_discriminative_scores
from wavepaint.errors import OptionError


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_fills_that_a_line_separates_are_never_mistaken(rng):
    real = rng.normal(size=(50, 4))
    assert inception_discriminative_scores(real, real + np.array([8, 0, 0, 0])) == (0, 0)


def test_fills_like_the_truth_are_mistaken_half_of_the_time(rng):
    real, fake = rng.normal(size=(2, 3000, 3))
    p_ids, u_ids = inception_discriminative_scores(real, fake)
    assert p_ids == pytest.approx(0.5, abs=0.05)
    assert u_ids == pytest.approx(0.5, abs=0.05)


def test_the_svm_finds_the_known_threshold_in_one_dimension():
    # Squared hinge without overlap: symmetric classes put the boundary in the middle, 2 of 8 are mistaken.
    real = np.array([[1.0], [2.0], [3.0], [-1.0]])
    p_ids, u_ids = inception_discriminative_scores(real, -real)
    assert u_ids == pytest.approx(0.25)
    assert p_ids == pytest.approx(0.25)


def test_paired_features_must_have_one_shape(rng):
    with pytest.raises(OptionError, match="paired"):
        inception_discriminative_scores(rng.normal(size=(4, 3)), rng.normal(size=(5, 3)))
