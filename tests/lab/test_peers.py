"""Generators of other networks: of the published size, whole images in and out, nothing changed outside the hole."""

import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

sys.path.append(str(Path(__file__).parents[2] / "lab" / "benchmarks"))

from peers.lama import lama_discriminator, lama_generator  # noqa: E402
from peers.migan import migan_discriminator, migan_generator  # noqa: E402


def fill(generator, height, width):
    torch.manual_seed(1)
    image = torch.rand(2, 3, height, width)
    mask = torch.zeros(2, 1, height, width)
    mask[:, :, height // 4 : height // 2, width // 4 : width // 2] = 1
    with torch.inference_mode():
        return image, mask, generator(image, mask), generator(torch.where(mask > 0, 0.5, image), mask)


def parameters(generator):
    return sum(parameter.numel() for parameter in generator.parameters())


def test_lama_has_the_published_size():
    with torch.device("meta"):
        generator = lama_generator()
    assert len(generator.blocks) == 18
    assert parameters(generator) == 50_975_875
    assert round(parameters(generator) / 1e6) == 51


def test_migan_has_the_published_size():
    assert parameters(migan_generator()) == 5_984_917
    assert round(5_984_917 / 1e6, 2) == 5.98


def test_discriminators_have_the_published_sizes_and_judge_images():
    with torch.device("meta"):
        lama, migan = lama_discriminator(), migan_discriminator()
    assert round(parameters(lama) / 1e6, 1) == 7.0
    assert round(parameters(migan) / 1e6, 1) == 28.9
    lama = lama_discriminator()
    image, mask = torch.rand(2, 3, 64, 64), torch.zeros(2, 1, 64, 64)
    verdicts = lama(image, mask)
    assert verdicts.shape == (2, 1, 7, 7)
    assert not torch.equal(verdicts, lama(image.flip(3), mask))
    whole = torch.rand(1, 3, 256, 256)
    assert migan_discriminator()(whole, mask[:1].new_zeros(1, 1, 256, 256)).shape == (1, 1)


@pytest.mark.parametrize("make", [lambda: lama_generator(blocks=1), migan_generator], ids=["lama", "migan"])
def test_they_fill_holes_from_what_is_around_them(make):
    generator = make()
    side = max(32, generator.multiple)  # LaMa mirrors at the borders of an eighth
    image, mask, filled, again = fill(generator, side, 2 * side)
    assert filled.shape == image.shape
    assert torch.isfinite(filled).all()
    hole = (mask > 0).expand_as(image)
    assert torch.equal(filled[~hole], image[~hole])
    assert not torch.equal(filled[hole], image[hole])
    assert torch.equal(filled[hole], again[hole])
    assert not generator.training


@pytest.mark.parametrize("make", [lambda: lama_generator(blocks=1), migan_generator], ids=["lama", "migan"])
def test_the_same_seed_gives_the_same_weights_and_leaves_other_randomness_alone(make):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, second = make(), make()
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
