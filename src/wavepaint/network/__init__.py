"""The WavePaint network: wavelet token mixing (arXiv 2307.00407) in PyTorch."""

from wavepaint.network.checkpoint import Network, build_network, load_checkpoint, load_network, save_checkpoint
from wavepaint.network.config import PRESETS, WavePaintConfig, preset
from wavepaint.network.model import WavePaint

__all__ = [
    "PRESETS",
    "Network",
    "WavePaint",
    "WavePaintConfig",
    "build_network",
    "load_checkpoint",
    "load_network",
    "preset",
    "save_checkpoint",
]
