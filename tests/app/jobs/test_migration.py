"""The tables of the jobs are created, kept, or brought up to date with their jobs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app.errors import StoreUnavailable
from app.jobs.database import Database
from app.jobs.migration import REVISION
from app.jobs.records import JobStatus, TrainingRequest
from app.jobs.store import JobStore
from app.jobs.table import FEEDBACK, KEPT_IDS, KEPT_INPUTS, METADATA, ONE_UNFINISHED, SHADOW_ANSWERS
from app.jobs.tablefile import DATABASE_FILE
from modelstore import Overrides, from_line
from tests.app.databases import add, add_search, opened

# revision 0001, as SQLAlchemy made it in commit 25d2724
FIRST = sa.Table(
    "jobs",
    sa.MetaData(),
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
MOMENT = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)


def old_row(job_id: str, **values: Any) -> dict[str, Any]:
    row = {"id": job_id, "model": "iris", "activate": "always", "overrides": {"epochs": 3}, "owner": "boot:7:9"}
    nothing = dict.fromkeys(("reason", "detail", "progress", "result", "started", "finished"))
    return {**row, **nothing, "created": MOMENT, **values}


REVISIONS = (
    "CREATE TABLE alembic_version "
    "(version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
)
NOTE = sa.text("INSERT INTO alembic_version VALUES (:revision)")


def write_old_table(database_url: str, revision: str | None) -> None:
    engine = sa.create_engine(database_url)
    result = {"event": "result", "reason": "succeeded", "detail": "fine", "model": "iris", "version": 4}
    with engine.begin() as connection:
        FIRST.create(connection)
        connection.execute(
            FIRST.insert(),
            [
                old_row("done", status="succeeded", reason="succeeded", detail="fine", result=result, finished=MOMENT),
                old_row("bad", status="failed", reason="failed", detail="why", finished=MOMENT),
                old_row("running", status="running", started=MOMENT),
                old_row("queued", status="queued"),
            ],
        )
        if revision:
            connection.exec_driver_sql(REVISIONS)
            connection.execute(NOTE, {"revision": revision})
    engine.dispose()


def forget_search_jobs(connection: sa.Connection) -> None:
    """Make the table of jobs that of revision 0004."""
    ONE_UNFINISHED.drop(connection)
    connection.exec_driver_sql("ALTER TABLE jobs DROP COLUMN search_of")
    index = "CREATE UNIQUE INDEX jobs_one_unfinished ON jobs (model) WHERE status IN ('queued', 'running')"
    connection.exec_driver_sql(index)


def shape(connection: sa.Connection) -> dict[str, object]:
    """Return what the database says of its tables: columns with their types, keys, indexes."""
    inspector = sa.inspect(connection)
    return {
        name: (
            [(one["name"], str(one["type"]), one["nullable"]) for one in inspector.get_columns(name)],
            inspector.get_pk_constraint(name)["constrained_columns"],
            sorted(
                (str(one["name"]), *one["column_names"], bool(one["unique"])) for one in inspector.get_indexes(name)
            ),
            sorted(one["column_names"] for one in inspector.get_unique_constraints(name)),
        )
        for name in inspector.get_table_names()
    }


@pytest.mark.parametrize("revision", [None, "0001"])
def test_jobs_of_the_first_revision_are_carried_over(url: str | None, tmp_path: Path, revision: str | None) -> None:
    write_old_table(url or f"sqlite:///{tmp_path / DATABASE_FILE}", revision)

    database = opened(url, tmp_path)

    store = JobStore(database)
    jobs = {job.id: job for job in store.page()[0]}
    assert [job.status for job in jobs.values()] == ["interrupted", "interrupted", "failed", "succeeded"]
    request = TrainingRequest(model=jobs["done"].model, overrides=Overrides(epochs=3), activate="always")
    assert (jobs["done"].request, jobs["done"].created) == (request, MOMENT)
    assert (jobs["done"].finished, jobs["done"].result and jobs["done"].result["version"]) == (MOMENT, 4)
    for job in jobs.values():
        ((_, line),), _ = store.events(job.number, 0)
        assert getattr(from_line(line), "reason", None) == job.reason
    new = add(store)
    assert new.number == 5
    assert new.status == JobStatus.QUEUED
    database.close()


def test_tables_that_were_carried_over_are_those_of_a_new_database(url: str | None, tmp_path: Path) -> None:
    fresh = opened(url, tmp_path / "fresh")
    with fresh.reading() as connection:
        expected = shape(connection)
    assert set(expected) == {"alembic_version", *METADATA.tables}
    if url is not None:
        with fresh.writing() as connection:
            METADATA.drop_all(connection)
            connection.exec_driver_sql("DROP TABLE alembic_version")
    fresh.close()
    write_old_table(url or f"sqlite:///{tmp_path / DATABASE_FILE}", "0001")

    database = opened(url, tmp_path)

    with database.reading() as connection:
        assert shape(connection) == expected
        assert connection.scalar(sa.text("SELECT version_num FROM alembic_version")) == REVISION
    database.close()


def test_jobs_of_the_second_revision_stay_and_get_what_came_later(url: str | None, tmp_path: Path) -> None:
    first = opened(url, tmp_path)
    job = add(JobStore(first))
    with first.reading() as connection:
        expected = shape(connection)
    with first.writing() as connection:  # what 0002 had, which alembic made with the same text
        FEEDBACK.drop(connection)
        SHADOW_ANSWERS.drop(connection)
        forget_search_jobs(connection)
        connection.exec_driver_sql("ALTER TABLE jobs DROP COLUMN finish_requested")
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0002'")
    first.close()

    again = opened(url, tmp_path)

    with again.reading() as connection:
        assert shape(connection) == expected
        assert connection.scalar(sa.text("SELECT version_num FROM alembic_version")) == REVISION
    assert [(kept.id, kept.finish_requested) for kept in JobStore(again).page()[0]] == [(job.id, False)]
    again.close()


def test_tables_of_the_third_revision_get_those_of_ids_and_inputs(url: str | None, tmp_path: Path) -> None:
    first = opened(url, tmp_path)
    job = add(JobStore(first))
    with first.reading() as connection:
        expected = shape(connection)
    with first.writing() as connection:
        for table in (KEPT_IDS, KEPT_INPUTS):
            table.drop(connection)
        forget_search_jobs(connection)
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0003'")
    first.close()

    again = opened(url, tmp_path)

    with again.reading() as connection:
        assert shape(connection) == expected
    assert [kept.id for kept in JobStore(again).page()[0]] == [job.id]
    again.close()


def test_table_of_the_fourth_revision_takes_search_jobs(url: str | None, tmp_path: Path) -> None:
    first = opened(url, tmp_path)
    job = add(JobStore(first), "blobs")
    with first.reading() as connection:
        expected = shape(connection)
    with first.writing() as connection:
        forget_search_jobs(connection)
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0004'")
    first.close()

    again = opened(url, tmp_path)

    with again.reading() as connection:
        assert shape(connection) == expected
    training, jobs = add_search(JobStore(again), 3)
    assert [kept.id for kept in JobStore(again).page()[0]] == [*(one.id for one in jobs[::-1]), training.id, job.id]
    again.close()


def test_table_of_a_newer_program_is_left_alone(url: str | None, tmp_path: Path) -> None:
    database = opened(url, tmp_path)
    with database.writing() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()
    newer = Database(url, tmp_path)

    with pytest.raises(StoreUnavailable, match=f"revision 9999, this one knows {REVISION}"):
        newer.open()
    with pytest.raises(StoreUnavailable), newer.reading():
        pass
    newer.close()
