"""XMP packets, edited as text."""

from __future__ import annotations

import re

_ORIENTATION = re.compile(rb"(tiff:Orientation(?:\s*=\s*[\"']|>)\s*)[2-8]")
_XMP_THUMBNAILS = re.compile(rb"<(\w+):Thumbnails\b(?:[^>]*/>|.*?</\1:Thumbnails\s*>)", re.DOTALL)
# Google's, Apple's and Adobe's: a video, a gain map or further images behind the JPEG.
_COMPANION = rb"(?:\w+:(?:MicroVideo|MotionPhoto)|hdrgm:|HDRGainMap:)\w*"
_XMP_COMPANIONS = re.compile(
    rb"""<(\w*Container):Directory\b(?:[^>]*/>|.*?</\1:Directory\s*>)"""
    rb"""|<(%b)\b(?:[^>]*/>|.*?</\2\s*>)"""
    rb"""|\s%b\s*=\s*(?:"[^"]*"|'[^']*')""" % (_COMPANION, _COMPANION),
    re.DOTALL,
)


def of_image_alone(packet: bytes) -> bytes:
    """Return an XMP packet without the thumbnails in it, and without word of what follows in the file."""
    return _XMP_COMPANIONS.sub(b"", _XMP_THUMBNAILS.sub(b"", packet))


def with_orientation(packet: bytes, orientation: int) -> bytes:
    """Return an XMP packet that states this orientation, 1 to 8, where it states any but 1."""
    return _ORIENTATION.sub(rb"\g<1>%d" % orientation, packet)
