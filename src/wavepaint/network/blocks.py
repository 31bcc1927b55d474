"""The pieces of WavePaint: WaveMix token mixing (arXiv 2205.14375) and the two kinds of module around it.

C = final_dim, F = ff_channel, m = mult, L = level; h and w are a block's own resolution.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavepaint.network.config import WavePaintConfig
from wavepaint.network.dwt import dwt2, fit, haar_packet_basis


class WaveMixBlock(nn.Module):
    """Mix tokens by DWT, channels by 1x1 layers, and come back up by transposed convolutions."""

    def __init__(self, config: WavePaintConfig) -> None:
        super().__init__()
        channels = config.final_dim
        self.level, self.wavelet = config.level, config.wavelet
        self.reduction = nn.Conv2d(channels, channels // 4, 1)
        for level in range(1, self.level + 1):
            fan_in = channels if level == self.level else channels + channels // 2
            fan_out = channels if level == 1 else channels // 2
            self.add_module(self._name(level), _feed_forward(fan_in, fan_out, config))

    def _name(self, level: int) -> str:
        return "feedforward" if self.level == 1 else f"feedforward{level}"

    def feed_forward(self, level: int) -> nn.Sequential:
        """The layers that mix the channels of one level's tokens and double their resolution."""
        return cast(nn.Sequential, self.get_submodule(self._name(level)))

    def analyse(self, x: Tensor, level: int) -> tuple[Tensor, Tensor]:
        """Approximation and details of one level, at half the resolution."""
        return dwt2(x, self.wavelet)

    def forward(self, h: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w), with the residual sum."""
        approximation = self.reduction(h)  # (B, C/4, h, w)
        sizes, tokens = [h.shape[-2:]], []
        for level in range(1, self.level + 1):
            approximation, details = self.analyse(approximation, level)  # (B, C/4, ..), (B, 3C/4, ..)
            tokens.append(torch.cat((approximation, details), dim=1))  # (B, C, h / 2**l, w / 2**l)
            sizes.append(approximation.shape[-2:])

        y = tokens[-1]
        for level in range(self.level, 0, -1):
            y = self.feed_forward(level)(y)  # doubles the resolution
            y = fit(y, *sizes[level - 1])
            if level > 1:
                y = torch.cat((tokens[level - 2], y), dim=1)  # (B, C + C/2, ..)
        return y + h


def _feed_forward(fan_in: int, fan_out: int, config: WavePaintConfig) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(fan_in, config.mult * config.final_dim, 1),
        nn.GELU(),
        nn.Dropout(config.dropout),
        nn.Conv2d(config.mult * config.final_dim, config.ff_channel, 1),
        nn.ConvTranspose2d(config.ff_channel, fan_out, 4, stride=2, padding=1),
        nn.BatchNorm2d(fan_out),
    )


def _depth_conv(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, channels, 5, padding="same", groups=channels), nn.GELU(), nn.BatchNorm2d(channels)
    )


class WaveMixModule(nn.Module):
    """The published module: strided convolutions down, WaveMix blocks at half resolution, and back up."""

    def __init__(self, config: WavePaintConfig) -> None:
        super().__init__()
        channels = config.final_dim
        self.sees_mask = config.input_channels == 4
        self.conv = nn.Sequential(
            nn.Conv2d(config.input_channels, channels // 2, 3, padding=1),
            nn.Conv2d(channels // 2, channels, 3, stride=2, padding=1),
        )
        self.layers = nn.Sequential(*(WaveMixBlock(config) for _ in range(config.blocks_per_module)))
        self.depthconv = _depth_conv(channels)
        self.decoder1 = nn.Sequential(
            nn.ConvTranspose2d(2 * channels, channels // 2, 4, stride=2, padding=1),
            nn.BatchNorm2d(channels // 2),
        )
        self.decoder2 = nn.Sequential(nn.Conv2d(channels // 2 + 3, 3, 1))

    @property
    def last(self) -> nn.Conv2d:
        """The layer that writes the module's residual."""
        return cast(nn.Conv2d, self.decoder2[0])

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, 3, H, W), (B, 1, H, W) -> the residual to add, (B, 3, H, W)."""
        skip = self.conv(torch.cat((x, mask), dim=1) if self.sees_mask else x)  # (B, C, H/2, W/2)
        h = self.depthconv(self.layers(skip))
        h = self.decoder1(torch.cat((h, skip), dim=1))  # (B, C/2, H, W)
        return self.decoder2(torch.cat((h, x), dim=1))  # type: ignore[no-any-return]


class HaarModule(nn.Module):
    """The compute-efficient module: everything between two Haar packets, nothing at full resolution."""

    def __init__(self, config: WavePaintConfig) -> None:
        super().__init__()
        channels, self.stride = config.final_dim, config.stride
        self.input_channels = config.input_channels
        bands = self.stride**2
        self.analysis = nn.Conv2d(config.input_channels * bands, channels, 1)
        self.layers = nn.Sequential(*(WaveMixBlock(config) for _ in range(config.blocks_per_module)))
        self.depthconv = _depth_conv(channels)
        self.merge = nn.Sequential(nn.Conv2d(2 * channels, channels, 1), nn.GELU())
        self.synthesis = nn.Conv2d(channels, 3 * bands, 1)
        self.register_buffer("basis", haar_packet_basis(config.packet_levels).float(), persistent=False)
        self.basis: Tensor

    @property
    def last(self) -> nn.Conv2d:
        """The layer that writes the module's residual."""
        return self.synthesis

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, 3, H, W), (B, 1, H, W) -> the residual to add, (B, 3, H, W)."""
        h = x - 0.5
        if self.input_channels == 4:
            h = torch.cat((h, mask), dim=1)
        h = F.conv2d(h, *self.analysis_kernel(), stride=self.stride)  # (B, C, H/stride, W/stride)
        h = self.merge(torch.cat((self.depthconv(self.layers(h)), h), dim=1))
        return F.pixel_shuffle(F.conv2d(h, *self.synthesis_kernel()), self.stride)

    def analysis_kernel(self) -> tuple[Tensor, Tensor]:
        """Packet and 1x1 layer, both linear, as one strided convolution: weight (C, in, n, n), bias (C,)."""
        weight = self.analysis.weight.unflatten(1, (self.input_channels, -1)).squeeze((-2, -1))
        assert self.analysis.bias is not None
        return torch.einsum("oib,bhw->oihw", weight, self.basis), self.analysis.bias

    def synthesis_kernel(self) -> tuple[Tensor, Tensor]:
        """1x1 layer and inverse packet as one 1x1 layer before a pixel shuffle: (3 n n, C, 1, 1), (3 n n,)."""
        weight = self.synthesis.weight.unflatten(0, (3, -1)).squeeze((-2, -1))  # (3, bands, C)
        kernel = torch.einsum("obi,bhw->ohwi", weight, self.basis).flatten(0, 2)[..., None, None]
        assert self.synthesis.bias is not None
        bias = torch.einsum("ob,bhw->ohw", self.synthesis.bias.unflatten(0, (3, -1)), self.basis).flatten()
        return kernel, bias
