"""The API's error bodies (RFC 9457 problem details) and the table from exception to status.

Below /v2, the body is `{"error": "..."}`, as the Open Inference Protocol requires. Only this module makes that choice.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import get_type_hints

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from app import errors
from app.api.bodies import JSON
from app.api.faults import problems_of
from app.api.schemas.common import PROBLEM_TYPE
from app.context import current_request_id
from app.jobs import errors as job_refusals
from app.security import errors as refusals

RETRY_AFTER_S = 1
RETRY_AFTER_FULL_S = 60  # an operator has to free space first
CLIENT_CLOSED = 499  # not in HTTPStatus; nginx logs the same code

STATUS: Mapping[type[errors.ServingError], HTTPStatus] = {
    errors.MalformedBody: HTTPStatus.BAD_REQUEST,
    errors.InvalidInput: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.UnsupportedContentType: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.BodyTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.TooManyRows: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.ModelNotFound: HTTPStatus.NOT_FOUND,
    errors.VersionNotFound: HTTPStatus.NOT_FOUND,
    errors.DatasetNotFound: HTTPStatus.NOT_FOUND,
    errors.VersionRefused: HTTPStatus.CONFLICT,
    errors.DatasetInUse: HTTPStatus.CONFLICT,
    errors.VersionInUse: HTTPStatus.CONFLICT,
    errors.NotComparable: HTTPStatus.CONFLICT,
    errors.DatasetTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.Overloaded: HTTPStatus.TOO_MANY_REQUESTS,
    errors.TooManyLoads: HTTPStatus.TOO_MANY_REQUESTS,
    errors.ModelNotReady: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.StoreUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.DeviceLost: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.TooManyBytesHeld: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.TooManyStreams: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.StorageFull: HTTPStatus.INSUFFICIENT_STORAGE,
    errors.DeadlinePassed: HTTPStatus.GATEWAY_TIMEOUT,
    refusals.MalformedRequest: HTTPStatus.BAD_REQUEST,
    refusals.NotAuthenticated: HTTPStatus.UNAUTHORIZED,
    refusals.ScopeMissing: HTTPStatus.FORBIDDEN,
    refusals.CrossOrigin: HTTPStatus.FORBIDDEN,
    refusals.NotFound: HTTPStatus.NOT_FOUND,
    refusals.MethodNotAllowed: HTTPStatus.METHOD_NOT_ALLOWED,
    refusals.ReceiveTimeout: HTTPStatus.REQUEST_TIMEOUT,
    refusals.EncodedBody: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    refusals.HostNotServed: HTTPStatus.MISDIRECTED_REQUEST,
    refusals.RateLimited: HTTPStatus.TOO_MANY_REQUESTS,
    refusals.HeadTooLarge: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    errors.TooManyInFlight: HTTPStatus.SERVICE_UNAVAILABLE,
    job_refusals.RecipeNotFound: HTTPStatus.NOT_FOUND,
    job_refusals.JobNotFound: HTTPStatus.NOT_FOUND,
    job_refusals.JobConflict: HTTPStatus.CONFLICT,
    job_refusals.JobEnded: HTTPStatus.CONFLICT,
    job_refusals.IdempotencyKeyReused: HTTPStatus.UNPROCESSABLE_ENTITY,
    job_refusals.QueueFull: HTTPStatus.TOO_MANY_REQUESTS,
}
_ROUTING = {
    HTTPStatus.NOT_FOUND: "there is no such route; GET /docs lists all",
    HTTPStatus.METHOD_NOT_ALLOWED: "this route does not take this method; the Allow header lists those it takes",
}


_OIP = "/v2"  # below it, errors follow the Open Inference Protocol
_STATUS_IN_OIP = {
    HTTPStatus.UNPROCESSABLE_ENTITY: HTTPStatus.BAD_REQUEST,
    HTTPStatus.CONFLICT: HTTPStatus.SERVICE_UNAVAILABLE,  # a refused version is not ready
}


def problem_of(error: Exception) -> tuple[HTTPStatus, str, tuple[errors.Problem, ...]]:
    """Return status, detail and problems of an error; every error but a `ServingError` is an internal error."""
    if not isinstance(error, errors.ServingError):
        return HTTPStatus.INTERNAL_SERVER_ERROR, "internal error; the log has it under the request id", ()
    status = next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
    return status, str(error), error.problems if isinstance(error, errors.InvalidInput) else ()


def problem_body(
    status: HTTPStatus, detail: str, problems: tuple[errors.Problem, ...], request_id: str, kind: str | None = None
) -> bytes:
    """Return problem details as JSON; `errors` names row, feature and problem of each fault."""
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


def rendered(
    path: str,
    status: HTTPStatus,
    detail: str,
    request_id: str,
    *,
    problems: tuple[errors.Problem, ...] = (),
    kind: str | None = None,
) -> tuple[HTTPStatus, bytes, str]:
    """Return status, body and content type of an error in the format of the API that the path belongs to."""
    if path != _OIP and not path.startswith(_OIP + "/"):
        return status, problem_body(status, detail, problems, request_id, kind), PROBLEM_TYPE
    return _STATUS_IN_OIP.get(status, status), orjson.dumps({"error": detail}), JSON


def problem_answer(
    error: Exception, request_id: str, path: str = ""
) -> tuple[HTTPStatus, bytes, list[tuple[bytes, bytes]]]:
    """Return status, body and headers of the response to an error."""
    status, detail, problems = problem_of(error)
    kind = _kebab(type(error).__name__) if isinstance(error, errors.ServingError) else None
    status, body, content_type = rendered(path, status, detail, request_id, problems=problems, kind=kind)
    return status, body, [(b"content-type", content_type.encode()), *_advice(error, status)]


def _advice(error: Exception, status: HTTPStatus) -> Iterator[tuple[bytes, bytes]]:
    """Yield the headers that tell a client what to do about an error."""
    if isinstance(error, refusals.NotAuthenticated):
        yield b"www-authenticate", b"Bearer"
    elif isinstance(error, refusals.MethodNotAllowed):
        yield b"allow", ", ".join(error.allowed).encode()
    elif isinstance(error, errors.StorageFull):
        yield b"retry-after", b"%d" % RETRY_AFTER_FULL_S
    elif status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        wait_s = error.retry_after_s if isinstance(error, refusals.RateLimited) else RETRY_AFTER_S
        yield b"retry-after", b"%d" % math.ceil(wait_s)


def install(app: FastAPI) -> None:
    """Install handlers that send every error in the format of `rendered`, FastAPI's and Starlette's own included."""
    app.add_exception_handler(errors.ServingError, _serving_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(ClientDisconnect, _client_gone)
    app.add_exception_handler(errors.ClientGone, _client_gone)
    app.add_exception_handler(Exception, _serving_error)


async def _serving_error(request: Request, error: Exception) -> Response:
    status, body, headers = problem_answer(error, _request_id(request), request.scope["path"])
    return Response(body, status, headers={name.decode(): value.decode() for name, value in headers})


async def _validation_error(request: Request, error: Exception) -> Response:
    """Return a response that names the wrong fields; values are never repeated."""
    assert isinstance(error, RequestValidationError)
    faults = [{**fault, "loc": fault["loc"][1:]} for fault in error.errors()]
    problems = problems_of(faults, _query(request), dict(request.query_params), "parameter")
    detail = f"{problems[0].feature or 'the query'}: {problems[0].problem}; see GET /docs"
    path, status = request.scope["path"], HTTPStatus.UNPROCESSABLE_ENTITY
    status, body, content_type = rendered(
        path, status, detail, _request_id(request), problems=problems, kind="invalid-input"
    )
    return Response(body, status, media_type=content_type)


def _query(request: Request) -> type[BaseModel] | None:
    """Return the model of the route's query parameters, if it takes any."""
    hints = get_type_hints(request.scope["endpoint"])
    hints.pop("return", None)
    return next((hint for hint in hints.values() if isinstance(hint, type) and issubclass(hint, BaseModel)), None)


async def _http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    detail = _ROUTING.get(status, str(error.detail))
    status, body, content_type = rendered(request.scope["path"], status, detail, _request_id(request))
    return Response(body, status, headers=dict(error.headers or {}), media_type=content_type)


async def _client_gone(_request: Request, _error: Exception) -> Response:
    """Return a status for the metrics only; the client has disconnected."""
    return Response(status_code=CLIENT_CLOSED)


def _request_id(_request: Request) -> str:
    return current_request_id() or ""


def _kebab(name: str) -> str:
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("-")
