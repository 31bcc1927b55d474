"""Which format a file has, by its first bytes."""

from __future__ import annotations

import posixpath
import re
from typing import BinaryIO

_SUFFIXES = {"jpeg": ".jpg", "webp": ".webp", "tiff": ".tif", "gif": ".gif", "heif": ".heic"}
_SEQUENCE_BRANDS = b"avis|msf1|hevc|hevx"
# Of the first 16 bytes. "heif" covers AVIF and HEIC, which share one container. Canon's CR2 is a TIFF by its signature,
# but not an image one can write back.
_SIGNATURES = {
    "png": rb"\x89PNG\r\n\x1a\n",
    "jpeg": rb"\xff\xd8\xff",
    "webp": rb"RIFF.{4}WEBP",
    "tiff": rb"(?:II[*+]\0|MM\0[*+])(?!.{4}CR)",
    "gif": rb"GIF8[79]a",
    "heif": rb".{4}ftyp(?:avif|heic|heix|heim|heis|mif1|%b)" % _SEQUENCE_BRANDS,
    "jxl": rb"\xff\n|\0{3}\x0cJXL \r\n\x87\n",
    "bmp": rb"BM.{4}\0{4}",
}
_MAX_META_BYTES = 2**20
_GAIN_MAPS = (b"hdrgainmap", b"tmap")


def is_heif_sequence(stream: BinaryIO) -> bool:
    """Whether an AVIF or HEIC says that it is an animation."""
    stream.seek(8)
    return re.fullmatch(_SEQUENCE_BRANDS, stream.read(4)) is not None


def sniff(head: bytes) -> str | None:
    """Name the image format by the first 16 bytes of a file: png, jpeg, webp, tiff, gif, heif, jxl, bmp or None."""
    return next((name for name, signature in _SIGNATURES.items() if re.match(signature, head, re.DOTALL)), None)


def has_gain_map(stream: BinaryIO) -> bool:
    """Whether an AVIF or HEIC has a second image that says how to brighten the first: Apple's kind, or ISO 21496-1."""
    stream.seek(0)
    while len(head := stream.read(8)) == 8:
        size = int.from_bytes(head[:4], "big")
        if head[4:] == b"meta":
            meta = stream.read(min(size, _MAX_META_BYTES))
            return any(name in meta for name in _GAIN_MAPS)
        if size < 8:
            break
        stream.seek(size - 8, 1)
    return False


def suffix_of(image: str | bytes) -> str:
    """The suffix of a file's name, or the usual one of its contents: ".png" for what has none of its own."""
    if isinstance(image, str):
        return posixpath.splitext(image)[1]
    return ".avif" if image[8:12] in (b"avif", b"avis") else _SUFFIXES.get(sniff(image[:16]) or "", ".png")
