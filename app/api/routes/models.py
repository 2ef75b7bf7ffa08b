"""Routes to show, compare, remove and activate model versions.

This module must not know how a model is loaded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Query, Request, Response

from app.api.parameters import ModelPath, VersionPath
from app.api.prefix import prefix_of
from app.api.routing import TableRouter
from app.api.schemas.common import problems
from app.api.schemas.model_views import history_json, model_info, model_infos, version_info
from app.api.schemas.models import ModelInfo, ModelList
from app.api.schemas.versions import CompareQuery, HistoryQuery, VersionHistory, VersionInfo
from app.registry.registry import ModelRegistry
from app.security.permissions import Routes
from modelstore import VersionComparison

RequireIdle = Callable[[str], Awaitable[None]]


class ModelRoutes:
    """Route handlers, one method each; their docstrings appear in the OpenAPI document."""

    def __init__(self, registry: ModelRegistry, device: str, require_idle: RequireIdle) -> None:
        self._registry = registry
        self._device = device
        self._require_idle = require_idle

    async def list_models(self, request: Request) -> ModelList:
        """List all models: state, versions, features with units and ranges, classes, metrics, an example request."""
        served, prefix = self._registry.models(), prefix_of(request)
        infos = await asyncio.to_thread(model_infos, self._registry, served, prefix)
        return ModelList(device=self._device, models=infos)

    async def show_model(self, model: ModelPath, request: Request) -> ModelInfo:
        """Show one model."""
        return await asyncio.to_thread(model_info, self._registry, self._registry.get(model), prefix_of(request))

    async def delete_model(self, model: ModelPath) -> None:
        """Remove a model with all its versions permanently; 409 while a training of it has not ended."""
        self._registry.get(model)
        await self._require_idle(model)
        await self._registry.remove_model(model)

    async def history(self, model: ModelPath, request: Request, page: Annotated[HistoryQuery, Query()]) -> Response:
        """Show the history of a model, newest version first: metrics, gate, parent version, training, data, seed."""
        found = await asyncio.to_thread(
            history_json, self._registry, self._registry.get(model), page.before, page.limit, prefix_of(request)
        )
        return Response(found, media_type="application/json")

    async def compare(self, model: ModelPath, query: Annotated[CompareQuery, Query()]) -> VersionComparison:
        """Compare two versions, `versions=3,7`, on the test rows of both: metrics, differing rows, McNemar's test."""
        first, second = map(int, query.versions.split(","))
        return await asyncio.to_thread(self._registry.stored.compare, model, (first, second))

    async def show_version(self, model: ModelPath, version: VersionPath) -> VersionInfo:
        """Show one version: metrics, baselines, gate report and lineage."""
        return await asyncio.to_thread(version_info, self._registry, model, version)

    async def delete(self, model: ModelPath, version: VersionPath) -> None:
        """Remove a version permanently; 409 while it is active or serving. Its number is not reused."""
        await self._registry.remove(model, version)

    async def activate(self, model: ModelPath, version: VersionPath, request: Request) -> ModelInfo:
        """Activate a version, newer or older than the serving one; 409 if it fails its checks on this device."""
        served = await self._registry.activate(model, version)
        return await asyncio.to_thread(model_info, self._registry, served, prefix_of(request))


def router(registry: ModelRegistry, device: str, require_idle: RequireIdle) -> TableRouter:
    """Create the model routes; `require_idle` raises a Conflict if a model has an unfinished training."""
    routes, answer = TableRouter(tags=["models"]), ModelRoutes(registry, device, require_idle)
    routes.add(Routes.LIST_MODELS)(answer.list_models)
    routes.add(Routes.SHOW_MODEL, responses=problems(404, 422))(answer.show_model)
    routes.add(Routes.DELETE_MODEL, status_code=204, responses=problems(404, 409, 422, 503))(answer.delete_model)
    routes.add(Routes.LIST_VERSIONS, response_model=VersionHistory, responses=problems(404, 422, 503))(answer.history)
    routes.add(Routes.COMPARE, responses=problems(404, 409, 422, 503))(answer.compare)
    routes.add(Routes.SHOW_VERSION, responses=problems(404, 422, 503))(answer.show_version)
    routes.add(Routes.REMOVE_VERSION, status_code=204, responses=problems(404, 409, 422, 503))(answer.delete)
    routes.add(Routes.ACTIVATE, responses=problems(404, 409, 422, 503))(answer.activate)
    return routes
