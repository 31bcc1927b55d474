from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from networks import random_sample
from trainings import write_alexnet
from wavepaint.errors import CheckpointError, OptionError, WavepaintError
from wavepaint.training.losses import LOSSES, WeightedLosses, gradient, hole_l1, l1, l2, load_losses

PLAIN = ("l1", "l2", "hole-l1", "gradient", "hole-ssim")


def _images(height: int = 32, width: int = 48) -> tuple[Tensor, Tensor, Tensor]:
    """A truth, an image that differs from it in the hole alone, and the mask."""
    truth, mask = random_sample(2, height, width)
    other = torch.rand(truth.shape, generator=torch.Generator().manual_seed(1))
    return truth * (1 - mask) + other * mask, truth, mask


@pytest.mark.parametrize("name", PLAIN)
def test_equal_images_cost_nothing_and_others_something(name: str) -> None:
    filled, truth, mask = _images()
    loss = load_losses([name], {})[name]
    assert float(loss(truth, truth, mask)) == pytest.approx(0, abs=1e-6)
    assert float(loss(filled, truth, mask)) > 0.01


@pytest.mark.parametrize("name", PLAIN)
def test_gradients_reach_the_hole(name: str) -> None:
    filled, truth, mask = _images(16, 16)
    filled.requires_grad_()
    load_losses([name], {})[name](filled, truth, mask).backward()
    assert filled.grad is not None
    assert bool(filled.grad[mask.expand_as(filled) > 0].any())


def test_plain_losses_are_what_their_names_say() -> None:
    filled, truth, mask = _images()
    hole = mask.expand_as(truth) > 0
    error = filled - truth
    assert float(l1(filled, truth, mask)) == pytest.approx(float(error.abs().mean()), rel=1e-6)
    assert float(l2(filled, truth, mask)) == pytest.approx(float((error**2).mean()), rel=1e-6)
    assert float(hole_l1(filled, truth, mask)) == pytest.approx(float(error[hole].abs().mean()), rel=1e-5)


def test_hole_l1_does_not_depend_on_how_much_is_known() -> None:
    truth = torch.zeros(1, 3, 32, 32)
    for side in (4, 16, 32):
        mask = torch.zeros(1, 1, 32, 32)
        mask[..., :side, :side] = 1
        assert float(hole_l1(truth + 0.25 * mask, truth, mask)) == pytest.approx(0.25)


def test_gradient_sees_edges_and_no_offset() -> None:
    truth, mask = torch.zeros(1, 3, 8, 8), torch.ones(1, 1, 8, 8)
    assert float(gradient(truth + 0.5, truth, mask)) == 0
    edge = truth.clone()
    edge[..., 4:] = 0.5  # eight rows, three channels: 24 differences of 0.5 in 2 * 192
    assert float(gradient(edge, truth, mask)) == pytest.approx(24 * 0.5 / 384)


def test_weights_multiply_and_names_stay() -> None:
    filled, truth, mask = _images()
    parts = WeightedLosses(load_losses(["l1", "hole-l1"], {}), {"hole-l1": 2.0, "l1": 0.5})(filled, truth, mask)
    assert list(parts) == ["hole-l1", "l1"]
    assert float(parts["hole-l1"]) == pytest.approx(2 * float(hole_l1(filled, truth, mask)))
    assert float(parts["l1"]) == pytest.approx(0.5 * float(l1(filled, truth, mask)))


def test_perceptual_losses_read_local_files(tmp_path: Path) -> None:
    filled, truth, mask = _images(64, 64)
    filled.requires_grad_()
    loss = load_losses(["lpips-alex"], write_alexnet(tmp_path))["lpips-alex"]
    assert float(loss(truth, truth, mask)) == 0
    value = loss(filled, truth, mask)
    value.backward()
    assert value.item() > 0
    assert filled.grad is not None
    assert bool(filled.grad.isfinite().all())
    assert isinstance(loss, torch.nn.Module)
    assert not any(parameter.requires_grad for parameter in loss.parameters())


def test_hole_ssim_is_one_minus_the_score_away_from_the_border() -> None:
    from skimage.metrics import structural_similarity

    generator = torch.Generator().manual_seed(0)
    truth = F.avg_pool2d(torch.rand((1, 3, 50, 60), generator=generator), 5, 1, 2)
    mask = torch.zeros(1, 1, 50, 60)
    mask[..., 8:42, 10:50] = 1
    filled = truth + 0.1 * torch.randn(truth.shape, generator=generator) * mask
    a, b = (x[0].permute(1, 2, 0).double().numpy() for x in (truth, filled))
    scores = structural_similarity(
        a, b, data_range=1.0, channel_axis=-1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
    )[1]
    expected = 1 - scores[mask[0, 0].numpy() > 0].mean()
    assert float(load_losses(["hole-ssim"], {})["hole-ssim"](filled, truth, mask)) == pytest.approx(expected, abs=1e-5)


def test_an_autocast_leaves_variances_alone() -> None:
    truth, _, mask = _images(32, 32)
    truth = 0.5 + 0.01 * (truth - 0.5)  # hardly any contrast: in half precision its variance is lost
    weighted = WeightedLosses(load_losses(["hole-ssim"], {}), {"hole-ssim": 1.0})

    def run(enabled: bool) -> tuple[float, Tensor]:
        filled = (truth + 0.003 * mask * torch.sign(truth - 0.5)).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            loss = weighted(filled, truth, mask)["hole-ssim"]
        loss.backward()
        assert filled.grad is not None
        return loss.item(), filled.grad

    (plain, gradient), (half, same) = run(False), run(True)
    assert half == plain > 0
    assert torch.equal(gradient, same)


def test_unknown_names_list_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"unknown loss 'l7'; known: l1, l2, hole-l1"):
        load_losses(["l7"], {})
    with pytest.raises(OptionError, match=r"unknown weights 'vgg19'; known: vgg16, alexnet"):
        load_losses(["l1"], {"vgg19": tmp_path})
    assert set(PLAIN) < set(LOSSES)


def test_weights_that_cannot_be_had_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(download: object, folder: object = None) -> Path:
        raise WavepaintError("https://example.org/alexnet.pth: cannot download: no route to host")

    monkeypatch.setattr("wavepaint.evaluation.features.fetch", unreachable)
    with pytest.raises(WavepaintError, match=r"^https://example.org/alexnet.pth: cannot download: no route to host$"):
        load_losses(["lpips-alex"], {})
    damaged = tmp_path / "alexnet.pth"
    damaged.write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match=r"alexnet\.pth"):
        load_losses(["lpips-alex"], {"alexnet": damaged, "lpips-alex": damaged})
