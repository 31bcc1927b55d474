"""The chunks of a PNG: what it says about its image besides the samples."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import BinaryIO, TypeAlias

from wavepaint.image.formats.splicing import splice

_HEADER_END = 33
# What the samples need, what libvips passes on (profile and XMP), or what is another image: an animation, an index of
# Apple's, and a signature of what the image was.
_NOT_CARRIED = frozenset(b"IHDR PLTE IDAT IEND tRNS hIST iCCP eXIf acTL fcTL fdAT iDOT caBX".split())
# True only of samples of the same type and depth.
_OF_THE_SAMPLES = frozenset([b"sBIT", b"bKGD"])
_TEXTS = frozenset([b"tEXt", b"zTXt", b"iTXt"])
# Little is lost with them: the resolution passes on otherwise, and the time is that of the last change.
_MINOR = _OF_THE_SAMPLES | {b"pHYs", b"sRGB", b"cHRM", b"tIME"}
_SRGB_GAMMA = (45455).to_bytes(4, "big")
_METRE = b"\1"
_XMP_KEYWORD = b"XML:com.adobe.xmp\0"
_MAX_EXIF_BYTES = 2**26

Chunk: TypeAlias = tuple[bytes, bytes]
"""The type of a chunk, and its contents with their checksum."""


def each_chunk(stream: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Yield the type and length of each chunk; the stream is at its contents."""
    stream.seek(8)
    while len(head := stream.read(8)) == 8:
        size = int.from_bytes(head[:4], "big")
        start = stream.tell()
        yield head[4:], size
        stream.seek(start + size + 4)


def descriptive_chunks(stream: BinaryIO) -> list[Chunk]:
    """Return the chunks of a PNG that describe its image and may stand in another PNG unchanged.

    That leaves out the profile, EXIF and XMP. What is true only of samples of the same type and depth is there, see
    `insert_chunks`.
    """
    chunks = []
    for kind, size in each_chunk(stream):
        if kind in _NOT_CARRIED:
            continue
        body = stream.read(size + 4)
        if len(body) == size + 4 and not body.startswith(_XMP_KEYWORD):
            chunks.append((kind, body))
    return chunks


def exif(stream: BinaryIO) -> bytes | None:
    """Return the EXIF block of a PNG, wherever it stands."""
    for kind, size in each_chunk(stream):
        if kind == b"eXIf" and size <= _MAX_EXIF_BYTES:
            return stream.read(size) or None
    return None


def names_of(chunks: Iterable[Chunk]) -> list[str]:
    """Name what `descriptive_chunks` has found that no other format holds."""
    kinds = {kind for kind, body in chunks if kind not in _MINOR and (kind, body[:-4]) != (b"gAMA", _SRGB_GAMMA)}
    return ["texts"] * bool(kinds & _TEXTS) + sorted(kind.decode("latin-1") for kind in kinds - _TEXTS)


def states_resolution(chunks: Iterable[Chunk]) -> bool:
    """Whether there is a resolution in pixels a metre among `descriptive_chunks`."""
    return any(kind == b"pHYs" and body[8:-4] == _METRE for kind, body in chunks)


def colour_type(stream: BinaryIO) -> bytes:
    """Return depth and colour type as the header states them."""
    stream.seek(24)
    return stream.read(2)


def chunk(kind: bytes, body: bytes) -> Chunk:
    """Make a chunk."""
    return kind, body + zlib.crc32(kind + body).to_bytes(4, "big")


def insert_chunks(stream: BinaryIO, chunks: Iterable[Chunk], same_samples: bool, drop_resolution: bool) -> None:
    """Insert chunks behind the header of a PNG.

    Args:
        stream: open for reading and writing.
        chunks: as `descriptive_chunks` returns them.
        same_samples: whether type and depth of the samples are those of the PNG that the chunks are from.
        drop_resolution: leave out the resolution that the PNG states.
    """
    fitting = [each for each in chunks if same_samples or each[0] not in _OF_THE_SAMPLES]
    if drop_resolution or any(kind == b"pHYs" for kind, _ in fitting):
        for kind, size in each_chunk(stream):
            if kind == b"pHYs":
                start = stream.tell() - 8
                splice(stream, start, start + 12 + size, b"")
                break
    inserted = ((len(body) - 4).to_bytes(4, "big") + kind + body for kind, body in fitting)
    splice(stream, _HEADER_END, _HEADER_END, b"".join(inserted))


def frames(stream: BinaryIO) -> int:
    """Return how many frames an animated PNG has; 0 for any other PNG."""
    for kind, _ in each_chunk(stream):
        if kind == b"IDAT":
            break
        if kind == b"acTL":
            return int.from_bytes(stream.read(4), "big")
    return 0
