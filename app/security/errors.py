"""Errors of admission: a request is refused because of its headers, before its body is read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from http import HTTPStatus

from app.errors import BadRequest, NotFound, Overloaded, StoreUnavailable, UnsupportedMediaType


class AccessDenied(BadRequest):
    """The caller lacks the permission; the attempt is recorded in the audit file.

    Attributes:
        reason: stable code, such as `scope-missing`.
        key_id: id of the accepted key, if there was one.
    """

    status = HTTPStatus.FORBIDDEN
    meaning = "The key lacks the scope, or a page of another origin sent the request without a key"
    reason: str
    key_id: str | None = None


class NotAuthenticated(AccessDenied):
    """The request has no key, and callers without a key may not do this."""

    status = HTTPStatus.UNAUTHORIZED
    meaning = "The route needs a key, or the key is not accepted"
    headers: Mapping[str, str] = {"WWW-Authenticate": "Bearer"}
    reason = "not-authenticated"

    def __init__(self, detail: str = "this needs a key: send the header Authorization: Bearer tabserve_...") -> None:
        super().__init__(detail)


class KeyNotAccepted(NotAuthenticated):
    """The key is unknown, revoked, expired or malformed; the client does not learn which."""

    reason = "key-not-accepted"

    def __init__(self) -> None:
        super().__init__("this key is not accepted; ask the operator for another one")


class ScopeMissing(AccessDenied):
    """The key is valid, but lacks the scope."""

    reason = "scope-missing"

    def __init__(self, scope: str, key_id: str) -> None:
        super().__init__(f"this key lacks the scope {scope}, which is needed here")
        self.key_id = key_id


class CrossOrigin(AccessDenied):
    """A page of another origin, which is not allowed, sends the request through a browser."""

    reason = "cross-origin"

    def __init__(self) -> None:
        super().__init__(
            "pages of another origin may only read here without a key; an operator can let one do more, see "
            "TABSERVE_CORS_ORIGINS"
        )


class RateLimited(Overloaded):
    """The client exceeds its rate limit."""

    meaning = "Too many requests"

    def __init__(self, retry_after_s: float) -> None:
        super().__init__("too many requests of this client; slow down, and try again after Retry-After seconds")
        self.headers = {"Retry-After": str(math.ceil(retry_after_s))}


class RouteNotFound(NotFound):
    """No route matches this path."""

    kind = "not-found"

    def __init__(self) -> None:
        super().__init__("there is no such route; GET /docs lists all")


class MethodNotAllowed(BadRequest):
    """The path does not accept this method."""

    status = HTTPStatus.METHOD_NOT_ALLOWED

    def __init__(self, allowed: tuple[str, ...]) -> None:
        super().__init__("this route does not take this method; the Allow header lists those it takes")
        self.headers = {"Allow": ", ".join(allowed)}


class MalformedRequest(BadRequest):
    """The request line or a header is malformed."""

    meaning = "The request headers are invalid, or the body does not match its content type"


class HeadTooLarge(BadRequest):
    """Request line and headers, or trailers and chunk extensions of the body, are too long or too many."""

    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    meaning = "The request line and headers are too large or too many"

    def __init__(self, max_bytes: int, max_headers: int) -> None:
        super().__init__(
            f"request line and headers may have {max_bytes} bytes, and be at most {max_headers} headers; so may "
            "trailers and chunk extensions"
        )


class HostNotServed(BadRequest):
    """The Host header names a host that this service does not answer for."""

    status = HTTPStatus.MISDIRECTED_REQUEST
    meaning = "The service does not answer for this Host"

    def __init__(self) -> None:
        super().__init__("this service does not answer for the Host of this request; see TABSERVE_ALLOWED_HOSTS")


class EncodedBody(UnsupportedMediaType):
    """The body is compressed, which is refused because a small body could expand to any size."""

    meaning = "The route does not accept this content type, or the body is compressed"

    def __init__(self) -> None:
        super().__init__("compressed bodies are not taken; send it without Content-Encoding")


class ReceiveTimeout(BadRequest):
    """The client takes too long to send its request."""

    status = HTTPStatus.REQUEST_TIMEOUT
    meaning = "The request did not arrive in time"

    def __init__(self) -> None:
        super().__init__("the request did not come in time; send it again, all at once")


class AuditUnavailable(StoreUnavailable):
    """The request cannot be recorded in the audit file, so it is not carried out."""

    def __init__(self) -> None:
        super().__init__("this cannot be put on record now, so it was not done; predictions are not affected")
