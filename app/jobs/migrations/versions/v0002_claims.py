"""Add claims with heartbeats for several processes, data sets and job events."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Migrate the jobs; those that the previous version of the service left unfinished become interrupted.

    A new table is created and filled from the old one, which works in both databases.
    """
    jobs = _make_jobs()
    events = op.create_table(
        "job_events",
        sa.Column("job_number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("line", sa.Text, nullable=False),
    )
    connection = op.get_bind()
    for row in connection.execute(sa.text("SELECT * FROM jobs ORDER BY number")).mappings().all():
        job = _carried_over(dict(row))
        connection.execute(jobs.insert().values(**job))
        last = {"event": "result", "reason": job["reason"], "detail": job["detail"], "model": job["model"]}
        line = json.dumps(job["result"] or last)
        connection.execute(events.insert().values(job_number=job["number"], seq=1, line=line))
    op.drop_table("jobs")
    op.rename_table("jobs_0002", "jobs")
    if connection.dialect.name == "postgresql":
        op.execute(
            "SELECT setval(pg_get_serial_sequence('jobs', 'number'), coalesce(max(number), 0) + 1, false) FROM jobs"
        )
    op.create_index("jobs_model", "jobs", ["model"])
    op.create_index("jobs_status", "jobs", ["status"])
    unfinished = sa.text("status IN ('queued', 'running')")
    op.create_index(
        "jobs_one_unfinished",
        "jobs",
        ["model"],
        unique=True,
        sqlite_where=unfinished,
        postgresql_where=unfinished,
    )


def _make_jobs() -> sa.Table:
    return op.create_table(
        "jobs_0002",
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
        sa.Column("progress", sa.JSON),
        sa.Column("result", sa.JSON),
        sa.Column("log", sa.JSON, nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started", sa.DateTime(timezone=True)),
        sa.Column("finished", sa.DateTime(timezone=True)),
        sqlite_autoincrement=True,
    )


def _carried_over(old: dict[str, object]) -> dict[str, object]:
    """Convert a row of the old table."""
    values = {name: _json(old[name]) for name in ("overrides", "progress", "result")}
    moments = {name: _moment(old[name]) for name in ("created", "started", "finished")}
    request = {"target": None, "features": None, "overrides": values.pop("overrides"), "activate": old["activate"]}
    same = {name: old[name] for name in ("number", "id", "model", "status", "reason", "detail")}
    job = same | values | moments
    job |= {"request": request | {"timeout_s": None, "memory_bytes": None}, "request_digest": "", "log": []}
    job |= {"heartbeat": 0, "cancel_requested": False}
    if job["status"] in ("queued", "running"):
        job |= {"status": "interrupted", "reason": "interrupted", "finished": datetime.now(UTC)}
        job["detail"] = "the service was replaced by a newer one before the job ended"
    return job


def _json(value: object) -> object:
    """Return the value of a JSON column, which is text if the driver does not decode JSON."""
    return json.loads(value) if isinstance(value, str) else value


def _moment(value: object) -> object:
    return datetime.fromisoformat(value).replace(tzinfo=UTC) if isinstance(value, str) else value
