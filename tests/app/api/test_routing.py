"""The router whose routes are rows of the table."""

from __future__ import annotations

from fastapi.routing import APIRoute

from app.api.routing import TableRouter
from app.security.permissions import Routes


def test_a_route_has_method_and_path_of_its_row() -> None:
    routes = TableRouter()

    @routes.add(Routes.DELETE_DATASET, status_code=204)
    def delete(name: str) -> None:
        """Remove a data set."""

    (added,) = routes.routes
    assert isinstance(added, APIRoute)
    assert (added.methods, added.path, added.status_code) == ({"DELETE"}, "/datasets/{name}", 204)
    assert added.endpoint is delete
