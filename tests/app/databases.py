"""Job tables for tests: on SQLite and on PostgreSQL, with the requests that fill them."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from app.jobs.claims import Claims
from app.jobs.database import Database
from app.jobs.ownership import Claim
from app.jobs.records import TrainingJob, TrainingRequest
from app.jobs.store import JobStore
from modelstore import JobResult, Overrides

LIMIT = 100


def opened(url: str | None, folder: Path) -> Database:
    database = Database(url, folder)
    database.open()
    return database


def add(store: JobStore, model: str = "iris", **more: object) -> TrainingJob:
    return store.add(TrainingRequest(model=model), limit=LIMIT, **more)  # type: ignore[arg-type]


def add_search(store: JobStore, workers: int = 3, model: str = "iris") -> tuple[TrainingJob, list[TrainingJob]]:
    """Add a training that is a search, and return it with its search jobs, the oldest first."""
    training = store.add(searching(workers, model), limit=LIMIT)
    jobs = [job for job in store.page()[0] if job.search_of == training.id]
    return training, jobs[::-1]


def searching(workers: int = 3, model: str = "iris") -> TrainingRequest:
    return TrainingRequest(model=model, overrides=Overrides(search=40), workers=workers)


def claimed(claims: Claims, concurrency: int = 100) -> Claim:
    claim = claims.claim(concurrency)
    assert claim is not None
    return claim


def failure(model: str = "iris", detail: str = "so it is") -> JobResult:
    return JobResult(reason="failed", detail=detail, model=model)


def job(job_id: str = "j1", model: str = "iris", **more: object) -> TrainingJob:
    """Return a job that is in no table; what is not given is None."""
    values: dict[str, Any] = dict.fromkeys(field.name for field in fields(TrainingJob))
    known: dict[str, Any] = {"id": job_id, "request": TrainingRequest(model=model), "left_out": ()}
    return TrainingJob(**(values | known | more))
