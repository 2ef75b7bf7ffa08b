"""Why a request is refused before anybody looks at what it says, as values; statuses are in `app/api/errors.py`."""

from __future__ import annotations

from app.errors import ServingError


class NotPermitted(ServingError):
    """Whoever asks may not have this; that somebody tried goes into the audit file.

    Attributes:
        reason: a word for it.
        key_id: of the key that was accepted, if one was.
    """

    reason: str
    key_id: str | None = None


class NotAuthenticated(NotPermitted):
    """Nobody in particular asks for something that not everybody may have."""

    reason = "not-authenticated"

    def __init__(self) -> None:
        super().__init__("this needs a key: send the header Authorization: Bearer tabserve_...")


class KeyNotAccepted(NotAuthenticated):
    """The key that was sent is unknown, revoked, expired or not even a key; which of these is not told."""

    reason = "key-not-accepted"

    def __init__(self) -> None:
        ServingError.__init__(self, "this key is not accepted; ask the operator for another one")


class ScopeMissing(NotPermitted):
    """The key is good, but not for this."""

    reason = "scope-missing"

    def __init__(self, scope: str, key_id: str) -> None:
        super().__init__(f"this key lacks the scope {scope}, which is needed here")
        self.scope = scope
        self.key_id = key_id


class CrossOrigin(NotPermitted):
    """A page of another origin lets somebody's browser ask, and nobody said that it may."""

    reason = "cross-origin"

    def __init__(self) -> None:
        super().__init__(
            "pages of another origin may only read here without a key; an operator can let one do more, see "
            "TABSERVE_CORS_ORIGINS"
        )


class RateLimited(ServingError):
    """This client asks too often.

    Attributes:
        retry_after_s: seconds until it may ask again.
    """

    def __init__(self, retry_after_s: float) -> None:
        super().__init__("too many requests of this client; slow down, and try again after Retry-After seconds")
        self.retry_after_s = retry_after_s


class NotFound(ServingError):
    """Nothing is at this path."""

    def __init__(self) -> None:
        super().__init__("there is no such route; GET /docs lists all")


class MethodNotAllowed(ServingError):
    """The path takes other methods.

    Attributes:
        allowed: those that it takes.
    """

    def __init__(self, allowed: tuple[str, ...]) -> None:
        super().__init__("this route does not take this method; the Allow header lists those it takes")
        self.allowed = allowed


class MalformedRequest(ServingError):
    """Something in the head of the request is not as it must be."""


class HeadTooLarge(ServingError):
    """The request line and headers are too long, or too many; or the trailers and chunk extensions of the body are."""

    def __init__(self, max_bytes: int, max_headers: int) -> None:
        super().__init__(
            f"request line and headers may have {max_bytes} bytes, and be at most {max_headers} headers; so may "
            "trailers and chunk extensions"
        )


class HostNotServed(ServingError):
    """The Host header names a machine that this service is not."""

    def __init__(self) -> None:
        super().__init__("this service does not answer for the Host of this request; see TABSERVE_ALLOWED_HOSTS")


class EncodedBody(ServingError):
    """The body is compressed; a small one could become anything."""

    def __init__(self) -> None:
        super().__init__("compressed bodies are not taken; send it without Content-Encoding")


class ReceiveTimeout(ServingError):
    """The client takes too long to send its request."""

    def __init__(self) -> None:
        super().__init__("the request did not come in time; send it again, all at once")
