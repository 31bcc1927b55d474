from __future__ import annotations

import numpy as np
import pytest
import pywt
import torch

from wavepaint.errors import OptionError
from wavepaint.network.dwt import dwt2, fit, haar_packet_basis


@pytest.mark.parametrize("wavelet", ["haar", "db2", "db4", "sym4", "coif1", "bior2.2", "rbio1.3"])
@pytest.mark.parametrize("size", [(8, 8), (9, 8), (8, 7), (5, 11), (1, 1), (2, 3)])
def test_equals_pywavelets_with_zero_padding(wavelet: str, size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    approximation, details = dwt2(x, wavelet)
    expected, (lh, hl, hh) = pywt.dwt2(x.numpy(), wavelet, mode="zero")
    channel_major = np.stack((lh, hl, hh), axis=2).reshape(2, 9, *expected.shape[2:])
    np.testing.assert_allclose(approximation.numpy(), expected, atol=1e-12)
    np.testing.assert_allclose(details.numpy(), channel_major, atol=1e-12)


def test_haar_signs_are_the_published_ones() -> None:
    a, b, c, d = 1.0, 2.0, 4.0, 8.0
    approximation, details = dwt2(torch.tensor([[[[a, b], [c, d]]]]))
    assert approximation.item() == (a + b + c + d) / 2
    assert details.flatten().tolist() == [(a + b - c - d) / 2, (a - b + c - d) / 2, (a - b - c + d) / 2]


@pytest.mark.parametrize("wavelet", ["haar", "db2"])
@pytest.mark.parametrize("size", [(4, 6), (5, 3)])
def test_gradient_is_the_derivative(wavelet: str, size: tuple[int, int]) -> None:
    x = torch.randn(1, 2, *size, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: dwt2(x, wavelet), (x,))


def test_haar_preserves_energy() -> None:
    x = torch.randn(2, 4, 16, 8, dtype=torch.float64)
    energy = sum(band.square().sum() for band in dwt2(x))
    torch.testing.assert_close(energy, x.square().sum())


@pytest.mark.parametrize("name", ["nonsense", "mexh", ""])
def test_unknown_wavelet_lists_the_known_families(name: str) -> None:
    with pytest.raises(OptionError, match="known families: haar"):
        dwt2(torch.zeros(1, 1, 4, 4), name)


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_packet_is_orthonormal_repeated_analysis(levels: int) -> None:
    basis = haar_packet_basis(levels)
    flat = basis.flatten(1)
    torch.testing.assert_close(flat @ flat.T, torch.eye(len(flat), dtype=torch.float64))
    x = torch.randn(1, 1, 16, 24, dtype=torch.float64)
    bands = x
    for _ in range(levels):
        approximation, details = dwt2(bands)
        bands = torch.cat((approximation.unsqueeze(2), details.unflatten(1, (-1, 3))), dim=2).flatten(1, 2)
    packet = torch.nn.functional.conv2d(x, basis.unsqueeze(1), stride=2**levels)
    torch.testing.assert_close(packet, bands)


def test_fit_keeps_the_middle_and_drops_the_last_line_of_an_odd_surplus() -> None:
    x = torch.arange(7.0).expand(1, 1, 7, 7)
    assert fit(x, 7, 6)[0, 0, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert fit(x, 7, 5)[0, 0, 0].tolist() == [1, 2, 3, 4, 5]
