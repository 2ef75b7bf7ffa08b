"""Serve the OpenAPI document, which describes the models now serving.

Every model gets a path of its own with its real feature names, units and ranges, and an example request that works
unchanged.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator

from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.routing import iter_route_contexts

from app.api.openapi.responses import add_refusals
from app.api.openapi.rows import row_schema
from app.api.openapi.security import add_security
from app.api.prefix import prefix_of
from app.api.query import find_query_model
from app.api.routing import TableRouter
from app.api.schemas.common import COMPONENTS, Document, json_body
from app.api.schemas.models import example_of
from app.api.schemas.predict import instances, options_of
from app.security.keys import Scope
from app.security.permissions import AccessTable, Routes
from modelstore import Manifest
from modelstore.typical import typical_row

DESCRIPTION = (
    "Train and serve small models of tables. `instances` is a list of rows, each an array in feature order or an "
    "object by feature name; the response has a label and a probability for every class, or a value for a quantity. "
    "Errors are RFC 9457 problem details."
)


def install(
    app: FastAPI, manifests: Callable[[], Iterable[Manifest]], anonymous_scopes: frozenset[Scope] | None = None
) -> None:
    """Make the app's document describe the models that serve at the time of each request.

    Args:
        app: the app to document.
        manifests: returns the manifests of the versions that serve.
        anonymous_scopes: scopes allowed without a key; None if there are no keys.
    """
    base: list[Document] = []

    def document() -> Document:
        """Return the document; its constant part is built once."""
        if not base:
            base.append(
                get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            )
            base[0]["components"]["schemas"] |= COMPONENTS
            add_refusals(base[0], AccessTable())
            if anonymous_scopes is not None:
                add_security(base[0], AccessTable(), anonymous_scopes)
        return _with_models(copy.deepcopy(base[0]), list(manifests()))

    app.openapi = document  # type: ignore[method-assign]


def routes_of(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Yield the method and the full path template of every route."""
    for route in iter_route_contexts(app.routes):
        for method in route.methods or ():
            yield method, str(route.path_format)


def query_names(app: FastAPI) -> Iterator[str]:
    """Yield the names of the query parameters of every route."""
    for route in iter_route_contexts(app.routes):
        if route.endpoint and (model := find_query_model(route.endpoint)):
            yield from model.model_fields


def router(app: FastAPI) -> TableRouter:
    """Create the route of the document."""
    routes = TableRouter(include_in_schema=False)

    @routes.add(Routes.OPENAPI)
    async def document(request: Request) -> Document:
        """Return the current OpenAPI 3.1 document of this API."""
        prefix = prefix_of(request)
        return app.openapi() | ({"servers": [{"url": prefix}]} if prefix else {})

    return routes


def _with_models(document: Document, manifests: list[Manifest]) -> Document:
    """Add a path for each model before the general one, which stays for models published later."""
    general = document["paths"][Routes.PREDICT.template]["post"]
    general["requestBody"]["content"]["application/json"]["examples"] = {
        manifest.name: {"summary": manifest.name, "value": example_of(manifest).body} for manifest in manifests
    }
    paths = {Routes.PREDICT.path(model=m.name): {"post": _operation(general, m)} for m in manifests}
    document["paths"] = paths | document["paths"]
    return document


def _operation(general: Document, manifest: Manifest) -> Document:
    row = typical_row(manifest)
    examples: dict[str, Document] = {
        "a row as an array": {"instances": [[*row.values()]]},
        "a row by feature name": {"instances": [row]},
    }
    predicted = " or ".join(manifest.classes) if manifest.target is None else manifest.target.name
    return {
        "tags": general["tags"],
        "summary": f"Predict {predicted}",
        "description": manifest.description,
        "operationId": f"predict_{manifest.name}",
        **json_body(instances(row_schema(manifest), options_of(manifest)), **examples),
        "responses": general["responses"],
        **({"security": general["security"]} if "security" in general else {}),
    }
