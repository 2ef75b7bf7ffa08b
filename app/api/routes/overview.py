"""Routes for operators: disks, workers, keys and last audit records; drift over time."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from app.api.parameters import ModelPath
from app.api.routing import TableRouter
from app.api.schemas.common import problems
from app.registry.registry import ModelRegistry
from app.security.audit.trail import AuditTrail
from app.security.authenticator import Authenticator
from app.security.keys import Scope
from app.security.permissions import Routes
from app.settings import Settings
from app.telemetry.disks import usage_of
from app.telemetry.drift_history import INTERVAL_S, DriftHistory
from app.telemetry.multiprocess import WorkerFigures

AUDIT_RECORDS = 20


class DiskUse(BaseModel):
    """Room of one folder of the service.

    Attributes:
        used_bytes: sizes of all files in the folder.
        free_bytes: what this process may still write to its disk; None if the folder does not exist.
        total_bytes: size of the disk.
    """

    folder: str
    used_bytes: int
    free_bytes: int | None
    total_bytes: int | None


class KeyInfo(BaseModel):
    """One accepted key, without anything secret."""

    id: str
    scopes: tuple[Scope, ...]
    created: datetime
    expires: datetime | None
    note: str


class Overview(BaseModel):
    """What an operator looks at first.

    Attributes:
        workers: process ids of the serving processes.
        keys: the accepted keys; None if the service has none and needs none.
        keys_current: whether these are the keys of the key file; False while that cannot be used.
        audit: the last 20 records of the audit file, newest first; `prev` is left out.
    """

    workers: list[int]
    disks: list[DiskUse]
    keys: list[KeyInfo] | None
    keys_current: bool
    audit: list[dict[str, Any]]


class Drift(BaseModel):
    """Population stability index of a model's columns over time.

    Attributes:
        interval_s: seconds between two looks; the last one is of this moment.
        times: when each look was.
        columns: the index at each of these times; None where too few rows had come.
    """

    model: str
    interval_s: float
    times: list[datetime]
    columns: dict[str, list[float | None]]


def router(
    settings: Settings,
    registry: ModelRegistry,
    authenticator: Authenticator,
    *,
    trail: AuditTrail,
    figures: WorkerFigures,
    history: DriftHistory,
) -> TableRouter:
    """Create the routes."""
    routes = TableRouter(tags=["operations"])
    folders = {"models": settings.models_dir, "data sets": settings.datasets_dir, "state": settings.state_dir}

    def overview() -> Overview:
        """Collect the facts; reads files."""
        keys, current = authenticator.accepted_keys()
        shown = None if keys is None else [KeyInfo.model_validate(key, from_attributes=True) for key in keys]
        disks = [DiskUse(folder=name, **usage_of(path)._asdict()) for name, path in folders.items()]
        audit = [
            {name: value for name, value in entry.items() if name != "prev"} for entry in trail.read_last(AUDIT_RECORDS)
        ]
        workers = figures.processes()
        return Overview(workers=workers, disks=disks, keys=shown, keys_current=current, audit=audit[::-1])

    @routes.add(Routes.OPERATIONS, responses=problems(503))
    async def operations() -> Overview:
        """Show disks, workers, accepted keys and the last audit records."""
        return await asyncio.to_thread(overview)

    @routes.add(Routes.DRIFT, responses=problems(404, 422))
    async def drift(model: ModelPath) -> Drift:
        """Show how far recent rows were from the training rows, by column, in the last day; since the start at most."""
        registry.get(model)
        times, columns = history.of(model)
        return Drift(model=model, interval_s=INTERVAL_S, times=times, columns=columns)

    return routes
