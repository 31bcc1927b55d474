"""The default network with learned strided convolutions in the place of its wavelet transform, to compare it with."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lab.ablation.studies import ConvolutionStart
from wavepaint.errors import CheckpointError
from wavepaint.network import WavePaint, WavePaintConfig, load_checkpoint
from wavepaint.network.blocks import WaveMixBlock
from wavepaint.network.checkpoint import read_metadata, read_tensors
from wavepaint.network.dwt import analysis_filters

MARK = "token_mixing"
"""Key of a snapshot's metadata; with the value "convolution" its blocks are `ConvolutionBlock`s."""


class StridedConvolution(nn.Module):
    """A learned 2x2 convolution of stride 2 over all channels, with the output of one Haar level."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.conv = nn.Conv2d(channels, 4 * channels, 2, stride=2)

    def start_as_haar(self) -> None:
        """Make it the wavelet transform, to be learned from there."""
        haar = analysis_filters("haar").to(self.conv.weight)[:, 0]  # (4, 2, 2)
        with torch.no_grad():
            self.conv.weight.zero_()
            assert self.conv.bias is not None
            self.conv.bias.zero_()
            for channel in range(self.channels):
                self.conv.weight[channel, channel] = haar[0]
                first = self.channels + 3 * channel
                self.conv.weight[first : first + 3, channel] = haar[1:]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, h, w) -> what the next level reads (B, C, ceil(h/2), ceil(w/2)), and the rest (B, 3C, ..)."""
        height, width = x.shape[-2:]
        bands = self.conv(F.pad(x, (0, width % 2, 0, height % 2)))
        return bands[:, : self.channels], bands[:, self.channels :]


class ConvolutionBlock(WaveMixBlock):
    """A WaveMix block that mixes tokens by strided convolutions."""

    def __init__(self, config: WavePaintConfig) -> None:
        super().__init__(config)
        self.convolutions = nn.ModuleList(StridedConvolution(config.final_dim // 4) for _ in range(config.level))

    def analyse(self, x: Tensor, level: int) -> tuple[Tensor, Tensor]:
        """See `WaveMixBlock`."""
        low, rest = self.convolutions[level - 1](x)
        return low, rest


def without_dwt(config: WavePaintConfig, start: ConvolutionStart = "random") -> WavePaint:
    """A network of random weights whose blocks are `ConvolutionBlock`s; `start` is that of their convolutions."""
    network = WavePaint(config)
    for module in network.wavemodules:
        layers = module.layers
        assert isinstance(layers, nn.Sequential)
        for index in range(len(layers)):
            layers[index] = ConvolutionBlock(config)
    if start == "haar":
        for part in network.modules():
            if isinstance(part, StridedConvolution):
                part.start_as_haar()
    return network


def load_network(path: Path) -> WavePaint:
    """A snapshot of an arm, of either kind, in evaluation mode.

    Raises:
        CheckpointError: see `load_checkpoint`.
    """
    if not path.is_file() or read_metadata(path).get(MARK) != "convolution":
        return load_checkpoint(path)
    state, config = read_tensors(path)
    if config is None:
        raise CheckpointError(f"{path}: not a snapshot of a study")
    network = without_dwt(config)
    network.load_state_dict(state)
    return network.eval()
