"""Which heads can be understood in one way only; a request of any other is refused. It must not know routes."""

from __future__ import annotations

from collections.abc import Sequence

from app.security.errors import MalformedRequest

# Of two of these one part would read the first and another the last, here or in a proxy.
ONCE = (
    b"authorization", b"content-encoding", b"content-type", b"inference-header-content-length", b"origin",
    b"sec-fetch-site", b"x-request-timeout-ms",
)  # fmt: skip


def require_unambiguous(version: str, headers: Sequence[tuple[bytes, bytes]]) -> None:
    """Check version and headers.

    Args:
        version: of HTTP, as the parser has it.
        headers: names in lower case, and values; how often a length is given the parser checks itself.

    Raises:
        MalformedRequest.
    """
    hosts = sum(name == b"host" for name, _ in headers)
    if version not in ("1.1", "1.0") or (hosts != 1 and (hosts or version == "1.1")):
        raise MalformedRequest("send HTTP/1.1 with one Host header")
    once = [name for name, _ in headers if name in ONCE]
    if len(once) != len(set(once)):
        raise MalformedRequest(f"send each of these headers once at most: {b', '.join(ONCE).decode()}")
