from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from images import png
from serving import HalfInpainter, make_app, upload
from wavepaint.cancellation import Cancelled, cancellable
from wavepaint.options import Options
from wavepaint.server.problems import Problem
from wavepaint.server.settings import Limits, Settings
from wavepaint.server.work import WorkPool

BOUNDARY = b"b0"
ANSWER = png(np.zeros((2, 2, 3), np.uint8))


class Gate:
    """An inpainter that waits until it is opened."""

    def __init__(self) -> None:
        self.started = threading.Semaphore(0)
        self.open = threading.Event()
        self.calls = 0

    def __call__(self, image: bytes, mask: bytes | None, options: Options) -> bytes:
        self.calls += 1
        self.started.release()
        assert self.open.wait(10)
        return ANSWER


def body() -> bytes:
    parts = [
        b'--%b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (BOUNDARY, name.encode(), content)
        for name, content in upload().items()
    ]
    return b"".join(parts) + b"--%b--\r\n" % BOUNDARY


class Exchange:
    """One request, spoken to the application directly, so that the client can leave in the middle."""

    def __init__(self, app: Any, more: bool = False) -> None:
        self._app = app
        self._incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._incoming.put_nowait({"type": "http.request", "body": body(), "more_body": more})
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        content_type = b"multipart/form-data; boundary=" + BOUNDARY
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "path": "/v1/inpaint",
            "raw_path": b"/v1/inpaint",
            "query_string": b"",
            "root_path": "",
            "scheme": "http",
            "server": ("127.0.0.1", 80),
            "client": ("127.0.0.1", 1),
            "headers": [(b"content-type", content_type)],
        }
        await self._app(scope, self._incoming.get, self._send)

    async def _send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = dict(message["headers"])

    def leave(self) -> None:
        self._incoming.put_nowait({"type": "http.disconnect"})


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


def test_the_queue_is_bounded_and_places_come_back():
    async def scenario() -> None:
        gate = Gate()
        app = make_app(Settings(workers=1, queue=1), gate)
        pool = app.state.pool
        first, second = Exchange(app), Exchange(app)
        await until(lambda: pool.running == 1 and pool.taken == 2)
        third = Exchange(app)
        await third.task
        assert third.status == 429
        assert 1 <= int(third.headers[b"retry-after"]) <= 60
        gate.open.set()
        await asyncio.gather(first.task, second.task)
        assert (first.status, second.status) == (200, 200)
        await until(lambda: pool.taken == 0)
        again = Exchange(app)
        await again.task
        assert again.status == 200

    asyncio.run(scenario())


def test_refused_requests_are_not_read():
    async def scenario() -> None:
        gate = Gate()
        app = make_app(Settings(workers=1, queue=0), gate)
        first = Exchange(app)
        await until(lambda: app.state.pool.running == 1)
        refused = Exchange(app)
        await refused.task
        assert refused.status == 429
        assert refused._incoming.qsize() == 1, "the body was taken"
        gate.open.set()
        await first.task

    asyncio.run(scenario())


def test_queued_work_of_a_client_that_left_is_never_begun():
    async def scenario() -> None:
        gate = Gate()
        app = make_app(Settings(workers=1, queue=1), gate)
        first, second = Exchange(app), Exchange(app)
        await until(lambda: app.state.pool.running == 1 and app.state.pool.taken == 2)
        second.leave()
        await second.task
        assert second.status == 499
        assert app.state.pool.taken == 1
        gate.open.set()
        await first.task
        assert first.status == 200
        assert gate.calls == 1

    asyncio.run(scenario())


def test_running_work_of_a_client_that_left_keeps_its_place_until_it_ends():
    async def scenario() -> None:
        gate = Gate()
        app = make_app(Settings(workers=1, queue=0), gate)
        first = Exchange(app)
        await until(lambda: app.state.pool.running == 1)
        first.leave()
        await first.task
        assert app.state.pool.taken == 1
        gate.open.set()
        await until(lambda: app.state.pool.taken == 0)

    asyncio.run(scenario())


def test_a_client_that_leaves_during_its_upload():
    async def scenario() -> None:
        app = make_app()
        exchange = Exchange(app, more=True)
        exchange.leave()
        await exchange.task
        assert exchange.status == 499
        assert app.state.pool.taken == 0

    asyncio.run(scenario())


def test_the_deadline_ends_waiting_and_working():
    async def scenario() -> None:
        gate = Gate()
        app = make_app(Settings(workers=1, queue=1, limits=Limits(seconds=0.2)), gate)
        running, queued = Exchange(app), Exchange(app)
        await asyncio.gather(running.task, queued.task)
        for exchange in (running, queued):
            assert exchange.status == 503
            assert int(exchange.headers[b"retry-after"]) > 0
        assert app.state.pool.taken == 1, "the thread is still at work"
        gate.open.set()
        await until(lambda: app.state.pool.taken == 0)
        assert gate.calls == 1

    asyncio.run(scenario())


def test_the_deadline_counts_the_upload():
    async def scenario() -> None:
        app = make_app(Settings(limits=Limits(seconds=0.1)))
        exchange = Exchange(app, more=True)
        await exchange.task
        assert exchange.status == 503
        assert app.state.pool.taken == 0

    asyncio.run(scenario())


def test_draining_refuses_new_work_and_finishes_the_old():
    async def scenario() -> None:
        gate = Gate()
        app = make_app(Settings(workers=1, queue=3), gate)
        first, second = Exchange(app), Exchange(app)
        await until(lambda: app.state.pool.taken == 2)
        app.state.pool.draining = True
        late = Exchange(app)
        await late.task
        assert late.status == 503
        assert late.headers[b"connection"] == b"close"
        assert late._incoming.empty(), "the body must be read before the connection is closed"
        gate.open.set()
        await asyncio.gather(first.task, second.task)
        assert (first.status, second.status) == (200, 200)

    asyncio.run(scenario())


def test_work_that_nobody_waits_for_stops_before_the_next_crop():
    stop = threading.Event()
    files = upload()
    with cancellable(stop.is_set):
        assert HalfInpainter().fill(files["image"], files["mask"], Options()) != files["image"]
        stop.set()
        with pytest.raises(Cancelled):
            HalfInpainter().fill(files["image"], files["mask"], Options())
    assert HalfInpainter().fill(files["image"], files["mask"], Options())


def test_retry_after_follows_the_pace_of_work():
    async def scenario() -> None:
        pool = WorkPool(workers=1, queue=1)
        for _ in range(40):
            with pool.place() as do:
                await do(lambda: None)
        with pool.place(), pool.place(), pytest.raises(Problem) as problem, pool.place():
            pass
        assert problem.value.headers == {"Retry-After": "1"}
        pool.draining = True
        with pytest.raises(Problem, match="shutting down"), pool.place():
            pass

    asyncio.run(scenario())
