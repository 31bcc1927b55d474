"""What a picture file says about itself and libvips does not pass on.

Which format it is, how strongly a JPEG was quantised, whether a WebP is lossless, what else stands in a PNG.
Everything reads a seekable binary stream and only a few bytes of it; nothing here decodes samples. (For TIFF see
`wavepaint.image.formats.tiff`.)
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_HEIF_BRANDS = frozenset([b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"])


def sniff(head: bytes) -> str | None:
    """Name the picture format by the first 16 bytes of a file: png, jpeg, webp, tiff, gif, heif or None.

    "heif" covers AVIF and HEIC, which share one container. Canon's CR2 is a TIFF by its signature but not
    a picture one can write back, hence None.
    """
    if head.startswith(_PNG_SIGNATURE):
        return "png"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head.startswith(_TIFF_SIGNATURES) and head[8:10] != b"CR":
        return "tiff"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS:
        return "heif"
    return None


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

_JPEG_SCAN_END = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]", re.DOTALL)
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


def jpeg_encoding(stream: BinaryIO) -> JpegEncoding | None:
    """Read quality and chroma subsampling from the markers of a JPEG file; None where they make no sense."""
    stream.seek(2)
    tables: dict[int, np.ndarray] = {}
    components: list[tuple[int, int, int]] = []
    arithmetic = False
    while marker := _next_jpeg_marker(stream):
        if marker == 0xDA:
            break
        length = int.from_bytes(stream.read(2), "big") - 2
        if marker == 0xDB:
            tables.update(_quantisation_tables(stream.read(length)))
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            frame = stream.read(length)
            arithmetic = marker > 0xC8
            components = [(b >> 4, b & 15, t) for b, t in zip(frame[7::3], frame[8::3], strict=False)]
        else:
            stream.seek(max(length, 0), 1)
    used = dict.fromkeys(table for _, _, table in components)
    if not components or any(table not in tables for table in used):
        return None
    across, down, _ = components[0]
    chroma_across, chroma_down, _ = components[min(1, len(components) - 1)]
    ratio = (across // max(chroma_across, 1), down // max(chroma_down, 1))
    quality = quality_of_tables([tables[table] for table in used][:2])
    return JpegEncoding(quality, _SAMPLING_NAMES.get(ratio, "other"), arithmetic)


def bytes_behind_jpeg(stream: BinaryIO) -> int:
    """How much follows the end of a JPEG picture: the video of a moving one, further pictures; 0 without an end."""
    stream.seek(2)
    while (marker := _next_jpeg_marker(stream)) and marker != 0xD9:
        length = int.from_bytes(stream.read(2), "big") - 2
        stream.seek(max(length, 0), 1)
        if marker == 0xDA:
            start = stream.tell()
            scan = stream.read()
            if scan.find(b"\xff\xd9") == len(scan) - 2:  # nearly always, and much faster than looking at every marker
                return 0
            # In a scan 0xFF is followed by 0 or by a restart marker; anything else ends it.
            ends = _JPEG_SCAN_END.search(scan)
            if ends is None:
                return 0
            stream.seek(start + ends.start())
    behind = len(stream.read().rstrip(b"\0"))
    return behind if marker else 0


def _next_jpeg_marker(stream: BinaryIO) -> int:
    """Return the next marker code, or 0 at the end or where no marker stands."""
    if stream.read(1) != b"\xff":
        return 0
    code = stream.read(1)
    while code == b"\xff":
        code = stream.read(1)
    return code[0] if code else 0


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


def webp_is_lossless(stream: BinaryIO) -> bool:
    """Whether the (first frame of the) WebP file is stored without loss."""
    stream.seek(12)
    while len(head := stream.read(8)) == 8:
        if head[:4] in (b"VP8L", b"VP8 "):
            return head[:4] == b"VP8L"
        size = int.from_bytes(head[4:], "little")
        # A frame of an animation wraps its own chunks behind 16 bytes of geometry and timing.
        stream.seek(16 if head[:4] == b"ANMF" else size + size % 2, 1)
    return False


def png_frames(stream: BinaryIO) -> int:
    """Return how many frames an animated PNG has; 0 for any other PNG."""
    stream.seek(8)
    while len(head := stream.read(8)) == 8 and head[4:] != b"IDAT":
        size = int.from_bytes(head[:4], "big")
        if head[4:] == b"acTL":
            return int.from_bytes(stream.read(4), "big")
        stream.seek(size + 4, io.SEEK_CUR)
    return 0


# Colour (gamma, primaries, rendering intent, coding-independent code points, mastering display, light level),
# texts and physical scale: what a PNG says and libvips either drops or recodes.
_PNG_CARRIED = frozenset([b"gAMA", b"cHRM", b"sRGB", b"cICP", b"mDCV", b"cLLI", b"tEXt", b"zTXt", b"iTXt", b"sCAL"])
_PNG_HEADER_BYTES = 33
_XMP_KEYWORD = b"XML:com.adobe.xmp\0"


def png_chunks(stream: BinaryIO) -> bytes:
    """Return the chunks of a PNG that describe its picture and may stand in another PNG unchanged.

    That leaves out the profile, resolution, EXIF and XMP, which libvips passes on.
    """
    stream.seek(8)
    chunks = b""
    while len(head := stream.read(8)) == 8:
        size, kind = int.from_bytes(head[:4], "big"), head[4:]
        if kind not in _PNG_CARRIED:
            stream.seek(size + 4, io.SEEK_CUR)
            continue
        body = stream.read(size + 4)
        if len(body) == size + 4 and not body.startswith(_XMP_KEYWORD):
            chunks += head + body
    return chunks


def insert_png_chunks(stream: BinaryIO, chunks: bytes) -> None:
    """Insert chunks behind the header of a PNG; `stream` is open for reading and writing."""
    block = 2**20
    end = stream.seek(0, io.SEEK_END)
    while end > _PNG_HEADER_BYTES:
        start = max(end - block, _PNG_HEADER_BYTES)
        stream.seek(start)
        data = stream.read(end - start)
        stream.seek(start + len(chunks))
        stream.write(data)
        end = start
    stream.seek(_PNG_HEADER_BYTES)
    stream.write(chunks)


_XMP_THUMBNAILS = re.compile(rb"<(\w+):Thumbnails\b(?:[^>]*/>|.*?</\1:Thumbnails\s*>)", re.DOTALL)


# Google's and Apple's: a video, or further pictures, behind the JPEG.
_XMP_COMPANIONS = re.compile(
    rb"""<(\w*Container):Directory\b(?:[^>]*/>|.*?</\1:Directory\s*>)"""
    rb"""|<(\w+:(?:MicroVideo|MotionPhoto)\w*)\b(?:[^>]*/>|.*?</\2\s*>)"""
    rb"""|\s\w+:(?:MicroVideo|MotionPhoto)\w*\s*=\s*(?:"[^"]*"|'[^']*')""",
    re.DOTALL,
)


def xmp_of_the_picture_alone(packet: bytes) -> bytes:
    """Return an XMP packet without the small pictures in it, and without word of what follows in the file."""
    return _XMP_COMPANIONS.sub(b"", _XMP_THUMBNAILS.sub(b"", packet))


_PHOTOSHOP = b"Photoshop 3.0\0"
_IPTC_RESOURCE = b"8BIM\x04\x04\0\0"


# The thumbnail, and the one of Photoshop 4 with its colours in another order.
_THUMBNAIL_RESOURCES = {0x0409, 0x040C}


def photoshop_without_thumbnails(data: bytes) -> bytes:
    """Return Photoshop resources, of a JPEG (with a prefix) or a TIFF, without the small pictures among them.

    Anything else, IPTC records for one, comes back as it is. Resources end where they make no sense.
    """
    prefix = _PHOTOSHOP if data.startswith(_PHOTOSHOP) else b""
    if not prefix and not data.startswith(b"8BIM"):
        return data
    kept, start = prefix, len(prefix)
    while data[start : start + 4] == b"8BIM":
        number = int.from_bytes(data[start + 4 : start + 6], "big")
        name_bytes = 1 + data[start + 6] if len(data) > start + 6 else 0
        body = start + 6 + name_bytes + name_bytes % 2 + 4
        size = int.from_bytes(data[body - 4 : body], "big")
        end = body + size + size % 2
        if number not in _THUMBNAIL_RESOURCES:
            kept += data[start:end]
        start = end
    return kept


def iptc_for_jpeg(data: bytes) -> bytes:
    """Wrap IPTC records into the Photoshop resources of a JPEG, where they are not yet."""
    if data.startswith(_PHOTOSHOP):
        return data
    return _PHOTOSHOP + _IPTC_RESOURCE + len(data).to_bytes(4, "big") + data + b"\0" * (len(data) % 2)


def iptc_records(data: bytes) -> bytes:
    """Take the IPTC records out of the Photoshop resources of a JPEG; empty if there are none."""
    if not data.startswith(_PHOTOSHOP):
        return data
    _, found, rest = data.partition(_IPTC_RESOURCE)
    return rest[4 : 4 + int.from_bytes(rest[:4], "big")] if found else b""
