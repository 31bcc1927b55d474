"""PyTorch tensors as arrays and back, and several images in one call: lists, and batches of one dimension more.

Nothing here imports PyTorch.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from wavepaint.errors import ImageError, MaskError, OptionError

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


def images_of(value: Any) -> list[Any] | None:
    """The images of a list or batch; None for a single image.

    Raises:
        ImageError: there are none.
    """
    is_list = isinstance(value, (list, tuple)) and not any(isinstance(each, (list, tuple)) for each in value)
    if not is_list and not (_is_samples(value) and value.ndim == 4):
        return None
    if not len(value):
        raise ImageError("image: a list or batch without images")
    return list(value)


def masks_of(value: Any, count: int) -> list[Any]:
    """A mask for each of `count` images: of a list, a batch (N, H, W) or (N, H, W, C), or the same for all.

    Raises:
        MaskError: another number of masks.
    """
    several = isinstance(value, (list, tuple)) or (_is_samples(value) and value.ndim == 4)
    if not several and _is_samples(value) and value.ndim == 3:
        # (1, H, W) and (H, W, C) are single masks, as they are for a single image.
        several = len(value) == count or (len(value) > 1 and value.shape[2] > 4)
    if not several:
        return [value] * count
    if len(value) != count:
        raise MaskError(f"mask: there are {count} images, but {len(value)} masks")
    return list(value)


def outputs_of(value: Any, count: int) -> list[Any]:
    """A file to write for each of `count` images, or none; `OptionError` for another number."""
    if value is None:
        return [None] * count
    if not isinstance(value, (list, tuple)) or len(value) != count:
        raise OptionError(f"output: for {count} images it must be a list of {count} files")
    return list(value)


def joined(results: Iterator[Any], count: int, value: Any) -> Any:
    """The `count` results of the images of `value`: a list, or a batch if that is one.

    Raises:
        ImageError, MaskError: as one of them did, with its number.
    """
    taken = []
    for number in range(count):
        try:
            taken.append(next(results))
        except (ImageError, MaskError) as error:
            raise type(error)(f"{number + 1} of {count}: {error}") from None
    if is_tensor(value):
        return sys.modules["torch"].stack(taken)
    return np.stack(taken) if isinstance(value, np.ndarray) else taken


def _is_samples(value: Any) -> bool:
    return isinstance(value, np.ndarray) or is_tensor(value)
