"""Serve the page of the API's document: Swagger UI; without a key, because it holds no data.

The page asks for a key where the document or a request needs one, with the console's dialog. It loads nothing from
other machines.
"""

from __future__ import annotations

from importlib import resources

import fastapi_offline
from fastapi import HTTPException, Response

from app.api.routing import TableRouter
from app.security.permissions import Routes

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy of the page: own files alone, and Swagger UI's inline styles."""

_OWN = resources.files("app.api.openapi") / "static"
_SWAGGER = resources.files(fastapi_offline) / "static"
_ASSETS = {
    "page.js": (_OWN, "text/javascript"),
    "swagger-ui-bundle.js": (_SWAGGER, "text/javascript"),
    "swagger-ui.css": (_SWAGGER, "text/css"),
    "favicon.png": (_SWAGGER, "image/png"),
}


def router() -> TableRouter:
    """Create the routes of the page and its files; Swagger UI comes from an installed package."""
    routes = TableRouter(include_in_schema=False)

    @routes.add(Routes.DOCS)
    async def page() -> Response:
        """Show the document as a web page."""
        content = (_OWN / "page.html").read_bytes()
        return Response(content, media_type="text/html", headers={"content-security-policy": POLICY})

    @routes.add(Routes.DOCS_FILE)
    async def asset(asset: str) -> Response:
        """Return a script, style sheet or image of the page."""
        if asset not in _ASSETS:
            raise HTTPException(404)
        folder, media_type = _ASSETS[asset]
        return Response((folder / asset).read_bytes(), media_type=media_type)

    return routes
