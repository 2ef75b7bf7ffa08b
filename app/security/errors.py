"""Exceptions that refuse a request because of its headers, before its body is read.

The status codes are in `app/api/errors.py`.
"""

from __future__ import annotations

from app.errors import ServingError


class NotPermitted(ServingError):
    """The caller lacks the permission; the attempt is recorded in the audit file.

    Attributes:
        reason: stable code, such as `scope-missing`.
        key_id: id of the accepted key, if there was one.
    """

    reason: str
    key_id: str | None = None


class NotAuthenticated(NotPermitted):
    """The request has no key, and callers without a key may not do this."""

    reason = "not-authenticated"

    def __init__(self) -> None:
        super().__init__("this needs a key: send the header Authorization: Bearer tabserve_...")


class KeyNotAccepted(NotAuthenticated):
    """The key is unknown, revoked, expired or malformed; the client does not learn which."""

    reason = "key-not-accepted"

    def __init__(self) -> None:
        ServingError.__init__(self, "this key is not accepted; ask the operator for another one")


class ScopeMissing(NotPermitted):
    """The key is valid, but lacks the scope."""

    reason = "scope-missing"

    def __init__(self, scope: str, key_id: str) -> None:
        super().__init__(f"this key lacks the scope {scope}, which is needed here")
        self.scope = scope
        self.key_id = key_id


class CrossOrigin(NotPermitted):
    """A page of another origin, which is not allowed, sends the request through a browser."""

    reason = "cross-origin"

    def __init__(self) -> None:
        super().__init__(
            "pages of another origin may only read here without a key; an operator can let one do more, see "
            "TABSERVE_CORS_ORIGINS"
        )


class RateLimited(ServingError):
    """The client exceeds its rate limit.

    Attributes:
        retry_after_s: seconds until it may send another request.
    """

    def __init__(self, retry_after_s: float) -> None:
        super().__init__("too many requests of this client; slow down, and try again after Retry-After seconds")
        self.retry_after_s = retry_after_s


class NotFound(ServingError):
    """No route matches this path."""

    def __init__(self) -> None:
        super().__init__("there is no such route; GET /docs lists all")


class MethodNotAllowed(ServingError):
    """The path does not accept this method.

    Attributes:
        allowed: the methods that it accepts.
    """

    def __init__(self, allowed: tuple[str, ...]) -> None:
        super().__init__("this route does not take this method; the Allow header lists those it takes")
        self.allowed = allowed


class MalformedRequest(ServingError):
    """The request line or a header is malformed."""


class HeadTooLarge(ServingError):
    """Request line and headers, or trailers and chunk extensions of the body, are too long or too many."""

    def __init__(self, max_bytes: int, max_headers: int) -> None:
        super().__init__(
            f"request line and headers may have {max_bytes} bytes, and be at most {max_headers} headers; so may "
            "trailers and chunk extensions"
        )


class HostNotServed(ServingError):
    """The Host header names a host that this service does not answer for."""

    def __init__(self) -> None:
        super().__init__("this service does not answer for the Host of this request; see TABSERVE_ALLOWED_HOSTS")


class EncodedBody(ServingError):
    """The body is compressed, which is refused because a small body could expand to any size."""

    def __init__(self) -> None:
        super().__init__("compressed bodies are not taken; send it without Content-Encoding")


class ReceiveTimeout(ServingError):
    """The client takes too long to send its request."""

    def __init__(self) -> None:
        super().__init__("the request did not come in time; send it again, all at once")
