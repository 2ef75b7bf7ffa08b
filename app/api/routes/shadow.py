"""Routes to start and end the shadow of an active version, and to promote it.

This module must not know how a shadow is computed, or how labels decide.
"""

from __future__ import annotations

import asyncio

from fastapi import Request

from app.api.parameters import ModelPath, VersionPath
from app.api.prefix import prefix_of
from app.api.routing import TableRouter
from app.api.schemas.common import problems
from app.api.schemas.model_views import model_info
from app.api.schemas.models import ModelInfo
from app.feedback.promotion import Promotions
from app.registry.registry import ModelRegistry
from app.registry.state import ServedModel
from app.security.permissions import Routes


class ShadowRoutes:
    """Route handlers, one method each; their docstrings appear in the OpenAPI document."""

    def __init__(self, registry: ModelRegistry, promotions: Promotions) -> None:
        self._registry = registry
        self._promotions = promotions

    async def start(self, model: ModelPath, version: VersionPath, request: Request) -> ModelInfo:
        """Make a version the shadow of the active one, in place of another.

        It then answers the same rows after the active version; its answers are compared and never sent. 409 if it takes
        other columns, answers something else, or fails its checks.
        """
        return await self._describe(await self._registry.start_shadow(model, version), request)

    async def end(self, model: ModelPath, version: VersionPath) -> None:
        """End the shadow; 409 if this version is not the shadow. The version stays in the store."""
        await self._registry.end_shadow(model, version)

    async def promote(self, model: ModelPath, version: VersionPath, request: Request) -> ModelInfo:
        """Activate the shadow if labels show that it is better than the active version; else 409 with the figures.

        `activate` needs no such proof.
        """
        return await self._describe(await self._promotions.promote(model, version), request)

    async def _describe(self, served: ServedModel, request: Request) -> ModelInfo:
        return await asyncio.to_thread(model_info, self._registry, served, prefix_of(request))


def router(registry: ModelRegistry, promotions: Promotions) -> TableRouter:
    """Create the routes of shadows."""
    routes, answer = TableRouter(tags=["models"]), ShadowRoutes(registry, promotions)
    routes.add(Routes.START_SHADOW, responses=problems(404, 409, 422, 503))(answer.start)
    routes.add(Routes.END_SHADOW, status_code=204, responses=problems(404, 409, 422, 503))(answer.end)
    routes.add(Routes.PROMOTE, responses=problems(404, 409, 422, 503))(answer.promote)
    return routes
