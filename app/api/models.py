"""Routes that show models and versions and choose the active one; it must not know how a model is loaded."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

from app.api.schemas import problems
from app.registry import ModelRegistry, ServedModel
from app.runtime import LoadedModel
from modelstore import Baseline, BrokenVersion, Evaluation, Feature, GateReport, Lineage, Manifest, ModelVersion

State = Literal["ready", "degraded", "unavailable"]


class Example(BaseModel):
    """A request that works as it stands."""

    method: Literal["POST"] = "POST"
    path: str
    content_type: str = "application/json"
    body: dict[str, list[list[float]]]


class EngineInfo(BaseModel):
    """What runs batches of up to so many rows: chosen by measuring when the version was loaded."""

    up_to_rows: int
    engine: str
    measured_us: float | None


class ModelInfo(BaseModel):
    """One model.

    Attributes:
        state: `ready`: the active version serves; `degraded`: another one does; `unavailable`: none can.
        reason: why it is not ready.
        active_version: the version that the store wants to serve.
        serving_version: the version that answers now.
    """

    name: str
    description: str
    state: State
    reason: str | None
    active_version: int | None
    serving_version: int | None
    versions: tuple[int, ...]
    device: str | None
    engines: list[EngineInfo]
    classes: tuple[str, ...]
    features: tuple[Feature, ...]
    metrics: dict[str, Evaluation]
    example: Example | None


class VersionInfo(BaseModel):
    """One version: its manifest without the golden rows, and how it stands here."""

    name: str
    version: int
    state: Literal["serving", "stored", "refused"]
    reason: str | None
    active: bool
    created: datetime | None = None
    description: str = ""
    sha256: str | None = None
    size_bytes: int | None = None
    classes: tuple[str, ...] = ()
    features: tuple[Feature, ...] = ()
    metrics: dict[str, Evaluation] = {}
    baselines: dict[str, Baseline] = {}
    gate: GateReport | None = None
    lineage: Lineage | None = None


class ModelList(BaseModel):
    """All models and the device they run on."""

    device: str
    models: list[ModelInfo]


def router(registry: ModelRegistry, device: str) -> APIRouter:
    """Return the routes about models."""
    routes = APIRouter(tags=["models"])

    @routes.get("/models")
    async def list_models() -> ModelList:
        """List all models: state, versions, features with units and ranges, classes, metrics, an example."""
        infos = [await asyncio.to_thread(_model_info, registry, model) for model in registry.served()]
        return ModelList(device=device, models=infos)

    @routes.get("/models/{model}", responses=problems(404, 422))
    async def show_model(model: str) -> ModelInfo:
        """Show one model."""
        return await asyncio.to_thread(_model_info, registry, registry.get(model))

    @routes.get("/models/{model}/versions/{version}", responses=problems(404, 422))
    async def show_version(model: str, version: int) -> VersionInfo:
        """Show one version: metrics, baselines, gate report, and where it comes from."""
        return await asyncio.to_thread(_version_info, registry, model, version)

    @routes.post("/models/{model}/versions/{version}/activate", responses=problems(404, 409, 422, 503))
    async def activate(model: str, version: int) -> ModelInfo:
        """Make a version the serving one, forwards or backwards; 409 if it does not prove itself on this device."""
        served = await registry.activate(model, version)
        return await asyncio.to_thread(_model_info, registry, served)

    return routes


def example_of(manifest: Manifest) -> Example:
    """Return a request that works as it stands, with a real row."""
    row = list(manifest.golden.features[0])
    return Example(path=f"/predict/{manifest.name}", body={"instances": [row]})


def _state(model: ServedModel) -> State:
    if model.loaded is None:
        return "unavailable"
    return "ready" if model.reason is None else "degraded"


def _model_info(registry: ModelRegistry, model: ServedModel) -> ModelInfo:
    manifest = model.loaded.manifest if model.loaded else None
    return ModelInfo(
        name=model.name,
        description=manifest.description if manifest else "",
        state=_state(model),
        reason=model.reason,
        active_version=model.wanted,
        serving_version=model.serving,
        versions=registry.versions(model.name),
        device=model.loaded.device if model.loaded else None,
        engines=_engines(model.loaded) if model.loaded else [],
        classes=manifest.classes if manifest else (),
        features=manifest.features if manifest else (),
        metrics=manifest.metrics if manifest else {},
        example=example_of(manifest) if manifest else None,
    )


def _engines(loaded: LoadedModel) -> list[EngineInfo]:
    return [
        EngineInfo(up_to_rows=choice.rows, engine=choice.engine.name, measured_us=choice.measured_us)
        for choice in loaded.engine.choices
    ]


def _version_info(registry: ModelRegistry, name: str, version: int) -> VersionInfo:
    model = registry.get(name)
    found = registry.find(name, version)
    refusal = model.refused.get(version)
    state: Literal["serving", "stored", "refused"]
    state = "refused" if refusal else "serving" if model.serving == version else "stored"
    reason = f"{refusal.reason}: {refusal.detail}" if refusal else None
    base = VersionInfo(name=name, version=version, state=state, reason=reason, active=model.wanted == version)
    return base.model_copy(update=_manifest_fields(found))


def _manifest_fields(found: ModelVersion) -> dict[str, object]:
    try:
        manifest = found.manifest()
    except BrokenVersion as error:
        return {"state": "refused", "reason": f"{error.reason}: {error.detail}"}
    shown = ("created", "description", "sha256", "size_bytes", "classes", "features", "metrics", "baselines", "gate")
    return {name: getattr(manifest, name) for name in (*shown, "lineage")}
