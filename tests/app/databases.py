"""Job tables for tests: on SQLite and on PostgreSQL, with the requests that fill them."""

from __future__ import annotations

from pathlib import Path

from app.jobs.claims import Claim, Claims
from app.jobs.database import Database
from app.jobs.records import TrainingJob, TrainingRequest
from app.jobs.store import JobStore
from modelstore import JobResult

LIMIT = 100


def opened(url: str | None, folder: Path) -> Database:
    database = Database(url, folder)
    database.open()
    return database


def add(store: JobStore, model: str = "iris", **more: object) -> TrainingJob:
    return store.add(TrainingRequest(model=model), limit=LIMIT, **more)  # type: ignore[arg-type]


def claimed(claims: Claims, concurrency: int = 100) -> Claim:
    claim = claims.claim(concurrency)
    assert claim is not None
    return claim


def failure(model: str = "iris", detail: str = "so it is") -> JobResult:
    return JobResult(reason="failed", detail=detail, model=model)
