"""Refuse request heads that this service and a proxy could interpret differently."""

from __future__ import annotations

from collections.abc import Sequence

from app.security.errors import MalformedRequest

# If one of these were repeated, one component might read the first value and another the last, here or in a proxy.
ONCE = (
    b"authorization", b"content-encoding", b"content-type", b"inference-header-content-length", b"origin",
    b"sec-fetch-site", b"x-request-timeout-ms",
)  # fmt: skip


def require_unambiguous(version: str, headers: Sequence[tuple[bytes, bytes]]) -> None:
    """Check the HTTP version and the headers.

    Args:
        version: HTTP version as the parser reports it.
        headers: names in lower case, and values; the parser itself refuses repeated lengths.

    Raises:
        MalformedRequest.
    """
    hosts = sum(name == b"host" for name, _ in headers)
    if version not in ("1.1", "1.0") or (hosts != 1 and (hosts or version == "1.1")):
        raise MalformedRequest("send HTTP/1.1 with one Host header")
    once = [name for name, _ in headers if name in ONCE]
    if len(once) != len(set(once)):
        raise MalformedRequest(f"send each of these headers once at most: {b', '.join(ONCE).decode()}")
