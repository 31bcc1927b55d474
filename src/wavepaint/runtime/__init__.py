"""Ready-made networks behind one small protocol: crops in, crops out."""

from wavepaint.runtime.base import GUESSED, Runtime
from wavepaint.runtime.loading import load_detector, load_runtime, model_file, packaged_network

__all__ = ["GUESSED", "Runtime", "load_detector", "load_runtime", "model_file", "packaged_network"]
