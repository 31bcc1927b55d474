"""`wavepaint serve`."""

from __future__ import annotations

from typing import Annotated

import typer

from wavepaint.cli.commands import new_app
from wavepaint.errors import MissingExtraError
from wavepaint.options import Engine, help_of
from wavepaint.server.settings import MEBI, MEGAPIXEL, Limits, Settings, available_cores

app = new_app()


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to bind to; an open one needs a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="TCP port; 0 takes any free one.")] = 8000,
    token: Annotated[
        str | None,
        typer.Option(envvar="WAVEPAINT_TOKEN", help="Bearer token to ask for; better set as WAVEPAINT_TOKEN."),
    ] = None,
    insecure_no_token: Annotated[
        bool, typer.Option("--insecure-no-token", help="Bind to any host, and let anybody in.")
    ] = False,
    workers: Annotated[int | None, typer.Option(help="Pictures filled at a time; by default one per core.")] = None,
    queue: Annotated[int, typer.Option(help="Pictures that may wait; more are answered 429.")] = Settings.queue,
    deadline: Annotated[float, typer.Option(help="Seconds a request may take, upload included.")] = Limits.seconds,
    max_megabytes: Annotated[int, typer.Option(help="Size of an upload, in MiB.")] = Limits.body_bytes // MEBI,
    max_megapixels: Annotated[int, typer.Option(help="Size of a picture, in millions of pixels.")] = Limits.pixels
    // MEGAPIXEL,
    cors_origin: Annotated[
        list[str] | None, typer.Option(metavar="ORIGIN", help="Let pages of this origin use the interface. Repeatable.")
    ] = None,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Answer to this name too; * for any. Addresses are allowed. Repeatable."),
    ] = None,
    model: Annotated[str | None, typer.Option(help=help_of(Engine, "model"))] = None,
    runtime: Annotated[str, typer.Option(help=help_of(Engine, "runtime"))] = Engine.runtime,
    threads: Annotated[int | None, typer.Option(help=help_of(Engine, "threads"))] = Engine.threads,
) -> None:
    """Serve the mask editor and the HTTP interface."""
    limits = Limits(body_bytes=max_megabytes * MEBI, pixels=max_megapixels * MEGAPIXEL, seconds=deadline)
    settings = Settings(
        limits=limits,
        workers=available_cores() if workers is None else workers,
        queue=queue,
        token=token or None,
        cors_origins=tuple(cors_origin or ()),
        allowed_hosts=tuple(name.lower() for name in allowed_host or ()),
    )
    try:
        from wavepaint.server import run
    except ImportError as error:
        raise MissingExtraError("wavepaint serve", "server", str(error.name)) from None
    engine = Engine(model=model, runtime=runtime, threads=threads)
    run.serve(engine, settings, host=host, port=port, insecure_no_token=insecure_no_token)
