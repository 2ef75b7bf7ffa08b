"""The job table: training jobs as rows that survive the process; it must not know processes, HTTP or recipes."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from app.errors import JobNotFound, StoreUnavailable
from app.processes import is_alive, this_process

BUSY_TIMEOUT_MS = 5000
DATABASE_FILE = "jobs.sqlite3"


class JobStatus(enum.StrEnum):
    """Where a job is; the last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


UNFINISHED = (JobStatus.QUEUED, JobStatus.RUNNING)

_metadata = sa.MetaData()
_jobs = sa.Table(
    "jobs",
    _metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(32), nullable=False, unique=True),
    sa.Column("model", sa.String(64), nullable=False, index=True),
    sa.Column("status", sa.String(16), nullable=False, index=True),
    sa.Column("activate", sa.String(16), nullable=False),
    sa.Column("overrides", sa.JSON, nullable=False),
    sa.Column("reason", sa.String(32)),
    sa.Column("detail", sa.Text),
    sa.Column("owner", sa.String(100), nullable=False),
    sa.Column("progress", sa.JSON),
    sa.Column("result", sa.JSON),
    sa.Column("created", sa.DateTime(timezone=True), nullable=False),
    sa.Column("started", sa.DateTime(timezone=True)),
    sa.Column("finished", sa.DateTime(timezone=True)),
)


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """One row of the table.

    Attributes:
        activate: what to do with the new version: `if_better`, `always` or `never`.
        overrides: recipe fields that differ, as JSON values.
        reason: machine-readable end, such as `succeeded` or `bad_data`; None until then.
        progress: the latest epoch, an `EpochMetrics` as JSON values.
        result: the child's own last word, a `JobResult` as JSON values.
    """

    id: str
    model: str
    status: JobStatus
    activate: str
    overrides: dict[str, Any]
    reason: str | None
    detail: str | None
    progress: dict[str, Any] | None
    result: dict[str, Any] | None
    created: datetime
    started: datetime | None
    finished: datetime | None


class JobStore:
    """Jobs in SQLite, in WAL mode with full synchronisation; every method blocks, so call it from a thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._engine = sa.create_engine(f"sqlite:///{folder / DATABASE_FILE}")
        sa.event.listen(self._engine, "connect", _configure)

    def open(self) -> None:
        """Make folder and table if absent.

        Raises:
            StoreUnavailable: if the folder or the database cannot be used.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreUnavailable(f"the state folder cannot be made: {error.strerror}") from error
        with self._transaction() as connection:
            _metadata.create_all(connection)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def add(self, job_id: str, model: str, activate: str, overrides: dict[str, Any]) -> TrainingJob:
        """Add a queued job, owned by this process, and return it."""
        values = {"id": job_id, "model": model, "activate": activate, "overrides": overrides, "owner": this_process()}
        with self._transaction() as connection:
            connection.execute(_jobs.insert().values(**values, status=JobStatus.QUEUED, created=_now()))
        return self.get(job_id)

    def start(self, job_id: str) -> None:
        """Mark a job as running."""
        self._update(job_id, status=JobStatus.RUNNING, started=_now())

    def report(self, job_id: str, progress: dict[str, Any]) -> None:
        """Keep the latest epoch of a running job."""
        self._update(job_id, progress=progress)

    def finish(
        self, job_id: str, status: JobStatus, reason: str, detail: str, result: dict[str, Any] | None = None
    ) -> None:
        """End a job that has not ended yet; a job ends once."""
        self._update(job_id, status=status, reason=reason, detail=detail, result=result, finished=_now())

    def interrupt_orphans(self) -> int:
        """End unfinished jobs whose process is provably gone, and return how many."""
        with self._transaction() as connection:
            unfinished = sa.select(_jobs.c.id, _jobs.c.owner).where(_jobs.c.status.in_(UNFINISHED))
            orphans = [job_id for job_id, owner in connection.execute(unfinished).all() if not is_alive(owner)]
        for job_id in orphans:
            self.finish(job_id, JobStatus.INTERRUPTED, "interrupted", "the service stopped before the job ended")
        return len(orphans)

    def get(self, job_id: str) -> TrainingJob:
        """Return one job.

        Raises:
            JobNotFound.
        """
        with self._transaction() as connection:
            row = connection.execute(_jobs.select().where(_jobs.c.id == job_id)).one_or_none()
        if row is None:
            raise JobNotFound
        return _job(row)

    def latest(self, limit: int) -> list[TrainingJob]:
        """Return the newest jobs, newest first."""
        with self._transaction() as connection:
            rows = connection.execute(_jobs.select().order_by(_jobs.c.number.desc()).limit(limit)).all()
        return [_job(row) for row in rows]

    def _update(self, job_id: str, **values: Any) -> None:
        change = _jobs.update().where(_jobs.c.id == job_id, _jobs.c.status.in_(UNFINISHED))
        with self._transaction() as connection:
            connection.execute(change.values(**values))

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except DBAPIError as error:
            raise StoreUnavailable("the job table cannot be used now; predictions are not affected") from error


def _job(row: sa.Row[Any]) -> TrainingJob:
    values = dict(row._mapping)
    del values["number"], values["owner"]
    for moment in ("created", "started", "finished"):
        if values[moment] is not None:
            values[moment] = values[moment].replace(tzinfo=UTC)  # SQLite keeps no zone; all are written in UTC
    return TrainingJob(**{**values, "status": JobStatus(values["status"])})


def _now() -> datetime:
    return datetime.now(UTC)


def _configure(connection: Any, _record: object) -> None:
    for setting in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={BUSY_TIMEOUT_MS}"):
        connection.execute(f"PRAGMA {setting}")
