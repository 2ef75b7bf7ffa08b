"""Which key each operation needs, for the OpenAPI document; data only, `app/security` decides what is let in."""

from __future__ import annotations

from app.api.schemas.common import Document
from app.security.keys import Scope
from app.security.permissions import AccessTable

KEY = "key"

_SCHEME: Document = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "tabserve_<id>_<secret>",
    "description": "A key of the operator; each operation names the scope that it needs, and no scope implies another.",
}


def add_security(document: Document, table: AccessTable, strangers: frozenset[Scope]) -> None:
    """Say for each operation which scope its key needs, and whether it may do without one.

    Args:
        document: as FastAPI makes it; changed in place.
        table: knows the scopes.
        strangers: what may be done without a key.
    """
    document["components"]["securitySchemes"] = {KEY: _SCHEME}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            scope = table.routes[path][method.upper()].scope
            if scope is None:
                operation["security"] = []
                continue
            operation["security"] = [{KEY: [scope.value]}, *([{}] if scope in strangers else [])]
