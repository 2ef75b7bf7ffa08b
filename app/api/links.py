"""Build links to the service's own paths, through the proxy that forwarded the request.

This module must not know routes.
"""

from __future__ import annotations

from fastapi import Request


def prefix_of(request: Request) -> str:
    """Return the path prefix under which a proxy serves the service, or an empty string."""
    return str(request.scope.get("root_path", ""))


def link(request: Request, path: str) -> str:
    """Return the path by which the client reaches a path of the service."""
    return prefix_of(request) + path
