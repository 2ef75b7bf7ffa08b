"""Convert the registry's and the store's data on models to response bodies.

All functions read files, so call them from a thread.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Literal
from urllib.parse import urlencode

from app.api.schemas.models import ConformalInfo, EngineInfo, ModelInfo, State, example_of
from app.api.schemas.oip import IndexEntry
from app.api.schemas.versions import Figures, ValueFigures, VersionBrief, VersionHistory, VersionInfo
from app.errors import StoreUnavailable
from app.registry.errors import ModelNotFound, VersionNotFound
from app.registry.registry import ModelRegistry
from app.registry.state import ServedModel
from app.runtime.load import LoadedModel
from modelstore import BrokenVersion, Manifest, ModelVersion, Task
from modelstore.names import RESERVED

_FIGURES: dict[Task, type[Figures | ValueFigures]] = {"classification": Figures, "regression": ValueFigures}
_UNKNOWN: dict[str, object] = {
    "created": None,
    "metrics": {},
    "gate": None,
    "parent": None,
    "job": None,
    "data_sha256": {},
    "seed": None,
}


def _state(model: ServedModel) -> State:
    if model.loaded is None:
        return "unavailable"
    return "ready" if model.reason is None else "degraded"


def model_infos(registry: ModelRegistry, models: Iterable[ServedModel], prefix: str) -> list[ModelInfo]:
    """Return the descriptions of those models that are still there; `prefix` is put before their links."""
    infos = []
    for model in models:
        with contextlib.suppress(ModelNotFound):  # removed meanwhile
            infos.append(model_info(registry, model, prefix))
    return infos


def model_info(registry: ModelRegistry, model: ServedModel, prefix: str) -> ModelInfo:
    """Return the description of a model; `prefix` is put before its links.

    Raises:
        ModelNotFound: if it was removed meanwhile.
    """
    manifest = model.loaded.manifest if model.loaded else None
    try:
        versions = registry.stored.versions(model.name)
    except StoreUnavailable:
        versions = None  # one folder that cannot be listed must not hide the other models
    return ModelInfo(
        name=model.name,
        description=manifest.description if manifest else "",
        state=_state(model),
        reason=model.reason,
        active_version=model.active,
        serving_version=model.serving,
        shadow_version=model.shadow_version,
        versions=versions or (),
        device=model.loaded.device if model.loaded else None,
        engines=_engines(model.loaded) if model.loaded else [],
        task=manifest.task if manifest else None,
        target=manifest.target if manifest else None,
        classes=manifest.classes if manifest else (),
        features=manifest.features if manifest else (),
        left_out=manifest.left_out if manifest else (),
        missing_values=manifest.missing_values if manifest else (),
        strict=manifest.strict if manifest else False,
        receipts=manifest.receipts if manifest else False,
        dialects=manifest.lineage.dialects if manifest else {},
        metrics=manifest.metrics if manifest else {},
        leaders=manifest.leaders if manifest else None,
        decision=manifest.decision if manifest else None,
        temperature=manifest.temperature if manifest else None,
        conformal=ConformalInfo.of(manifest.conformal) if manifest else None,
        abstain=manifest.abstain if manifest else None,
        importance=manifest.importance if manifest else None,
        warnings=(*_standing(model, versions), *(manifest.warnings if manifest else ())),
        example=example_of(manifest, prefix) if manifest else None,
    )


def _standing(model: ServedModel, versions: tuple[int, ...] | None) -> Iterator[str]:
    """Yield warnings about the state of a model; `versions` is None if they cannot be listed."""
    if versions is None:
        yield "its folder in the store cannot be listed now"
    if model.name in RESERVED:
        yield f"GET /v2/models/{model.name} shows the statistics of all models instead; publish it under another name"
    if model.loaded is None:
        return
    if model.loaded.unused:
        yield str(model.loaded.unused)
    gate = model.loaded.manifest.gate
    if model.active is None:
        verdict = f"; its gate said: {gate.reason}" if gate and not gate.passed else ""
        yield f"no version is active, so version {model.serving} answers until one is activated{verdict}"
    if versions is not None and model.serving not in versions:
        yield f"version {model.serving}, which answers, has left the store; it will not be there after a restart"


def _engines(loaded: LoadedModel) -> list[EngineInfo]:
    return [
        EngineInfo(up_to_rows=choice.rows, engine=choice.engine.name, measured_us=choice.measured_us)
        for choice in loaded.engine.choices
    ]


def index_entries(registry: ModelRegistry, models: Iterable[ServedModel]) -> list[IndexEntry]:
    """Return the published versions of those models that are still there, as the repository index shows them.

    Of a model whose folder cannot be listed, these are the versions that this process serves or has refused.
    """
    entries = []
    for model in models:
        try:
            versions = registry.stored.versions(model.name)
        except ModelNotFound:  # removed meanwhile
            continue
        except StoreUnavailable:
            versions = tuple(sorted({*model.refused, *([model.serving] if model.serving else [])}))
        entries += [_index_entry(model, version) for version in versions]
    return entries


def _index_entry(model: ServedModel, version: int) -> IndexEntry:
    if version == model.serving:
        return IndexEntry(name=model.name, version=str(version), state="READY", reason="")
    refusal = model.refused.get(version)
    reason = f"{refusal.reason}: {refusal.detail}" if refusal else "it is loaded when it is asked for"
    return IndexEntry(name=model.name, version=str(version), state="UNAVAILABLE", reason=reason)


def history_json(registry: ModelRegistry, model: ServedModel, before: int | None, limit: int, prefix: str) -> bytes:
    """Return one page of a model's history as JSON; `prefix` is put before the link to the next page."""
    stored = [
        version for version in reversed(registry.stored.versions(model.name)) if before is None or version < before
    ]
    previous = registry.stored.previous(model.name)
    shown = [_version_brief(registry, model, version, previous) for version in stored[:limit]]
    query = urlencode({"limit": limit, "before": stored[limit - 1]}) if len(stored) > limit else None
    following = f"{prefix}/models/{model.name}/versions?{query}" if query else None
    history = VersionHistory(model=model.name, versions=[v for v in shown if v is not None], next=following)
    return history.model_dump_json().encode()


def _version_brief(
    registry: ModelRegistry, model: ServedModel, version: int, previous: int | None
) -> VersionBrief | None:
    """Return the history entry of a version, or None if it was removed meanwhile."""
    try:
        found = registry.stored.find(model.name, version)
    except VersionNotFound:
        return None
    refusal = model.refused.get(version)
    standing: dict[str, object] = {
        "version": version,
        "active": version == model.active,
        "previous": version == previous,
        "serving": version == model.serving,
        "shadow": version == model.shadow_version,
        "reason": f"{refusal.reason}: {refusal.detail}" if refusal else None,
    }
    try:
        origin = _origin(found.manifest())
    except BrokenVersion as error:
        origin = _UNKNOWN | {"reason": f"{error.reason}: {error.detail}"}
    return VersionBrief.model_validate(standing | origin)


def _origin(manifest: Manifest) -> dict[str, object]:
    """Return the fields of a history entry that come from the manifest."""
    lineage = manifest.lineage
    figures = {
        split: _FIGURES[manifest.task].model_validate(evaluation, from_attributes=True)
        for split, evaluation in manifest.metrics.items()
    }
    return {
        "created": manifest.created,
        "metrics": figures,
        "gate": manifest.gate,
        "parent": lineage.parent,
        "job": lineage.job,
        "data_sha256": lineage.data_sha256,
        "seed": lineage.seed,
    }


def version_info(registry: ModelRegistry, name: str, version: int) -> VersionInfo:
    """Return the description of one version.

    Raises:
        ModelNotFound, VersionNotFound.
    """
    model = registry.get(name)
    found = registry.stored.find(name, version)
    refusal = model.refused.get(version)
    state: Literal["serving", "stored", "refused"]
    state = "refused" if refusal else "serving" if model.serving == version else "stored"
    reason = f"{refusal.reason}: {refusal.detail}" if refusal else None
    base = VersionInfo(name=name, version=version, state=state, reason=reason, active=model.active == version)
    return base.model_copy(update=_manifest_fields(found))


def _manifest_fields(found: ModelVersion) -> dict[str, object]:
    try:
        manifest = found.manifest()
    except BrokenVersion as error:
        return {"state": "refused", "reason": f"{error.reason}: {error.detail}"}
    fields = {name: getattr(manifest, name) for name in VersionInfo.model_fields if name in Manifest.model_fields}
    return fields | {"conformal": ConformalInfo.of(manifest.conformal)}
