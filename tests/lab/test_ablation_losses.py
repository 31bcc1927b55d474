"""The losses that only the study `texture` knows."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from lab.ablation.losses import THROUGH_VGG, VGGLoss, load_all_losses
from networks import random_sample
from trainings import write_vgg16
from wavepaint.errors import OptionError
from wavepaint.evaluation.features import VGG16Features
from wavepaint.training.losses import WeightedLosses


def _images(height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """A truth, an image that differs from it in the hole alone, and the mask."""
    truth, mask = random_sample(2, height, width)
    other = torch.rand(truth.shape, generator=torch.Generator().manual_seed(1))
    return truth * (1 - mask) + other * mask, truth, mask


@pytest.mark.parametrize("name", THROUGH_VGG)
def test_losses_through_vgg_read_a_local_file(name: str, tmp_path: Path) -> None:
    filled, truth, mask = _images(32, 32)
    filled.requires_grad_()
    loss = load_all_losses([name], write_vgg16(tmp_path / "vgg16.safetensors"))[name]
    # Not 0: the two images lie in memory in different orders, and so are summed in different orders.
    assert float(loss(truth, truth, mask)) < 1e-5
    value = loss(filled, truth, mask)
    value.backward()
    assert value.item() > 0.01
    assert filled.grad is not None
    assert bool(filled.grad.isfinite().all())
    assert bool(filled.grad[mask.expand_as(filled) > 0].any())


def test_the_style_loss_forgives_another_place_that_the_distance_does_not(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(3)
    truth = torch.rand((1, 3, 64, 64), generator=generator)
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 16:48, 16:48] = 1
    moved = truth * (1 - mask) + truth.roll((7, 11), (2, 3)) * mask
    smooth = truth * (1 - mask) + 0.5 * mask
    losses = load_all_losses(THROUGH_VGG, write_vgg16(tmp_path / "vgg16.safetensors"))
    ratios = {key: float(loss(moved, truth, mask) / loss(smooth, truth, mask)) for key, loss in losses.items()}
    assert ratios["vgg-style"] < 0.5 * ratios["vgg-features"]


def test_losses_through_vgg_share_one_network_that_runs_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled, truth, mask = _images(32, 32)
    losses = load_all_losses(THROUGH_VGG, write_vgg16(tmp_path / "vgg16.safetensors"))
    assert len({id(loss.activations) for loss in losses.values() if isinstance(loss, VGGLoss)}) == 1
    torch.manual_seed(0)
    alone = {name: float(loss(filled, truth, mask)) for name, loss in losses.items()}
    runs = []
    original = VGG16Features.forward
    monkeypatch.setattr(VGG16Features, "forward", lambda self, x: runs.append(x) or original(self, x))
    torch.manual_seed(0)
    filled = filled.clone()  # activations of the very same tensors would be remembered
    together = WeightedLosses(losses, dict.fromkeys(THROUGH_VGG, 2.0))(filled, truth, mask)
    assert len(runs) == 2
    assert {name: float(value) / 2 for name, value in together.items()} == pytest.approx(alone, rel=1e-4)


def test_an_autocast_leaves_variances_and_gram_matrices_alone(tmp_path: Path) -> None:
    truth, _, mask = _images(32, 32)
    truth = 0.5 + 0.01 * (truth - 0.5)  # hardly any contrast: in half precision its variance is lost
    names = ("hole-ssim", "vgg-style")
    losses = load_all_losses(names, write_vgg16(tmp_path / "vgg16.safetensors"))
    weighted = WeightedLosses(losses, dict.fromkeys(names, 1.0))

    def run(enabled: bool) -> tuple[dict[str, float], Tensor]:
        filled = (truth + 0.003 * mask * torch.sign(truth - 0.5)).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            terms = weighted(filled, truth, mask)
        terms["hole-ssim"].backward()
        assert filled.grad is not None
        return {name: value.item() for name, value in terms.items()}, filled.grad

    (plain, gradient), (half, same) = run(False), run(True)
    assert half["hole-ssim"] == plain["hole-ssim"] > 0
    assert half["vgg-style"] == pytest.approx(plain["vgg-style"], rel=0.5)  # the features themselves are halved
    assert torch.equal(gradient, same)


def test_an_unknown_loss_lists_the_products() -> None:
    with pytest.raises(OptionError, match=r"unknown loss 'vgg'; known: l1, l2, hole-l1"):
        load_all_losses(["vgg"], None)
