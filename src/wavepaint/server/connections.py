"""One HTTP connection: how long it may be silent, and who makes room when there are too many.

uvicorn waits without end for the header of a request and for a client that does not read its answer. Here both have a
limit, and a new connection is always let in: where there are too many, the one that is idle for longest is closed. So
idle connections, however many, keep nobody out.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol


@dataclass(frozen=True)
class ConnectionLimits:
    """What a client may do before it has asked for anything.

    Attributes:
        connections: at a time.
        header_seconds: for the header of a request, from the connection or the end of the answer before.
        read_seconds: for a client to take what it was sent (a buffer of some ten kilobytes), before it is sent more.
    """

    connections: int = 512
    header_seconds: float = 10.0
    read_seconds: float = 20.0


class GuardedProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 with limits on silence and on the number of connections.

    Args:
        limits: the limits.
        options: what uvicorn gives every protocol.
    """

    def __init__(self, limits: ConnectionLimits, **options: Any) -> None:
        super().__init__(**options)
        self._limits = limits
        self._waits_since = self.loop.time()
        self._stalled = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_idle(self) -> bool:
        """Whether no request is being answered: none has come, its header is not complete, or its answer was sent."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Let a connection in."""
        super().connection_made(transport)
        self._become_idle()
        if len(self.connections) > self._limits.connections:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        """Take bytes of a request. Those of a header do not prolong its time."""
        super().data_received(data)
        if not self.is_idle and not self._stalled:
            self._set_timer(None)

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        if self.is_idle:
            self._become_idle()

    def pause_writing(self) -> None:
        """Wait for the client to read."""
        super().pause_writing()
        self._stalled, self._waits_since = True, self.loop.time()
        self._set_timer(self._limits.read_seconds)

    def resume_writing(self) -> None:
        """Send on."""
        super().resume_writing()
        self._stalled = False
        self._set_timer(self._limits.header_seconds if self.is_idle else None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection."""
        self._set_timer(None)
        super().connection_lost(exc)

    def _become_idle(self) -> None:
        self._waits_since = self.loop.time()
        if not self._stalled:
            self._set_timer(self._limits.header_seconds)

    def _set_timer(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else self.loop.call_later(seconds, self.transport.abort)

    def _make_room(self) -> None:
        """Close the connection that is idle for longest; if all are at work, one that waits for its client."""
        others = [other for other in self.connections if isinstance(other, GuardedProtocol) and other is not self]
        idle = [other for other in others if other.is_idle]
        stalled = [other for other in others if other._stalled]
        victim = min(idle or stalled, key=lambda other: other._waits_since, default=self)
        # Closed connections leave the set a moment later, but count no more.
        self.connections.discard(victim)
        victim.transport.abort()
