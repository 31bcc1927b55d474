"""Hand rows of samples that Python computes to a libvips encoder, a strip at a time.

libvips pulls pixels, and the only thing it pulls from Python is the bytes of a file. So the rows are dressed up
as an uncompressed TIFF that exists nowhere: a header made in advance, then the rows as they are asked for. The
cost does not depend on how many patches the rows contain (a chain of `insert` operations grows quadratically and
overflows the stack at a few thousand), and memory is one strip whatever the size of the image.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from wavepaint.box import Box, overlay
from wavepaint.image.formats import tiff
from wavepaint.image.types import Patch, Samples
from wavepaint.image.vips import libvips

STRIP_ROWS = 64
"""Rows that are read, patched and handed on together."""


def strip_boxes(width: int, height: int) -> Iterator[Box]:
    """The strips of an image, of full width from top to bottom."""
    return (Box(0, top, width, min(STRIP_ROWS, height - top)) for top in range(0, height, STRIP_ROWS))


def patched_rows(
    fetch: Callable[[Box], Samples], width: int, patches: Iterable[Patch]
) -> Callable[[int, int], Samples]:
    """Return a function (top, count) -> samples of whole rows, patches included; it is asked for strips in order."""
    patches_of_strip: defaultdict[int, list[Patch]] = defaultdict(list)
    for box, samples in patches:
        for strip_index in range(box.top // STRIP_ROWS, (box.bottom - 1) // STRIP_ROWS + 1):
            patches_of_strip[strip_index].append((box, samples))

    def rows(top: int, count: int) -> Samples:
        strip = Box(0, top, width, count)
        fetched = fetch(strip)
        if top // STRIP_ROWS not in patches_of_strip:
            return fetched
        patched = fetched.copy()
        overlay(patched, strip, patches_of_strip[top // STRIP_ROWS])
        return patched

    return rows


class StripSource:
    """A virtual TIFF file of `width` x `height` pixels whose samples come from `rows(top, count)`.

    rows: returns (count, width, channels) of `dtype` (uint8 or uint16), called with ascending `top`, from
    whichever thread libvips works in. What it raises ends the file early and is kept in `error`: an exception
    cannot travel through libvips.
    """

    def __init__(
        self, width: int, height: int, channels: int, dtype: np.dtype[Any], rows: Callable[[int, int], np.ndarray]
    ) -> None:
        self.error: Exception | None = None
        self._header = _tiff_header(width, height, channels, dtype.itemsize)
        self._row_bytes = width * channels * dtype.itemsize
        self._height = height
        self._rows = rows
        self._position = 0
        self._strip = (-1, memoryview(b""))
        self._source: Any = None

    def image(self) -> Any:
        """Return the image as a sequential libvips image, to be read once, while this object lives."""
        # libvips does not keep the Python side of a source alive.
        self._source = libvips().SourceCustom()
        self._source.on_read(self._read)
        self._source.on_seek(self._seek)
        return libvips().Image.tiffload_source(self._source, access="sequential", fail_on="warning")

    def close(self) -> None:
        """Let go of the rows; the image must not be used any more."""
        self._source = None

    def _seek(self, offset: int, whence: int) -> int:
        size = len(self._header) + self._row_bytes * self._height
        self._position = offset + (0, self._position, size)[whence]
        return self._position

    def _read(self, size: int) -> bytes:
        start = self._position - len(self._header)
        try:
            data = self._header[self._position :][:size] if start < 0 else self._sample_bytes(start, size)
        except Exception as error:
            self.error = error
            return b""
        self._position += len(data)
        return data

    def _sample_bytes(self, start: int, size: int) -> bytes:
        """Return up to `size` bytes of samples, never across the end of a strip."""
        strip_bytes = self._row_bytes * STRIP_ROWS
        index, offset = divmod(start, strip_bytes)
        top = index * STRIP_ROWS
        if top >= self._height:
            return b""
        if self._strip[0] != index:
            rows = np.ascontiguousarray(self._rows(top, min(STRIP_ROWS, self._height - top)))
            self._strip = (index, memoryview(rows.data).cast("B"))
        return bytes(self._strip[1][offset : offset + size])


def _tiff_header(width: int, height: int, channels: int, sample_bytes: int) -> bytes:
    """Return everything of an uncompressed BigTIFF that stands before its samples (native byte order)."""
    counts = [min(STRIP_ROWS, height - top) for top in range(0, height, STRIP_ROWS)]
    sizes = np.array(counts, np.uint64) * np.uint64(width * channels * sample_bytes)
    offsets = np.cumsum(sizes) - sizes
    tags: dict[int, ArrayLike] = {
        256: width,
        257: height,
        258: [8 * sample_bytes] * channels,
        259: 1,
        262: 2 if channels >= 3 else 1,
    }
    tags |= {273: offsets, 277: channels, 278: STRIP_ROWS, 279: sizes, **({338: 2} if channels in (2, 4) else {})}
    directory: tiff.Directory = {tag: tiff.integer_value(values) for tag, values in tags.items()}
    order = "<" if sys.byteorder == "little" else ">"
    before = len(tiff.bigtiff_of(order, b"", directory))
    return tiff.bigtiff_of(order, b"", directory | {273: tiff.integer_value(offsets + np.uint64(before))})
