"""The editor's files, read once into memory: no path of a request ever reaches the file system."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wavepaint.runtime.loading import packaged_network

STATIC = Path(__file__).parent / "static"
INDEX = "index.html"
MODEL, DETECTOR = "model.onnx", "damage.onnx.gz"
"""The packaged network, for those who fill "on this device"."""
_SITE_ONLY = {"sw.js"}
HINT = """\
The mask editor is not part of this installation.

It is built from the folder web/ of the source distribution, with Node 20.19 or later:

    npm --prefix web ci
    npm --prefix web run build

The HTTP interface works all the same; /openapi.json describes it.
"""
_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".gz": "application/gzip",
    ".html": "text/html; charset=utf-8",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


@dataclass(frozen=True)
class Asset:
    """One file of the page: contents and response headers."""

    content: bytes
    headers: Mapping[str, str]


def load_page(folder: Path = STATIC) -> dict[str, Asset]:
    """Read a built page.

    Returns:
        Files by their path below the folder, with "/" between names, and the packaged networks as `MODEL` and
        `DETECTOR`. Without a built page: `INDEX` alone, a hint in plain text how to build it.
    """
    if not (folder / INDEX).is_file():
        return {INDEX: _asset(HINT.encode(), _MEDIA_TYPES[".txt"], lasting=False)}
    page = {
        path.relative_to(folder).as_posix(): _asset(
            path.read_bytes(),
            _MEDIA_TYPES.get(path.suffix, "application/octet-stream"),
            # The build puts a hash of the contents into the names of everything below assets/.
            lasting=path.parent.name == "assets",
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".") and path.name not in _SITE_ONLY
    }
    page[MODEL] = _asset(packaged_network(), "application/octet-stream", lasting=False)
    page[DETECTOR] = _asset(packed_detector(), _MEDIA_TYPES[".gz"], lasting=False)
    return page


def packed_detector() -> bytes:
    """The packaged network that finds damage, compressed: hosts seldom compress networks by themselves."""
    return gzip.compress(packaged_network("damage"), mtime=0)


def _asset(content: bytes, media_type: str, lasting: bool) -> Asset:
    return Asset(
        content,
        {
            "Cache-Control": "public, max-age=31536000, immutable" if lasting else "no-cache",
            "Content-Type": media_type,
            "ETag": f'"{hashlib.sha256(content).hexdigest()[:32]}"',
        },
    )
