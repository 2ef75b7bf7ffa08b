"""Request view of the job table: add, show, list and cancel jobs.

This module must not know processes or HTTP.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from app.datasets.folders import Contents, content_id
from app.jobs.database import Database
from app.jobs.errors import IdempotencyKeyReused, JobConflict, JobEnded, JobNotFound, QueueFull
from app.jobs.records import JobStatus, TrainingJob, TrainingRequest
from app.jobs.table import EVENTS, IS_TRAINING, IS_UNFINISHED, JOBS, SELECT_JOB, dialect_of, end, job_of, now
from modelstore import Dialect, JobResult, LeftOut
from modelstore.dialect import DETECTED

_QUEUED: Mapping[str, Any] = {"status": JobStatus.QUEUED, "heartbeat": 0, "cancel_requested": False, "log": []}


class JobStore:
    """Training jobs in a database; every method blocks and may raise StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        request: TrainingRequest,
        *,
        limit: int,
        left_out: Sequence[LeftOut] = (),
        data_sha256: str | None = None,
        dialect: Dialect = DETECTED,
        idempotency_key: str | None = None,
        retry_of: str | None = None,
        request_id: str | None = None,
    ) -> TrainingJob:
        """Add a queued training with its search jobs, and return it.

        For a repeated idempotency key, return the training created then. The queue holds at most `limit`
        trainings; `data_sha256` and `dialect` are those of the data set's file.

        Raises:
            IdempotencyKeyReused, JobConflict, QueueFull.
        """
        values: dict[str, Any] = {
            "id": secrets.token_hex(8),
            "model": request.model,
            "dataset": request.dataset,
            "data_sha256": data_sha256,
            "request": _document(request, left_out, dialect, request_id),
            "request_digest": request.digest(),
            "idempotency_key": idempotency_key,
            "retry_of": retry_of,
            **_QUEUED,
        }
        with self._database.writing() as connection:
            if earlier := _earlier(connection, idempotency_key, values["request_digest"]):
                return earlier
            _require_room(connection, request.model, limit)
            connection.execute(JOBS.insert().values(**values, created=now()))
            for _ in range(request.workers - 1):
                connection.execute(JOBS.insert().values(**values | _search_job_of(values["id"]), created=now()))
            return _get(connection, values["id"])

    def earlier(self, idempotency_key: str | None, digest: str) -> TrainingJob | None:
        """Return the job that an earlier request with this key created, or None.

        Raises:
            IdempotencyKeyReused: if the key was used with a different request.
        """
        with self._database.reading() as connection:
            return _earlier(connection, idempotency_key, digest)

    def require_idle(self, model: str) -> None:
        """Check that a model has no unfinished training.

        Raises:
            JobConflict.
        """
        with self._database.reading() as connection:
            _require_idle(connection, model)

    def get(self, job_id: str) -> TrainingJob:
        """Return one job.

        Raises:
            JobNotFound.
        """
        with self._database.reading() as connection:
            return _get(connection, job_id)

    def page(
        self, *, model: str | None = None, status: JobStatus | None = None, before: int | None = None, limit: int = 50
    ) -> tuple[list[TrainingJob], int | None]:
        """Return the newest jobs, newest first, and `before` for the next page, None on the last one.

        Args:
            model: only jobs of this model.
            status: only jobs with this status.
            before: only jobs with a lower number.
            limit: most jobs to return, at least 1.
        """
        query = SELECT_JOB.order_by(JOBS.c.number.desc()).limit(limit + 1)
        for column, value in ((JOBS.c.model, model), (JOBS.c.status, status)):
            query = query.where(column == value) if value is not None else query
        query = query.where(JOBS.c.number < before) if before is not None else query
        with self._database.reading() as connection:
            jobs = [job_of(row) for row in connection.execute(query)]
        return jobs[:limit], jobs[limit - 1].number if len(jobs) > limit else None

    def cancel(self, job_id: str, *, keep: bool = False) -> TrainingJob:
        """Cancel a job: end it if it is queued; if it runs, ask its owner to end it. Its search jobs get the same.

        With `keep`, a running one publishes what it has learnt by then.

        Raises:
            JobNotFound, JobEnded.
        """
        with self._database.writing() as connection:
            job = _get(connection, job_id)
            if job.ended:
                raise JobEnded(job_id)
            if job.status == JobStatus.QUEUED:
                detail = "cancelled before it began"
                end(connection, job, JobResult(reason="cancelled", detail=detail, model=job.model))
            else:
                asked = JOBS.c.finish_requested if keep else JOBS.c.cancel_requested
                it = sa.or_(JOBS.c.number == job.number, JOBS.c.search_of == job.id)
                running = JOBS.c.status == JobStatus.RUNNING
                connection.execute(JOBS.update().where(it, running).values({asked: True}))
            return _get(connection, job_id)

    def events(self, number: int, after: int, limit: int = 1000) -> tuple[list[tuple[int, str]], bool]:
        """Return the next events of a job as number, from 1, and JSON line, and whether the job has ended."""
        unfinished = sa.select(JOBS.c.number).where(JOBS.c.number == number, IS_UNFINISHED)
        query = sa.select(EVENTS.c.seq, EVENTS.c.line).where(EVENTS.c.job_number == number, EVENTS.c.seq > after)
        with self._database.reading() as connection:
            ended = (
                connection.execute(unfinished).one_or_none() is None
            )  # query this first: an ended job gets no more events
            lines = connection.execute(query.order_by(EVENTS.c.seq).limit(limit))
            return [(row.seq, row.line) for row in lines], ended

    def datasets_in_use(self) -> Contents:
        """Return name and content id of the data sets that unfinished jobs need."""
        asked = sa.select(JOBS.c.dataset, JOBS.c.data_sha256, JOBS.c.request)
        query = asked.where(IS_UNFINISHED, JOBS.c.dataset.is_not(None))
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        return frozenset((row.dataset, content_id(row.data_sha256, dialect_of(row.request))) for row in rows)


def _search_job_of(job_id: str) -> dict[str, Any]:
    return {"id": secrets.token_hex(8), "search_of": job_id, "idempotency_key": None, "retry_of": None}


def _document(
    request: TrainingRequest, left_out: Sequence[LeftOut], dialect: Dialect, request_id: str | None
) -> dict[str, Any]:
    return request.document() | {
        "left_out": [column.model_dump() for column in left_out],
        "request_id": request_id,
        "dialect": dialect.model_dump(exclude_none=True),
    }


def _earlier(connection: sa.Connection, idempotency_key: str | None, digest: str) -> TrainingJob | None:
    if idempotency_key is None:
        return None
    same = sa.select(JOBS.c.id, JOBS.c.request_digest).where(JOBS.c.idempotency_key == idempotency_key)
    earlier = connection.execute(same).one_or_none()
    if earlier is None:
        return None
    if earlier.request_digest != digest:
        raise IdempotencyKeyReused
    return _get(connection, earlier.id)


def _require_room(connection: sa.Connection, model: str, limit: int) -> None:
    """Check that a training of the model can be accepted now.

    Raises:
        JobConflict, QueueFull.
    """
    _require_idle(connection, model)
    waiting = sa.select(sa.func.count()).where(JOBS.c.status == JobStatus.QUEUED, IS_TRAINING)
    if connection.execute(waiting).scalar_one() >= limit:
        raise QueueFull(limit)


def _require_idle(connection: sa.Connection, model: str) -> None:
    other = sa.select(JOBS.c.id).where(JOBS.c.model == model, IS_UNFINISHED, IS_TRAINING)
    if unfinished := connection.execute(other).scalar():
        raise JobConflict(unfinished)


def _get(connection: sa.Connection, job_id: str) -> TrainingJob:
    row = connection.execute(SELECT_JOB.where(JOBS.c.id == job_id)).one_or_none()
    if row is None:
        raise JobNotFound
    return job_of(row)
