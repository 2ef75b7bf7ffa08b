"""Routes of the Open Inference Protocol: health, metadata, inference, statistics, index."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict

from app.api.bodies import parse_json, read_small, require_utf8
from app.api.openapi import oip as documents
from app.api.parameters import ModelPath, VersionPath
from app.api.schemas import oip as schemas
from app.lifecycle import Lifetime
from app.registry.errors import ModelNotReady
from app.registry.registry import ModelRegistry
from app.registry.state import ServedModel
from app.runtime.errors import VersionRefused
from app.runtime.load import LoadedModel
from app.telemetry import version_report
from app.telemetry.multiprocess import WorkerFigures
from app.telemetry.version_counters import Figures

# Only extensions that work; docs/clients.md says which parts of each.
EXTENSIONS = ("binary_tensor_data", "classification", "model_repository", "schedule_policy", "statistics")

_MODEL, _VERSION = "/models/{model}", "/versions/{version}"


class IndexQuery(BaseModel):
    """Body of a request for the repository index."""

    model_config = ConfigDict(strict=True, extra="forbid")

    ready: bool = False


class OipRoutes:
    """Implementation of the routes."""

    def __init__(self, registry: ModelRegistry, figures: WorkerFigures, version: str) -> None:
        self._registry = registry
        self._figures = figures
        self._version = version

    def server(self) -> schemas.ServerMetadata:
        """Return name, version and extensions of this server."""
        return schemas.ServerMetadata(name="tabserve", version=self._version, extensions=list(EXTENSIONS))

    async def loaded(self, name: str, version: int | None) -> LoadedModel:
        """Return the version that would answer an inference request, and load it first if necessary."""
        return self._registry.active(name) if version is None else await self._registry.resolve(name, version)

    async def model(self, name: str, version: int | None) -> schemas.ModelMetadata:
        """Return names, datatypes and shapes of a model's tensors."""
        loaded = await self.loaded(name, version)
        published = await asyncio.to_thread(self._registry.stored.versions, name)
        return schemas.model_metadata(loaded, published)

    async def model_ready(self, name: str, version: int | None, response: Response) -> schemas.ModelReady:
        """Report whether an inference request would be answered; sets status 503 if not."""
        try:
            await self.loaded(name, version)
        except (ModelNotReady, VersionRefused) as error:
            response.status_code = 503
            return schemas.ModelReady(name=name, ready=False, error=str(error))
        return schemas.ModelReady(name=name, ready=True)

    async def stats(self, name: str | None = None, version: int | None = None) -> schemas.Statistics:
        """Return the statistics of one version, of a model's used or serving versions, or of all models."""
        if name is not None and version is not None:
            await asyncio.to_thread(self._registry.stored.find, name, version)
        parts = self._figures.of_all_workers()
        models = self._registry.models() if name is None else (self._registry.get(name),)
        keys = [
            (model.name, number)
            for model in models
            for number in (sorted(_find_versions(model, parts)) if version is None else (version,))
        ]
        return schemas.Statistics(model_stats=[schemas.statistics_of(version_report.of(parts, *key)) for key in keys])

    def index(self, *, ready: bool) -> list[schemas.IndexEntry]:
        """Return all published versions, or only those that serve; reads the disk."""
        entries = [entry for model in self._registry.models() for entry in self._entries(model)]
        return [entry for entry in entries if entry.state == "READY" or not ready]

    def _entries(self, model: ServedModel) -> list[schemas.IndexEntry]:
        entries = []
        for version in self._registry.stored.versions(model.name):
            refusal = model.refused.get(version)
            reason = f"{refusal.reason}: {refusal.detail}" if refusal else "it is loaded when it is asked for"
            serves = model.serving == version
            entries.append(
                schemas.IndexEntry(
                    name=model.name,
                    version=str(version),
                    state="READY" if serves else "UNAVAILABLE",
                    reason="" if serves else reason,
                )
            )
        return entries


def router(registry: ModelRegistry, figures: WorkerFigures, version: str, lifetime: Lifetime) -> APIRouter:
    """Create the routes below /v2."""
    routes = APIRouter(prefix="/v2", tags=["Open Inference Protocol"])
    oip = OipRoutes(registry, figures, version)

    @routes.get("/", include_in_schema=False)
    @routes.get("")
    async def server_metadata() -> schemas.ServerMetadata:
        """Show the server's name, version and supported protocol extensions."""
        return oip.server()

    @routes.get("/health/live")
    async def server_live() -> schemas.ServerLive:
        """Check that the process answers at all; for liveness probes."""
        return schemas.ServerLive()

    @routes.get(
        "/health/ready", responses={503: {"model": schemas.ServerReady, "description": "Not every model can answer"}}
    )
    async def server_ready(response: Response) -> schemas.ServerReady:
        """Check that every model can answer, with status 503 if not; for readiness probes."""
        reason = lifetime.unready or (None if registry.complete else "not every model can answer; see GET /readyz")
        response.status_code = 503 if reason else 200
        return schemas.ServerReady(ready=reason is None, error=reason)

    @routes.get("/models")
    async def list_models() -> schemas.ModelNames:
        """List the names of all models; a KServe addition to the protocol."""
        return schemas.ModelNames(models=[model.name for model in registry.models()])

    @routes.post(
        "/repository/index", openapi_extra=documents.INDEX_BODY, responses=documents.failures(400, 413, 415, 503)
    )
    async def repository_index(request: Request) -> list[schemas.IndexEntry]:
        """List all published versions, or with `{"ready": true}` only those that serve."""
        require_utf8(request.headers.get("content-type"))
        query = parse_json(await read_small(request) or b"{}", IndexQuery)
        return await asyncio.to_thread(oip.index, ready=query.ready)

    _add_statistics(routes, oip)
    _add_models(routes, oip)
    return routes


def _add_models(routes: APIRouter, oip: OipRoutes) -> None:
    unready: dict[int | str, Any] = {
        503: {"model": schemas.ModelReady | schemas.Failure, "description": "The model or version cannot answer"}
    }
    documented: dict[str, Any] = {
        "response_class": Response,
        "responses": documents.INFER_ANSWER | documents.failures(400, 404, 413, 415, 429, 503, 504),
        "openapi_extra": documents.INFER_BODY,
    }

    @routes.get(_MODEL, responses=documents.failures(404, 503))
    async def model_metadata(model: ModelPath) -> schemas.ModelMetadata:
        """Show names, datatypes and shapes of a model's tensors."""
        return await oip.model(model, None)

    @routes.get(_MODEL + _VERSION, responses=documents.failures(400, 404, 503))
    async def version_metadata(model: ModelPath, version: VersionPath) -> schemas.ModelMetadata:
        """Show names, datatypes and shapes of the tensors of one version."""
        return await oip.model(model, version)

    @routes.get(_MODEL + "/ready", responses=documents.failures(404) | unready)
    async def model_ready(model: ModelPath, response: Response) -> schemas.ModelReady:
        """Check whether a model can answer, with status 503 if not."""
        return await oip.model_ready(model, None, response)

    @routes.get(_MODEL + _VERSION + "/ready", responses=documents.failures(400, 404) | unready)
    async def version_ready(model: ModelPath, version: VersionPath, response: Response) -> schemas.ModelReady:
        """Check whether a version can answer, with status 503 if not."""
        return await oip.model_ready(model, version, response)

    @routes.post(_MODEL + "/infer", **documented)
    def infer(model: ModelPath) -> None:
        """Predict with the active version of a model."""
        # Never called: it documents what `InferRoute.serve` answers, as the next one does.

    @routes.post(_MODEL + _VERSION + "/infer", **documented)
    def infer_version(model: ModelPath, version: VersionPath) -> None:
        """Predict with one version of a model."""


def _add_statistics(routes: APIRouter, oip: OipRoutes) -> None:
    @routes.get("/models/stats", responses=documents.failures())
    async def all_statistics() -> schemas.Statistics:
        """Show inference statistics of all models."""
        return await oip.stats()

    @routes.get(_MODEL + "/stats", responses=documents.failures(404))
    async def model_statistics(model: ModelPath) -> schemas.Statistics:
        """Show inference statistics of a model, version by version."""
        return await oip.stats(model)

    @routes.get(_MODEL + _VERSION + "/stats", responses=documents.failures(400, 404, 503))
    async def version_statistics(model: ModelPath, version: VersionPath) -> schemas.Statistics:
        """Show inference statistics of one version."""
        return await oip.stats(model, version)


def _find_versions(model: ServedModel, parts: list[Figures]) -> set[int]:
    serving = set() if model.serving is None else {model.serving}
    return serving | version_report.versions(parts, model.name)
