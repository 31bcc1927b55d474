"""What surrounds every request: security headers, the access log, the counters, and no cross-site posts."""

from __future__ import annotations

import logging
import time
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wavepaint.server.metrics import Metrics
from wavepaint.server.problems import Problem
from wavepaint.server.work import WorkPool

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


class SecurityHeaders:
    """Adds the security headers to every answer, and refuses what a foreign page sends unasked.

    A page on another site may post a form to 127.0.0.1 without asking; it could not read the answer, but it could
    keep the machine busy. Browsers label such requests themselves (Sec-Fetch-Site), and behind a proxy too.
    """

    def __init__(self, app: ASGIApp, cors_origins: tuple[str, ...]) -> None:
        self._app = app
        self._cors_origins = cors_origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection event; the ASGI interface."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        app = self._app
        if scope["method"] == "POST" and self._is_cross_site(Headers(scope=scope)):
            app = Problem(403, "requests from pages of other sites are not accepted").response()
        await app(scope, receive, send_with_headers)

    def _is_cross_site(self, headers: Headers) -> bool:
        cross = headers.get("sec-fetch-site") in {"cross-site", "same-site"}
        return cross and headers.get("origin") not in self._cors_origins


class LastAnswers:
    """Tells clients, once the server is shutting down, that their connection ends with this answer."""

    def __init__(self, app: ASGIApp, pool: WorkPool) -> None:
        self._app = app
        self._pool = pool

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection event; the ASGI interface."""

        async def send_closing(message: Message) -> None:
            if message["type"] == "http.response.start" and self._pool.draining:
                MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        await self._app(scope, receive, send_closing)


class AccessLog:
    """One line and one count per request: who, what, how it ended, how long, how many bytes. Never their content."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection event; the ASGI interface."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
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
            await self._app(scope, count_received, count_sent)
        finally:
            seconds = time.monotonic() - start
            self._metrics.answered(_method(scope), _route(scope), status, seconds, received, sent)
            access_log.info(
                "%s %s %s %d %.3fs in=%d out=%d",
                (scope.get("client") or ("-",))[0],
                _method(scope),
                # Percent-encoded, so that no path can forge a line; without the query, which no route reads.
                quote(scope["path"])[:200],
                status,
                seconds,
                received,
                sent,
            )


def _method(scope: Scope) -> str:
    """The method, or OTHER: clients can make up as many as they like, and each would be a new time series."""
    method = str(scope["method"])
    return method if method in {"GET", "HEAD", "POST", "OPTIONS"} else "OTHER"


def _route(scope: Scope) -> str:
    """The template of the route that answered; whatever does not exist shares one name."""
    return getattr(scope.get("route"), "path", None) or "other"
