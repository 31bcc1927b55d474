"""Ready-made networks behind one small protocol: crops in, crops out."""

from wavepaint.runtime.base import Runtime
from wavepaint.runtime.loading import load_runtime, model_file

__all__ = ["Runtime", "load_runtime", "model_file"]
