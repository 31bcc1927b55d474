"""Which format a file has, by its first bytes."""

from __future__ import annotations

import posixpath
from typing import BinaryIO

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_JXL_SIGNATURES = (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")
_SUFFIXES = {"jpeg": ".jpg", "webp": ".webp", "tiff": ".tif", "gif": ".gif", "heif": ".heic"}
_SEQUENCE_BRANDS = frozenset([b"avis", b"msf1", b"hevc", b"hevx"])
_HEIF_BRANDS = _SEQUENCE_BRANDS | {b"avif", b"heic", b"heix", b"heim", b"heis", b"mif1"}
_MAX_META_BYTES = 2**20
_GAIN_MAPS = (b"hdrgainmap", b"tmap")


def is_heif_sequence(head: bytes) -> bool:
    """Whether the first 16 bytes of an AVIF or HEIC say that it is an animation."""
    return head[4:8] == b"ftyp" and head[8:12] in _SEQUENCE_BRANDS


def sniff(head: bytes) -> str | None:
    """Name the image format by the first 16 bytes of a file: png, jpeg, webp, tiff, gif, heif, jxl, bmp or None.

    "heif" covers AVIF and HEIC, which share one container. Canon's CR2 is a TIFF by its signature but not
    an image one can write back, hence None.
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
    if head.startswith(_JXL_SIGNATURES):
        return "jxl"
    if head[:2] == b"BM" and head[6:10] == bytes(4):
        return "bmp"
    return None


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
