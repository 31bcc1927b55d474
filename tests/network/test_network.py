from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from networks import random_network, random_sample, small_config
from wavepaint.errors import OptionError
from wavepaint.network import PRESETS, WavePaint, WavePaintConfig, load_checkpoint, preset
from wavepaint.network.prefill import haar_prefill, halve_known

OWN_GOLDEN = Path(__file__).parents[1] / "golden"
PUBLISHED_GOLDEN = Path(__file__).parents[3] / "shared" / "golden"
GOLDEN = sorted(OWN_GOLDEN.glob("*.safetensors")) + sorted(PUBLISHED_GOLDEN.glob("*.safetensors"))


def test_the_five_golden_cases_are_there() -> None:
    assert len(list(OWN_GOLDEN.glob("*.safetensors"))) == 5


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: f"{path.parent.parent.name}-{path.stem}")
def test_matches_the_published_implementation(path: Path, tmp_path: Path) -> None:
    tensors = load_file(path)
    state = {name.removeprefix("state_dict/"): t for name, t in tensors.items() if name.startswith("state_dict/")}
    torch.save(state, tmp_path / "published.pth")
    model = load_checkpoint(tmp_path / "published.pth")
    with torch.no_grad():
        output = model(tensors["masked_image"], tensors["mask"])
    torch.testing.assert_close(output, tensors["output"], atol=1e-5, rtol=0)


@pytest.mark.parametrize(("name", "millions"), [("2", 3.345), ("4", 6.691), ("6", 10.036), ("8x4", 15.482)])
def test_published_sizes(name: str, millions: float) -> None:
    model = WavePaint(preset(f"published-{name}")).to("meta")
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(millions, abs=0.0006)


@pytest.mark.parametrize("level", [1, 2, 3, 4])
@pytest.mark.parametrize("stem", ["conv", "haar"])
@pytest.mark.parametrize("wavelet", ["haar", "db2"])
def test_every_kind_keeps_the_size_and_the_known_samples(level: int, stem: str, wavelet: str) -> None:
    model = random_network(small_config(level=level, stem=stem, wavelet=wavelet, prefill="haar", num_modules=2))
    for height, width in ((8, 8), (20, 12), (36, 4)):  # multiples of the stride alone: odd sizes inside the blocks
        image, mask = random_sample(2, height, width)
        with torch.no_grad():
            output = model(image, mask)
        assert output.shape == image.shape
        assert torch.equal(output[mask.expand_as(image) == 0], image[mask.expand_as(image) == 0])
        assert output.isfinite().all()


def test_hole_samples_of_the_image_do_not_matter() -> None:
    model = random_network(small_config(stem="haar", prefill="haar"))
    image, mask = random_sample(1, 32, 32)
    with torch.no_grad():
        first = model(image, mask)
        second = model(image * (1 - mask) + 0.123 * mask, mask)
    assert torch.equal(first[mask.expand_as(first) == 1], second[mask.expand_as(first) == 1])


@pytest.mark.parametrize("stem", ["conv", "haar"])
def test_untrained_with_prefill_is_the_prefill(stem: str) -> None:
    config = small_config(stem=stem, prefill="haar", num_modules=2)
    image, mask = random_sample(2, 32, 16)
    with torch.no_grad():
        output = WavePaint(config).eval()(image, mask)
    torch.testing.assert_close(output, haar_prefill(image, mask, config.sweeps))


def test_a_guess_replaces_the_prefill() -> None:
    config = small_config(stem="haar", prefill="haar")
    image, mask = random_sample(1, 16, 16)
    guess = torch.full_like(image, 0.25)
    with torch.no_grad():
        output = WavePaint(config).eval()(image, mask, guess)
    torch.testing.assert_close(output, image * (1 - mask) + 0.25 * mask)


def test_gradients_reach_every_parameter() -> None:
    for stem in ("conv", "haar"):
        model = random_network(small_config(stem=stem, level=2, prefill="haar")).train()
        image, mask = random_sample(2, 16, 16)
        (model(image, mask) - image).square().mean().backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name


def test_gradient_of_a_whole_network_is_the_derivative() -> None:
    model = random_network(small_config(stem="haar", level=2, prefill="haar", final_dim=8, ff_channel=8)).double()
    image, mask = (x.double() for x in random_sample(1, 8, 8))
    kernel = model.wavemodules[0].analysis.weight

    def loss(weight: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(model, {"wavemodules.0.analysis.weight": weight}, (image, mask)).sum()

    direction = torch.randn_like(kernel)
    (analytic,) = torch.autograd.grad(loss(kernel), kernel)
    step = 1e-6
    with torch.no_grad():
        numeric = (loss(kernel + step * direction) - loss(kernel - step * direction)) / (2 * step)
    torch.testing.assert_close((analytic * direction).sum(), numeric, rtol=1e-4, atol=1e-6)


def test_wrong_shapes_are_named() -> None:
    model = WavePaint(small_config(stem="haar"))
    image, mask = random_sample(1, 16, 16)
    with pytest.raises(ValueError, match=r"image must be \(B, 3, H, W\)"):
        model(image[:, :2], mask)
    with pytest.raises(ValueError, match=r"mask must be \(B, 1, H, W\)"):
        model(image, mask[..., :8])
    with pytest.raises(ValueError, match="multiples of 4"):
        model(image[..., :10], mask[..., :10])
    with pytest.raises(ValueError, match="guess must have"):
        model(image, mask, image[:, :, :8])


class TestPrefill:
    def test_is_exact_for_constants_and_keeps_known_samples(self) -> None:
        image, mask = random_sample(2, 23, 37)
        filled = haar_prefill(image, mask)
        known = mask.expand_as(image) == 0
        torch.testing.assert_close(filled[known], image[known], atol=1e-6, rtol=0)
        constant = torch.full((1, 3, 40, 24), 0.7)
        torch.testing.assert_close(haar_prefill(constant, random_sample(1, 40, 24)[1]), constant)

    def test_stays_within_the_known_range(self) -> None:
        image, mask = random_sample(1, 64, 48, share=0.9)
        filled = haar_prefill(0.2 + 0.6 * image, mask)
        assert filled.min() >= 0.2 - 1e-5
        assert filled.max() <= 0.8 + 1e-5

    def test_continues_a_gradient(self) -> None:
        ramp = torch.linspace(0, 1, 64).expand(1, 3, 64, 64)
        mask = torch.zeros(1, 1, 64, 64)
        mask[..., 24:40, 24:40] = 1
        error = (haar_prefill(ramp, mask, sweeps=30) - ramp).abs().max()
        assert error < 0.03  # filling with the mean of the surroundings is 0.12 off

    def test_nothing_known_is_mid_grey(self) -> None:
        image = torch.rand(1, 3, 17, 5)
        torch.testing.assert_close(haar_prefill(image, torch.ones(1, 1, 17, 5)), torch.full_like(image, 0.5))

    @pytest.mark.parametrize("size", [(1, 1), (1, 9), (16, 16), (13, 33)])
    def test_more_levels_change_nothing(self, size: tuple[int, int]) -> None:
        image, mask = random_sample(1, *size, share=0.6)
        torch.testing.assert_close(haar_prefill(image, mask, levels=10), haar_prefill(image, mask))

    def test_is_differentiable(self) -> None:
        image, mask = (x.double() for x in random_sample(1, 6, 5))
        image.requires_grad_()
        assert torch.autograd.gradcheck(lambda x: haar_prefill(x, mask, 2), (image,))

    def test_sweeps_bring_it_closer_to_harmonic(self) -> None:
        y, x = torch.meshgrid(torch.linspace(-1, 1, 64), torch.linspace(-1, 1, 64), indexing="ij")
        harmonic = (0.5 + (x**2 - y**2) / 4).expand(1, 3, 64, 64)  # solves Laplace's equation, on the grid too
        mask = torch.zeros(1, 1, 64, 64)
        mask[..., 10:50, 24:60] = 1
        errors = [(haar_prefill(harmonic, mask, sweeps) - harmonic).abs().max().item() for sweeps in (0, 4, 30)]
        assert errors[0] > 1.5 * errors[1] > 2 * errors[2]


def test_halving_uses_known_samples_alone() -> None:
    image = torch.tensor([[[[0.2, 9.0, 0.4, 0.6], [0.4, 9.0, 9.0, 9.0]]]])
    mask = torch.tensor([[[[0.0, 1.0, 0.0, 0.0], [0.0, 1.0, 1.0, 1.0]]]])
    half, hole = halve_known(image, mask)
    torch.testing.assert_close(half, torch.tensor([[[[0.3, 0.5]]]]))
    assert hole.flatten().tolist() == [0, 0]
    assert halve_known(image, torch.ones_like(mask))[1].flatten().tolist() == [1, 1]


@pytest.mark.parametrize(
    "field",
    [
        {"final_dim": 30},
        {"level": 5},
        {"level": 0},
        {"stem": "fft"},
        {"prefill": "mean"},
        {"input_channels": 5},
        {"dropout": 1.0},
        {"num_modules": 0},
        {"sweeps": -1},
        {"depth": 3},
        {"final_dim": 96.0},
        {"final_dim": 1_000_000},
        {"packet_levels": 12},
        {"mult": True},
        {"wavelet": 3},
    ],
)
def test_impossible_configurations_name_the_field(field: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=next(iter(field))):
        WavePaintConfig.from_dict(field)


def test_unknown_preset_lists_the_known_ones() -> None:
    with pytest.raises(OptionError, match=r"known: .*published-4.*default"):
        preset("huge")


def test_configurations_survive_a_dictionary() -> None:
    for config in PRESETS.values():
        assert WavePaintConfig.from_dict(config.to_dict()) == config
