"""The segments of a JPEG: how strongly it was quantised, what follows its image."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from wavepaint.image.formats.splicing import splice

MAX_EXIF_BYTES = 65527
SCAN, _END, COMMENT, _QUANTISATION, _HUFFMAN = 0xDA, 0xD9, 0xFE, 0xDB, 0xC4
# Of start-of-frame markers: all but lossless ones, and those with one pass over all Huffman-coded coefficients.
_DCT_FRAMES, _SEQUENTIAL_FRAMES = frozenset([0xC0, 0xC1, 0xC2, 0xC9, 0xCA]), frozenset([0xC0, 0xC1])
_JFIF_BYTES = b"\x00\x10"
"""Without a thumbnail."""
# What is passed on, or says how the samples are coded, or shows the image as it was; and the index of further images.
_READ_ELSEWHERE = (
    *(b"JFIF\0", b"JFXX\0", b"Exif\0", b"http://ns.adobe.com/xap/1.0/\0"),
    *(b"ICC_PROFILE\0", b"Photoshop 3.0\0", b"Adobe", b"MPF\0"),
)


@dataclass(frozen=True, slots=True)
class JpegEncoding:
    """How a JPEG file was written.

    Attributes:
        quality: on the scale 1-100.
        subsampling: J:a:b, as "4:2:0".
        arithmetic: whether it is coded arithmetically, not by Huffman's codes.
    """

    quality: int
    subsampling: str
    arithmetic: bool = False


# Annex K of ITU-T T.81: the luminance and chrominance tables that the usual quality scale multiplies.
_LUMINANCE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)
_CHROMINANCE = np.full((8, 8), 99)
_CHROMINANCE[:4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]

_SCAN_END = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]", re.DOTALL)
"""In a scan 0xFF is followed by 0 or by a restart marker; anything else ends it."""
_SAMPLING_NAMES = {(1, 1): "4:4:4", (2, 1): "4:2:2", (2, 2): "4:2:0", (1, 2): "4:4:0", (4, 1): "4:1:1"}


def quality_of_tables(tables: list[np.ndarray]) -> int:
    """Return the quality 1-100 whose standard tables come closest to a file's quantisation tables.

    tables: one or two arrays of 64 steps, luminance first, in any one order (the sorted steps are compared,
    so that zigzag order does not matter). Exact for files written with the standard tables.
    """
    quality = np.arange(1, 101)
    scale = np.where(quality < 50, 5000 // quality, 200 - 2 * quality)[:, None]
    distance = np.zeros(100)
    for table, standard in zip(tables, (_LUMINANCE, _CHROMINANCE), strict=False):
        steps = np.clip((standard.reshape(1, 64) * scale + 50) // 100, 1, 255)
        distance += np.abs(np.sort(steps, axis=1) - np.sort(table.reshape(1, 64), axis=1)).sum(axis=1)
    return int(quality[distance.argmin()])


def segments(stream: BinaryIO, every_scan: bool = False) -> Iterator[tuple[int, bytes]]:
    """Yield marker and contents of each segment of a JPEG, from where it starts to the header of its first scan.

    Ends early where no marker stands. With `every_scan` it goes on to the end of the image, which is the last one then.
    """
    stream.seek(2, io.SEEK_CUR)
    marker = -1
    while marker != SCAN and (marker := _next_marker(stream)) not in (0, _END):
        yield marker, stream.read(max(int.from_bytes(stream.read(2), "big") - 2, 0))
        if every_scan and marker == SCAN:
            start = stream.tell()
            if end := _SCAN_END.search(stream.read()):
                stream.seek(start + end.start())
            marker = -1
    if every_scan and marker == _END:
        yield _END, b""


def segment(marker: int, body: bytes) -> bytes:
    """Make a segment."""
    return bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body


def is_frame(marker: int) -> bool:
    """Whether a segment describes the image: its size, components and kind of coding."""
    return 0xC0 <= marker <= 0xCF and marker not in (_HUFFMAN, 0xC8, 0xCC)


def is_application(marker: int) -> bool:
    """Whether a segment belongs to an application."""
    return marker & 0xF0 == 0xE0


def read_encoding(stream: BinaryIO) -> JpegEncoding | None:
    """Read quality and chroma subsampling from the markers of a JPEG file; None where they make no sense."""
    stream.seek(0)
    tables: dict[int, np.ndarray] = {}
    components: list[tuple[int, int, int]] = []
    arithmetic = False
    for marker, body in segments(stream):
        if marker == _QUANTISATION:
            tables.update(_quantisation_tables(body))
        elif is_frame(marker):
            arithmetic = marker > 0xC8
            components = [(b >> 4, b & 15, t) for b, t in zip(body[7::3], body[8::3], strict=False)]
    used = dict.fromkeys(table for _, _, table in components)
    if not components or any(table not in tables for table in used):
        return None
    across, down, _ = components[0]
    chroma_across, chroma_down, _ = components[min(1, len(components) - 1)]
    ratio = (across // max(chroma_across, 1), down // max(chroma_down, 1))
    quality = quality_of_tables([tables[table] for table in used][:2])
    return JpegEncoding(quality, _SAMPLING_NAMES.get(ratio, "other"), arithmetic)


def bytes_behind(stream: BinaryIO) -> int:
    """How much follows the end of a JPEG image: the video of a motion photo, further images; 0 without an end."""
    stream.seek(0)
    has_scan = any(marker == SCAN for marker, _ in segments(stream))
    scans = stream.read()
    # Nearly always, and much faster than looking at every marker.
    if has_scan and scans.find(b"\xff\xd9") == len(scans) - 2 >= 0:
        return 0
    stream.seek(0)
    ends = any(marker == _END for marker, _ in segments(stream, every_scan=True))
    return len(stream.read().rstrip(b"\0")) if ends else 0


def read_jfif(stream: BinaryIO) -> bytes | None:
    """Return the JFIF segment of a JPEG, without the thumbnail in it."""
    stream.seek(2)
    head = stream.read(18)
    is_jfif = head.startswith(b"\xff\xe0") and head[4:9] == b"JFIF\0" and head[2:4] >= _JFIF_BYTES
    return head[:2] + _JFIF_BYTES + head[4:16] + bytes(2) if is_jfif and len(head) == 18 else None


def read_extras(stream: BinaryIO) -> tuple[bytes, tuple[str, ...]]:
    """Return the comments of a JPEG, as segments, and the names of application segments that nothing else reads."""
    stream.seek(0)
    comments, names = b"", dict[str, None]()
    for marker, body in segments(stream):
        if marker == COMMENT:
            comments += segment(marker, body)
        elif is_application(marker) and not body.startswith(_READ_ELSEWHERE):
            names[body.partition(b"\0")[0][:40].decode("ascii", "replace") or f"APP{marker & 15}"] = None
    return comments, tuple(names)


def is_complete_part(stream: BinaryIO, tables: bytes, width: int, rows: int) -> bool:
    """Whether a JPEG in a strip or tile of a TIFF is as large as that, and every table is there that its samples need.

    Args:
        stream: at its start.
        tables: a JPEG that holds only tables, for all parts of the file; may be empty.
        width, rows: of the strip or tile, in pixels.
    """
    # libtiff leaves the rest of a part as it is, and keeps the tables of the part before.
    defined: set[tuple[int, int]] = set()
    frame, kind = b"", 0
    for source in (io.BytesIO(tables), stream):
        for marker, body in segments(source):
            if marker == _QUANTISATION:
                defined |= {(_QUANTISATION, number) for number in _quantisation_tables(body)}
            elif marker == _HUFFMAN:
                defined |= {(_HUFFMAN, number) for number in _huffman_tables(body)}
            elif is_frame(marker):
                frame, kind = body, marker
            elif marker == SCAN:
                of_component = dict(zip(frame[6::3], frame[8::3], strict=False))
                needed: set[tuple[int, int]] = set()
                for component, huffman in zip(body[1:-3:2], body[2:-3:2], strict=False):
                    if kind in _DCT_FRAMES:
                        needed.add((_QUANTISATION, of_component.get(component, -1)))
                    if kind in _SEQUENTIAL_FRAMES:
                        needed |= {(_HUFFMAN, huffman >> 4), (_HUFFMAN, 16 | huffman & 15)}
                is_large = int.from_bytes(frame[3:5], "big") >= width and int.from_bytes(frame[1:3], "big") >= rows
                return is_large and needed <= defined
    return False


def states_resolution(jfif: bytes | None) -> bool:
    """Whether a JFIF segment states pixels an inch or a centimetre, and not a ratio."""
    return jfif is not None and jfif[11] in (1, 2)


def jfif_segment(resolution: tuple[float, float] | None) -> bytes:
    """Make a JFIF segment.

    resolution: pixels a millimetre, horizontal and vertical, if it is known.
    """
    across, down = (min(max(round(number * 25.4), 1), 65535) for number in resolution or (1 / 25.4, 1 / 25.4))
    return segment(0xE0, struct.pack(">7sBHH2x", b"JFIF\0\x01\x01", resolution is not None, across, down))


def insert_segments(stream: BinaryIO, jfif: bytes, exif: bytes | None, comments: bytes) -> None:
    """Insert the JFIF segment, an EXIF block if there is one, and comments in front of all others.

    Args:
        stream: a JPEG that has neither, open for reading and writing.
        jfif: the whole segment.
        exif: a block of at most `MAX_EXIF_BYTES`, without its prefix.
        comments: whole segments.
    """
    block = b"" if exif is None else segment(0xE1, b"Exif\0\0" + exif)
    splice(stream, 2, 2, jfif + block + comments)


def _next_marker(stream: BinaryIO) -> int:
    """Return the next marker code, or 0 at the end or where no marker stands."""
    if stream.read(1) != b"\xff":
        return 0
    code = stream.read(1)
    while code == b"\xff":
        code = stream.read(1)
    return code[0] if code else 0


def _huffman_tables(segment: bytes) -> Iterator[int]:
    """Yield the number of each table of a DHT segment, with 16 added for coefficients other than the first."""
    while len(segment) >= 17:
        yield segment[0]
        segment = segment[17 + sum(segment[1:17]) :]


def _quantisation_tables(segment: bytes) -> dict[int, np.ndarray]:
    """Split a DQT segment into {table number: 64 steps}."""
    tables = {}
    while segment:
        kind = np.dtype(">u2" if segment[0] >> 4 else "u1")
        end = 1 + 64 * kind.itemsize
        if len(segment) < end:
            break
        tables[segment[0] & 15] = np.frombuffer(segment[1:end], kind).astype(np.int64)
        segment = segment[end:]
    return tables
