"""The one error body of the whole API, RFC 9457 problem details, and the one table from exception to status."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from app import errors
from app.api.schemas import PROBLEM_TYPE

RETRY_AFTER_S = 1
CLIENT_CLOSED = 499  # not in HTTPStatus; what nginx logs, too

STATUS: Mapping[type[errors.ServingError], HTTPStatus] = {
    errors.MalformedBody: HTTPStatus.BAD_REQUEST,
    errors.InvalidInput: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.UnsupportedContentType: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.BodyTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.ModelNotFound: HTTPStatus.NOT_FOUND,
    errors.VersionNotFound: HTTPStatus.NOT_FOUND,
    errors.RecipeNotFound: HTTPStatus.NOT_FOUND,
    errors.JobNotFound: HTTPStatus.NOT_FOUND,
    errors.VersionRefused: HTTPStatus.CONFLICT,
    errors.Overloaded: HTTPStatus.TOO_MANY_REQUESTS,
    errors.ModelNotReady: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.StoreUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}
_ROUTING = {
    HTTPStatus.NOT_FOUND: "there is no such route; GET /docs lists all",
    HTTPStatus.METHOD_NOT_ALLOWED: "this route does not take this method; the Allow header lists those it takes",
}


def problem_of(error: Exception) -> tuple[HTTPStatus, str, tuple[errors.Problem, ...]]:
    """Return status, detail and places of an error; whatever is not a `ServingError` is an internal error."""
    if not isinstance(error, errors.ServingError):
        return HTTPStatus.INTERNAL_SERVER_ERROR, "internal error; the log has it under the request id", ()
    status = next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
    return status, str(error), error.problems if isinstance(error, errors.InvalidInput) else ()


def problem_body(
    status: HTTPStatus, detail: str, problems: tuple[errors.Problem, ...], request_id: str, kind: str | None = None
) -> bytes:
    """Return the JSON of problem details; `errors` names row, feature and problem of each fault."""
    title = status.phrase
    return orjson.dumps(
        {
            "type": f"urn:tabserve:problem:{kind or title.lower().replace(' ', '-')}",
            "title": title,
            "status": status.value,
            "detail": detail,
            "errors": [{"row": p.row, "feature": p.feature, "problem": p.problem} for p in problems],
            "request_id": request_id,
        }
    )


def problem_answer(error: Exception, request_id: str) -> tuple[HTTPStatus, bytes, list[tuple[bytes, bytes]]]:
    """Return status, body and headers that answer an error."""
    status, detail, problems = problem_of(error)
    headers = [(b"content-type", PROBLEM_TYPE.encode())]
    if status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        headers.append((b"retry-after", b"%d" % RETRY_AFTER_S))
    kind = _kebab(type(error).__name__) if isinstance(error, errors.ServingError) else None
    return status, problem_body(status, detail, problems, request_id, kind), headers


def install(app: FastAPI) -> None:
    """Answer every error of the app's routes, FastAPI's and Starlette's own included, with problem details."""
    app.add_exception_handler(errors.ServingError, _serving_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(ClientDisconnect, _client_gone)
    app.add_exception_handler(Exception, _serving_error)


async def _serving_error(request: Request, error: Exception) -> Response:
    status, body, headers = problem_answer(error, _request_id(request))
    return Response(body, status, headers={name.decode(): value.decode() for name, value in headers})


async def _validation_error(request: Request, error: Exception) -> Response:
    """Name the fields that are wrong; what was sent is never repeated."""
    assert isinstance(error, RequestValidationError)
    problems = tuple(
        errors.Problem(None, ".".join(str(part) for part in fault["loc"][1:]) or None, fault["msg"])
        for fault in error.errors()[: errors.MAX_PROBLEMS]
    )
    detail = f"{problems[0].feature or 'the request'}: {problems[0].problem}; see GET /docs"
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    body = problem_body(status, detail, problems, _request_id(request), "invalid-input")
    return Response(body, status, media_type=PROBLEM_TYPE)


async def _http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    detail = _ROUTING.get(status, str(error.detail))
    body = problem_body(status, detail, (), _request_id(request))
    return Response(body, status, headers=dict(error.headers or {}), media_type=PROBLEM_TYPE)


async def _client_gone(_request: Request, _error: Exception) -> Response:
    """Answer nobody: the status is for the figures only."""
    return Response(status_code=CLIENT_CLOSED)


def _request_id(request: Request) -> str:
    return str(request.scope.get("tabserve.request_id", ""))


def _kebab(name: str) -> str:
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("-")
