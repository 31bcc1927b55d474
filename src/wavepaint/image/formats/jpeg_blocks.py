"""JPEG in, JPEG out, without compressing again what has not changed.

A JPEG is a grid of blocks of 8x8 quantised DCT coefficients. Only blocks in which a sample has changed are computed
anew, with the file's own tables; all others keep their coefficients, so that no image wears out by being
retouched. Needs jpeglib, which reads and writes coefficients (libjpeg inside).
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wavepaint.files import scratch_folder
from wavepaint.image.formats.jpeg import COMMENT, SCAN, is_application, is_frame, segment, segments

Samples = NDArray[np.uint8]
Strip = tuple[int, Samples, Samples]
"""First row of some whole rows of the image, and their samples before and after: (rows, width, 1 or 3) uint8."""
Floats = NDArray[np.float32]

ROW_MULTIPLE = 32
"""Strips begin at a multiple of this, and all but the last are one high: whole blocks at any subsampling."""

_SIDE = 8
_SPACES = {1: "JCS_GRAYSCALE", 3: "JCS_YCbCr"}
_PLANES = ("Y", "Cb", "Cr")
# JFIF: luminance, and blue and red chrominance around 128.
_YCBCR = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32)
_PROGRESSIVE_FRAME = 0xC2
_LINES_OF_LIBJPEG = (b"Corrupt JPEG data", b"Premature end of JPEG", b"Inconsistent progression", b"DCT coefficient")
_stderr_lock = threading.Lock()


def can_keep_blocks() -> bool:
    """Whether jpeglib is installed."""
    return find_spec("jpeglib") is not None


class Blocks:
    """The coefficients of a JPEG: Huffman coded with 8 bits, grey or YCbCr, sequential or progressive.

    Raises:
        ValueError: a JPEG that this cannot edit, with the reason.
    """

    def __init__(self, source: bytes) -> None:
        with _temporary_file() as path:
            path.write_bytes(source)
            jpeglib = import_module("jpeglib")
            with _without_lines_of_libjpeg(path.with_name("stderr")):
                self._jpeg = jpeg = jpeglib.read_dct(str(path))
                components = 1 if jpeg.Cb is None else 3  # which reads them
        if jpeg.jpeg_color_space.name != _SPACES[components]:
            raise ValueError(f"its colours are coded as {jpeg.jpeg_color_space.name.removeprefix('JCS_')}")
        if jpeg.progressive_mode and not _is_complete(source):
            # Decoders smooth what has not arrived yet; of the sequential file that jpeglib writes they would not.
            raise ValueError("it is progressive and lacks its last scans")
        self._factors = factors = [(int(rows), int(columns)) for rows, columns in jpeg.samp_factor]
        if any(factors[0][axis] % pair[axis] for pair in factors for axis in (0, 1)):
            raise ValueError("its chroma subsampling is not a whole number")
        if not all(np.all(jpeg.get_component_qt(index)) for index in range(components)):
            raise ValueError("its quantisation has steps of zero")
        self._identifiers = _identifiers(source)

    def replaced(self, metadata: bytes, strips: Iterable[Strip]) -> bytes:
        """Replace the blocks in which a sample has changed, and use all of them up.

        Args:
            metadata: a JPEG, of any image, with the metadata that the result is to have.
            strips: what has changed, in whole rows, from top to bottom.

        Returns:
            A sequential JPEG with these coefficients, but for changed blocks, and the application segments and comments
            of `metadata`.

        Raises:
            ValueError: jpeglib cannot write it.
        """
        for strip in strips:
            _edit(self._jpeg, strip, self._factors)
        with _temporary_file() as path:
            with _without_lines_of_libjpeg(path.with_name("stderr")):
                self._jpeg.write_dct(str(path))
            edited = path.read_bytes()
        described = (segment(*each) for each in segments(io.BytesIO(metadata)) if _is_metadata(each[0]))
        return b"\xff\xd8" + b"".join(described) + _image(edited, self._identifiers)


def _identifiers(jpeg: bytes) -> bytes:
    """By which numbers the scans of a JPEG name its components, in their order."""
    frames = (body[6::3] for marker, body in segments(io.BytesIO(jpeg)) if is_frame(marker))
    return next(frames, b"")


def _image(jpeg: bytes, identifiers: bytes) -> bytes:
    """What is needed to decode a JPEG of one scan, with other numbers of components: some decoders go by them."""
    stream = io.BytesIO(jpeg)
    numbers = dict(zip(_identifiers(jpeg), identifiers, strict=False))
    image = b""
    for marker, body in segments(stream):
        if is_frame(marker) or marker == SCAN:
            # Where the first component stands, and how many bytes each has.
            first, step = (1, 2) if marker == SCAN else (6, 3)
            changed = bytearray(body)
            for position in range(first, first + step * body[first - 1], step):
                changed[position] = numbers.get(body[position], body[position])
            body = bytes(changed)
        if not _is_metadata(marker):
            image += segment(marker, body)
    return image + stream.read()


def _is_metadata(marker: int) -> bool:
    return is_application(marker) or marker == COMMENT


@contextmanager
def _temporary_file() -> Iterator[Path]:
    """A name for what jpeglib reads or writes, which names it in its errors, and little else: `ValueError`."""
    try:
        with scratch_folder() as folder:
            yield Path(folder) / "blocks.jpg"
    except OSError as error:
        raise ValueError(error.strerror or "jpeglib cannot read or write its coefficients") from None


@contextmanager
def _without_lines_of_libjpeg(path: Path) -> Iterator[None]:
    """Leave out what libjpeg prints on standard error about damage; what others print meanwhile comes a little later.

    path: of a new file.
    """
    with _stderr_lock, open(path, "w+b") as printed:
        try:
            stderr = os.dup(2)
        except OSError:  # closed: nothing is printed
            yield
            return
        os.dup2(printed.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            printed.seek(0)
            for line in printed:
                if not line.startswith(_LINES_OF_LIBJPEG):
                    os.write(2, line)


def _edit(jpeg: Any, strip: Strip, factors: list[tuple[int, int]]) -> None:
    top, before, after = strip
    changed = np.logical_or.reduce(before != after, axis=2)
    columns = np.flatnonzero(changed.any(axis=0))
    if not len(columns):
        return
    left = int(columns[0]) // ROW_MULTIPLE * ROW_MULTIPLE
    right = (int(columns[-1]) // ROW_MULTIPLE + 1) * ROW_MULTIPLE
    planes = _to_planes(_to_whole_blocks(after[:, left:right]))
    changed = _to_whole_blocks(changed[:, left:right])
    for index, plane in enumerate(planes):
        rows, cells = (whole // own for whole, own in zip(factors[0], factors[index], strict=True))
        height, width = plane.shape[0] // rows, plane.shape[1] // cells
        small = plane.reshape(height, rows, width, cells).mean(axis=(1, 3), dtype=np.float32)
        cells_changed = changed.reshape(height // _SIDE, rows * _SIDE, width // _SIDE, cells * _SIDE)
        touched = np.logical_or.reduce(cells_changed, axis=(1, 3))
        table = jpeg.get_component_qt(index).astype(np.float32)
        new = np.round(_dct(small) / table).astype(np.int16)
        blocks = getattr(jpeg, _PLANES[index])
        part = blocks[top // (rows * _SIDE) :, left // (cells * _SIDE) :][: new.shape[0], : new.shape[1]]
        inside = touched[: part.shape[0], : part.shape[1]]
        part[inside] = new[: part.shape[0], : part.shape[1]][inside]


def _to_whole_blocks(rows: NDArray[Any]) -> NDArray[Any]:
    """Repeat the last row and column until both sides are multiples of `ROW_MULTIPLE`."""
    bottom, right = (-side % ROW_MULTIPLE for side in rows.shape[:2])
    return np.pad(rows, [(0, bottom), (0, right)] + [(0, 0)] * (rows.ndim - 2), mode="edge")


def _to_planes(samples: Samples) -> Floats:
    """(h, w, 1 or 3) -> (1 or 3, h, w), centred on zero as the DCT takes them."""
    values = samples.astype(np.float32)
    if samples.shape[2] == 3:
        values = values @ _YCBCR.T
    planes = np.moveaxis(values, 2, 0).copy()
    planes[0] -= 128
    return planes


def _dct(plane: Floats) -> Floats:
    """(h, w) -> (h/8, w/8, 8, 8): the orthonormal DCT-II of every block, vertical frequency first."""
    height, width = plane.shape
    blocks = plane.reshape(height // _SIDE, _SIDE, width // _SIDE, _SIDE).transpose(0, 2, 1, 3)
    steps = np.arange(_SIDE)
    basis = np.cos(np.pi / _SIDE * (steps + 0.5) * steps[:, None]) * np.sqrt(2 / _SIDE)
    basis[0] /= np.sqrt(2)
    basis = basis.astype(np.float32)
    coefficients: Floats = basis @ blocks @ basis.T
    return coefficients


def _is_complete(jpeg: bytes) -> bool:
    """Whether the scans of a progressive JPEG hold every coefficient of every component down to its last bit."""
    missing_bits: dict[int, list[int]] = {}
    for marker, body in segments(io.BytesIO(jpeg), every_scan=True):
        if marker == _PROGRESSIVE_FRAME:
            missing_bits = {component: [16] * _SIDE**2 for component in body[6::3]}
        elif marker == SCAN and len(body) > 3 and len(body) == 4 + 2 * body[0]:  # shorter where the file ends in it
            first, last, bits = body[-3:]
            for component in body[1:-3:2]:
                missing_bits.get(component, [])[first : last + 1] = [bits & 15] * (last + 1 - first)
    return bool(missing_bits) and not any(map(any, missing_bits.values()))
