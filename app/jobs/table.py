"""Tables of training jobs, feedback and what is kept of rows, as of the newest revision."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from app.jobs.records import UNFINISHED, JobStatus, TrainingJob, TrainingRequest
from modelstore import Dialect, JobResult, LeftOut, to_line

_STATUS_AT_END = {
    "succeeded": JobStatus.SUCCEEDED,
    "cancelled": JobStatus.CANCELLED,
    "interrupted": JobStatus.INTERRUPTED,
}
METADATA = sa.MetaData()
_ONE = sa.text("status IN ('queued', 'running') AND search_of IS NULL")

JOBS = sa.Table(
    "jobs",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(32), nullable=False, unique=True),
    sa.Column("model", sa.String(64), nullable=False),
    sa.Column("dataset", sa.String(64)),
    sa.Column("data_sha256", sa.String(64)),
    sa.Column("request", sa.JSON, nullable=False),
    sa.Column("request_digest", sa.String(64), nullable=False),
    sa.Column("idempotency_key", sa.String(255), unique=True),
    sa.Column("retry_of", sa.String(32)),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("reason", sa.String(32)),
    sa.Column("detail", sa.Text),
    sa.Column("owner", sa.String(200)),
    sa.Column("token", sa.String(32)),
    sa.Column("heartbeat", sa.Integer, nullable=False),
    sa.Column("cancel_requested", sa.Boolean, nullable=False),
    sa.Column("version_before", sa.Integer),
    sa.Column("progress", sa.JSON(none_as_null=True)),
    sa.Column("result", sa.JSON(none_as_null=True)),
    sa.Column("log", sa.JSON, nullable=False),
    sa.Column("created", sa.DateTime(timezone=True), nullable=False),
    sa.Column("started", sa.DateTime(timezone=True)),
    sa.Column("finished", sa.DateTime(timezone=True)),
    sa.Column("finish_requested", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("search_of", sa.String(32)),
    sa.Index("jobs_model", "model"),
    sa.Index("jobs_status", "status"),
    sqlite_autoincrement=True,
)
ONE_UNFINISHED = sa.Index("jobs_one_unfinished", JOBS.c.model, unique=True, sqlite_where=_ONE, postgresql_where=_ONE)

# Every event of a job, as one JSON line each; the last event of an ended job is its result.
EVENTS = sa.Table(
    "job_events",
    METADATA,
    sa.Column("job_number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("line", sa.Text, nullable=False),
)

# A label for each receipt that got one, as `app.jobs.records.LabelledRow`; no value of a row is kept.
FEEDBACK = sa.Table(
    "feedback",
    METADATA,
    sa.Column("mac", sa.LargeBinary(12), primary_key=True),
    sa.Column("model", sa.String(64), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("time_s", sa.BigInteger, nullable=False),
    sa.Column("answer", sa.Double, nullable=False),
    sa.Column("confidence", sa.Double),
    sa.Column("label", sa.Double, nullable=False),
    sa.Index("feedback_version", "model", "version", "time_s"),
    sa.Index("feedback_time", "time_s"),
)

# What the shadow of the active version answered for a row with a receipt, as `app.receipts.ShadowAnswer`.
SHADOW_ANSWERS = sa.Table(
    "shadow_answers",
    METADATA,
    sa.Column("mac", sa.LargeBinary(12), primary_key=True),
    sa.Column("shadow", sa.Integer, nullable=False),
    sa.Column("time_s", sa.BigInteger, nullable=False),
    sa.Column("answer", sa.Double, nullable=False),
    sa.Index("shadow_answers_time", "time_s"),
)

# The newest receipt under each id that a caller gave to a row, as `app.jobs.kept_rows.KeptId`.
KEPT_IDS = sa.Table(
    "kept_ids",
    METADATA,
    sa.Column("model", sa.String(64), primary_key=True),
    sa.Column("id", sa.String(128), primary_key=True),
    sa.Column("receipt", sa.String(52), nullable=False),
    sa.Column("expires_s", sa.BigInteger, nullable=False),
    sa.Index("kept_ids_id", "id"),
    sa.Index("kept_ids_expiry", "expires_s"),
)

# The inputs of predicted rows, as `app.jobs.kept_rows.KeptInput`: the only table that holds values of rows.
KEPT_INPUTS = sa.Table(
    "kept_inputs",
    METADATA,
    sa.Column("mac", sa.LargeBinary(12), primary_key=True),
    sa.Column("model", sa.String(64), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("time_s", sa.BigInteger, nullable=False),
    sa.Column("expires_s", sa.BigInteger, nullable=False),
    sa.Column("row", sa.Text, nullable=False),
    sa.Index("kept_inputs_model", "model", "time_s"),
    sa.Index("kept_inputs_expiry", "expires_s"),
)
_AT_ONCE = 500  # parameters of a query; SQLite takes 32,766

_OTHERS = JOBS.alias()
# 1 for the oldest queued training; NULL unless queued, and of search jobs, which no training waits for
POSITION = sa.case(
    (
        sa.and_(JOBS.c.status == JobStatus.QUEUED, JOBS.c.search_of.is_(None)),
        sa.select(sa.func.count())
        .where(_OTHERS.c.status == JobStatus.QUEUED, _OTHERS.c.search_of.is_(None), _OTHERS.c.number <= JOBS.c.number)
        .scalar_subquery(),
    )
).label("queue_position")

IS_UNFINISHED = JOBS.c.status.in_(UNFINISHED)
IS_TRAINING = JOBS.c.search_of.is_(None)
_HIDDEN = ("request_digest", "idempotency_key", "owner", "token", "heartbeat")
_SHOWN = [column for column in JOBS.c if column.name not in _HIDDEN]
SELECT_JOB: sa.Select[Any] = sa.select(*_SHOWN, POSITION)


def job_of(row: sa.Row[Any]) -> TrainingJob:
    """Convert a row of `SELECT_JOB` to a job."""
    values = dict(row._mapping)
    document = values.pop("request")
    document.pop("columns", None)  # older releases stored which columns they would learn from
    values["left_out"] = tuple(LeftOut.model_validate(one, strict=False) for one in document.pop("left_out", ()))
    values["dialect"] = dialect_of(document)
    values["request_id"] = document.pop("request_id", None)
    asked = {name: values.pop(name) for name in ("model", "dataset")} | document.pop("options", {}) | document
    values["request"] = TrainingRequest.model_validate_json(json.dumps(asked))
    for moment in ("created", "started", "finished"):
        values[moment] = _utc(values[moment])
    values |= {"status": JobStatus(values["status"]), "log": tuple(values["log"])}
    return TrainingJob(**values)


def dialect_of(request: dict[str, Any]) -> Dialect:
    """Take how the data set of a job is written from the JSON document of its request."""
    return Dialect.model_validate(request.pop("dialect", {}))


def are_among(column: sa.Column[Any], values: Sequence[Any]) -> Iterator[sa.ColumnElement[bool]]:
    """Yield conditions that together hold where a column has one of the values, each small enough for a query."""
    for start in range(0, len(values), _AT_ONCE):
        yield column.in_(values[start : start + _AT_ONCE])


def now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


def _utc(moment: datetime | None) -> datetime | None:
    """Convert a time to UTC; SQLite stores no time zone, and all times are written in UTC."""
    if moment is None:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def end(connection: sa.Connection, job: TrainingJob, result: JobResult) -> None:
    """Write the end of a job and its last event; the caller has checked that the job may be ended.

    Search jobs of a training end with it: those that wait at once, those that run are asked to.
    """
    document = result.model_dump(mode="json", exclude_none=True)
    values = {"status": _STATUS_AT_END.get(result.reason, JobStatus.FAILED), "finished": now(), "token": None}
    values |= {"reason": result.reason, "detail": result.detail, "result": document}
    connection.execute(JOBS.update().where(JOBS.c.number == job.number).values(**values))
    append(connection, job.number, [to_line(result)])
    if job.request.workers > 1 and job.search_of is None:
        _end_search_jobs(connection, job, succeeded=result.reason == "succeeded")


def _end_search_jobs(connection: sa.Connection, training: TrainingJob, *, succeeded: bool) -> None:
    """End the search jobs of a training; one that runs ends by itself if the training has succeeded."""
    mine = JOBS.c.search_of == training.id
    asked = JOBS.c.finish_requested if succeeded else JOBS.c.cancel_requested
    connection.execute(JOBS.update().where(mine, JOBS.c.status == JobStatus.RUNNING).values({asked: True}))
    detail = f"training {training.id} ended before this began"
    result = JobResult(reason="succeeded" if succeeded else "cancelled", detail=detail, model=training.model)
    for row in connection.execute(SELECT_JOB.where(mine, JOBS.c.status == JobStatus.QUEUED)).all():
        end(connection, job_of(row), result)


def append(connection: sa.Connection, number: int, lines: Sequence[str]) -> None:
    """Append events to a job, continuing their numbers."""
    last = connection.execute(sa.select(sa.func.max(EVENTS.c.seq)).where(EVENTS.c.job_number == number)).scalar() or 0
    rows = [{"job_number": number, "seq": seq, "line": line} for seq, line in enumerate(lines, last + 1)]
    if rows:
        connection.execute(EVENTS.insert(), rows)
