"""Responses to errors: problem details (RFC 9457); below /v2 the form of its protocol.

The errors state their status, text and headers themselves (`app/errors.py`); this module must not know any one of them
but those that replace an exception of FastAPI or Starlette.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from app.api.bodies import JSON
from app.api.faults import invalid_input
from app.api.query import query_model
from app.api.schemas.common import PROBLEM_TYPE
from app.context import current_request_id
from app.errors import BadRequest, ClientGone, InternalServerError, ServingError, Unavailable
from app.security.errors import MethodNotAllowed, RouteNotFound

logger = logging.getLogger(__name__)

CLIENT_CLOSED = 499  # not in HTTPStatus; nginx logs the same code

Rendered = tuple[HTTPStatus, bytes, list[tuple[bytes, bytes]]]

_FAMILY_IN_OIP = {
    HTTPStatus.UNPROCESSABLE_ENTITY: BadRequest,
    HTTPStatus.CONFLICT: Unavailable,  # a refused version is not ready
}


def install(app: FastAPI) -> None:
    """Install handlers that render every error, FastAPI's and Starlette's own included."""
    app.add_exception_handler(ServingError, _respond)
    app.add_exception_handler(RequestValidationError, _respond_to_validation)
    app.add_exception_handler(HTTPException, _respond_to_router)
    app.add_exception_handler(ClientDisconnect, _close)
    app.add_exception_handler(ClientGone, _close)
    app.add_exception_handler(Exception, _respond)  # Starlette raises it again, and `Edge` reports it


def report(error: Exception, request_id: str, path: str = "") -> Rendered:
    """Render an error that ends a request; if it is an internal error, log its traceback."""
    if not isinstance(error, ServingError):
        logger.error("a request failed", exc_info=error, extra={"request_id": request_id})
    return render(error, request_id, path)


def render(error: Exception, request_id: str, path: str = "") -> Rendered:
    """Return status, body and headers of the response to an error; the path decides about the format.

    Of an exception that is no `ServingError`, the client learns only that it happened.
    """
    shown = error if isinstance(error, ServingError) else InternalServerError()
    if is_oip(path):
        family = _FAMILY_IN_OIP.get(shown.status, shown)
        return _encode(family.status, family.headers, JSON, {"error": str(shown)})
    return _encode(shown.status, shown.headers, PROBLEM_TYPE, _problem_details(shown, request_id))


def is_oip(path: str) -> bool:
    """Tell whether a path is of the Open Inference Protocol, which has a form of errors of its own."""
    return path == "/v2" or path.startswith("/v2/")


def _problem_details(error: ServingError, request_id: str) -> dict[str, object]:
    return {
        "type": f"urn:tabserve:problem:{error.kind}",
        "title": error.status.phrase,
        "status": error.status.value,
        "detail": str(error),
        "errors": [{"row": p.row, "feature": p.feature, "problem": p.problem} for p in error.problems],
        "request_id": request_id,
    }


def _encode(status: HTTPStatus, headers: Mapping[str, str], media_type: str, document: dict[str, object]) -> Rendered:
    named = {"content-type": media_type, **headers}
    return status, orjson.dumps(document), [(name.lower().encode(), value.encode()) for name, value in named.items()]


async def _respond(request: Request, error: Exception) -> Response:
    request_id = current_request_id() or ""
    status, body, headers = render(error, request_id, request.scope["path"])
    return Response(body, status, headers={name.decode(): value.decode() for name, value in headers})


async def _respond_to_validation(request: Request, error: Exception) -> Response:
    """Return a response that names the wrong parameters; values are never repeated."""
    assert isinstance(error, RequestValidationError)
    faults = [{**fault, "loc": fault["loc"][1:]} for fault in error.errors()]
    sent = dict(request.query_params)
    return await _respond(
        request, invalid_input(faults, query_model(request.scope["endpoint"]), sent, "the query", "parameter")
    )


async def _respond_to_router(request: Request, error: Exception) -> Response:
    """Return the response for a path or method that Starlette's router does not know."""
    assert isinstance(error, HTTPException)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        error = MethodNotAllowed(tuple((error.headers or {}).get("Allow", "").split(", ")))
    elif error.status_code == HTTPStatus.NOT_FOUND:
        error = RouteNotFound()
    else:
        raise error  # no route raises another one; the edge reports it
    return await _respond(request, error)


async def _close(_request: Request, _error: Exception) -> Response:
    """Return a status for the metrics only; the client has disconnected."""
    return Response(status_code=CLIENT_CLOSED)
