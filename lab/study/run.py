"""Serving a study until a signal ends it."""

from __future__ import annotations

import logging

import uvicorn

from lab.study.app import create_app
from lab.study.trials import Study
from lab.study.votes import Votes
from wavepaint.server.run import listen
from wavepaint.server.settings import check_binding

logger = logging.getLogger("lab.study")


def serve(study: Study, votes: Votes, *, host: str, port: int, insecure_no_token: bool) -> None:
    """Serve the page of a study.

    Args:
        study: the questions.
        votes: where answers go.
        host: address to bind to; one that others can reach must be meant, as anybody there may vote.
        port: TCP port; 0 for any free one.
        insecure_no_token: bind to any host.

    Raises:
        OptionError: an open host that was not meant, or an address that cannot be bound to.
    """
    check_binding(host, None, insecure_no_token)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    config = uvicorn.Config(
        create_app(study, votes), http="h11", ws="none", lifespan="off", access_log=False, server_header=False
    )
    with listen(host, port) as listener:
        bound = listener.getsockname()[1]
        logger.info("%d questions on http://%s:%d", len(study), f"[{host}]" if ":" in host else host, bound)
        uvicorn.Server(config).run(sockets=[listener])
