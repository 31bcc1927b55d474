"""The generator of LaMa: Suvorov et al., "Resolution-robust Large Mask Inpainting with Fourier Convolutions", 2022.

Written from the paper for measurements of speed and memory: the weights are random, so the images mean nothing. It is
the large model: 18 residual blocks, 51 M parameters.

A fast Fourier convolution (Chi et al., 2020) keeps its channels in two groups. The local one passes through ordinary
convolutions; the global one, three quarters of the channels, also through a 1x1 convolution of its spectrum, which sees
the whole image at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

WIDTH = 64
HALVINGS = 3
BLOCKS = 18
GLOBAL_SHARE = 0.75
MULTIPLE = 2**HALVINGS

Groups = tuple[Tensor, Tensor]
"""Local channels and global channels of one image."""


def lama_generator(blocks: int = BLOCKS, seed: int = 0) -> LamaGenerator:
    """The generator in evaluation mode with random weights; `blocks` residual blocks, 18 in the large model."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LamaGenerator(blocks).eval()


class LamaGenerator(nn.Module):
    """Image and mask in, filled image out; sides are multiples of 8."""

    multiple = MULTIPLE

    def __init__(self, blocks: int = BLOCKS) -> None:
        super().__init__()
        widths = [WIDTH << step for step in range(HALVINGS + 1)]
        self.stem = nn.Sequential(nn.ReflectionPad2d(3), nn.Conv2d(4, WIDTH, 7, bias=False), *_normed(WIDTH))
        self.down = nn.Sequential(*(_halving(a, b) for a, b in pairwise(widths[:-1])))
        deep = widths[-1]
        self.split = _Split(widths[-2], deep)
        self.blocks = nn.ModuleList(_ResidualBlock(deep) for _ in range(blocks))
        self.up = nn.Sequential(*(_doubling(a, b) for a, b in pairwise(widths[::-1])))
        self.head = nn.Sequential(nn.ReflectionPad2d(3), nn.Conv2d(WIDTH, 3, 7), nn.Sigmoid())

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] and (B, 1, H, W), 1 = hole -> (B, 3, H, W), the image outside the hole unchanged."""
        x = self.down(self.stem(torch.cat([image * (1 - mask), mask], 1)))  # (B, 256, H/4, W/4)
        groups = self.split(x)  # (B, 128, H/8, W/8), (B, 384, H/8, W/8)
        for block in self.blocks:
            groups = block(groups)
        filled: Tensor = self.head(self.up(torch.cat(groups, 1)))
        return filled * mask + image * (1 - mask)


class _Split(nn.Module):
    """The last halving, whose output is divided into the two groups."""

    def __init__(self, fan_in: int, fan_out: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(_halving(fan_in, width) for width in _groups(fan_out))

    def forward(self, x: Tensor) -> Groups:
        local, whole = (branch(x) for branch in self.branches)
        return local, whole


class _ResidualBlock(nn.Module):
    """Two fast Fourier convolutions and what went in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(_FourierConvolution(width), _FourierConvolution(width))

    def forward(self, groups: Groups) -> Groups:
        local, whole = self.convolutions(groups)
        return groups[0] + local, groups[1] + whole


class _FourierConvolution(nn.Module):
    """Every group from both: 3x3 convolutions, and a spectral path from the global group to itself."""

    def __init__(self, width: int) -> None:
        super().__init__()
        local, whole = _groups(width)
        self.local_to_local = _convolution(local, local)
        self.local_to_whole = _convolution(local, whole)
        self.whole_to_local = _convolution(whole, local)
        self.whole_to_whole = _Spectral(whole)
        self.local_norm = nn.Sequential(*_normed(local))
        self.whole_norm = nn.Sequential(*_normed(whole))

    def forward(self, groups: Groups) -> Groups:
        local, whole = groups
        return (
            self.local_norm(self.local_to_local(local) + self.whole_to_local(whole)),
            self.whole_norm(self.local_to_whole(local) + self.whole_to_whole(whole)),
        )


class _Spectral(nn.Module):
    """Half the channels, plus a 1x1 convolution of their spectrum, and back to all channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        half = width // 2
        self.narrow = nn.Sequential(nn.Conv2d(width, half, 1, bias=False), *_normed(half))
        # Real and imaginary parts are channels of their own.
        self.spectrum = nn.Sequential(nn.Conv2d(2 * half, 2 * half, 1, bias=False), *_normed(2 * half))
        self.widen = nn.Conv2d(half, width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.narrow(x)
        waves = torch.fft.rfft2(x, norm="ortho")  # (B, C, H, W/2 + 1), complex
        parts = self.spectrum(torch.cat([waves.real, waves.imag], 1))
        waves = torch.complex(*parts.chunk(2, 1))
        widened: Tensor = self.widen(x + torch.fft.irfft2(waves, s=x.shape[-2:], norm="ortho"))
        return widened


def _groups(width: int) -> Sequence[int]:
    """How many channels are local, and how many global."""
    whole = int(width * GLOBAL_SHARE)
    return width - whole, whole


def _normed(width: int) -> Sequence[nn.Module]:
    return nn.BatchNorm2d(width), nn.ReLU(inplace=True)


def _convolution(fan_in: int, fan_out: int) -> nn.Conv2d:
    return nn.Conv2d(fan_in, fan_out, 3, padding=1, padding_mode="reflect", bias=False)


def _halving(fan_in: int, fan_out: int) -> nn.Sequential:
    convolution = nn.Conv2d(fan_in, fan_out, 3, stride=2, padding=1, padding_mode="reflect", bias=False)
    return nn.Sequential(convolution, *_normed(fan_out))


def _doubling(fan_in: int, fan_out: int) -> nn.Sequential:
    convolution = nn.ConvTranspose2d(fan_in, fan_out, 3, stride=2, padding=1, output_padding=1)
    return nn.Sequential(convolution, *_normed(fan_out))
