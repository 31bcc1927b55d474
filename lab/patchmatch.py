"""Exemplar-based filling: every patch that touches the hole should look like some known patch.

Coarse to fine, two steps alternate (Wexler et al., "Space-Time Completion of Video", 2007): find each
patch's nearest known patch, then let the found patches vote on the hole's samples. The search is PatchMatch
(Barnes et al., 2009): random guesses improved by what the neighbours found. Neighbours are asked all at once
instead of in scanning order, which suits arrays.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wavepaint.data.seeding import rng_for
from wavepaint.errors import MissingExtraError
from wavepaint.evaluation.metrics import BoolMask, Image, to_uint8

FloatImage = NDArray[np.float32]
Positions = NDArray[np.int64]

RADII = (3, 2, 1, 0)
"""Patch radii, the largest first that leaves enough known patches to copy from."""
MIN_SOURCES = 64
COARSEST_SIDE = 32
COARSEST_ROUNDS = 12
FINER_ROUNDS = (4, 2, 2)
"""Search-and-vote rounds at the scales above the coarsest, coarse to fine; the last one for all finer."""
NEIGHBOURS = ((0, 1), (0, -1), (1, 0), (-1, 0))


@dataclass(frozen=True)
class Matches:
    """Nearest known patches: flat positions in the image of `(N,)` patch centres, and squared distances."""

    sources: Positions
    distances: NDArray[np.float32]


def patchmatch_inpaint(known: Image, mask: BoolMask) -> Image:
    """Fill the hole of one image from patches of its known part.

    Args:
        known: uint8 `(H, W, 3)`; what it holds inside the hole is ignored.
        mask: bool `(H, W)`, True = hole; at least one pixel is known.

    Returns:
        uint8 `(H, W, 3)`, equal to `known` outside the hole. Deterministic.
    """
    rng = rng_for(0, "patchmatch")
    scales = list(_pyramid(np.divide(known, 255, dtype=np.float32), mask))
    image, hole = scales[-1]
    filled = _nearest_known(image, hole)
    guide: _Scale | None = None
    matches: Matches | None = None
    for depth, (image, hole) in enumerate(reversed(scales)):
        if guide is not None:
            filled = np.where(hole[..., None], _doubled(filled, hole.shape), image)
        scale = _Scale.of(hole)
        matches = scale.random_matches(rng) if guide is None else scale.inherited(guide, matches, rng)
        rounds = FINER_ROUNDS[min(depth, len(FINER_ROUNDS)) - 1] if depth else COARSEST_ROUNDS
        for _ in range(rounds):
            matches = scale.search(filled, matches, rng)
            filled = scale.vote(filled, matches)
        guide = scale
    return np.where(mask[..., None], to_uint8(filled), known)


@dataclass(frozen=True, eq=False)
class _Scale:
    """Geometry of one scale: which patches are wanted and which may be copied.

    Positions are flat indices of patch centres in the `(H, W)` image.
    """

    hole: BoolMask
    radius: int
    targets: Positions
    sources: Positions
    is_source: BoolMask

    @classmethod
    def of(cls, hole: BoolMask) -> _Scale:
        for radius in RADII:
            touched = _dilated(hole, radius)
            usable = ~touched
            if radius:
                usable[:radius] = usable[-radius:] = usable[:, :radius] = usable[:, -radius:] = False
            if radius == 0 or np.count_nonzero(usable) >= MIN_SOURCES:
                break
        return cls(hole, radius, np.flatnonzero(touched), np.flatnonzero(usable), usable.ravel())

    def random_matches(self, rng: np.random.Generator) -> Matches:
        """Known patches drawn at random, their distances not measured yet."""
        sources = self.sources[rng.integers(len(self.sources), size=len(self.targets))]
        return Matches(sources, np.full(len(sources), np.inf, np.float32))

    def inherited(self, coarse: _Scale, matches: Matches | None, rng: np.random.Generator) -> Matches:
        """The coarser scale's matches, doubled; random ones where that gives no known patch."""
        start = self.random_matches(rng)
        if matches is None:
            return start
        (h, w), (coarse_h, coarse_w) = self.hole.shape, coarse.hole.shape
        field = np.full(coarse.hole.size, -1, np.int64)
        field[coarse.targets] = matches.sources
        y, x = np.divmod(self.targets, w)
        sources = field[np.minimum(y // 2, coarse_h - 1) * coarse_w + np.minimum(x // 2, coarse_w - 1)]
        source_y, source_x = np.divmod(np.maximum(sources, 0), coarse_w)
        source_y = np.minimum(2 * source_y + y % 2, h - 1)
        source_x = np.minimum(2 * source_x + x % 2, w - 1)
        doubled = source_y * w + source_x
        usable = (sources >= 0) & self.is_source[doubled]
        return Matches(np.where(usable, doubled, start.sources), start.distances)

    def search(self, filled: FloatImage, matches: Matches, rng: np.random.Generator) -> Matches:
        """One sweep of PatchMatch: the neighbours' offsets, then random places ever closer to the best."""
        h, w = self.hole.shape
        patches = _patches(filled, self.radius)
        target_patches = patches[self.targets]
        distances = _squared_distance(patches[matches.sources], target_patches)
        best = Matches(matches.sources.copy(), distances)
        y, x = np.divmod(self.targets, w)
        field = np.full(self.hole.size, -1, np.int64)
        for dy, dx in NEIGHBOURS:
            field[self.targets] = best.sources
            inside = (y + dy >= 0) & (y + dy < h) & (x + dx >= 0) & (x + dx < w)
            offered = np.where(inside, field[np.where(inside, self.targets + dy * w + dx, 0)], -1)
            source_y, source_x = np.divmod(offered, w)
            self._improve(best, patches, target_patches, source_y - dy, source_x - dx, offered >= 0)
        everywhere = self.sources[rng.integers(len(self.sources), size=len(self.targets))]
        self._improve(best, patches, target_patches, *np.divmod(everywhere, w), None)
        reach = max(h, w) // 4
        while reach >= 1:
            jump = rng.integers(-reach, reach + 1, size=(2, len(self.targets)))
            source_y, source_x = np.divmod(best.sources, w)
            self._improve(best, patches, target_patches, source_y + jump[0], source_x + jump[1], None)
            reach //= 3
        return best

    def _improve(
        self,
        best: Matches,
        patches: FloatImage,
        target_patches: FloatImage,
        source_y: Positions,
        source_x: Positions,
        offered: BoolMask | None,
    ) -> None:
        """Put the candidates that are known patches and closer into `best`."""
        h, w = self.hole.shape
        usable = (source_y >= 0) & (source_y < h) & (source_x >= 0) & (source_x < w)
        if offered is not None:
            usable &= offered
        candidates = np.where(usable, source_y * w + source_x, 0)
        usable &= self.is_source[candidates] & (candidates != best.sources)
        rows = np.flatnonzero(usable)
        candidates = candidates[rows]
        distances = _squared_distance(patches[candidates], target_patches[rows])
        closer = distances < best.distances[rows]
        best.sources[rows[closer]] = candidates[closer]
        best.distances[rows[closer]] = distances[closer]

    def vote(self, filled: FloatImage, matches: Matches) -> FloatImage:
        """Every hole sample becomes the mean of what the patches over it say, good matches counting more."""
        h, w = self.hole.shape
        spread = float(np.percentile(matches.distances, 75)) + 1e-6
        weight = np.exp(-matches.distances / (2 * spread)).astype(np.float32)[:, None]
        y, x = np.divmod(self.targets, w)
        colours = filled.reshape(-1, 3)
        total = np.zeros_like(colours)
        weights = np.zeros((len(colours), 1), np.float32)
        hole = self.hole.ravel()
        for dy in range(-self.radius, self.radius + 1):
            for dx in range(-self.radius, self.radius + 1):
                inside = (y + dy >= 0) & (y + dy < h) & (x + dx >= 0) & (x + dx < w)
                rows = np.flatnonzero(inside)
                step = dy * w + dx
                rows = rows[hole[self.targets[rows] + step]]
                # For one step all these samples are different, so plain indexing adds each once.
                samples = self.targets[rows] + step
                total[samples] += weight[rows] * colours[matches.sources[rows] + step]
                weights[samples] += weight[rows]
        voted = np.where(self.hole.reshape(-1, 1), total / np.maximum(weights, 1e-12), colours)
        return voted.reshape(filled.shape)


def _pyramid(image: FloatImage, hole: BoolMask) -> Iterator[tuple[FloatImage, BoolMask]]:
    """The image and ever halved ones, means of known samples; the last has a side of `COARSEST_SIDE` or so."""
    yield image, hole
    while min(hole.shape) >= 2 * COARSEST_SIDE:
        known = (~hole[..., None]).astype(np.float32)
        share = _halved(known)
        image = np.divide(_halved(image * known), np.maximum(share, 1e-6), dtype=np.float32)
        hole = share[..., 0] < 0.5
        if hole.all() or not hole.any():
            return
        yield image, hole


def _halved(image: FloatImage) -> FloatImage:
    h, w = image.shape[:2]
    even = np.pad(image, ((0, h % 2), (0, w % 2), (0, 0)), mode="edge")
    total = even[0::2, 0::2] + even[1::2, 0::2] + even[0::2, 1::2] + even[1::2, 1::2]
    return total * np.float32(0.25)


def _doubled(image: FloatImage, shape: tuple[int, ...]) -> FloatImage:
    return image.repeat(2, axis=0).repeat(2, axis=1)[: shape[0], : shape[1]]


def _dilated(mask: BoolMask, radius: int) -> BoolMask:
    """Grow by a square of side 2 radius + 1."""
    return np.asarray(_ndimage().maximum_filter(mask, 2 * radius + 1, mode="constant"))


def _nearest_known(image: FloatImage, hole: BoolMask) -> FloatImage:
    nearest = _ndimage().distance_transform_edt(hole, return_distances=False, return_indices=True)
    return np.asarray(image[tuple(nearest)])


def _patches(image: FloatImage, radius: int) -> FloatImage:
    """`(H * W, (2 radius + 1)^2 * 3)`: the patch around every pixel, mirrored at the border."""
    side = 2 * radius + 1
    padded = np.pad(image, ((radius, radius), (radius, radius), (0, 0)), mode="symmetric")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side), axis=(0, 1))
    return np.ascontiguousarray(windows).reshape(image.shape[0] * image.shape[1], -1)


def _squared_distance(a: FloatImage, b: FloatImage) -> NDArray[np.float32]:
    difference = a - b
    return np.asarray(np.einsum("nd,nd->n", difference, difference))


def _ndimage() -> Any:
    try:
        from scipy import ndimage
    except ImportError:
        raise MissingExtraError("PatchMatch", "train", "scikit-image") from None
    return ndimage
