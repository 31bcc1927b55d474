"""Fill holes in photographs with a small wavelet network that ships inside the package.

>>> import wavepaint
>>> filled = wavepaint.inpaint(image, mask)  # doctest: +SKIP

Importing this package loads nothing heavy: neither PyTorch, ONNX Runtime nor libvips.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wavepaint.inpainter import Inpainter, inpaint

__version__ = "0.1.0"
__all__ = ["Inpainter", "__version__", "inpaint"]


def __getattr__(name: str) -> Any:
    if name in {"Inpainter", "inpaint"}:
        return getattr(import_module("wavepaint.inpainter"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
