"""`wavepaint serve`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from wavepaint.cli.commands import command
from wavepaint.cores import available_cores
from wavepaint.errors import needs_extra
from wavepaint.options import Engine, option
from wavepaint.server.settings import MEBI, MEGAPIXEL, Limits, Settings


@dataclass(frozen=True, kw_only=True)
class Serving:
    """Where to serve, for whom, and how much."""

    host: str = option("127.0.0.1", "Address to bind to; an open one needs a token.")
    port: int = option(8000, "TCP port; 0 takes any free one.")
    token: str | None = option(
        None, "Bearer token to ask for; better set as WAVEPAINT_TOKEN.", variable="WAVEPAINT_TOKEN"
    )
    insecure_no_token: bool = option(False, "Bind to any host, and let anybody in.")
    workers: int | None = option(None, "Images filled at a time; by default one for each core.")
    queue: int = option(Settings.queue, "Images that may wait; more are answered 429.")
    deadline: float = option(Limits.seconds, "Seconds a request may take, upload included.")
    max_megabytes: int = option(Limits.body_bytes // MEBI, "Size of an upload, in MiB.")
    max_megapixels: int = option(Limits.pixels // MEGAPIXEL, "Size of an image, in millions of pixels.")
    cors_origin: tuple[str, ...] = option((), "Let pages of this origin use the interface.", metavar="ORIGIN")
    allowed_host: tuple[str, ...] = option(
        (), "Answer to this name too; * for any. Addresses are allowed.", metavar="NAME"
    )


@command(
    "wavepaint serve --open",
    "wavepaint serve holiday.jpg",
    "wavepaint serve --host 0.0.0.0 --port 80 --workers 4",
)
def serve(
    *,
    images: Annotated[list[Path] | None, typer.Argument(help="Images to open in the browser.")] = None,
    open: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    serving: Serving,
    engine: Engine,
) -> None:
    """Serve the mask editor and the HTTP interface."""
    limits = Limits(
        body_bytes=serving.max_megabytes * MEBI, pixels=serving.max_megapixels * MEGAPIXEL, seconds=serving.deadline
    )
    settings = Settings(
        limits=limits,
        workers=available_cores() if serving.workers is None else serving.workers,
        queue=serving.queue,
        token=serving.token or None,
        cors_origins=serving.cors_origin,
        allowed_hosts=tuple(name.lower() for name in serving.allowed_host),
    )
    with needs_extra("wavepaint serve", "server"):
        from wavepaint.server import run
    run.serve(
        engine,
        settings,
        host=serving.host,
        port=serving.port,
        insecure_no_token=serving.insecure_no_token,
        images=images or (),
        open_browser=open,
    )
