"""What any route may answer before anybody looks at what it is asked, for the OpenAPI document; data only."""

from __future__ import annotations

from app.api.bodies import JSON
from app.api.schemas.common import PROBLEM_TYPE, Document
from app.security.permissions import AccessTable

_OIP = "/v2"
_RETRY: Document = {
    "Retry-After": {"description": "seconds until it may be tried again", "schema": {"type": "integer", "minimum": 1}}
}
_CHALLENGE: Document = {"WWW-Authenticate": {"description": "`Bearer`", "schema": {"type": "string"}}}

# Status, what it means, its headers. Whatever the access table leaves open to everybody answers those of `_OPEN` only.
_REFUSALS: tuple[tuple[int, str, Document], ...] = (
    (400, "The head of the request is not as it must be, or the body is not what its content type says", {}),
    (401, "It needs a key, or the key is not accepted", _CHALLENGE),
    (403, "The key lacks the scope, or a page of another origin asks without a key", {}),
    (408, "The request did not come in time", {}),
    (413, "The body is too large", {}),
    (415, "The route does not take this content type, or a compressed body", {}),
    (421, "The service does not answer for this Host", {}),
    (429, "Too many requests", _RETRY),
    (431, "The request line and headers are too long, or too many", {}),
    (500, "Internal error; the log has it under the request id", {}),
    (503, "Too many requests are being answered, or those that are hold too much memory", _RETRY),
    (504, "The time that `X-Request-Timeout-Ms` gives was over", {}),
)
_OPEN = (400, 408, 413, 431, 500, 504)


def add_refusals(document: Document, table: AccessTable) -> None:
    """Say for each operation what it may answer besides what its route says itself.

    Args:
        document: as FastAPI makes it; changed in place.
        table: knows which operations are open to everybody.
    """
    document["components"]["responses"] = {
        f"{family}{status}": _response(schema, kind, meaning, headers)
        for family, schema, kind in (("Refused", "Problem", PROBLEM_TYPE), ("OipRefused", "Failure", JSON))
        for status, meaning, headers in _REFUSALS
    }
    for path, item in document["paths"].items():
        family = "OipRefused" if path == _OIP or path.startswith(f"{_OIP}/") else "Refused"
        for method, operation in item.items():
            responses = operation["responses"]
            responses.pop("default", None)  # it kept FastAPI from promising a 422 of its own
            scope = table.routes[path][method.upper()].scope
            for status, _, _ in _REFUSALS:
                if scope is not None or status in _OPEN:
                    responses.setdefault(str(status), {"$ref": f"#/components/responses/{family}{status}"})


def _response(schema: str, kind: str, meaning: str, headers: Document) -> Document:
    content = {kind: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"description": meaning, "content": content, **({"headers": headers} if headers else {})}
