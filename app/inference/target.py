"""Resolve the version that answers a request: named by path or body, or the active one."""

from __future__ import annotations

from typing import TypeVar

from app.errors import wrong_field
from app.inference.dataplane import DataPlane
from app.runtime.load import LoadedModel
from app.telemetry.stage_timer import Stages

Named = TypeVar("Named", str, int)


def agree_on(field: str, in_path: Named | None, in_body: Named | None) -> Named | None:
    """Return the value given in the path or in the body; both may give it if they agree.

    Raises:
        InvalidInput: if they differ.
    """
    if in_path is None or in_body is None or in_path == in_body:
        return in_path if in_path is not None else in_body
    raise wrong_field(field, "path and body name different ones; say it in one place")


def require_name(name: str | None) -> str:
    """Return the name of the model, which must be given.

    Raises:
        InvalidInput: if there is none.
    """
    if name is None:
        raise wrong_field("model", 'must be named, in the path (POST /predict/{model}) or in the body ("model": "...")')
    return name


async def resolve_version(plane: DataPlane, stages: Stages, name: str, version: int | None) -> LoadedModel:
    """Return the version that answers; loading time is not attributed to a stage.

    Raises:
        ModelNotFound, ModelNotReady, VersionNotFound, VersionRefused.
    """
    model = await plane.resolve(name, version)
    stages.counts = plane.counts(model)
    stages.resume()
    return model
