"""Files that an explicit request needs from elsewhere: fetched once, verified, kept.

Filling holes never comes here; only research tools do (perceptual losses and scores).
"""

from __future__ import annotations

import hashlib
import http.client
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from wavepaint.errors import WavepaintError
from wavepaint.files import cache_folder, replacing

_CHUNK = 1 << 20
_TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class Download:
    """A file elsewhere whose content is known.

    Attributes:
        url: http(s) address.
        sha256: hexadecimal digest of the file, or its first eight digits or more (what some publishers put into
            a file's name).
    """

    url: str
    sha256: str

    def __post_init__(self) -> None:
        if len(self.sha256) < 8 or set(self.sha256) - set("0123456789abcdef"):
            raise ValueError(f"sha256 must be at least eight lower-case hexadecimal digits, got {self.sha256!r}")

    @property
    def filename(self) -> str:
        """Last part of the address."""
        return Path(urlsplit(self.url).path).name


def fetch(download: Download, folder: Path | None = None) -> Path:
    """The local copy of a file, downloaded if it is not there yet.

    Args:
        download: what to get.
        folder: where copies are kept; `cache_folder()` by default.

    Raises:
        WavepaintError: the address does not answer, the folder cannot be written to, or the content is not the expected
            one (nothing is kept).
    """
    folder = folder or cache_folder()
    target = folder / f"{download.sha256[:8]}-{download.filename}"
    try:
        if target.is_file():
            return target
        folder.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        with (
            replacing(target) as unfinished,
            urllib.request.urlopen(download.url, timeout=_TIMEOUT_SECONDS) as answer,
            unfinished.open("wb") as file,
        ):
            while chunk := answer.read(_CHUNK):
                digest.update(chunk)
                file.write(chunk)
            if not digest.hexdigest().startswith(download.sha256):
                raise WavepaintError(
                    f"{download.url}: SHA-256 is {digest.hexdigest()}, expected {download.sha256}; not kept"
                )
    except (OSError, http.client.HTTPException) as error:
        raise WavepaintError(f"{download.url}: cannot download: {error}") from None
    return target
