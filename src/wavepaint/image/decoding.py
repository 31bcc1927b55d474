"""Samples of an image file, decoded at once or streamed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from wavepaint.box import Box
from wavepaint.cancellation import check_cancelled, kill_when_cancelled
from wavepaint.errors import ImageError
from wavepaint.image import hevc
from wavepaint.image.formats.tiff_tiles import check_strips
from wavepaint.image.header import Header, load_options, to_srgb
from wavepaint.image.orientation import box_to_stored, to_upright
from wavepaint.image.stored_file import StoredFile
from wavepaint.image.strips import STRIP_ROWS
from wavepaint.image.tiles import TileReader
from wavepaint.image.types import Samples
from wavepaint.image.vips import libvips


class Decoder:
    """Decodes one image of a file, upright; safe from several threads.

    A small image is decoded once and held. A larger one (`Header.is_streamed`) is decoded anew for each pass.
    """

    def __init__(self, file: StoredFile, header: Header) -> None:
        self._file, self._header = file, header
        # Tiles can be read in any order, and transposing needs the whole image: neither is a stream. (libvips holds
        # a whole image of more than 100 MB in a temporary file.)
        with file.decoding():
            self._tiles = TileReader(file.open, header.directory, to_srgb) if header.is_tiled else None
        self._is_random = header.orientation >= 3 or header.is_tiled
        self._is_checked = False
        self._decoded: Samples | None = None
        self._decode_lock = threading.Lock()

    def read_boxes(self, boxes: Sequence[Box]) -> list[Samples]:
        """Return the samples of boxes inside the image, arrays of their own, in one pass over the file."""
        if not self._header.is_streamed:
            decoded = self.decoded()
            return [decoded[box.slices].copy() for box in boxes]
        if self._is_random:
            fetch = self.row_reader()
            return [fetch(box).copy() for box in boxes]
        header = self._header
        samples = [np.empty((box.height, box.width, header.channels), header.dtype) for box in boxes]
        for strip, rows in self.strips(max((box.bottom for box in boxes), default=0)):
            for box, target in zip(boxes, samples, strict=True):
                common = box.intersection(strip)
                if common.is_empty:
                    continue
                target[common.relative_to(box).slices] = rows[common.relative_to(strip).slices]
        return samples

    def strips(self, bottom: int, hold: bool = True) -> Iterator[tuple[Box, Samples]]:
        """Yield the image down to row `bottom` in strips of full width: (box, samples), not writable.

        hold: as in `row_reader`.
        """
        fetch = self.row_reader(hold)
        for top in range(0, bottom, STRIP_ROWS):
            check_cancelled()
            strip = Box(0, top, self._header.width, min(STRIP_ROWS, bottom - top))
            yield strip, fetch(strip)

    def row_reader(self, hold: bool = True) -> Callable[[Box], Samples]:
        """Return a function that reads one box after the other, from top to bottom; its samples are not writable.

        hold: whether to hold what is decoded, of an image that is not streamed.
        """
        if hold and not self._header.is_streamed:
            decoded = self.decoded()
            return lambda box: decoded[box.slices]
        if (tiles := self._tiles) is not None:
            return lambda box: self._read_tiles(tiles, box)
        with self._file.decoding():
            image = self._upright()

        def fetch(box: Box) -> Samples:
            # A region belongs to the thread that made it, and libvips may call from several: one for each read.
            with self._file.decoding():
                region = libvips().Region.new(image)
                data = region.fetch(box.left, box.top, box.width, box.height)
            return np.frombuffer(data, self._header.dtype).reshape(box.height, box.width, self._header.channels)

        return fetch

    def decoded(self) -> Samples:
        """Return all samples of an image that is not streamed: decoded once, shared, not writable."""
        with self._decode_lock:
            if self._decoded is None:
                self._decoded = self._decode()
                self._decoded.flags.writeable = False
            return self._decoded

    def _decode(self) -> Samples:
        header = self._header
        if self._tiles is not None:
            return self._read_tiles(self._tiles, Box(0, 0, header.width, header.height))
        with self._file.decoding():
            image = self._upright()
            kill_when_cancelled(image)
            samples = image.numpy()
            check_cancelled()
        if samples.size != header.width * header.height * header.channels:
            raise ImageError(f"{self._file.name}: cannot be decoded: it changes while it is read")
        return np.asarray(samples).reshape(header.height, header.width, header.channels)

    def _read_tiles(self, tiles: TileReader, box: Box) -> Samples:
        header = self._header
        stored = box_to_stored(box, header.width, header.height, header.orientation)
        with self._file.decoding():
            return to_upright(tiles.read(stored), header.orientation)

    def _upright(self) -> Any:
        header = self._header
        if header.loader == "hevc":
            with self._file.open() as stream:
                return hevc.load(stream, header.channels)
        if header.format == "tiff" and not self._is_checked:
            with self._file.open() as stream:
                check_strips(stream, header.directory)
            self._is_checked = True
        options = load_options("random" if self._is_random else "sequential", header.directory)
        return to_srgb(self._file.load(header.loader, **options)).autorot()
