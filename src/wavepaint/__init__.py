"""Fill holes in images with a small wavelet network that ships inside the package.

>>> import wavepaint
>>> filled = wavepaint.inpaint(image, mask)  # doctest: +SKIP

Importing this package loads nothing heavy: neither PyTorch, ONNX Runtime nor libvips.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wavepaint.box import Box
    from wavepaint.errors import (
        CheckpointError,
        ImageError,
        MaskError,
        MissingExtraError,
        OptionError,
        WavepaintError,
    )
    from wavepaint.find import find_damage
    from wavepaint.inpainter import Inpainter, inpaint
    from wavepaint.options import Options

__version__ = "0.1.0"
__all__ = [
    "Box",
    "CheckpointError",
    "ImageError",
    "Inpainter",
    "MaskError",
    "MissingExtraError",
    "OptionError",
    "Options",
    "WavepaintError",
    "__version__",
    "find_damage",
    "inpaint",
]

_MODULES = {"Box": "box", "Options": "options", "Inpainter": "inpainter", "inpaint": "inpainter", "find_damage": "find"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'errors')}"), name)


def __dir__() -> list[str]:
    return list(__all__)
