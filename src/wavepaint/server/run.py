"""Running the application: the inpainter it uses, the socket, the signals."""

from __future__ import annotations

import logging
import math
import os
import socket
import tempfile
import threading
import warnings
import webbrowser
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FrameType
from urllib.parse import quote, urlencode

import uvicorn
from fastapi import FastAPI

from wavepaint.errors import ImageWarning, OptionError
from wavepaint.files import sweep_scratch
from wavepaint.find import Finder
from wavepaint.image.file import ImageFile
from wavepaint.inpainter import Inpainter
from wavepaint.options import Engine
from wavepaint.runtime.loading import DEFAULT_MODEL
from wavepaint.server.app import OPENED_PATH, Model, create_app
from wavepaint.server.connections import ConnectionLimits, GuardedProtocol
from wavepaint.server.filling import Filler
from wavepaint.server.settings import Settings, check_binding, is_host_name, is_loopback
from wavepaint.server.work import WorkPool

BACKLOG = 1024
DRAIN_NOTICE = 1.0
"""Seconds between the signal and the closing of the socket: time to answer 503 to who is about to connect."""


logger = logging.getLogger("wavepaint.server")


def serve(
    engine: Engine,
    settings: Settings,
    *,
    host: str,
    port: int,
    insecure_no_token: bool,
    images: Sequence[Path] = (),
    open_browser: bool = False,
) -> None:
    """Serve until a signal ends it.

    Args:
        engine: which network runs, and where.
        settings: limits, workers, access.
        host: address to bind to; one that is not this machine's own loopback needs a token.
        port: TCP port; 0 for any free one.
        insecure_no_token: bind to any host without a token.
        images: image files that the browser opens.
        open_browser: show the page in this machine's browser, as is done for `images`.

    Raises:
        ImageError: one of the images cannot be opened.
        OptionError: an open host without a token, or an address that cannot be bound to.
        CheckpointError, MissingExtraError: the network cannot be loaded.
    """
    host = host.lower()
    check_binding(host, settings.token, insecure_no_token)
    check_temporary_folder()
    for image in images:
        ImageFile.open(image)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # The form parser comments on every damaged upload; the client gets an answer, and that is enough.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    # What a file cannot keep is for the person who sent it, who sees the result; it would only fill the log.
    warnings.simplefilter("ignore", ImageWarning)
    inpainter = Inpainter(engine.model, engine.runtime, engine.threads)
    runtime = inpainter.load()
    if is_host_name(host):
        settings = replace(settings, allowed_hosts=(*settings.allowed_hosts, host))
    model = Model(Path(engine.model or DEFAULT_MODEL).stem, runtime.name)
    filler = Filler(inpainter.fill, settings.limits, Finder(threads=engine.threads).find)
    app = create_app(filler, model, settings, images)
    if settings.token is None and not is_loopback(host):
        logger.warning("NO TOKEN: anybody who can reach %s may use this server", host)
    with listen(host, port) as listener:
        bound = listener.getsockname()[1]
        logger.info("listening on http://%s:%d", f"[{host}]" if ":" in host else host, bound)
        if open_browser or images:
            # Some browsers return only when they are closed.
            threading.Thread(target=webbrowser.open, args=[page_address(host, bound, images)], daemon=True).start()
        run_until_stopped(app, settings, listener)


def page_address(host: str, port: int, images: Sequence[Path]) -> str:
    """Where this machine's browser finds the page, opening these images."""
    # An address that stands for all of a machine's is none to connect to.
    reachable = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    paths = [OPENED_PATH.format(number=number, name=quote(path.name)) for number, path in enumerate(images)]
    return f"http://{reachable}:{port}/" + (f"?{urlencode({'open': paths}, doseq=True)}" if paths else "")


def check_temporary_folder() -> None:
    """Refuse to start where some images could not be filled, and remove what killed processes have left.

    The pages of a TIFF are written one by one before they are put together, and libvips turns images of more than
    100 MB in a file.

    Raises:
        OptionError: there is no folder for temporary files.
    """
    sweep_scratch()
    try:
        tempfile.TemporaryFile().close()
    except OSError as error:
        remedy = "mount a tmpfs at /tmp, or name a folder by TMPDIR"
        raise OptionError(f"no temporary file can be written ({error.strerror or error}): {remedy}") from None


def run_until_stopped(app: FastAPI, settings: Settings, listener: socket.socket) -> None:
    """Serve an application of `create_app` on a socket of `listen`, until signals end it; see `DrainingServer`."""
    pool: WorkPool = app.state.pool
    DrainingServer(configure(app, settings, ConnectionLimits()), pool).run(sockets=[listener])
    logger.info("stopped")
    if pool.running:
        # Nobody waits for this work any more, but the interpreter would.
        os._exit(0)


def configure(app: FastAPI, settings: Settings, connections: ConnectionLimits) -> uvicorn.Config:
    """How uvicorn serves the application."""
    return uvicorn.Config(
        app,
        http=partial(GuardedProtocol, connections),  # type: ignore[arg-type]  # it is only ever called
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=math.ceil(settings.limits.seconds) + 1,
    )


class DrainingServer(uvicorn.Server):
    """A server that finishes what it has begun.

    The first SIGTERM or SIGINT makes it refuse new work (503, `/readyz` too) and, after `DRAIN_NOTICE`, close its
    socket; it exits when the last answer is sent. A second signal closes the socket at once, a third ends the process,
    whatever its threads are at.
    """

    def __init__(self, config: uvicorn.Config, pool: WorkPool) -> None:
        super().__init__(config)
        self._pool = pool
        self._signals = 0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Answer a signal."""
        self._signals += 1
        if self._signals == 1:
            self._pool.draining = True
            notice = threading.Timer(DRAIN_NOTICE, self._close)
            notice.daemon = True
            notice.start()
        elif self._signals == 2:
            self._close()
        else:
            logger.warning("third signal: unfinished work is dropped")
            os._exit(128 + sig)

    def _close(self) -> None:
        self.should_exit = True


def listen(host: str, port: int) -> socket.socket:
    """A socket that accepts connections.

    Raises:
        OptionError: an address that cannot be bound to.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named: asyncio sets TCP_NODELAY only on sockets that say they are TCP, and without it every
    # answer on a connection that is kept alive waits for the acknowledgement of its header, 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        listener.close()
        raise OptionError(f"cannot listen on {host}, port {port}: {error}") from None
    return listener
