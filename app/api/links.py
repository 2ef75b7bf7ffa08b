"""Links to the service's own paths, as they lead through the proxy that a request came by; it must not know routes."""

from __future__ import annotations

from fastapi import Request


def prefix_of(request: Request) -> str:
    """Return the path below which a proxy serves the service; empty if none does."""
    return str(request.scope.get("root_path", ""))


def link(request: Request, path: str) -> str:
    """Return a path of the service as the client has to ask for it."""
    return prefix_of(request) + path
