"""Routes that show models and versions and choose the active one; it must not know how a model is loaded."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel

from app.api.schemas import problems
from app.errors import VersionNotFound
from app.registry import ModelRegistry, ServedModel
from app.runtime import LoadedModel
from modelstore import (
    Baseline,
    BrokenVersion,
    Evaluation,
    Feature,
    GateReport,
    Lineage,
    Manifest,
    ModelVersion,
    VersionComparison,
)

State = Literal["ready", "degraded", "unavailable"]

MAX_VERSION = 999_999_999


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


class Figures(BaseModel):
    """How a version did on one split; log loss in nats."""

    rows: int
    accuracy: float
    macro_f1: float
    log_loss: float
    brier: float
    calibration_error: float


class VersionBrief(BaseModel):
    """One version in the history of a model.

    Attributes:
        active: the version that the store wants to serve.
        previous: the version that was active before that.
        serving: the version that answers now.
        reason: why it cannot serve, if that is known.
        metrics: a split's name to the figures of the whole manifest, without confusion matrix and classes.
        parent: the version that was active when this one was trained.
        job: the training that published it.
        data_sha256: file to the hash of what it was trained on.
        seed: of its training.
    """

    version: int
    created: datetime | None
    active: bool
    previous: bool
    serving: bool
    reason: str | None
    metrics: dict[str, Figures]
    gate: GateReport | None
    parent: int | None
    job: str | None
    data_sha256: dict[str, str]
    seed: int | None


class VersionHistory(BaseModel):
    """Versions of a model, newest first; `next` is where the older ones are, if there are any."""

    model: str
    versions: list[VersionBrief]
    next: str | None


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

    @routes.get("/models/{model}/versions", response_model=VersionHistory, responses=problems(404, 422))
    async def history(
        model: str,
        before: Annotated[int | None, Query(ge=1, le=MAX_VERSION)] = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 100,
    ) -> Response:
        """Show where a model comes from, newest version first: figures, gate, parent, training, data, seed."""
        found = await asyncio.to_thread(_history, registry, registry.get(model), before, limit)
        return Response(found, media_type="application/json")

    @routes.get("/models/{model}/compare", responses=problems(404, 409, 422))
    async def compare(
        model: str,
        versions: Annotated[str, Query(pattern=r"^[1-9][0-9]{0,8},[1-9][0-9]{0,8}$", examples=["3,7"])],
    ) -> VersionComparison:
        """Compare two versions, `versions=3,7`, on the test rows of both: figures, rows that differ, McNemar's test."""
        first, second = map(int, versions.split(","))
        return await asyncio.to_thread(registry.compare, model, (first, second))

    @routes.get("/models/{model}/versions/{version}", responses=problems(404, 422))
    async def show_version(model: str, version: int) -> VersionInfo:
        """Show one version: metrics, baselines, gate report, and where it comes from."""
        return await asyncio.to_thread(_version_info, registry, model, version)

    @routes.delete("/models/{model}/versions/{version}", status_code=204, responses=problems(404, 409, 422, 503))
    async def delete(model: str, version: int) -> None:
        """Remove a version for good; 409 while it is the active one or serves. Its number is not used again."""
        await registry.remove(model, version)

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


def _history(registry: ModelRegistry, model: ServedModel, before: int | None, limit: int) -> bytes:
    """Return the JSON of a part of a model's history; reads and writes much, so call it from a thread."""
    stored = [version for version in reversed(registry.versions(model.name)) if before is None or version < before]
    previous = registry.previous(model.name)
    shown = [_version_brief(registry, model, version, previous) for version in stored[:limit]]
    query = urlencode({"limit": limit, "before": stored[limit - 1]}) if len(stored) > limit else None
    following = f"/models/{model.name}/versions?{query}" if query else None
    history = VersionHistory(model=model.name, versions=[v for v in shown if v is not None], next=following)
    return history.model_dump_json().encode()


def _version_brief(
    registry: ModelRegistry, model: ServedModel, version: int, previous: int | None
) -> VersionBrief | None:
    """Return what the history shows of a version, or None if it was removed meanwhile."""
    try:
        found = registry.find(model.name, version)
    except VersionNotFound:
        return None
    refusal = model.refused.get(version)
    brief = VersionBrief(
        version=version,
        created=None,
        active=version == model.wanted,
        previous=version == previous,
        serving=version == model.serving,
        reason=f"{refusal.reason}: {refusal.detail}" if refusal else None,
        metrics={},
        gate=None,
        parent=None,
        job=None,
        data_sha256={},
        seed=None,
    )
    try:
        manifest = found.manifest()
    except BrokenVersion as error:
        return brief.model_copy(update={"reason": f"{error.reason}: {error.detail}"})
    lineage = manifest.lineage
    return brief.model_copy(
        update={
            "created": manifest.created,
            "metrics": {
                split: Figures.model_validate(evaluation, from_attributes=True)
                for split, evaluation in manifest.metrics.items()
            },
            "gate": manifest.gate,
            "parent": lineage.parent,
            "job": lineage.job,
            "data_sha256": lineage.data_sha256,
            "seed": lineage.seed,
        }
    )


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
