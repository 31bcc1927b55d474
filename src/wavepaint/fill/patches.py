"""What exemplar completion compares: 7x7 patches, described by small integers; and the masks it needs for that.

A patch is described by its low frequencies (DCT-II) in opponent colours and by how rough it is, a sixth of its samples'
number at no measured loss. All arithmetic is on integers, so that a description is the same on every machine, and
small enough for sums of products to be exact in float32: a matrix product then gives the same distances whatever the
order in which a library adds them, and so for any number of threads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Ints = NDArray[np.int32]
Indices = NDArray[np.int64]
Doubles = NDArray[np.float64]
T = TypeVar("T", bound=np.generic)
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
_TABLE = np.rint(_BASIS * 2**_TABLE_BITS).astype(np.int32)
_LUMINANCE = tuple((row, column) for row in range(4) for column in range(4 - row))
_CHROMA = tuple((row, column) for row in range(2) for column in range(2 - row))
_OPPONENTS = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]], np.float64)
_WAVES = [
    np.array([np.outer(_TABLE[row], _TABLE[column]).ravel() for row, column in pairs], np.float64)
    for pairs in (_LUMINANCE, _CHROMA)
]
COLOURS = len(_LUMINANCE) + 2 * len(_CHROMA)
LENGTH = COLOURS + 2
_DCT_SCALE = 1 / (UNIT * 4**_TABLE_BITS)
_SCALES = np.array(
    [_DCT_SCALE / 3**0.5] * len(_LUMINANCE)
    + [_DCT_SCALE / 2**0.5] * len(_CHROMA)
    + [_DCT_SCALE / 6**0.5] * len(_CHROMA)
    + [TEXTURE_WEIGHT * SIDE / UNIT] * 2
)[:, None]
"""From raw integers to an orthonormal description in steps of 8 bits."""
LONGEST_SOURCE, LONGEST_QUERY = 1300, 2600
"""Bounds of the Euclidean length of descriptions; the square of their sum is below 2^24, float32's exact integers."""
FINEST = 8.0
BLOCK = 1000
"""Patches that are described together; rows of a power of two would compete for the same lines of the cache."""


@dataclass(frozen=True, eq=False)
class Quantiser:
    """From raw descriptions to small integers.

    Attributes:
        scale: integers for each step of 8 bits.
        centre: (`LENGTH`, 1) raw description that becomes zero.
    """

    scale: float
    centre: Doubles

    @classmethod
    def fitting(cls, raw: Ints) -> tuple[Quantiser, Floats]:
        """As fine as some descriptions, (`LENGTH`, N) raw, allow; and what becomes of them, (N, `LENGTH`)."""
        centre = np.rint((raw.min(axis=1).astype(np.float64) + raw.max(axis=1)) / 2)[:, None]
        moved = raw - centre.astype(np.int32)
        rough = moved.astype(np.float32)
        rough *= _SCALES.astype(np.float32)
        rough = np.einsum("ij,ij->j", rough, rough)
        # The longest is one of those that are nearly the longest in float32.
        long = moved.take(np.flatnonzero(rough >= rough.max() * np.float32(0.9999)), axis=1) * _SCALES
        scale = (LONGEST_SOURCE - LENGTH) / max(float(np.sqrt((long**2).cumsum(axis=0)[-1].max())), 1e-6)
        scale = min(FINEST, scale)
        return cls(scale, centre), _rounded(moved, _SCALES * scale)

    def __call__(self, raw: Ints | Doubles) -> Floats:
        """(`LENGTH`, N) raw -> (N, `LENGTH`) float32 that hold integers, none longer than `LONGEST_QUERY`."""
        small = _rounded(raw - self.centre, _SCALES * self.scale)
        most = LONGEST_QUERY - LENGTH
        # Squares beyond 2^24 are rounded, but are large all the same.
        long = np.flatnonzero(np.einsum("ij,ij->i", small, small) > most**2)
        if len(long):
            cut = small[long].clip(-LONGEST_QUERY, LONGEST_QUERY)
            length = np.sqrt(np.einsum("ij,ij->i", cut, cut, dtype=np.float64))
            small[long] = np.rint(cut * (most / length[:, None]))
        return small


def _rounded(values: Ints | Doubles, scale: Doubles) -> Floats:
    """(`LENGTH`, N) -> (N, `LENGTH`), scaled, as whole numbers."""
    whole = np.empty(values.shape[::-1], np.float32)
    # Memory that is given back and taken again for each hole would cost more than the arithmetic.
    for start in range(0, len(whole), 8 * BLOCK):
        whole[start : start + 8 * BLOCK] = np.rint(values[:, start : start + 8 * BLOCK] * scale).T
    return whole


def describe(planes: Ints, texture: Ints) -> Ints:
    """Describe the patch around every sample; linear in the samples.

    Args:
        planes: (3, H, W) int32, 0 to `WHITE`.
        texture: (2, H, W) int32.

    Returns:
        (`LENGTH`, H * W) int32; patches at the border see it repeated outwards.
    """
    height, width = planes.shape[1:]
    pitch = width + 2 * RADIUS
    rows, columns = (np.arange(-RADIUS, side + RADIUS).clip(0, side - 1) for side in (height, width))
    red, green, blue = planes.take(rows, axis=1).take(columns, axis=2).reshape(3, -1)
    # Rows lie end to end; windows that reach into the next row are left out.
    opponents = np.zeros((3, red.size + 2 * RADIUS), np.int32)
    opponents[:, : red.size] = red + green + blue, red - blue, red - 2 * green + blue
    raw = np.empty((LENGTH, height, width), np.int32)
    first = len(_LUMINANCE)
    for channels, orders, part in ((opponents[:1], 4, raw[:first]), (opponents[1:], 2, raw[first:COLOURS])):
        places = iter(np.moveaxis(part.reshape(len(channels), -1, height, width), 1, 0))
        for row, down in enumerate(_transform(channels, pitch, orders)):
            for across in _transform(down, 1, orders - row):
                next(places)[:] = across.reshape(-1, height, pitch)[..., :width]
    raw[COLOURS:] = texture
    return raw.reshape(LENGTH, -1)


def _transform(values: Ints, step: int, orders: int) -> list[Ints]:
    """Frequencies 0 to `orders` - 1 of every window of `SIDE` values that lie `step` apart."""
    length = values.shape[1] - 2 * RADIUS * step
    taps = [values[:, tap * step : tap * step + length] for tap in range(SIDE)]
    # Cosines are symmetric or antisymmetric in their taps.
    halves = [[taps[tap] + taps[-1 - tap] for tap in range(RADIUS)]]
    halves += [[taps[tap] - taps[-1 - tap] for tap in range(RADIUS)]] if orders > 1 else []
    mean = halves[0][0] + halves[0][1]
    mean += halves[0][2]
    mean += taps[RADIUS]
    mean *= _TABLE[0, 0]
    frequencies = [mean]
    for order in range(1, orders):
        total = halves[order % 2][0] * _TABLE[order, 0]
        for tap in range(1, RADIUS):
            total += halves[order % 2][tap] * _TABLE[order, tap]
        if order % 2 == 0:
            total += taps[RADIUS] * _TABLE[order, RADIUS]
        frequencies.append(total)
    return frequencies


def describe_patches(samples: NDArray[Any], patches: Indices) -> Doubles:
    """The first `COLOURS` numbers of `describe`, of single patches.

    Args:
        samples: (3, M) whole numbers.
        patches: (`SIDE` * `SIDE`, N) indices of samples, row by row; `M` = zero.

    Returns:
        (`COLOURS`, N).
    """
    opponents = np.zeros((3, samples.shape[1] + 1))
    opponents[:, :-1] = _OPPONENTS @ samples
    first, count = len(_LUMINANCE), patches.shape[1]
    raw = np.empty((COLOURS, count))
    luminance, chroma = raw[:first], raw[first:].reshape(2, -1, count)
    for start in range(0, count, BLOCK):
        part = slice(start, start + BLOCK)
        seen = opponents.take(patches[:, part], axis=1)
        luminance[:, part] = _WAVES[0] @ seen[0]
        chroma[..., part] = _WAVES[1] @ seen[1:]
    return raw


def texture_of(planes: Ints) -> Ints:
    """(3, H, W) -> (2, H, W) int32: absolute horizontal and vertical differences of the mean of the channels."""
    grey = planes[0] + planes[1] + planes[2]
    texture = np.zeros((2, *grey.shape), np.int32)
    texture[0, :, :-1] = np.abs(np.diff(grey, axis=1)) // 3
    texture[1, :-1] = np.abs(np.diff(grey, axis=0)) // 3
    return texture


def detail_energy(described: Floats) -> Floats:
    """(..., `LENGTH`) -> (...): energy of the luminance detail of described patches."""
    detail = described[..., 1:10]
    energy: Floats = np.einsum("...j,...j->...", detail, detail)
    return energy


def dilate(mask: Mask, radius: int) -> Mask:
    """Every sample within `radius` rows and columns of a marked one."""
    return _over_squares(mask, radius, np.logical_or)


def box_sums(values: Mask | Ints | Indices, radius: int) -> Ints:
    """Sums, below 2^31, over the square of `radius` around every sample; nothing lies outside the image."""
    return _over_squares(values.astype(np.int32), radius, np.add)


def box_maximum(values: Ints, radius: int) -> Ints:
    """Largest value over the square of `radius` around every sample; values are not negative."""
    return _over_squares(values, radius, np.maximum)


def _over_squares(values: NDArray[T], radius: int, combine: np.ufunc) -> NDArray[T]:
    """Combine the values in the square of `radius` around every sample; zeros lie outside the image."""
    side = 2 * radius + 1
    for _ in range(2):
        length = len(values)
        windows = np.zeros_like(values, shape=(length + 2 * radius, values.shape[1]))
        windows[radius : radius + length] = values
        # A window is put together from windows whose lengths are powers of two; the first has one sample.
        total, start, span = windows[:length], 1, 1
        while 2 * span <= side:
            windows = combine(windows[:-span], windows[span:])
            span *= 2
            if side & span:
                total = combine(total, windows[start : start + length])
                start += span
        values = total.T
    return values


def box_around(mask: Mask, margin: int) -> tuple[slice, slice]:
    """The box of all marked samples, with a margin where the image goes on."""
    box = []
    for axis in (0, 1):
        marked = np.flatnonzero(mask.any(axis=1 - axis))
        box.append(slice(max(int(marked[0]) - margin, 0), int(marked[-1]) + 1 + margin))
    return box[0], box[1]


def depth_of(hole: Mask, most: int) -> Ints:
    """Distance of hole samples to the nearest known one, in steps of a near-octagonal erosion, `most` at the most.

    What lies outside the image counts as hole.
    """
    depth = np.zeros(hole.shape, np.int32)
    if not hole.any():
        return depth
    # Around the box of the hole all is known, but for the border of the image.
    box = box_around(hole, 1)
    left, inner = hole[box], depth[box]
    p = np.ones((left.shape[0] + 2, left.shape[1] + 2), np.bool_)
    for step in range(most):
        if not left.any():
            break
        inner += left
        p[1:-1, 1:-1] = left
        left = p[1:-1, 1:-1] & p[:-2, 1:-1] & p[2:, 1:-1] & p[1:-1, :-2] & p[1:-1, 2:]
        if step % 2:
            left &= p[:-2, :-2] & p[2:, 2:] & p[:-2, 2:] & p[2:, :-2]
    return depth


def label(mask: Mask, corners: bool = False) -> Indices:
    """Connected pieces of a mask, each numbered by the largest index in it plus one; 0 outside.

    corners: whether samples that touch at a corner are neighbours, too.
    """
    if mask.all():  # one piece
        return np.full(mask.shape, mask.size)
    pitch = mask.shape[1] + 1
    steps = (1, pitch, pitch - 1, pitch + 1) if corners else (1, pitch)
    marked = np.flatnonzero(np.pad(mask, ((0, 0), (0, 1))))
    # Numbers of the marked samples; of all others, in a margin too, that of none.
    number = np.full(mask.shape[0] * pitch + pitch + 1, -1)
    number[marked] = np.arange(len(marked))
    pairs = np.concatenate([np.stack((number[marked], number[marked + step])) for step in steps], axis=1)
    pairs = pairs[:, pairs[1] >= 0]
    root = np.arange(len(marked))
    while pairs.size:
        # Of two pieces that touch, that with the smaller number becomes part of the other.
        np.maximum.at(root, *np.sort(root[pairs], axis=0))
        while not np.array_equal(above := root[root], root):
            root = above
        pairs = pairs[:, root[pairs[0]] != root[pairs[1]]]
    labels = np.zeros(mask.shape, np.int64)
    labels[mask] = np.flatnonzero(mask)[root] + 1
    return labels
