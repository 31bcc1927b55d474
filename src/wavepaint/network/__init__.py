"""The WavePaint network: wavelet token mixing (arXiv 2307.00407) in PyTorch."""

from wavepaint.network.checkpoint import load_checkpoint, save_checkpoint
from wavepaint.network.config import PRESETS, WavePaintConfig, preset
from wavepaint.network.model import WavePaint

__all__ = ["PRESETS", "WavePaint", "WavePaintConfig", "load_checkpoint", "preset", "save_checkpoint"]
