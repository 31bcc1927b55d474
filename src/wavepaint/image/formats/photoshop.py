"""The resources of Photoshop in JPEGs and TIFFs, among them IPTC records and thumbnails."""

from __future__ import annotations

_PHOTOSHOP = b"Photoshop 3.0\0"
_IPTC_RESOURCE = b"8BIM\x04\x04\0\0"
# The thumbnail, and the one of Photoshop 4 with its colours in another order.
_THUMBNAIL_RESOURCES = {0x0409, 0x040C}


def without_thumbnails(data: bytes) -> bytes:
    """Return Photoshop resources, of a JPEG (with a prefix) or a TIFF, without the thumbnails among them.

    Anything else, IPTC records for one, comes back as it is. Resources end where they make no sense.
    """
    prefix = _PHOTOSHOP if data.startswith(_PHOTOSHOP) else b""
    if not prefix and not data.startswith(b"8BIM"):
        return data
    resources, start = prefix, len(prefix)
    while data[start : start + 4] == b"8BIM":
        number = int.from_bytes(data[start + 4 : start + 6], "big")
        name_bytes = 1 + data[start + 6] if len(data) > start + 6 else 0
        body = start + 6 + name_bytes + name_bytes % 2 + 4
        size = int.from_bytes(data[body - 4 : body], "big")
        end = body + size + size % 2
        if number not in _THUMBNAIL_RESOURCES:
            resources += data[start:end]
        start = end
    return resources


def iptc_for_jpeg(data: bytes) -> bytes:
    """Wrap IPTC records into the Photoshop resources of a JPEG, where they are not yet."""
    if data.startswith(_PHOTOSHOP):
        return data
    return _PHOTOSHOP + _IPTC_RESOURCE + len(data).to_bytes(4, "big") + data + b"\0" * (len(data) % 2)


def iptc_records(data: bytes) -> bytes:
    """Take the IPTC records out of the Photoshop resources of a JPEG; empty if there are none."""
    if not data.startswith(_PHOTOSHOP):
        return data
    _, header, rest = data.partition(_IPTC_RESOURCE)
    return rest[4 : 4 + int.from_bytes(rest[:4], "big")] if header else b""
