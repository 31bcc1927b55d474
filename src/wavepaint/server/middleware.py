"""What surrounds every request: security headers, the access log, the counters, the names of the server, no cross-site
posts.
"""

from __future__ import annotations

import ipaddress
import logging
import re
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wavepaint.server.problems import Problem
from wavepaint.server.work import WorkPool

PIECE_BYTES = 2**16
SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Upper ends of the bins in which requests are counted by their time."""
_AUTHORITY = re.compile(r"(?:\[(?P<address>[^\[\]]+)\]|(?P<name>[^:\[\]@]+))(?::[0-9]*)?")

access_log = logging.getLogger("wavepaint.access")

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'wasm-unsafe-eval'",  # WebAssembly, for filling on the visitor's device; not eval
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    # Together with the opener policy it lets the page use threads.
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(eq=False)
class SecurityHeaders:
    """Adds the security headers to every answer, and refuses what pages of other sites send.

    A page on another site may post a form to 127.0.0.1 without asking; it could not read the answer, but it could
    keep the machine busy. Browsers label such requests themselves (Sec-Fetch-Site), and behind a proxy too; those that
    do not name the page's Origin, which must be this server then.

    A page can have its own name resolved to 127.0.0.1 (DNS rebinding) and is then, for the browser, of the same origin
    as this server. It cannot do so with a name that it does not own, nor with an address: addresses and "localhost"
    are always allowed.

    Args:
        app: the application.
        cors_origins: of pages that may post.
        allowed_hosts: further names, in lower case, that requests may call the server by; "*" allows every name.
        is_closing: whether the server is shutting down; answers then end their connection.
    """

    app: ASGIApp
    cors_origins: Collection[str]
    allowed_hosts: Collection[str]
    is_closing: Callable[[], bool] = lambda: False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection event; the ASGI interface."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
                if self.is_closing():
                    headers["Connection"] = "close"
            await send(message)

        refusal = self._refusal(scope["method"], Headers(scope=scope))
        await (refusal.response() if refusal else self.app)(scope, receive, send_with_headers)

    def _refusal(self, method: str, headers: Headers) -> Problem | None:
        if method == "POST" and self._is_cross_site(headers):
            return Problem(403, "requests from pages of other sites are not accepted")
        # Without the header it is no browser: HTTP/1.1 demands it.
        name = _name(headers.get("host", "localhost"))
        if {name, "*"}.isdisjoint({"localhost", *self.allowed_hosts}) and _address(name) is None:
            return Problem(421, f"this server does not answer to the name {quote(name)[:100]}; see --allowed-host")
        return None

    def _is_cross_site(self, headers: Headers) -> bool:
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if origin in self.cors_origins:
            return False
        if site is not None:
            return site in {"cross-site", "same-site"}
        return origin is not None and _authority(origin) != _without_usual_port(headers.get("host", ""))


def _name(authority: str) -> str:
    """The host of `host:port`, in lower case, an IPv6 address without its brackets; what is malformed as it is."""
    match = _AUTHORITY.fullmatch(authority)
    return (match["address"] or match["name"]).lower().removesuffix(".") if match else authority


def _authority(origin: str) -> str:
    """The `host:port` that an origin names; empty for "null" and whatever is no origin."""
    try:
        return _without_usual_port(urlsplit(origin).netloc)
    except ValueError:
        return ""


def _without_usual_port(authority: str) -> str:
    return authority.lower().removesuffix(":80").removesuffix(":443")


def _address(name: str) -> str | None:
    """An IP address in its usual spelling, without the zone, which may be any text; None for anything else."""
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return None
    return str(type(address)(int(address)))


@dataclass(eq=False)
class InPieces:
    """Sends large bodies in pieces, each once the client has taken the one before.

    In one piece a body would lie in the buffer of its connection as a whole, for as long as the client likes.
    """

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection event; the ASGI interface."""

        async def send_in_pieces(message: Message) -> None:
            body = memoryview(message.get("body", b""))
            if message["type"] == "http.response.body" and len(body) > PIECE_BYTES:
                *starts, last = range(0, len(body), PIECE_BYTES)
                for start in starts:
                    piece = bytes(body[start : start + PIECE_BYTES])
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                message = {**message, "body": bytes(body[last:])}
            await send(message)

        await self.app(scope, receive, send_in_pieces)


class Metrics:
    """What the server counts, for Prometheus; a registry for each application, so that two can live in one process.

    Args:
        pool: whose queue is shown.
    """

    media_type = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(self, pool: WorkPool) -> None:
        registry = self.registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self.requests = Counter(
            "wavepaint_requests", "Answered requests.", ["method", "route", "status"], registry=registry
        )
        self.seconds = Histogram(
            "wavepaint_request_seconds",
            "Time from a request's header to the end of its answer.",
            ["route"],
            buckets=SECONDS,
            registry=registry,
        )
        self.received = Counter("wavepaint_received_bytes", "Bytes of request bodies.", registry=registry)
        self.sent = Counter("wavepaint_sent_bytes", "Bytes of response bodies.", registry=registry)
        running = Gauge("wavepaint_work_running", "Images being filled.", registry=registry)
        running.set_function(lambda: pool.running)
        taken = Gauge("wavepaint_work_places_taken", "Requests that hold a place.", registry=registry)
        taken.set_function(lambda: pool.taken)

    def exposition(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self.registry)


@dataclass(eq=False)
class AccessLog:
    """One line and one count per request: who, what, how it ended, how long, how many bytes. Never their content."""

    app: ASGIApp
    metrics: Metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection event; the ASGI interface."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start = time.monotonic()
        status, received, sent = 500, 0, 0

        async def count_received() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            return message

        async def count_sent(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
            sent += len(message.get("body", b""))
            await send(message)

        try:
            await self.app(scope, count_received, count_sent)
        finally:
            seconds = time.monotonic() - start
            # Clients can make up as many methods and paths as they like, and each would be a new time series.
            method = scope["method"] if scope["method"] in {"GET", "HEAD", "POST", "OPTIONS"} else "OTHER"
            route = getattr(scope.get("route"), "path", None) or "other"
            self.metrics.requests.labels(method, route, str(status)).inc()
            self.metrics.seconds.labels(route).observe(seconds)
            self.metrics.received.inc(received)
            self.metrics.sent.inc(sent)
            access_log.info(
                "%s %s %s %d %.3fs in=%d out=%d",
                # From a proxy it is a header of the request, so it may say anything.
                _address((scope.get("client") or ("",))[0]) or "-",
                method,
                # Percent-encoded, so that no path can forge a line; without the query, which no route reads.
                quote(scope["path"])[:200],
                status,
                seconds,
                received,
                sent,
            )
