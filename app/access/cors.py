"""Which pages of other origins may use the service from a browser: those that are named, and no others by default."""

from __future__ import annotations

from collections.abc import Mapping

Headers = list[tuple[bytes, bytes]]

_METHODS = b"GET, POST, PUT, DELETE"
_REQUEST_HEADERS = b"authorization, content-type, x-request-id, x-request-timeout-ms"
_MAX_AGE_S = b"600"


class Cors:
    """Answers what browsers ask before and after a request of a page of another origin."""

    def __init__(self, origins: frozenset[bytes]) -> None:
        """Store the origins, as browsers write them: `https://app.example.org`."""
        self._origins = origins

    def __bool__(self) -> bool:
        return bool(self._origins)

    def headers(self, headers: Mapping[bytes, bytes]) -> Headers:
        """Return what to add to the answer to a request with these headers."""
        if not self._origins:
            return []
        vary = (b"vary", b"origin")
        if (origin := headers.get(b"origin")) not in self._origins:
            return [vary]
        return [(b"access-control-allow-origin", origin), (b"access-control-expose-headers", b"x-request-id"), vary]

    def preflight(self, method: str, headers: Mapping[bytes, bytes]) -> Headers | None:
        """Return what to add to the answer if this is a browser's question, and its page may ask; else None."""
        asks = method == "OPTIONS" and b"access-control-request-method" in headers
        if not asks or headers.get(b"origin") not in self._origins:
            return None
        return [
            (b"access-control-allow-methods", _METHODS),
            (b"access-control-allow-headers", _REQUEST_HEADERS),
            (b"access-control-max-age", _MAX_AGE_S),
        ]
