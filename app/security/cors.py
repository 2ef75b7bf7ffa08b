"""Which pages of other origins may use the service from a browser: those that are named, and no others by default."""

from __future__ import annotations

from collections.abc import Mapping

from app.security.errors import CrossOrigin

Headers = list[tuple[bytes, bytes]]

_METHODS = b"GET, POST, PUT, DELETE"
_REQUEST_HEADERS = b"authorization, content-type, x-request-id, x-request-timeout-ms"
_MAX_AGE_S = b"600"
_OWN_SITES = (b"same-origin", b"none")  # `none` is no page: somebody typed an address


class Cors:
    """Answers what browsers ask before and after a request of a page of another origin."""

    def __init__(self, origins: frozenset[bytes]) -> None:
        """Store the origins, as browsers write them: `https://app.example.org`."""
        self._origins = origins

    def headers(self, headers: Mapping[bytes, bytes]) -> Headers:
        """Return what to add to the answer to a request with these headers."""
        if not self._origins:
            return []
        vary = (b"vary", b"origin")
        if (origin := headers.get(b"origin")) not in self._origins:
            return [vary]
        return [(b"access-control-allow-origin", origin), (b"access-control-expose-headers", b"x-request-id"), vary]

    def check(self, headers: Mapping[bytes, bytes]) -> None:
        """Check that it is no page of another origin that asks; what is not a browser sends neither header.

        A page needs nobody's leave to send a POST without a body, or with a form's. Browsers say what they know of it:
        by `Sec-Fetch-Site`, which no proxy can falsify by another `Host`, or if they are old by `Origin` alone. It is
        what Go's `http.CrossOriginProtection` does.

        Raises:
            CrossOrigin.
        """
        origin, site = headers.get(b"origin"), headers.get(b"sec-fetch-site")
        if origin in self._origins:
            return
        if site is not None:
            is_own = site in _OWN_SITES
        else:
            is_own = origin is None or origin.partition(b"://")[2].lower() == headers.get(b"host", b"").lower()
        if not is_own:
            raise CrossOrigin

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
