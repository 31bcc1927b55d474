"""The HTTP application: routes, and how the rooms of this package come together."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from fastapi import Depends, FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from wavepaint import __version__
from wavepaint.options import Declared
from wavepaint.server.filling import FIELDS, FILE_PARTS, FINDING_FIELDS, IMAGE, Answer, Filler, Work, form_schema
from wavepaint.server.middleware import SECURITY_HEADERS, AccessLog, InPieces, Metrics, SecurityHeaders
from wavepaint.server.page import INDEX, STATIC, Asset, load_page
from wavepaint.server.problems import CLIENT_GONE, MEDIA_TYPE, SCHEMA, Problem
from wavepaint.server.settings import Limits, Settings
from wavepaint.server.uploads import Form, read_form
from wavepaint.server.work import WorkPool

T = TypeVar("T")
OPENED_PATH = "opened/{number}/{name}"
"""Of a file that the server was started with; the name is for people, and no file is looked for by it."""


@dataclass(frozen=True)
class Model:
    """What `/v1/models` says about a network."""

    name: str
    runtime: str
    default: bool = True


def create_app(
    filler: Filler, model: Model, settings: Settings, opened: Sequence[Path] = (), page: Path = STATIC
) -> FastAPI:
    """Build the application.

    Args:
        filler: does the work, in the threads of the pool.
        model: which network it uses.
        settings: limits, workers, access.
        opened: files that the page fetches to open them, at `OPENED_PATH`.
        page: folder that holds the page.

    Returns:
        An ASGI application. Its `state.pool` is the `WorkPool`; setting `draining` there makes it refuse new work.
    """
    pool = WorkPool(settings.workers, settings.queue)
    metrics = Metrics(pool)

    app = FastAPI(
        title="WavePaint",
        version=__version__,
        description="Fills holes in images. Outside the hole nothing changes.",
        docs_url=None,
        redoc_url=None,
    )
    app.state.pool = pool
    for kind in (HTTPException, ClientDisconnect, Exception):
        app.add_exception_handler(kind, _answer_error)

    _add_work(app, filler, model, pool, settings)
    _add_operations(app, metrics, pool, settings)
    # A route for each file, and no wildcard: that would answer 404 where 405 is right.
    for path, asset in load_page(page).items():
        _add_asset(app, "/" if path == INDEX else f"/{path}", asset)
    _add_opened(app, opened, settings)

    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization"],
            expose_headers=["Retry-After"],
        )
    app.add_middleware(
        SecurityHeaders,
        cors_origins=settings.cors_origins,
        allowed_hosts=settings.allowed_hosts,
        is_closing=lambda: pool.draining,
    )
    app.add_middleware(InPieces)
    app.add_middleware(AccessLog, metrics=metrics)
    return app


# -- routes ----------------------------------------------------------------------------------------------------------


async def _run(
    request: Request,
    pool: WorkPool,
    limits: Limits,
    files: Collection[str],
    fields: Collection[str],
    work: Callable[[Form], Work],
) -> Answer:
    """Read a form, and do in the pool what `work` makes of it."""
    if pool.draining:
        # The connection will be closed, and a client that is still sending would not see the answer.
        await _discard_body(request, limits)
    with pool.place() as do:
        try:
            async with asyncio.timeout(limits.seconds) as deadline:
                form = await read_form(request.headers, request.stream(), files=files, fields=fields, limits=limits)
                return await _unless_gone(request, do(work(form)))
        except TimeoutError:
            if not deadline.expired():
                raise
            raise Problem(503, f"not done within {limits.seconds:g} seconds", {"Retry-After": "5"}) from None


def _add_work(app: FastAPI, filler: Filler, model: Model, pool: WorkPool, settings: Settings) -> None:
    @app.post(
        "/v1/inpaint",
        summary="Fill the hole of an image",
        **_form_route(settings.token, FILE_PARTS, FIELDS, "The filled image.", "image/*"),
    )
    async def inpaint(request: Request) -> Response:
        """Fill the hole of an image and return the image itself, in its own format and with its metadata.

        What to fill is said by one of: the part `mask`, `boxes`, `alpha`. Samples outside the hole do not change.
        """
        answer = await _run(request, pool, settings.limits, FILE_PARTS, FIELDS, filler.fill)
        headers = {"Cache-Control": "no-store", "Content-Disposition": f'inline; filename="filled.{answer.suffix}"'}
        return Response(answer.content, headers=headers, media_type=answer.media_type)

    @app.post(
        "/v1/find",
        summary="Find the damage of an image",
        **_form_route(settings.token, [IMAGE], FINDING_FIELDS, "The mask.", "image/png"),
    )
    async def damage(request: Request) -> Response:
        """Find scratches, dust and stamps; the answer is a mask for `/v1/inpaint`, white = damage."""
        mask = await _run(request, pool, settings.limits, [IMAGE], FINDING_FIELDS, filler.find)
        return Response(mask.content, headers={"Cache-Control": "no-store"}, media_type=mask.media_type)

    @app.get(
        "/v1/models",
        summary="List the networks",
        response_description="The networks.",
        dependencies=_bearer(settings.token),
        responses=_problems(_TOKEN_PROBLEM),
    )
    async def models() -> dict[str, list[Model]]:
        """The networks that this server runs; there is one, and it need not be named."""
        return {"models": [model]}


def _add_operations(app: FastAPI, metrics: Metrics, pool: WorkPool, settings: Settings) -> None:
    @app.get("/healthz", summary="Is the process alive?", response_description="It is.")
    async def healthz() -> dict[str, str]:
        """Answers as long as the process can answer at all."""
        return {"status": "alive"}

    @app.get(
        "/readyz",
        summary="Does it take work?",
        response_description="It does.",
        responses=_problems({503: "The server is shutting down: send no more."}),
    )
    async def readyz() -> dict[str, str]:
        """Tells a load balancer whether to send work here."""
        if pool.draining:
            raise Problem(503, "the server is shutting down")
        return {"status": "ready"}

    @app.get(
        "/metrics",
        summary="Metrics for Prometheus",
        dependencies=_bearer(settings.token),
        response_class=Response,
        responses={
            200: {"description": "Metrics.", "content": {"text/plain": {"schema": {"type": "string"}}}},
            **_problems(_TOKEN_PROBLEM),
        },
    )
    async def counters() -> Response:
        """Requests, times, bytes, the queue and the process."""
        return Response(metrics.exposition(), headers={"Content-Type": metrics.media_type})


def _add_asset(app: FastAPI, path: str, asset: Asset) -> None:
    @app.api_route(path, methods=["GET", "HEAD"], include_in_schema=False)
    async def file(request: Request) -> Response:
        if request.headers.get("if-none-match") == asset.headers["ETag"]:
            return Response(status_code=304, headers=asset.headers)
        return Response(asset.content, headers=asset.headers)


def _add_opened(app: FastAPI, opened: Sequence[Path], settings: Settings) -> None:
    @app.get(f"/{OPENED_PATH}", dependencies=_bearer(settings.token), include_in_schema=False)
    def given(number: int, name: str) -> Response:
        if not 0 <= number < len(opened):
            raise HTTPException(404)
        try:
            content = opened[number].read_bytes()
        except OSError as error:
            raise Problem(404, f"{opened[number].name} cannot be read: {error.strerror or error}") from None
        return Response(content, headers={"Cache-Control": "no-store"}, media_type="application/octet-stream")


# -- access ----------------------------------------------------------------------------------------------------------


def _bearer(token: str | None) -> list[Any]:
    """Dependencies that let in who knows the token, before anything of the body is read; none without a token."""
    if token is None:
        return []
    expected = token.encode("ascii")

    def check(given: Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))]) -> None:
        # Compared in constant time, so that answers do not tell how much of a guess was right.
        if given is None or not secrets.compare_digest(given.credentials.encode(), expected):
            raise Problem(401, "send the token as 'Authorization: Bearer TOKEN'", {"WWW-Authenticate": "Bearer"})

    return [Depends(check)]


async def _unless_gone(request: Request, work: Awaitable[T]) -> T:
    """Await work, but only as long as the client is there.

    Raises:
        ClientDisconnect: it left; the work is cancelled.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        task.cancel()
        gone.cancel()


async def _discard_body(request: Request, limits: Limits) -> None:
    received = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(limits.seconds):
            async for piece in request.stream():
                received += len(piece)
                if received > limits.body_bytes:
                    return


async def _disconnected(request: Request) -> None:
    # Behind the end of the body the only message left is the disconnection.
    while (await request.receive())["type"] != "http.disconnect":
        pass


# -- descriptions ----------------------------------------------------------------------------------------------------

_TOKEN_PROBLEM = {401: "The token is missing or wrong."}
_INPAINT_PROBLEMS = {
    400: "The form is malformed.",
    **_TOKEN_PROBLEM,
    403: "The request comes from a page of another site.",
    413: "The upload is larger, or has more pixels, frames or parts, than the server accepts.",
    415: "Not a multipart form, or not an image of a known format.",
    422: "A damaged image, an unfit mask, or an option that makes no sense.",
    429: "All workers are busy and the queue is full; Retry-After says when to try again.",
    421: "The request calls the server by a name that is not its own.",
    503: "The server is shutting down, or the work took longer than it may.",
}

_ROUTING_PROBLEMS = {404: "there is nothing at this address", 405: "this address does not answer to that method"}


def _problems(descriptions: dict[int, str]) -> dict[int | str, dict[str, Any]]:
    return {
        status: {"description": text, "content": {MEDIA_TYPE: {"schema": SCHEMA}}}
        for status, text in descriptions.items()
    }


def _form_route(
    token: str | None, files: Iterable[str], fields: Mapping[str, Declared], gives: str, media_type: str
) -> dict[str, Any]:
    """What a route that takes a form, and gives an image, is and says of itself."""
    # Boxes are repeated parts, as browsers send them, not one part that holds a JSON array.
    encoding = {name: {"style": "form", "explode": True} for name, option in fields.items() if option.repeated}
    form = {"multipart/form-data": {"schema": form_schema(files, fields), "encoding": encoding}}
    image = {"description": gives, "content": {media_type: {"schema": {"type": "string", "format": "binary"}}}}
    return {
        "dependencies": _bearer(token),
        "response_class": Response,
        "responses": {200: image, **_problems(_INPAINT_PROBLEMS)},
        "openapi_extra": {"requestBody": {"required": True, "content": form}},
    }


# -- answers to errors -----------------------------------------------------------------------------------------------


async def _answer_error(_: Request, error: Exception) -> Response:
    match error:
        case Problem():
            return error.response()
        case HTTPException():
            detail = _ROUTING_PROBLEMS.get(error.status_code, error.detail)
            return Problem(error.status_code, detail, error.headers).response()
        case ClientDisconnect():
            return Response(status_code=CLIENT_GONE)
        case _:
            # The reason goes into the log, not to the client. This answer passes by the middleware.
            return Problem(500, "the server failed; its log says more", SECURITY_HEADERS).response()
