"""A router whose routes are rows of the table in `app/security/permissions.py`.

This module must not know what the routes do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from fastapi import APIRouter

from app.security.permissions import Route

Handler = TypeVar("Handler", bound=Callable[..., Any])


class TableRouter(APIRouter):
    """The routes of one subject, with the functions that answer them."""

    def add(self, route: Route, **documented: Any) -> Callable[[Handler], Handler]:
        """Return the decorator of the function that answers a route.

        Args:
            route: the row of the table, with method and path.
            documented: what `APIRouter.api_route` takes besides these.
        """
        return self.api_route(route.template, methods=[route.method], **documented)
