"""What every runtime does."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wavepaint.errors import CheckpointError

Planes = NDArray[np.float32]

GUESSED = np.float32(0.5)
"""The mask's value for a hole sample that holds a guess to start from."""


BATCH_PIXELS = 2**20
"""A batch holds at most so many pixels, those of the largest crop."""


class Runtime(Protocol):
    """A loaded network; calling it is safe from several threads at once.

    Attributes:
        name: one of `options.RUNTIMES`, never "auto".
        multiple: height and width of every crop must be multiples of it.
        coarse_levels: halvings, at most, at which deep holes are to be filled first; see `WavePaintConfig.octaves`.
    """

    name: str
    multiple: int
    coarse_levels: int

    def __call__(self, image: Planes, mask: Planes) -> Planes:
        """Fill the holes of a batch of crops.

        Args:
            image: (B, 3, H, W) float32 RGB in [0, 1]; what it holds where the mask is 1 is ignored.
            mask: (B, 1, H, W) float32: 0 = keep, 1 = hole, 0.5 = hole for which `image` holds a guess to start from.

        Returns:
            (B, 3, H, W) float32: `image` where the mask is 0, the network's image elsewhere, not clipped.
        """
        ...


def check_names(inputs: Collection[str], outputs: Collection[str], label: str) -> None:
    """Refuse a graph that does not take and give what `Runtime` says.

    Raises:
        CheckpointError: the graph named `label` has other inputs than `image` and `mask`, or no output `filled`.
    """
    if set(inputs) != {"image", "mask"} or "filled" not in outputs:
        raise CheckpointError(
            f"{label}: not a WavePaint graph: it makes {', '.join(outputs)} from {', '.join(inputs)}, "
            "not filled from image and mask"
        )


def read_metadata(entries: Mapping[str, str], label: str) -> tuple[int, int]:
    """`multiple` and `octaves` of a graph's metadata; the latter is 0 where there are none, or none that make sense.

    Raises:
        CheckpointError: the graph named `label` has no multiple: it is not one of ours.
    """
    texts = (entries.get(name, "") for name in ("multiple", "octaves"))
    multiple, octaves = (int(text) if text.isdecimal() else 0 for text in texts)
    if multiple < 1:
        raise CheckpointError(f"{label}: not a WavePaint graph: its metadata names no multiple to pad to")
    return multiple, octaves
