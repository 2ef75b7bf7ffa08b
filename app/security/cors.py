"""Cross-origin requests from browsers (CORS): none are allowed but from configured origins."""

from __future__ import annotations

from collections.abc import Mapping

from app.security.errors import CrossOrigin

Headers = list[tuple[bytes, bytes]]

_METHODS = b"GET, POST, PUT, DELETE"
_REQUEST_HEADERS = b"authorization, content-type, x-prediction-receipt, x-request-id, x-request-timeout-ms"
_MAX_AGE_S = b"600"
_OWN_SITES = (b"same-origin", b"none")  # `none`: not from a page, a person typed the address


class Cors:
    """CORS headers, preflight responses and the check of cross-origin requests."""

    def __init__(self, origins: frozenset[bytes]) -> None:
        """Create a policy that allows origins as browsers write them: `https://app.example.org`."""
        self._origins = origins

    def headers(self, headers: Mapping[bytes, bytes]) -> Headers:
        """Return the headers to add to the response to a request with the given headers."""
        if not self._origins:
            return []
        vary = (b"vary", b"origin")
        if (origin := headers.get(b"origin")) not in self._origins:
            return [vary]
        return [(b"access-control-allow-origin", origin), (b"access-control-expose-headers", b"x-request-id"), vary]

    def check(self, headers: Mapping[bytes, bytes]) -> None:
        """Check that the request does not come from a page of another origin.

        A page may send a POST without a body, or with a form's content type, without a preflight. Browsers reveal the
        source of such a request: by `Sec-Fetch-Site`, which a proxy that rewrites `Host` cannot falsify, or, in old
        browsers, by `Origin` alone. Clients other than browsers send neither header. Go's `http.CrossOriginProtection`
        does the same.

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
        """Return the headers that answer a preflight request of an allowed origin; None for any other request."""
        asks = method == "OPTIONS" and b"access-control-request-method" in headers
        if not asks or headers.get(b"origin") not in self._origins:
            return None
        return [
            (b"access-control-allow-methods", _METHODS),
            (b"access-control-allow-headers", _REQUEST_HEADERS),
            (b"access-control-max-age", _MAX_AGE_S),
        ]
