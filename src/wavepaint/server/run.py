"""Running the application: the inpainter it uses, the socket, the signals."""

from __future__ import annotations

import logging
import math
import socket
import threading
import warnings
from pathlib import Path
from types import FrameType

import uvicorn

from wavepaint.errors import OptionError
from wavepaint.image.photo import PhotoWarning
from wavepaint.options import Engine
from wavepaint.runtime.loading import DEFAULT_MODEL
from wavepaint.server.app import Model, create_app
from wavepaint.server.filling import Filler
from wavepaint.server.settings import Settings, check_binding, is_loopback
from wavepaint.server.stopping import StoppableInpainter
from wavepaint.server.work import WorkPool

MAX_CONNECTIONS = 512
BACKLOG = 1024
DRAIN_NOTICE = 1.0
"""Seconds between the signal and the closing of the socket: time for who is about to connect to be told 503."""


logger = logging.getLogger("wavepaint.server")


def serve(engine: Engine, settings: Settings, *, host: str, port: int, insecure_no_token: bool) -> None:
    """Serve until a signal ends it.

    Args:
        engine: which network runs, and where.
        settings: limits, workers, access.
        host: address to bind to; one that is not this machine's own loopback needs a token.
        port: TCP port; 0 for any free one.
        insecure_no_token: bind to any host without a token.

    Raises:
        OptionError: an open host without a token, or an address that cannot be bound to.
        CheckpointError, MissingExtraError: the network cannot be loaded.
    """
    check_binding(host, settings.token, insecure_no_token)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # libvips and the form parser comment on every damaged upload; the client is told, and that is enough.
    for talkative in ("pyvips", "python_multipart"):
        logging.getLogger(talkative).setLevel(logging.ERROR)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    # What a file cannot keep is for the person who sent it, who sees the result; it would only fill the log.
    warnings.simplefilter("ignore", PhotoWarning)
    inpainter = StoppableInpainter(engine.model, engine.runtime, engine.threads)
    runtime = inpainter.load()
    model = Model(Path(engine.model or DEFAULT_MODEL).stem, runtime.name)
    app = create_app(Filler(inpainter.fill, settings.limits), model, settings)
    if settings.token is None and not is_loopback(host):
        logger.warning("NO TOKEN: anybody who can reach %s may use this server", host)
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=math.ceil(settings.limits.seconds) + 1,
    )
    with _listen(host, port) as listener:
        bound = listener.getsockname()[1]
        logger.info("listening on http://%s:%d", f"[{host}]" if ":" in host else host, bound)
        DrainingServer(config, app.state.pool).run(sockets=[listener])
    logger.info("stopped")


class DrainingServer(uvicorn.Server):
    """A server that finishes what it has begun.

    The first SIGTERM or SIGINT makes it refuse new work (503, `/readyz` too) and, after `DRAIN_NOTICE`, close its
    socket; it exits when the last answer is sent. A second signal closes the socket at once, a third drops the rest.
    """

    def __init__(self, config: uvicorn.Config, pool: WorkPool) -> None:
        super().__init__(config)
        self._pool = pool

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Answer a signal."""
        if self._pool.draining:
            self.force_exit = self.should_exit
            self._close()
        else:
            self._pool.draining = True
            threading.Timer(DRAIN_NOTICE, self._close).start()

    def _close(self) -> None:
        self.should_exit = True


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        raise OptionError(f"cannot listen on {host}, port {port}: {error}") from None
