"""What exemplar completion compares: 7x7 patches, described by small integers; and the masks it needs for that.

A patch is described by its low frequencies (DCT-II) in opponent colours and by how rough it is, a sixth of its samples'
number at no measured loss. All arithmetic is on integers, so that a description is the same on every machine, and
small enough for sums of products to be exact in float32: a matrix product then gives the same distances whatever the
order in which a library adds them, and so for any number of threads.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Ints = NDArray[np.int32]
Floats = NDArray[np.float32]

RADIUS = 3
SIDE = 2 * RADIUS + 1
UNIT = 16
"""Working samples are integers, in steps of 1/16 of a step of 8 bits: 0 to 4080."""
WHITE = 255 * UNIT
TEXTURE_WEIGHT = 1.5
"""Weight of the two texture maps against the frequencies of a patch."""
DETAIL = (*range(1, 10), 11, 12, 14, 15)
"""Places of the description that do not say how bright a patch is, but how it varies."""
_TABLE_BITS = 6
_BASIS = np.array(
    [
        [np.cos(np.pi * (tap + 0.5) * order / SIDE) * ((2 if order else 1) / SIDE) ** 0.5 for tap in range(SIDE)]
        for order in range(4)
    ]
)
_TABLE = np.rint(_BASIS * 2**_TABLE_BITS).astype(int).tolist()
_LUMINANCE = tuple((row, column) for row in range(4) for column in range(4) if row + column < 4)
_CHROMA = ((0, 0), (0, 1), (1, 0))
_PAIRS = ((0, _LUMINANCE), (1, _CHROMA), (2, _CHROMA))
LENGTH = len(_LUMINANCE) + 2 * len(_CHROMA) + 2
_DCT_SCALE = 1 / (UNIT * 4**_TABLE_BITS)
_SCALES = np.array(
    [_DCT_SCALE / 3**0.5] * len(_LUMINANCE)
    + [_DCT_SCALE / 2**0.5] * len(_CHROMA)
    + [_DCT_SCALE / 6**0.5] * len(_CHROMA)
    + [TEXTURE_WEIGHT * SIDE / UNIT] * 2
)
"""From raw integers to an orthonormal description in steps of 8 bits."""
LONGEST_OFFERED, LONGEST_WANTED = 1300, 2600
"""Bounds of the Euclidean length of descriptions: the square of their sum is below 2^24, float32's exact integers."""
FINEST = 8.0


@dataclass(frozen=True, eq=False)
class Quantiser:
    """From raw descriptions to small integers.

    Attributes:
        scale: integers for each step of 8 bits.
        centre: (`LENGTH`,) raw description that becomes zero.
    """

    scale: float
    centre: NDArray[np.float64]

    @classmethod
    def fitting(cls, raw: Ints, where: Mask) -> Quantiser:
        """As fine as the patches in `where` allow; `raw` is (`LENGTH`, H, W)."""
        used = raw[:, where] if where.any() else raw.reshape(LENGTH, -1)
        centre = np.rint((used.min(axis=1).astype(np.float64) + used.max(axis=1)) / 2)
        squares = np.zeros(used.shape[1])
        for values, middle, scale in zip(used, centre, _SCALES, strict=True):
            squares += ((values - middle) * scale) ** 2
        longest = float(np.sqrt(squares.max()))
        return cls(min(FINEST, (LONGEST_OFFERED - LENGTH) / max(longest, 1e-6)), centre)

    def __call__(self, raw: NDArray[np.int32] | NDArray[np.float64]) -> Floats:
        """(`LENGTH`, N) raw -> (N, `LENGTH`) float32 that hold integers, none longer than `LONGEST_WANTED`."""
        small = np.empty((raw.shape[1], LENGTH), np.float32)
        for place, (values, middle, scale) in enumerate(zip(raw, self.centre, _SCALES, strict=True)):
            small[:, place] = np.rint((values - middle) * (scale * self.scale))
        np.clip(small, -LONGEST_WANTED, LONGEST_WANTED, out=small)
        length = np.sqrt(np.einsum("ij,ij->i", small, small, dtype=np.float64))
        long = np.flatnonzero(length > LONGEST_WANTED - LENGTH)
        if len(long):
            small[long] = np.rint(small[long] * ((LONGEST_WANTED - LENGTH) / length[long, None]))
        return small


def describe(planes: Ints, texture: Ints | None) -> Ints:
    """Describe the patch around every sample; linear in the samples.

    Args:
        planes: (H, W, 3) int32, -`WHITE` to `WHITE`.
        texture: (H, W, 2) int32, or None for zeros.

    Returns:
        (`LENGTH`, H, W) int32; patches at the border see it repeated outwards.
    """
    height, width = planes.shape[:2]
    rows, columns = (np.arange(-RADIUS, side + RADIUS).clip(0, side - 1) for side in (height, width))
    red, green, blue = np.moveaxis(planes, 2, 0).take(rows, axis=1).take(columns, axis=2)
    opponents = (red + green + blue, red - blue, red - 2 * green + blue)
    raw = np.empty((LENGTH, height, width), np.int32)
    place = 0
    for channel, pairs in _PAIRS:
        for row, own in _transform(opponents[channel], sorted({row for row, _ in pairs})).items():
            for column, values in _transform(own.T, [column for each, column in pairs if each == row]).items():
                raw[place + pairs.index((row, column))] = values.T
        place += len(pairs)
    if texture is None:
        raw[place:] = 0
    else:
        raw[place:] = np.moveaxis(texture, 2, 0)
    return raw


def _transform(plane: Ints, frequencies: list[int]) -> dict[int, Ints]:
    """Frequencies along the first axis, each of every window of `SIDE` rows: symmetric or antisymmetric in its taps."""
    length = len(plane) - 2 * RADIUS
    taps = [plane[tap : tap + length] for tap in range(SIDE)]
    found = {}
    sums = [taps[tap] + taps[-1 - tap] for tap in range(RADIUS)] if any(f % 2 == 0 for f in frequencies) else []
    differences = [taps[tap] - taps[-1 - tap] for tap in range(RADIUS)] if any(f % 2 for f in frequencies) else []
    for frequency in frequencies:
        table = _TABLE[frequency]
        terms = differences if frequency % 2 else sums
        total = terms[0] * np.int32(table[0])
        for tap in range(1, RADIUS):
            total += terms[tap] * np.int32(table[tap])
        if frequency % 2 == 0:
            total += taps[RADIUS] * np.int32(table[RADIUS])
        found[frequency] = total
    return found


def texture_of(planes: Ints) -> Ints:
    """(H, W, 3) -> (H, W, 2) int32: absolute horizontal and vertical differences of the mean of the channels."""
    grey = planes.sum(axis=2, dtype=np.int32)
    texture = np.zeros((*grey.shape, 2), np.int32)
    np.abs(np.diff(grey, axis=1), out=texture[:, :-1, 0])
    np.abs(np.diff(grey, axis=0), out=texture[:-1, :, 1])
    return texture // np.int32(3)


def detail_energy(described: Floats) -> Floats:
    """(N, `LENGTH`) -> (N,): energy of the luminance detail of described patches."""
    detail = described[:, 1:10]
    energy: Floats = np.einsum("ij,ij->i", detail, detail)
    return energy


def dilate(mask: Mask, radius: int) -> Mask:
    """Every sample within `radius` rows and columns of a marked one."""
    return box_sums(mask, radius) > 0


def box_sums(values: NDArray[np.bool_] | NDArray[np.int32] | NDArray[np.int64], radius: int) -> NDArray[np.int64]:
    """Sums over the square of `radius` around every sample; nothing lies outside the image."""
    side = 2 * radius + 1
    for axis in (0, 1):
        length = values.shape[axis]
        sums = np.zeros([size + (side if each == axis else 0) for each, size in enumerate(values.shape)], np.int64)
        inner, before, behind = slice(radius + 1, radius + 1 + length), slice(length), slice(side, side + length)
        sums[inner if axis == 0 else (slice(None), inner)] = values
        sums.cumsum(axis=axis, out=sums)
        values = sums[behind] - sums[before] if axis == 0 else sums[:, behind] - sums[:, before]
    return values  # type: ignore[return-value]


def box_mean(values: NDArray[np.int64] | NDArray[np.int32], where: Mask, radius: int) -> NDArray[np.float64]:
    """Means of the marked samples over the square of `radius` around every sample; 0 where none is marked."""
    count = box_sums(where, radius)
    mean: NDArray[np.float64] = box_sums(np.where(where, values, 0), radius) / np.maximum(count, 1)
    return mean


def box_maximum(values: Ints, radius: int) -> Ints:
    """Largest value over the square of `radius` around every sample; values are not negative."""
    for axis in (0, 1):
        pad = [(0, 0), (0, 0)]
        pad[axis] = (radius, radius)
        padded = np.pad(values, pad)
        largest, span = padded, 1
        # Windows of doubling length, then two of them that overlap.
        while 2 * span <= 2 * radius + 1:
            largest = np.maximum(_cut(largest, axis, 0, span), _cut(largest, axis, span, 0))
            span *= 2
        rest = 2 * radius + 1 - span
        values = np.maximum(_cut(largest, axis, 0, rest), _cut(largest, axis, rest, 0))
    return values


def _cut(values: Ints, axis: int, before: int, after: int) -> Ints:
    """Without the first and the last rows or columns."""
    part = slice(before, values.shape[axis] - after)
    return values[part] if axis == 0 else values[:, part]


def depth_of(hole: Mask, most: int) -> Ints:
    """Distance of hole samples to the nearest known one, in steps of a near-octagonal erosion, `most` at the most.

    What lies outside the image counts as hole.
    """
    depth = np.zeros(hole.shape, np.int32)
    left = hole
    p = np.ones((hole.shape[0] + 2, hole.shape[1] + 2), np.bool_)
    for step in range(most):
        if not left.any():
            break
        depth += left
        p[1:-1, 1:-1] = left
        left = p[1:-1, 1:-1] & p[:-2, 1:-1] & p[2:, 1:-1] & p[1:-1, :-2] & p[1:-1, 2:]
        if step % 2:
            left &= p[:-2, :-2] & p[2:, 2:] & p[:-2, 2:] & p[2:, :-2]
    return depth


def label(mask: Mask) -> NDArray[np.int64]:
    """Connected pieces (four neighbours) of a mask, each numbered by the largest index in it plus one; 0 outside."""
    labels = np.where(mask, np.arange(1, mask.size + 1).reshape(mask.shape), 0)
    pieces = [np.flip(~mask, flips).cumsum(axis) * (mask.size + 2) for axis, flips in _PASSES]
    while True:
        before = labels
        for (axis, flips), piece in zip(_PASSES, pieces, strict=True):
            # A running maximum that starts anew behind every gap, as the gap's number outweighs all labels before it.
            turned = np.flip(labels, flips)
            turned = np.maximum.accumulate(piece + turned, axis) - piece
            labels = np.where(mask, np.flip(turned, flips), 0)
        if np.array_equal(labels, before):
            return labels


_PASSES: tuple[tuple[int, tuple[int, ...]], ...] = ((0, ()), (0, (0,)), (1, ()), (1, (1,)))
