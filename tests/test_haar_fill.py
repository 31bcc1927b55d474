from __future__ import annotations

import numpy as np
import pytest

from wavepaint.haar_fill import haar_fill


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 9), (5, 7), (32, 48), (61, 33), (1100, 3)])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.95, 1.0])
def test_equals_the_network_s_prefill(height: int, width: int, share: float) -> None:
    torch = pytest.importorskip("torch")
    from wavepaint.network.prefill import haar_prefill

    rng = np.random.default_rng(height * width)
    plane = rng.random((height, width), np.float32)
    hole = rng.random((height, width)) < share
    expected = haar_prefill(torch.from_numpy(plane)[None, None], torch.from_numpy(hole)[None, None].float(), 10)
    assert np.abs(haar_fill(plane, hole, 10) - expected[0, 0].numpy()).max() < 1e-6


def test_known_samples_stay_and_the_input_too() -> None:
    rng = np.random.default_rng(0)
    plane, hole = rng.random((40, 30), np.float32), rng.random((40, 30)) < 0.5
    before = plane.copy()
    filled = haar_fill(plane, hole)
    assert np.array_equal(filled[~hole], plane[~hole])
    assert np.array_equal(plane, before)


def test_a_constant_continues_and_nothing_known_is_grey() -> None:
    hole = np.zeros((33, 20), np.bool_)
    hole[4:30, 3:18] = True
    assert np.allclose(haar_fill(np.full((33, 20), 0.25, np.float32), hole), 0.25, atol=1e-6)
    assert np.array_equal(haar_fill(np.zeros((4, 4), np.float32), np.ones((4, 4), np.bool_)), np.full((4, 4), 0.5))


def test_what_the_hole_holds_does_not_matter() -> None:
    plane, hole = np.full((20, 20), 0.5, np.float32), np.zeros((20, 20), np.bool_)
    hole[5:9, 5:9] = True
    other = plane.copy()
    other[hole] = np.nan
    assert np.array_equal(haar_fill(other, hole), haar_fill(plane, hole))
