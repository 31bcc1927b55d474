"""The generator of MI-GAN (Sargsyan et al., "A Simple Baseline for Image Inpainting on Mobile Devices", ICCV 2023).

Written from the paper for measurements of speed and memory: the weights are random, so the images mean nothing. It is
the network for 256x256 images as it runs once trained, its parallel branches merged: 5.98 M parameters.

An encoder halves the image down to 4x4, a decoder doubles it back and adds the encoder's features of each scale; a
image is grown along with the features. All convolutions but the first are depthwise 3x3, then pointwise. There is no
normalisation. Widths are those of the StyleGAN family, 128 at 256x256 and never more than 512; resampling is by 4x4
filters per channel.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = (128, 256, 512, 512, 512, 512, 512)
"""Channels at 1/1, 1/2, ... 1/64 of the image's sides."""
MULTIPLE = 2 ** (len(WIDTHS) - 1)
SLOPE = 0.2


def migan_generator(seed: int = 0) -> MiganGenerator:
    """The generator in evaluation mode with random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MiganGenerator().eval()


class MiganGenerator(nn.Module):
    """Image and mask in, filled image out; sides are multiples of 64."""

    multiple = MULTIPLE

    def __init__(self) -> None:
        super().__init__()
        deepest = WIDTHS[-1]
        self.stem = nn.Conv2d(4, WIDTHS[0], 1)
        self.encoder = nn.ModuleList(_Halving(a, b) for a, b in pairwise(WIDTHS))
        self.middle = nn.Sequential(*(_Separable(deepest, deepest) for _ in range(4)))
        self.decoder = nn.ModuleList(_Doubling(a, b) for a, b in pairwise(WIDTHS[::-1]))
        self.to_rgb = nn.ModuleList(_Separable(width, 3, active=False) for width in WIDTHS[::-1])

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] and (B, 1, H, W), 1 = hole -> (B, 3, H, W), the image outside the hole unchanged."""
        known = (2 * image - 1) * (1 - mask)
        x = _activate(self.stem(torch.cat([0.5 - mask, known], 1)))
        skips = []
        for halving in self.encoder:
            x, skip = halving(x)
            skips.append(skip)
        x = self.middle(x)
        rgb: Tensor = self.to_rgb[0](x)
        for doubling, convolution, skip in zip(self.decoder, self.to_rgb[1:], reversed(skips), strict=True):
            x = doubling(x, skip)
            rgb = F.interpolate(rgb, scale_factor=2, mode="bilinear") + convolution(x)
        filled = (rgb + 1) / 2
        return filled * mask + image * (1 - mask)


class _Separable(nn.Module):
    """Depthwise 3x3, then pointwise, each with a leaky ReLU unless it is `active=False`."""

    def __init__(self, fan_in: int, fan_out: int, active: bool = True) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(fan_in, fan_in, 3, padding=1, groups=fan_in)
        self.pointwise = nn.Conv2d(fan_in, fan_out, 1)
        self.active = active

    def forward(self, x: Tensor) -> Tensor:
        if not self.active:
            linear: Tensor = self.pointwise(self.depthwise(x))
            return linear
        return _activate(self.pointwise(_activate(self.depthwise(x))))


class _Halving(nn.Module):
    """One scale of the encoder: the features at half the size, and those to hand to the decoder."""

    def __init__(self, fan_in: int, fan_out: int) -> None:
        super().__init__()
        self.convolution = _Separable(fan_in, fan_in)
        self.filter = nn.Conv2d(fan_in, fan_in, 4, stride=2, padding=1, groups=fan_in, bias=False)
        self.widening = _Separable(fan_in, fan_out)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        skip = self.convolution(x)
        return self.widening(self.filter(skip)), skip


class _Doubling(nn.Module):
    """One scale of the decoder."""

    def __init__(self, fan_in: int, fan_out: int) -> None:
        super().__init__()
        self.narrowing = _Separable(fan_in, fan_out)
        self.filter = nn.ConvTranspose2d(fan_out, fan_out, 4, stride=2, padding=1, groups=fan_out, bias=False)
        self.convolution = _Separable(fan_out, fan_out)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        merged: Tensor = self.convolution(self.filter(self.narrowing(x)) + skip)
        return merged


def _activate(x: Tensor) -> Tensor:
    # Once trained, any constant gain is part of the weights.
    return F.leaky_relu(x, SLOPE, inplace=True)


def migan_discriminator(seed: int = 0) -> nn.Module:
    """The discriminator of its training, StyleGAN2's for 256x256 images, with random weights: 28.9 M parameters."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MiganDiscriminator()


class MiganDiscriminator(nn.Module):
    """Image of 256x256 and mask in, one verdict out."""

    r1_every = 16
    """Steps from one penalty of the discriminator's gradient to the next, as in StyleGAN2."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(4, WIDTHS[0], 1)
        self.blocks = nn.Sequential(*(_ResidualHalving(a, b) for a, b in pairwise(WIDTHS)))
        deepest = WIDTHS[-1]
        self.last = nn.Conv2d(deepest + 1, deepest, 3, padding=1)
        self.judge = nn.Sequential(nn.Linear(16 * deepest, deepest), nn.LeakyReLU(SLOPE), nn.Linear(deepest, 1))

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        """(B, 3, 256, 256) in [0, 1] and (B, 1, 256, 256) -> (B, 1) logits of being untouched."""
        x = self.blocks(_activate(self.stem(torch.cat([0.5 - mask, 2 * image - 1], 1))))
        spread = (x.var(0, unbiased=False) + 1e-8).sqrt().mean()  # how much the batch varies, as one more channel
        x = torch.cat([x, spread.expand(len(x), 1, *x.shape[2:])], 1)
        verdict: Tensor = self.judge(_activate(self.last(x)).flatten(1))
        return verdict


class _ResidualHalving(nn.Module):
    """Two 3x3 convolutions, the second after a smoothing filter at half the size, and a 1x1 path beside them."""

    def __init__(self, fan_in: int, fan_out: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(fan_in, fan_in, 3, padding=1)
        self.second = nn.Conv2d(fan_in, fan_out, 3, stride=2, padding=1)
        self.beside = nn.Conv2d(fan_in, fan_out, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        through = _activate(self.second(_smooth(_activate(self.first(x)))))
        merged: Tensor = (through + self.beside(_smooth(x)[..., ::2, ::2])) / 2**0.5
        return merged


def _smooth(x: Tensor) -> Tensor:
    """By the 4x4 filter 1, 3, 3, 1 per channel, at the same size."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=x.dtype, device=x.device) / 8
    kernel = torch.outer(taps, taps).expand(x.shape[1], 1, 4, 4)
    return F.conv2d(F.pad(x, (1, 2, 1, 2)), kernel, groups=x.shape[1])
