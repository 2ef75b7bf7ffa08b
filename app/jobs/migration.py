"""Create the tables of the jobs, or bring those of an older Tabserve up to date.

A change of `app.jobs.table` gets the next revision here, and a step that carries the stored rows over.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from app.errors import StoreUnavailable
from app.jobs.records import JobStatus
from app.jobs.table import EVENTS, JOBS, METADATA, ONE_UNFINISHED, now

REVISION = "0005"
_BEFORE_CLAIMS = (None, "0001")  # has no claims, data sets or events; its first databases have no table of revisions
# 0002 has neither feedback nor `finish_requested`, 0003 neither answers of shadows nor kept ids and inputs, 0004 no
# search jobs. Alembic kept the revision until 0002, hence the names.
_REVISIONS = sa.Table("alembic_version", sa.MetaData(), sa.Column("version_num", sa.String(32), primary_key=True))


def migrate(connection: sa.Connection) -> None:
    """Bring the tables to `REVISION`, in the transaction of the caller, who excludes other writers.

    Raises:
        StoreUnavailable: if a newer Tabserve made them.
    """
    _REVISIONS.create(connection, checkfirst=True)
    revision = connection.scalar(sa.select(_REVISIONS.c.version_num))
    if revision == REVISION:
        return
    if revision is not None and revision > REVISION:
        raise StoreUnavailable(
            f"a newer Tabserve made the job table: it has revision {revision}, this one knows {REVISION}"
        )
    is_first = revision in _BEFORE_CLAIMS and sa.inspect(connection).has_table(JOBS.name)
    if revision == "0002":
        _add_column(connection, JOBS.c.finish_requested)
    if revision in ("0002", "0003", "0004"):
        _add_column(connection, JOBS.c.search_of)
        ONE_UNFINISHED.drop(connection)  # it did not know search jobs
        ONE_UNFINISHED.create(connection)
    older = _take_jobs(connection) if is_first else []
    METADATA.create_all(connection)
    if is_first:
        _add_jobs(connection, older)
    connection.execute(_REVISIONS.delete())
    connection.execute(_REVISIONS.insert().values(version_num=REVISION))


def _add_column(connection: sa.Connection, column: sa.Column[Any]) -> None:
    definition = sa.schema.CreateColumn(column).compile(dialect=connection.dialect)
    connection.exec_driver_sql(f"ALTER TABLE jobs ADD COLUMN {definition}")


def _take_jobs(connection: sa.Connection) -> list[dict[str, Any]]:
    """Return the jobs of revision 0001 in the order of their numbers, and drop their table."""
    table = sa.Table(JOBS.name, sa.MetaData(), autoload_with=connection)
    jobs = [dict(row) for row in connection.execute(table.select().order_by(table.c.number)).mappings()]
    table.drop(connection)
    return jobs


def _add_jobs(connection: sa.Connection, older: Iterable[dict[str, Any]]) -> None:
    """Add jobs of revision 0001, each with its result as its only event; unfinished ones become interrupted."""
    for old in older:
        request = {name: old.pop(name) for name in ("overrides", "activate")}
        request |= dict.fromkeys(("target", "features", "timeout_s", "memory_bytes"))
        job = old | {"request": request, "request_digest": "", "log": [], "heartbeat": 0, "cancel_requested": False}
        job["owner"] = None
        if job["status"] in (JobStatus.QUEUED, JobStatus.RUNNING):
            job |= {"status": JobStatus.INTERRUPTED, "reason": "interrupted", "finished": now()}
            job["detail"] = "the service was replaced by a newer one before the job ended"
        last = {"event": "result", **{name: job[name] for name in ("reason", "detail", "model")}}
        connection.execute(JOBS.insert().values(job))
        line = json.dumps(job["result"] or last)
        connection.execute(EVENTS.insert().values(job_number=job["number"], seq=1, line=line))
    if connection.dialect.name == "postgresql":  # numbers that were given do not advance its sequence
        connection.exec_driver_sql(
            "SELECT setval(pg_get_serial_sequence('jobs', 'number'), coalesce(max(number), 0) + 1, false) FROM jobs"
        )
