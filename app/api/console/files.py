"""Serve the console's page and its static files; without a key, because they hold no data.

The page asks for a key when a route wants one. This module must not know what the files show.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources

from fastapi import HTTPException, Request, Response
from fastapi.responses import JSONResponse

from app.api.accept import choose_type
from app.api.prefix import link
from app.api.routing import TableRouter
from app.security.permissions import Routes

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy of the page: own files alone, and no inline code."""

LINKS = ("models", "datasets", "train", "health", "metrics", "docs", "openapi.json")

_PAGE = "index.html"
_TYPES = {"css": "text/css", "html": "text/html", "js": "text/javascript", "svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file of the console; `etag` is a hash of its content."""

    content: bytes
    media_type: str
    etag: str


def read_files() -> dict[str, StaticFile]:
    """Read all files of the console, by name."""
    files = {}
    for file in (resources.files("app.api.console") / "static").iterdir():
        content = file.read_bytes()
        etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        files[file.name] = StaticFile(content, _TYPES[file.name.rpartition(".")[2]], etag)
    return files


def router() -> TableRouter:
    """Create the routes of the console."""
    routes = TableRouter(include_in_schema=False)
    files = read_files()

    @routes.add(Routes.CONSOLE)
    async def page(request: Request) -> Response:
        """Return the page to browsers, and links to the routes as JSON to all others."""
        if choose_type(request.headers.get("accept"), ("application/json", "text/html")) == "text/html":
            response = _respond(files[_PAGE], request)
        else:
            response = JSONResponse({"name": "Tabserve", "links": {name: link(request, f"/{name}") for name in LINKS}})
        response.headers["vary"] = "accept"
        return response

    @routes.add(Routes.CONSOLE_FILE)
    async def asset(file: str, request: Request) -> Response:
        """Return a script, style sheet or image of the page."""
        if file not in files or file == _PAGE:
            raise HTTPException(404)
        return _respond(files[file], request)

    return routes


def _respond(file: StaticFile, request: Request) -> Response:
    """Return a file, or 304 if the client has it; a browser asks again each time, so that it never has an old one."""
    headers = {"etag": file.etag, "cache-control": "no-cache", "content-security-policy": POLICY}
    if file.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(file.content, media_type=file.media_type, headers=headers)
