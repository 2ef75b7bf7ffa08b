"""Document the error responses that any route may send before it handles the request."""

from __future__ import annotations

from app.api.bodies import JSON
from app.api.error_responses import is_oip
from app.api.schemas.common import PROBLEM_TYPE, Document
from app.errors import DeadlinePassed, InternalServerError, InvalidInput, ServingError, TooLarge, TooManyInFlight
from app.security.errors import (
    AccessDenied,
    EncodedBody,
    HeadTooLarge,
    HostNotServed,
    MalformedRequest,
    NotAuthenticated,
    RateLimited,
    ReceiveTimeout,
)
from app.security.permissions import AccessTable

_HEADERS: Document = {
    "Retry-After": {"description": "seconds to wait before trying again", "schema": {"type": "integer", "minimum": 1}},
    "WWW-Authenticate": {"description": "`Bearer`", "schema": {"type": "string"}},
}

# What operations that need no scope by the access table may answer, and what only the others may.
_OPEN: tuple[type[ServingError], ...] = (
    MalformedRequest,
    InvalidInput,  # a parameter that is given twice; below /v2, this is a 400
    ReceiveTimeout,
    TooLarge,
    HeadTooLarge,
    InternalServerError,
    DeadlinePassed,
)
_SCOPED: tuple[type[ServingError], ...] = (
    NotAuthenticated,
    AccessDenied,
    EncodedBody,
    HostNotServed,
    RateLimited,
    TooManyInFlight,
)
_REFUSALS = sorted((*_OPEN, *_SCOPED), key=lambda error: error.status)


def add_refusals(document: Document, table: AccessTable) -> None:
    """Add to each operation of FastAPI's document the error responses that its route does not declare itself."""
    document["components"]["responses"] = {
        f"{family}{error.status.value}": _response(schema, kind, error)
        for family, schema, kind in (("Refused", "Problem", PROBLEM_TYPE), ("OipRefused", "Failure", JSON))
        for error in _refusals(family == "OipRefused")
    }
    for path, item in document["paths"].items():
        below_v2 = is_oip(path)
        family = "OipRefused" if below_v2 else "Refused"
        for method, operation in item.items():
            responses = operation["responses"]
            responses.pop("default", None)  # it only kept FastAPI from documenting its own 422
            scope = table.routes[path][method.upper()].scope
            for error in _refusals(below_v2):
                if scope is not None or error in _OPEN:
                    status = str(error.status.value)
                    responses.setdefault(status, {"$ref": f"#/components/responses/{family}{status}"})


def _refusals(below_v2: bool) -> list[type[ServingError]]:
    return [error for error in _REFUSALS if not (below_v2 and error is InvalidInput)]


def _response(schema: str, kind: str, error: type[ServingError]) -> Document:
    content = {kind: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    headers = {name: _HEADERS[name] for name in error.headers}
    return {"description": error.meaning, "content": content, **({"headers": headers} if headers else {})}
