"""Errors as problem documents (RFC 9457): the status, its usual title, and the reason in words."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

MEDIA_TYPE = "application/problem+json"
CLIENT_GONE = 499
"""The status that the log shows for a client that left; nobody receives it."""

SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "A problem document, RFC 9457.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "description": "Always `about:blank`: the status says it all."},
        "title": {"type": "string", "examples": ["Unprocessable Content"]},
        "status": {"type": "integer", "examples": [422]},
        "detail": {"type": "string", "description": "What is wrong, in words for the person who sent the request."},
    },
}


class Problem(HTTPException):
    """An error that answers a request: its status, one sentence that tells the client what is wrong, and headers."""

    def response(self) -> JSONResponse:
        """The problem document."""
        # Python 3.13 took over the names of RFC 9110; the others must not depend on the interpreter.
        known = {413: "Content Too Large", 422: "Unprocessable Content"}
        title = known.get(self.status_code) or HTTPStatus(self.status_code).phrase
        document = {"type": "about:blank", "title": title, "status": self.status_code, "detail": self.detail}
        return JSONResponse(document, self.status_code, headers=self.headers, media_type=MEDIA_TYPE)
