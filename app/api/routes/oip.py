"""Routes of the Open Inference Protocol: health, metadata, inference, statistics, index."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict

from app.api.bodies import parse_json, read_small, require_utf8
from app.api.openapi import oip as documents
from app.api.parameters import ModelPath, VersionPath
from app.api.routing import TableRouter
from app.api.schemas import oip as schemas
from app.api.schemas.model_views import index_entries
from app.lifecycle import Lifetime
from app.registry.errors import ModelNotReady
from app.registry.registry import ModelRegistry
from app.registry.state import ServedModel
from app.runtime.errors import VersionRefused
from app.runtime.load import LoadedModel
from app.security.permissions import Routes
from app.telemetry import version_report
from app.telemetry.multiprocess import WorkerFigures
from app.telemetry.version_counters import Figures

# Only extensions that work; docs/clients.md says which parts of each.
EXTENSIONS = ("binary_tensor_data", "classification", "model_repository", "schedule_policy", "statistics")


class IndexQuery(BaseModel):
    """Body of a request for the repository index."""

    model_config = ConfigDict(strict=True, extra="forbid")

    ready: bool = False


class OipRoutes:
    """Route handlers, one method each; their docstrings appear in the OpenAPI document."""

    def __init__(self, registry: ModelRegistry, figures: WorkerFigures, version: str, lifetime: Lifetime) -> None:
        self._registry = registry
        self._figures = figures
        self._version = version
        self._lifetime = lifetime

    async def server_metadata(self) -> schemas.ServerMetadata:
        """Show the server's name, version and supported protocol extensions."""
        return schemas.ServerMetadata(name="tabserve", version=self._version, extensions=list(EXTENSIONS))

    async def server_live(self) -> schemas.ServerLive:
        """Check that the process answers at all; for liveness probes."""
        return schemas.ServerLive()

    async def server_ready(self, response: Response) -> schemas.ServerReady:
        """Check that every model can answer, with status 503 if not; for readiness probes."""
        complete = self._registry.complete
        reason = self._lifetime.unready or (None if complete else "not every model can answer; see GET /readyz")
        response.status_code = 503 if reason else 200
        return schemas.ServerReady(ready=reason is None, error=reason)

    async def list_models(self) -> schemas.ModelNames:
        """List the names of all models; a KServe addition to the protocol."""
        return schemas.ModelNames(models=[model.name for model in self._registry.models()])

    async def repository_index(self, request: Request) -> list[schemas.IndexEntry]:
        """List all published versions, or with `{"ready": true}` only those that serve."""
        require_utf8(request.headers.get("content-type"))
        query = parse_json(await read_small(request) or b"{}", IndexQuery)
        entries = await asyncio.to_thread(index_entries, self._registry, self._registry.models())
        return [entry for entry in entries if entry.state == "READY" or not query.ready]

    async def all_statistics(self) -> schemas.Statistics:
        """Show inference statistics of all models."""
        return self._statistics(self._registry.models())

    async def model_statistics(self, model: ModelPath) -> schemas.Statistics:
        """Show inference statistics of a model, version by version."""
        return self._statistics((self._registry.get(model),))

    async def version_statistics(self, model: ModelPath, version: VersionPath) -> schemas.Statistics:
        """Show inference statistics of one version."""
        await asyncio.to_thread(self._registry.stored.find, model, version)
        return self._statistics((self._registry.get(model),), version)

    async def model_metadata(self, model: ModelPath) -> schemas.ModelMetadata:
        """Show names, datatypes and shapes of a model's tensors."""
        return await self._metadata(model, None)

    async def version_metadata(self, model: ModelPath, version: VersionPath) -> schemas.ModelMetadata:
        """Show names, datatypes and shapes of the tensors of one version."""
        return await self._metadata(model, version)

    async def model_ready(self, model: ModelPath, response: Response) -> schemas.ModelReady:
        """Check whether a model can answer, with status 503 if not."""
        return await self._ready(model, None, response)

    async def version_ready(self, model: ModelPath, version: VersionPath, response: Response) -> schemas.ModelReady:
        """Check whether a version can answer, with status 503 if not."""
        return await self._ready(model, version, response)

    def infer(self, model: ModelPath) -> None:
        """Predict with the active version of a model."""
        # Never called: it documents what `InferRoute.serve` answers, as the next one does.

    def infer_version(self, model: ModelPath, version: VersionPath) -> None:
        """Predict with one version of a model."""

    async def _loaded(self, name: str, version: int | None) -> LoadedModel:
        """Return the version that would answer an inference request, and load it first if necessary."""
        return self._registry.active(name) if version is None else await self._registry.resolve(name, version)

    async def _metadata(self, name: str, version: int | None) -> schemas.ModelMetadata:
        loaded = await self._loaded(name, version)
        published = await asyncio.to_thread(self._registry.stored.versions, name)
        return schemas.model_metadata(loaded, published)

    async def _ready(self, name: str, version: int | None, response: Response) -> schemas.ModelReady:
        try:
            await self._loaded(name, version)
        except (ModelNotReady, VersionRefused) as error:
            response.status_code = 503
            return schemas.ModelReady(name=name, ready=False, error=str(error))
        return schemas.ModelReady(name=name, ready=True)

    def _statistics(self, models: Iterable[ServedModel], version: int | None = None) -> schemas.Statistics:
        """Return the statistics of one version, or of the models' used or serving versions."""
        parts = self._figures.of_all_workers()
        keys = [
            (model.name, number)
            for model in models
            for number in (sorted(_find_versions(model, parts)) if version is None else (version,))
        ]
        return schemas.Statistics(model_stats=[schemas.statistics_of(version_report.of(parts, *key)) for key in keys])


def router(registry: ModelRegistry, figures: WorkerFigures, version: str, lifetime: Lifetime) -> TableRouter:
    """Create the routes below /v2."""
    routes = TableRouter(tags=["Open Inference Protocol"])
    answer = OipRoutes(registry, figures, version, lifetime)
    failures = documents.failures
    not_all: dict[int | str, Any] = {503: {"model": schemas.ServerReady, "description": "Not every model can answer"}}
    unready: dict[int | str, Any] = {
        503: {"model": schemas.ModelReady | schemas.Failure, "description": "The model or version cannot answer"}
    }
    documented: dict[str, Any] = {
        "response_class": Response,
        "responses": documents.INFER_ANSWER | failures(400, 404, 413, 415, 429, 503, 504),
        "openapi_extra": documents.INFER_BODY,
    }
    routes.add(Routes.V2_SERVER)(answer.server_metadata)
    routes.add(Routes.V2_SERVER_WITH_SLASH, include_in_schema=False)(answer.server_metadata)
    routes.add(Routes.V2_LIVE)(answer.server_live)
    routes.add(Routes.V2_READY, responses=not_all)(answer.server_ready)
    routes.add(Routes.V2_MODELS)(answer.list_models)
    indexed = failures(400, 413, 415, 503)
    routes.add(Routes.V2_INDEX, openapi_extra=documents.INDEX_BODY, responses=indexed)(answer.repository_index)
    routes.add(Routes.V2_STATISTICS, responses=failures())(answer.all_statistics)
    routes.add(Routes.V2_MODEL_STATISTICS, responses=failures(404))(answer.model_statistics)
    routes.add(Routes.V2_VERSION_STATISTICS, responses=failures(400, 404, 503))(answer.version_statistics)
    routes.add(Routes.V2_MODEL, responses=failures(404, 503))(answer.model_metadata)
    routes.add(Routes.V2_VERSION, responses=failures(400, 404, 503))(answer.version_metadata)
    routes.add(Routes.V2_MODEL_READY, responses=failures(404) | unready)(answer.model_ready)
    routes.add(Routes.V2_VERSION_READY, responses=failures(400, 404) | unready)(answer.version_ready)
    routes.add(Routes.INFER, **documented)(answer.infer)
    routes.add(Routes.INFER_WITH_VERSION, **documented)(answer.infer_version)
    return routes


def _find_versions(model: ServedModel, parts: list[Figures]) -> set[int]:
    serving = set() if model.serving is None else {model.serving}
    return serving | version_report.versions(parts, model.name)
