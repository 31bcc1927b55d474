from __future__ import annotations

from pathlib import Path

import pytest
import pywt
import torch
from safetensors.torch import save_file
from torch import Tensor

from networks import random_sample
from trainings import write_alexnet
from wavepaint.errors import CheckpointError, OptionError, WavepaintError
from wavepaint.training.losses import L1, L2, LOSSES, Gradient, HoleL1, Wavelet, WeightedLosses, load_losses

PLAIN = ("l1", "l2", "hole-l1", "gradient", "wavelet")


def _pictures(height: int = 32, width: int = 48) -> tuple[Tensor, Tensor, Tensor]:
    """A truth, a picture that differs from it in the hole alone, and the mask."""
    truth, mask = random_sample(2, height, width)
    other = torch.rand(truth.shape, generator=torch.Generator().manual_seed(1))
    return truth * (1 - mask) + other * mask, truth, mask


@pytest.mark.parametrize("name", PLAIN)
def test_equal_pictures_cost_nothing_and_others_something(name: str) -> None:
    filled, truth, mask = _pictures()
    loss = load_losses([name], {})[name]
    assert float(loss(truth, truth, mask)) == 0
    assert float(loss(filled, truth, mask)) > 0


@pytest.mark.parametrize("name", PLAIN)
def test_gradients_reach_the_hole(name: str) -> None:
    filled, truth, mask = _pictures(16, 16)
    filled.requires_grad_()
    load_losses([name], {})[name](filled, truth, mask).backward()
    assert filled.grad is not None
    assert bool(filled.grad[mask.expand_as(filled) > 0].any())


def test_plain_losses_are_what_their_names_say() -> None:
    filled, truth, mask = _pictures()
    hole = mask.expand_as(truth) > 0
    error = filled - truth
    assert float(L1()(filled, truth, mask)) == pytest.approx(float(error.abs().mean()), rel=1e-6)
    assert float(L2()(filled, truth, mask)) == pytest.approx(float((error**2).mean()), rel=1e-6)
    assert float(HoleL1()(filled, truth, mask)) == pytest.approx(float(error[hole].abs().mean()), rel=1e-5)


def test_hole_l1_does_not_depend_on_how_much_is_known() -> None:
    truth = torch.zeros(1, 3, 32, 32)
    for side in (4, 16, 32):
        mask = torch.zeros(1, 1, 32, 32)
        mask[..., :side, :side] = 1
        assert float(HoleL1()(truth + 0.25 * mask, truth, mask)) == pytest.approx(0.25)


def test_gradient_sees_edges_and_no_offset() -> None:
    truth, mask = torch.zeros(1, 3, 8, 8), torch.ones(1, 1, 8, 8)
    assert float(Gradient()(truth + 0.5, truth, mask)) == 0
    edge = truth.clone()
    edge[..., 4:] = 0.5  # eight rows, three channels: 24 differences of 0.5 in 2 * 192
    assert float(Gradient()(edge, truth, mask)) == pytest.approx(24 * 0.5 / 384)


def test_wavelet_is_the_mean_over_bands_of_pywavelets() -> None:
    filled, truth, mask = _pictures(16, 24)
    approximation = (filled - truth).double().numpy()
    terms = []
    for _ in range(3):
        approximation, details = pywt.dwt2(approximation, "haar", mode="zero")
        terms.append(sum(abs(band).mean() for band in details) / 3)
    terms.append(abs(approximation).mean())
    expected = sum(terms) / 4 / float(mask.mean())
    assert float(Wavelet()(filled, truth, mask)) == pytest.approx(expected, rel=1e-5)


def test_weights_multiply_and_names_stay() -> None:
    filled, truth, mask = _pictures()
    parts = WeightedLosses(load_losses(["l1", "hole-l1"], {}), {"hole-l1": 2.0, "l1": 0.5})(filled, truth, mask)
    assert list(parts) == ["hole-l1", "l1"]
    assert float(parts["hole-l1"]) == pytest.approx(2 * float(HoleL1()(filled, truth, mask)))
    assert float(parts["l1"]) == pytest.approx(0.5 * float(L1()(filled, truth, mask)))


def test_perceptual_losses_read_local_files(tmp_path: Path) -> None:
    filled, truth, mask = _pictures(64, 64)
    filled.requires_grad_()
    loss = load_losses(["lpips-alex"], write_alexnet(tmp_path))["lpips-alex"]
    assert float(loss(truth, truth, mask)) == 0
    value = loss(filled, truth, mask)
    value.backward()
    assert value.item() > 0
    assert filled.grad is not None
    assert bool(filled.grad.isfinite().all())
    assert not any(parameter.requires_grad for parameter in loss.parameters())


def test_vgg_features_read_a_local_file(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    widths, position, fan_in, state = (64, 64, 0, 128, 128, 0, 256, 256, 256), 0, 3, {}
    for width in widths:
        if width == 0:
            position += 1
            continue
        state[f"features.{position}.weight"] = torch.randn((width, fan_in, 3, 3), generator=generator) / fan_in**0.5 / 3
        state[f"features.{position}.bias"] = torch.zeros(width)
        position, fan_in = position + 2, width
    path = tmp_path / "vgg16.safetensors"
    save_file(state, path)
    filled, truth, mask = _pictures(32, 32)
    loss = load_losses(["vgg-features"], {"vgg16": path})["vgg-features"]
    # Not 0: the two pictures lie in memory in different orders, and so are summed in different orders.
    assert float(loss(truth, truth, mask)) < 1e-5
    assert float(loss(filled, truth, mask)) > 0.01


def test_unknown_names_list_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"unknown loss 'l7'; known: l1, l2, hole-l1"):
        load_losses(["l7"], {})
    with pytest.raises(OptionError, match=r"unknown weights 'vgg19'; known: vgg16, alexnet"):
        load_losses(["l1"], {"vgg19": tmp_path})
    assert set(PLAIN) < set(LOSSES)


def test_weights_that_cannot_be_had_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(download: object, folder: object = None) -> Path:
        raise WavepaintError("https://example.org/alexnet.pth: cannot download: no route to host")

    monkeypatch.setattr("wavepaint.perceptual.fetch", unreachable)
    with pytest.raises(WavepaintError, match=r"^https://example.org/alexnet.pth: cannot download: no route to host$"):
        load_losses(["lpips-alex"], {})
    damaged = tmp_path / "alexnet.pth"
    damaged.write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match=r"alexnet\.pth"):
        load_losses(["lpips-alex"], {"alexnet": damaged, "lpips-alex": damaged})
