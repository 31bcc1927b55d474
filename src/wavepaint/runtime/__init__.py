"""Ready-made networks behind one small protocol: crops in, crops out."""

from wavepaint.runtime.base import RUNTIMES, Runtime
from wavepaint.runtime.loading import load_runtime

__all__ = ["RUNTIMES", "Runtime", "load_runtime"]
