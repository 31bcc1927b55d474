"""Real sockets: silent clients keep nobody out, slow ones do not stay, and answers do not wait for each other."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
import uvicorn
from fastapi import Response

from serving import make_app
from wavepaint.server.connections import ConnectionLimits
from wavepaint.server.run import configure, listen
from wavepaint.server.settings import Settings

LARGE = 2**26
"""Bytes of an answer that no buffer of the system takes."""
PROMPT = 2.0
"""Seconds within which /healthz has to answer."""


@contextmanager
def running(limits: ConnectionLimits) -> Iterator[int]:
    """The port of a server that runs in a thread."""
    settings = Settings()
    app = make_app(settings)
    app.add_api_route("/large", lambda: Response(bytes(LARGE)))
    with listen("127.0.0.1", 0) as listener:
        server = uvicorn.Server(configure(app, settings, limits))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.force_exit = server.should_exit = True
            thread.join(10)
    assert not thread.is_alive()


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def health(port: int) -> tuple[int, float]:
    """Status and seconds of a new connection's first request."""
    start = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/healthz")
    status = connection.getresponse().status
    connection.close()
    return status, time.perf_counter() - start


def received(client: socket.socket) -> int:
    """Bytes until the server closes a connection."""
    count = 0
    try:
        while piece := client.recv(2**20):
            count += len(piece)
    except ConnectionError:
        pass
    return count


def is_closed(client: socket.socket, seconds: float) -> bool:
    """Whether the server closes a connection within some time."""
    client.settimeout(seconds)
    try:
        while client.recv(65536):
            pass
    except TimeoutError:
        return False
    except ConnectionError:
        pass
    return True


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-", b"POST /v1/inp"])
def test_idle_connections_keep_nobody_out(sent):
    """As many as there may be, none of which ever completes a header."""
    with running(ConnectionLimits(connections=64, header_seconds=60)) as port, ExitStack() as stack:
        for _ in range(100):
            client = stack.enter_context(connect(port))
            client.sendall(sent)
        for _ in range(20):
            status, seconds = health(port)
            assert status == 200
            assert seconds < PROMPT


def test_a_new_connection_replaces_the_one_that_is_idle_for_longest():
    with running(ConnectionLimits(connections=3, header_seconds=60)) as port, ExitStack() as stack:
        first, second, third = (stack.enter_context(connect(port)) for _ in range(3))
        first.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert first.recv(65536).startswith(b"HTTP/1.1 200")
        assert health(port)[0] == 200
        assert is_closed(second, 5)
        assert not is_closed(first, 0.2)
        assert not is_closed(third, 0.2)


@pytest.mark.parametrize("before", [b"", b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"])
def test_a_header_that_trickles_is_not_waited_for(before):
    with running(ConnectionLimits(header_seconds=0.5)) as port, connect(port) as client:
        client.sendall(before)
        start = time.perf_counter()
        try:
            for _ in range(100):
                client.sendall(b"G")
                time.sleep(0.05)
        except ConnectionError:
            pass
        assert 0.3 < time.perf_counter() - start < 3


def test_a_client_that_does_not_read_is_dropped():
    with running(ConnectionLimits(read_seconds=0.5, connections=2)) as port, connect(port) as client:
        client.sendall(b"GET /large HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        time.sleep(1.5)
        assert received(client) < LARGE


def test_a_client_that_reads_slowly_is_served():
    with running(ConnectionLimits(read_seconds=0.5)) as port, connect(port) as client:
        client.sendall(b"GET /large HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        count = 0
        while piece := client.recv(2**22):
            count += len(piece)
            time.sleep(0.05)
        assert count > LARGE


def test_where_all_are_at_work_one_that_does_not_read_makes_room():
    with running(ConnectionLimits(read_seconds=60, connections=1)) as port, connect(port) as client:
        client.sendall(b"GET /large HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        time.sleep(0.3)
        assert health(port)[0] == 200
        assert received(client) < LARGE


def test_kept_alive_answers_do_not_wait():
    """Without TCP_NODELAY each takes 40 ms: its body waits until the header is acknowledged."""
    with running(ConnectionLimits()) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        times = []
        for _ in range(20):
            start = time.perf_counter()
            connection.request("GET", "/healthz")
            connection.getresponse().read()
            times.append(time.perf_counter() - start)
        connection.close()
    assert sorted(times)[len(times) // 2] < 0.02


def test_the_listening_socket_says_that_it_is_tcp():
    with listen("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP
