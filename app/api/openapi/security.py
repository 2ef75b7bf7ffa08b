"""Document which key each operation needs; `app/security` enforces it."""

from __future__ import annotations

from app.api.schemas.common import Document
from app.security.keys import Scope
from app.security.permissions import AccessTable

KEY = "key"

_SCHEME: Document = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "tabserve_<id>_<secret>",
    "description": "An API key from the operator. Each operation names its scope; no scope implies another.",
}


def add_security(document: Document, table: AccessTable, anonymous_scopes: frozenset[Scope]) -> None:
    """Add to each operation the scope that its key needs, and whether it works without a key, with these scopes."""
    document["components"]["securitySchemes"] = {KEY: _SCHEME}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            scope = table.routes[path][method.upper()].scope
            if scope is None:
                operation["security"] = []
                continue
            operation["security"] = [{KEY: [scope.value]}, *([{}] if scope in anonymous_scopes else [])]
