"""What an operator can set, and the defaults: limits, workers, access."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field

from wavepaint.cores import available_cores
from wavepaint.errors import OptionError

MEBI = 1 << 20
MEGAPIXEL = 1_000_000


@dataclass(frozen=True)
class Limits:
    """What one request may ask for. Every limit is checked before a sample is decoded.

    Attributes:
        body_bytes: the whole request body, counted while it streams in.
        field_bytes: one text field of the form.
        parts: parts of the form, images and text fields together.
        pixels: width times height of every page of the image, and of the mask, from their headers.
        heif_pixels: of a result in AVIF or HEIC, whose encoders take seconds for a megapixel and cannot be interrupted.
        frames: pages or animation frames that a file may contain (of an animation only the first is filled).
        seconds: from the request's header to its answer: upload, waiting and filling.
    """

    body_bytes: int = 64 * MEBI
    field_bytes: int = 1024
    parts: int = 64
    pixels: int = 64 * MEGAPIXEL
    heif_pixels: int = 16 * MEGAPIXEL
    frames: int = 100
    seconds: float = 60.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise OptionError(f"server limit {name} must be positive, not {value}")


@dataclass(frozen=True)
class Settings:
    """How the server works.

    Attributes:
        limits: what one request may ask for.
        workers: images filled at the same time.
        queue: images that may wait beyond those; the next one is answered 429. Memory for uploads is bounded by
            (workers + queue) * limits.body_bytes.
        token: bearer token that `/v1/*` and `/metrics` ask for; None = open.
        cors_origins: web origins whose pages may use the interface; none by default.
        allowed_hosts: names, besides addresses and "localhost", that requests may call the server by; "*" for any.
    """

    limits: Limits = field(default_factory=Limits)
    workers: int = field(default_factory=available_cores)
    queue: int = 16
    token: str | None = None
    cors_origins: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise OptionError(f"workers must be at least 1, not {self.workers}")
        if self.queue < 0:
            raise OptionError(f"queue must be at least 0, not {self.queue}")
        if self.token is not None and not (self.token.isascii() and self.token.isprintable() and self.token.strip()):
            raise OptionError("the token must be printable ASCII and not empty")
        for name in self.allowed_hosts:
            if name != "*" and not is_host_name(name):
                raise OptionError(f"an allowed host is a name in lower case, without a port, or *; not {name!r}")


def is_host_name(text: str) -> bool:
    """Whether a text can be the name of a host, in lower case."""
    return re.fullmatch(r"[a-z0-9._-]+", text) is not None


def is_loopback(host: str) -> bool:
    """Whether a server bound to `host` can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_binding(host: str, token: str | None, insecure_no_token: bool) -> None:
    """Refuse to open the server to a network without a token, unless that was asked for in so many words.

    Raises:
        OptionError: `host` is not a loopback address, and there is neither a token nor the explicit wish for none.
    """
    if token is None and not insecure_no_token and not is_loopback(host):
        raise OptionError(
            f"host {host} is reachable from the network: give --token (or WAVEPAINT_TOKEN), "
            "or --insecure-no-token to let anybody in"
        )
