"""Responses to errors: problem details (RFC 9457), a page for browsers; OIP's below /v2.

The errors state their status, text and headers themselves (`app/errors.py`); this module must not know any one of them
but the internal error, nor FastAPI.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import NamedTuple

import orjson

from app.api import error_page
from app.api.accept import choose_type
from app.api.bodies import JSON
from app.api.schemas.common import PROBLEM_TYPE
from app.errors import InternalServerError, ServingError, Unavailable

logger = logging.getLogger(__name__)

HTML = "text/html"
CLIENT_CLOSED = 499  # not in HTTPStatus; nginx logs the same code


class ErrorResponse(NamedTuple):
    """What is sent for an error; the names of headers are in lower case."""

    status: HTTPStatus
    body: bytes
    headers: list[tuple[bytes, bytes]]


def log_and_render(error: Exception, request_id: str, path: str = "", accept: str | None = None) -> ErrorResponse:
    """Render an error that ends a request, as `render` does; if it is an internal error, log its traceback."""
    if not isinstance(error, ServingError):
        logger.error("a request failed", exc_info=error, extra={"request_id": request_id})
    return render(error, request_id, path, accept)


def render(error: Exception, request_id: str, path: str = "", accept: str | None = None) -> ErrorResponse:
    """Return the response to an error; path and `Accept` header decide about the format.

    Of an exception that is no `ServingError`, the client learns only that it happened.
    """
    shown = error if isinstance(error, ServingError) else InternalServerError()
    if is_oip(path):
        return _render_oip(shown)
    details = _problem_details(shown, request_id)
    if accept is not None and choose_type(accept, (PROBLEM_TYPE, JSON, HTML)) == HTML:
        headers = {**shown.headers, "content-security-policy": error_page.POLICY}
        return _encode(shown.status, headers, f"{HTML}; charset=utf-8", error_page.render_page(details, path))
    return _encode(shown.status, shown.headers, PROBLEM_TYPE, orjson.dumps(details, option=orjson.OPT_APPEND_NEWLINE))


def is_oip(path: str) -> bool:
    """Tell whether a path is of the Open Inference Protocol, which has a form of errors of its own."""
    return path == "/v2" or path.startswith("/v2/")


def _render_oip(error: ServingError) -> ErrorResponse:
    """Return the protocol's own form; of the statuses 422 and 409, which it lacks, the one that comes nearest."""
    status, headers = error.status, error.headers
    if status == HTTPStatus.UNPROCESSABLE_ENTITY:
        status = HTTPStatus.BAD_REQUEST
    elif status == HTTPStatus.CONFLICT:  # a refused version is not ready
        status, headers = Unavailable.status, Unavailable.headers
    return _encode(status, headers, JSON, orjson.dumps({"error": str(error)}))


def _problem_details(error: ServingError, request_id: str) -> dict[str, object]:
    return {
        "type": f"urn:tabserve:problem:{error.kind}",
        "title": error.status.phrase,
        "status": error.status.value,
        "detail": str(error),
        "errors": [{"row": p.row, "feature": p.feature, "problem": p.problem} for p in error.problems],
        "request_id": request_id,
    }


def _encode(status: HTTPStatus, headers: Mapping[str, str], media_type: str, body: bytes) -> ErrorResponse:
    named = {"content-type": media_type, **headers}
    return ErrorResponse(status, body, [(name.lower().encode(), value.encode()) for name, value in named.items()])
