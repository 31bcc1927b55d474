"""Detail from the image itself: the guide's patches in, the same patches with samples copied from the image out.

Each piece of the hole is completed in a window of its own (`complete`), guided by what the network has filled.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wavepaint.box import Box, overlay
from wavepaint.fill.complete import complete
from wavepaint.fill.exemplar import Progress
from wavepaint.fill.flat import fill_flat
from wavepaint.fill.guide import READ_PIXELS, Patch, Readable, Samples
from wavepaint.fill.options import ExemplarOptions
from wavepaint.fill.patches import Mask
from wavepaint.fill.pieces import Piece, find_pieces
from wavepaint.fill.regions import edges_of, in_groups, touching
from wavepaint.fill.units import colours_of, to_unit


def add_detail(
    image: Readable,
    hole: Mask,
    guide: Sequence[Patch],
    options: ExemplarOptions,
    exclude: Mask | None = None,
    progress: Progress | None = None,
    has_alpha: bool = True,
) -> list[Patch]:
    """Complete a hole from the image's own samples.

    Args:
        image: read in boxes; what it holds inside the hole is ignored.
        hole: (H, W) bool, True = hole.
        guide: patches that fill it, of `guide.fill_holes`.
        options: see `ExemplarOptions`.
        exclude: (H, W) bool, True = not to copy from, or None.
        progress: called with the share done, 0 to 1; it may return False to stop.
        has_alpha: whether a second or fourth channel is transparency.

    Returns:
        Patches to paste after those of the guide.

    Raises:
        cancellation.Cancelled: `progress` has returned False.
    """
    pieces = find_pieces(hole)
    work = sum(piece.crop.area for piece in pieces)
    done = 0
    filled = Overlay(guide)
    patches: list[Patch] = []
    for group in in_groups(pieces, READ_PIXELS):
        windows = image.read_boxes([piece.crop for piece in group])
        for piece, samples in zip(group, windows, strict=True):
            filled.paste(samples, piece.crop)
            unknown = hole[piece.crop.slices]
            avoided = np.zeros_like(unknown) if exclude is None else exclude[piece.crop.slices]
            share = None if progress is None else _part_of(progress, done / work, piece.crop.area / work)
            patch = samples[piece.box.relative_to(piece.crop).slices].copy()
            if has_alpha and samples.shape[2] in (2, 4):
                # What is transparent as a whole has no colour to copy.
                avoided = avoided | (samples[..., -1] == 0)
            patch[piece.hole] = _complete(samples, piece, unknown, avoided, options, share)
            patches.append((piece.box, patch))
            filled.add(patches[-1])
            done += piece.crop.area
    return patches


class Overlay:
    """Patches, to be pasted into windows of the image; later ones count where they overlap."""

    def __init__(self, patches: Sequence[Patch]) -> None:
        self._patches, self._edges = list(patches), edges_of(box for box, _ in patches)

    def add(self, patch: Patch) -> None:
        """Lay one more patch on top."""
        self._patches.append(patch)
        self._edges = np.concatenate((self._edges, edges_of([patch[0]])))

    def paste(self, samples: Samples, window: Box) -> None:
        """Replace the samples of a window, (window.height, window.width, channels), where patches hold them."""
        near = np.flatnonzero(touching(self._edges, window))
        overlay(samples, window, (self._patches[index] for index in near))


def _part_of(progress: Progress, start: float, length: float) -> Progress:
    """`progress` for one piece of the work."""
    return lambda share: progress(start + length * share)


def _complete(
    samples: Samples,
    piece: Piece,
    unknown: Mask,
    avoided: Mask,
    options: ExemplarOptions,
    progress: Progress | None,
) -> Samples:
    """(N, channels) samples for the hole of a piece.

    Args:
        samples: (crop.height, crop.width, channels) of its window, holes filled by the guide.
        unknown: (crop.height, crop.width) bool, every hole in the window.
        avoided: (crop.height, crop.width) bool, not to copy from.
    """
    own = np.zeros_like(unknown)
    own[piece.box.relative_to(piece.crop).slices] = piece.hole
    exclude = unknown & ~own
    if exclude.any():
        plain, flat = fill_flat(samples, unknown)
        if flat[own].all():
            return plain[own]
    guide = to_unit(samples[..., : colours_of(samples)])
    completed: Samples = complete(samples, own, guide, options, exclude | avoided, progress)[0][own]
    return completed
