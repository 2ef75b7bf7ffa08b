"""Handlers that answer every exception of a route with the one form of errors.

This module must not know how an error is written; `error_responses.py` does.
"""

from __future__ import annotations

from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from app.api.error_responses import CLIENT_CLOSED, render
from app.api.query import find_query_model
from app.api.validation_errors import make_invalid_input
from app.context import current_request_id
from app.errors import ClientGone, ServingError
from app.security.errors import MethodNotAllowed, RouteNotFound


def install(app: FastAPI) -> None:
    """Install handlers that render every error, FastAPI's and Starlette's own included."""
    app.add_exception_handler(ServingError, _respond)
    app.add_exception_handler(RequestValidationError, _respond_to_validation)
    app.add_exception_handler(HTTPException, _respond_to_router)
    app.add_exception_handler(ClientDisconnect, _close)
    app.add_exception_handler(ClientGone, _close)
    app.add_exception_handler(Exception, _respond)  # Starlette raises it again, and `Edge` reports it


async def _respond(request: Request, error: Exception) -> Response:
    request_id = current_request_id() or ""
    status, body, headers = render(error, request_id, request.scope["path"], request.headers.get("accept"))
    return Response(body, status, headers={name.decode(): value.decode() for name, value in headers})


async def _respond_to_validation(request: Request, error: Exception) -> Response:
    """Return a response that names the wrong parameters; values are never repeated."""
    assert isinstance(error, RequestValidationError)
    faults = [{**fault, "loc": fault["loc"][1:]} for fault in error.errors()]
    sent = dict(request.query_params)
    return await _respond(
        request, make_invalid_input(faults, find_query_model(request.scope["endpoint"]), sent, "the query", "parameter")
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
