"""PyTorch tensors as arrays and back, for callers who have PyTorch: nothing here imports it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor


def is_tensor(value: object) -> TypeGuard[Tensor]:
    """Whether this is a PyTorch tensor; False without looking further where PyTorch has not been imported."""
    module = sys.modules.get("torch")
    return module is not None and isinstance(value, module.Tensor)


def array_of_tensor(tensor: Tensor) -> NDArray[Any]:
    """The samples of a tensor on any device, (H, W) or (H, W, C), sharing its memory where that can be.

    Its channels come first where the first length is at most four: (C, H, W). float16 and bfloat16 become float32.
    """
    tensor = tensor.detach()
    if tensor.is_floating_point() and tensor.element_size() == 2:
        tensor = tensor.float()
    samples: NDArray[Any] = tensor.cpu().numpy()
    return np.moveaxis(samples, 0, -1) if _has_channels_first(tensor) else samples


def tensor_of_array(samples: NDArray[Any], like: Tensor) -> Tensor:
    """A tensor of samples as `array_of_tensor` gives them, in the layout and type, and on the device, of another."""
    torch = sys.modules["torch"]
    if _has_channels_first(like):
        samples = np.moveaxis(samples, -1, 0)
    tensor: Tensor = torch.from_numpy(np.ascontiguousarray(samples)).to(like.device, like.dtype)
    return tensor


def _has_channels_first(tensor: Tensor) -> bool:
    return tensor.ndim == 3 and tensor.shape[0] <= 4
