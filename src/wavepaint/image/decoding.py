"""Samples of an image file, decoded at once or streamed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wavepaint.box import Box, overlay
from wavepaint.cancellation import check_cancelled, kill_when_cancelled
from wavepaint.errors import ImageError
from wavepaint.image import hevc
from wavepaint.image.formats.tiff_tiles import TileTable, check_strips
from wavepaint.image.header import Header, load_options, to_srgb
from wavepaint.image.orientation import to_upright
from wavepaint.image.stored_file import StoredFile
from wavepaint.image.strips import strip_boxes
from wavepaint.image.types import Samples
from wavepaint.image.vips import libvips

_MAX_ROWS = 2**16
"""Rows of samples that are decoded at once; libvips refuses images of more than ten million."""


class Decoder:
    """Decodes one image of a file, upright; safe from several threads.

    A small image is decoded once and held. A larger one (`Header.streamed`) is decoded anew for each pass.
    """

    def __init__(self, file: StoredFile, header: Header) -> None:
        self._file, self._header = file, header
        # Tiles can be read in any order, and transposing needs the whole image: neither is a stream. (libvips holds
        # a whole image of more than 100 MB in a temporary file.)
        with file.decoding():
            self._tiles = TileReader(file, header) if header.is_tiled else None
        self._is_random = header.orientation >= 3 or header.is_tiled
        self._is_checked = False
        self._decoded: Samples | None = None
        self._decode_lock = threading.Lock()

    def read_boxes(self, boxes: Sequence[Box]) -> list[Samples]:
        """Return the samples of boxes inside the image, arrays of their own, in one pass over the file."""
        if self._is_random or not self._header.streamed:
            fetch = self.row_reader()
            return [fetch(box).copy() for box in boxes]
        header = self._header
        samples = [np.empty((box.height, box.width, header.channels), header.dtype) for box in boxes]
        for strip, rows in self.strips(max((box.bottom for box in boxes), default=0)):
            for box, target in zip(boxes, samples, strict=True):
                overlay(target, box, [(strip, rows)])
        return samples

    def strips(self, bottom: int, hold: bool = True) -> Iterator[tuple[Box, Samples]]:
        """Yield the image down to row `bottom` in strips of full width: (box, samples), not writable.

        hold: as in `row_reader`.
        """
        fetch = self.row_reader(hold)
        for strip in strip_boxes(self._header.width, bottom):
            check_cancelled()
            yield strip, fetch(strip)

    def row_reader(self, hold: bool = True) -> Callable[[Box], Samples]:
        """Return a function that reads one box after the other, from top to bottom; its samples are not writable.

        hold: whether to hold what is decoded, of an image that is not streamed.
        """
        if hold and not self._header.streamed:
            decoded = self.decoded()
            return lambda box: decoded[box.slices]
        if self._tiles is not None:
            return self._tiles.read
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
            return self._tiles.read(header.box)
        with self._file.decoding():
            image = self._upright()
            kill_when_cancelled(image)
            samples = image.numpy()
            check_cancelled()
        if samples.size != header.width * header.height * header.channels:
            raise ImageError(f"{self._file.name}: cannot be decoded: it changes while it is read")
        return np.asarray(samples).reshape(header.height, header.width, header.channels)

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


class TileReader:
    """The tiles of one page of a TIFF file, decoded so that one that cannot be decoded is an error.

    libvips reads tiles through a cache that paints a tile black where decoding fails, and only logs it. Strips it reads
    without that cache, and an error ends the reading: so it gets the tiles as strips (`formats.tiff_tiles`).

    Args:
        file: to read.
        header: of its page.

    Raises:
        ValueError: tags that make no sense.
    """

    def __init__(self, file: StoredFile, header: Header) -> None:
        self._file, self._header = file, header
        with file.open() as stream:
            self._table = TileTable(stream, header.directory)
        self._last: tuple[Box, NDArray[Any]] | None = None

    def read(self, box: Box) -> Samples:
        """Return the samples of one box of the upright image, not writable.

        Raises:
            ImageError: a tile that is not wholly in the file, is damaged, or compressed in a way that is not supported.
        """
        stored = self._header.stored(box)
        width, height = self._table.tile_width, self._table.tile_height
        left, top = stored.left // width, stored.top // height
        tiles = Box.from_edges(left, top, -(-stored.right // width), -(-stored.bottom // height))
        # Whoever goes through an image strip by strip asks for each row of tiles several times in succession.
        last = self._last
        if last is None or last[0] != tiles:
            with self._file.decoding():
                self._last = last = (tiles, self._decode(tiles))
        samples = last[1][stored.relative_to(Box(left * width, top * height, 0, 0)).slices]
        return to_upright(samples, self._header.orientation)

    def _decode(self, tiles: Box) -> NDArray[Any]:
        """The samples of a rectangle of tiles."""
        table = self._table
        width, height = table.tile_width, table.tile_height
        numbers = np.arange(table.across * table.down).reshape(table.down, table.across)[tiles.slices]
        step = max(1, _MAX_ROWS // (tiles.width * height))
        parts = []
        with self._file.open() as stream:
            for top in range(0, tiles.height, step):
                check_cancelled()
                part = numbers[top : top + step]
                strips = table.as_strips(stream, part.ravel().tolist())
                image = libvips().Image.tiffload_buffer(strips, access="sequential", fail_on="error")
                samples: NDArray[Any] = to_srgb(image).numpy().reshape(*part.shape, height, width, -1)
                parts.append(samples.transpose(0, 2, 1, 3, 4).reshape(len(part) * height, tiles.width * width, -1))
        decoded = parts[0] if len(parts) == 1 else np.concatenate(parts)
        decoded.flags.writeable = False
        return decoded
