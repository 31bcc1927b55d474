"""Decode tiled TIFFs so that a tile that cannot be decoded is an error.

libvips reads tiles through a cache that paints a tile black where decoding fails, and only logs it. Strips it reads
without that cache, and an error ends the reading: so it gets the tiles as strips (`formats.tiff_tiles`).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from wavepaint.box import Box
from wavepaint.cancellation import check_cancelled
from wavepaint.image.formats.tiff_tiles import read_tile_table
from wavepaint.image.vips import libvips

_MAX_ROWS = 2**16
"""Rows of samples that are decoded at once; libvips refuses images of more than ten million."""


class TileReader:
    """The tiles of one page of a TIFF file.

    Args:
        open_file: opens the file.
        page: number of its directory, from 0.
        convert: from the libvips image of some tiles to that of the samples to hand out; pixel by pixel.

    Raises:
        ValueError: tags that make no sense.
    """

    def __init__(
        self, open_file: Callable[[], AbstractContextManager[BinaryIO]], page: int, convert: Callable[[Any], Any]
    ) -> None:
        self._open_file, self._convert = open_file, convert
        with open_file() as stream:
            self._table = read_tile_table(stream, page)
        self._last: tuple[Box, NDArray[Any]] | None = None

    def read(self, box: Box) -> NDArray[Any]:
        """Return the samples of one box of the image as it is stored, (height, width, channels), not writable.

        Raises:
            ValueError: a tile that is not wholly in the file.
            pyvips.Error: a tile that is damaged, or compressed in a way that is not supported.
        """
        width, height = self._table.tile_width, self._table.tile_height
        left, top = box.left // width, box.top // height
        tiles = Box.from_edges(left, top, -(-box.right // width), -(-box.bottom // height))
        # Whoever goes through an image strip by strip asks for each row of tiles several times in succession.
        last = self._last
        if last is None or last[0] != tiles:
            self._last = last = (tiles, self._decode(tiles))
        row, column = box.top - top * height, box.left - left * width
        return last[1][row : row + box.height, column : column + box.width]

    def _decode(self, tiles: Box) -> NDArray[Any]:
        """The samples of a rectangle of tiles."""
        step = max(1, _MAX_ROWS // (tiles.width * self._table.tile_height))
        parts = []
        with self._open_file() as stream:
            for top in range(tiles.top, tiles.bottom, step):
                check_cancelled()
                part = Box(tiles.left, top, tiles.width, min(step, tiles.bottom - top))
                parts.append(self._decode_rows(stream, part))
        samples = parts[0] if len(parts) == 1 else np.concatenate(parts)
        samples.flags.writeable = False
        return samples

    def _decode_rows(self, stream: BinaryIO, tiles: Box) -> NDArray[Any]:
        table = self._table
        width, height = table.tile_width, table.tile_height
        numbers = np.arange(table.across * table.down).reshape(table.down, table.across)[tiles.slices]
        strips = table.as_strips(stream, numbers.ravel().tolist())
        image = libvips().Image.tiffload_buffer(strips, access="sequential", fail_on="error")
        samples: NDArray[Any] = self._convert(image).numpy().reshape(tiles.height, tiles.width, height, width, -1)
        return samples.transpose(0, 2, 1, 3, 4).reshape(tiles.height * height, tiles.width * width, -1)
