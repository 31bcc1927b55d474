"""The chunks of a PNG: what it says about its image besides the samples."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from wavepaint.image.formats.splicing import splice

_HEADER_END = 33
# What the samples need, what libvips passes on (profile and XMP), or what is another image: an animation, an index of
# Apple's, and a signature of what the image was.
_NOT_CARRIED = frozenset(
    [
        b"IHDR",
        b"PLTE",
        b"IDAT",
        b"IEND",
        b"tRNS",
        b"hIST",
        b"iCCP",
        b"eXIf",
        b"acTL",
        b"fcTL",
        b"fdAT",
        b"iDOT",
        b"caBX",
    ]
)
# True only of samples of the same type and depth.
_OF_THE_SAMPLES = frozenset([b"sBIT", b"bKGD"])
_TEXTS = frozenset([b"tEXt", b"zTXt", b"iTXt"])
# Little is lost with them: the resolution passes on otherwise, and the time is that of the last change.
_MINOR = _OF_THE_SAMPLES | {b"pHYs", b"sRGB", b"cHRM", b"tIME"}
_SRGB_GAMMA = (45455).to_bytes(4, "big")
_METRE = b"\1"
_XMP_KEYWORD = b"XML:com.adobe.xmp\0"
_MAX_EXIF_BYTES = 2**26


def each_chunk(stream: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Yield the type and length of each chunk; the stream is at its contents."""
    stream.seek(8)
    while len(head := stream.read(8)) == 8:
        size = int.from_bytes(head[:4], "big")
        start = stream.tell()
        yield head[4:], size
        stream.seek(start + size + 4)


def descriptive_chunks(stream: BinaryIO) -> bytes:
    """Return the chunks of a PNG that describe its image and may stand in another PNG unchanged.

    That leaves out the profile, EXIF and XMP. What is true only of samples of the same type and depth is there, see
    `insert_chunks`.
    """
    chunks = b""
    for kind, size in each_chunk(stream):
        if kind in _NOT_CARRIED:
            continue
        body = stream.read(size + 4)
        if len(body) == size + 4 and not body.startswith(_XMP_KEYWORD):
            chunks += size.to_bytes(4, "big") + kind + body
    return chunks


def exif(stream: BinaryIO) -> bytes | None:
    """Return the EXIF block of a PNG, wherever it stands."""
    for kind, size in each_chunk(stream):
        if kind == b"eXIf" and size <= _MAX_EXIF_BYTES:
            return stream.read(size) or None
    return None


def names_of(chunks: bytes) -> list[str]:
    """Name what `descriptive_chunks` has found that no other format holds."""
    names = []
    source = io.BytesIO(bytes(8) + chunks)
    for kind, size in each_chunk(source):
        if kind not in _MINOR and not (kind == b"gAMA" and source.read(size) == _SRGB_GAMMA):
            names.append("texts" if kind in _TEXTS else kind.decode("latin-1"))
    return sorted(set(names), key=lambda name: (name != "texts", name))


def states_resolution(chunks: bytes) -> bool:
    """Whether there is a resolution in pixels a metre among `descriptive_chunks`."""
    source = io.BytesIO(bytes(8) + chunks)
    return any(kind == b"pHYs" and source.read(size)[8:] == _METRE for kind, size in each_chunk(source))


def colour_type(stream: BinaryIO) -> bytes:
    """Return depth and colour type as the header states them."""
    stream.seek(24)
    return stream.read(2)


def chunk(kind: bytes, body: bytes) -> bytes:
    """Make a chunk."""
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


def insert_chunks(stream: BinaryIO, chunks: bytes, same_samples: bool, drop_resolution: bool) -> None:
    """Insert chunks behind the header of a PNG.

    Args:
        stream: open for reading and writing.
        chunks: as `descriptive_chunks` returns them.
        same_samples: whether type and depth of the samples are those of the PNG that the chunks are from.
        drop_resolution: leave out the resolution that the PNG states.
    """
    inserted = b""
    kinds = set()
    source = io.BytesIO(bytes(8) + chunks)
    for kind, size in each_chunk(source):
        if same_samples or kind not in _OF_THE_SAMPLES:
            kinds.add(kind)
            inserted += size.to_bytes(4, "big") + kind + source.read(size + 4)
    if drop_resolution or b"pHYs" in kinds:
        for kind, size in each_chunk(stream):
            if kind == b"pHYs":
                start = stream.tell() - 8
                splice(stream, start, start + 12 + size, b"")
                break
    splice(stream, _HEADER_END, _HEADER_END, inserted)


def frames(stream: BinaryIO) -> int:
    """Return how many frames an animated PNG has; 0 for any other PNG."""
    for kind, _ in each_chunk(stream):
        if kind == b"IDAT":
            break
        if kind == b"acTL":
            return int.from_bytes(stream.read(4), "big")
    return 0
