"""Routes for operators and probes: health and metrics.

They are cheap and never wait for a model.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from fastapi import Request, Response
from pydantic import BaseModel, RootModel

from app.api.accept import choose_type
from app.api.routing import TableRouter
from app.lifecycle import Lifetime
from app.registry.registry import ModelRegistry
from app.security.permissions import Route, Routes
from app.telemetry.exposition import Exposition
from app.telemetry.prometheus import CONTENT_TYPE
from modelstore.evaluation import AnyEvaluation


class Live(BaseModel):
    """The process answers."""

    live: Literal[True] = True


class Ready(BaseModel):
    """Whether the service is ready for requests; `reasons` maps each model that cannot answer to the reason."""

    ready: bool
    reasons: dict[str, str]


class Health(BaseModel):
    """Health of the service and of each model, for people."""

    status: Literal["ok", "degraded", "unavailable"]
    device: str
    models: dict[str, str]


class ActiveMetrics(BaseModel):
    """The full evaluation of the serving version: confusion matrix and per-class report for each split."""

    version: int
    metrics: dict[str, AnyEvaluation]


class ActiveMetricsByModel(RootModel[dict[str, ActiveMetrics]]):
    """The evaluation of each model's serving version, by model name."""


def router(registry: ModelRegistry, exposition: Exposition, device: str, lifetime: Lifetime) -> TableRouter:
    """Create the health and metrics routes."""
    routes = TableRouter(tags=["operations"])

    @routes.add(Routes.LIVE_AS_PING, include_in_schema=False)
    @routes.add(Routes.LIVE_AS_HEALTHZ, include_in_schema=False)
    @routes.add(Routes.LIVE)
    async def live() -> Live:
        """Check that the process answers at all; for liveness probes."""
        return Live()

    @routes.add(Routes.READY, responses={503: {"model": Ready, "description": "Not enough models can answer"}})
    async def ready(response: Response) -> Ready:
        """Check that at least one model can answer, or all with TABSERVE_STRICT_READINESS; for readiness probes."""
        reasons = {model.name: model.reason or "" for model in registry.models() if model.loaded is None}
        if not registry.models():
            reasons["*"] = "the store has no model yet; train one: python -m training ensure"
        if lifetime.unready:
            reasons["*"] = lifetime.unready
        is_ready = registry.ready and not lifetime.unready
        response.status_code = 200 if is_ready else 503
        return Ready(ready=is_ready, reasons=reasons)

    @routes.add(Routes.HEALTH)
    async def health() -> Health:
        """Describe the state of each model in a sentence."""
        models = {m.name: m.reason or f"ready, version {m.serving}" for m in registry.models()}
        perfect = registry.ready and all(model.reason is None for model in registry.models())
        status: Literal["ok", "degraded", "unavailable"]
        status = "ok" if perfect else "degraded" if registry.ready else "unavailable"
        return Health(status=status, device=device, models=models)

    probes: dict[Route, Callable[..., Any]] = {
        Routes.LIVE: live,
        Routes.LIVE_AS_HEALTHZ: live,
        Routes.LIVE_AS_PING: live,
        Routes.READY: ready,
        Routes.HEALTH: health,
    }
    for route, answer in probes.items():
        routes.add(route.head, include_in_schema=False)(answer)
    _add_metrics(routes, registry, exposition)
    return routes


def _add_metrics(routes: TableRouter, registry: ModelRegistry, exposition: Exposition) -> None:
    @routes.add(
        Routes.METRICS,
        response_class=Response,
        responses={200: {"model": ActiveMetricsByModel, "content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def show_metrics(request: Request) -> Response:
        """Return metrics as Prometheus text, or with `Accept: application/json` evaluations of the serving versions."""
        if choose_type(request.headers.get("accept"), ("text/plain", "application/json")) == "application/json":
            active = {
                model.name: ActiveMetrics(version=model.loaded.schema.version, metrics=model.loaded.manifest.metrics)
                for model in registry.models()
                if model.loaded
            }
            body = ActiveMetricsByModel(active).model_dump_json()
            return Response(body, media_type="application/json")
        return Response(exposition.text(), media_type=CONTENT_TYPE)
