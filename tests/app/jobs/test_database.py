"""The database under the job table: its schema is brought up to date, and errors are said without secrets."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from app.errors import ConfigurationError, StoreUnavailable
from app.jobs.database import DATABASE_FILE, HEAD, Database
from app.jobs.records import JobStatus
from app.jobs.store import JobStore
from app.jobs.table import METADATA
from modelstore import from_line
from tests.app.databases import add, opened
from tests.processes import PROJECT

# as SQLAlchemy made it before migrations were kept, commit 25d2724
BEFORE_ALEMBIC = sa.Table(
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


def write_old_table(database_url: str) -> None:
    engine = sa.create_engine(database_url)
    result = {"event": "result", "reason": "succeeded", "detail": "fine", "model": "iris", "version": 4}
    with engine.begin() as connection:
        BEFORE_ALEMBIC.create(connection)
        connection.execute(
            BEFORE_ALEMBIC.insert(),
            [
                old_row("done", status="succeeded", reason="succeeded", detail="fine", result=result, finished=MOMENT),
                old_row("bad", status="failed", reason="failed", detail="why", finished=MOMENT),
                old_row("running", status="running", started=MOMENT),
                old_row("queued", status="queued"),
            ],
        )
    engine.dispose()


def test_table_from_before_the_migrations_is_adopted(url: str | None, tmp_path: Path) -> None:
    write_old_table(url or f"sqlite:///{tmp_path / DATABASE_FILE}")

    database = opened(url, tmp_path)

    store = JobStore(database)
    jobs = {job.id: job for job in store.page()[0]}
    assert [job.status for job in jobs.values()] == ["interrupted", "interrupted", "failed", "succeeded"]
    assert (jobs["done"].overrides, jobs["done"].activate, jobs["done"].created) == ({"epochs": 3}, "always", MOMENT)
    assert (jobs["done"].finished, jobs["done"].result and jobs["done"].result["version"]) == (MOMENT, 4)
    for job in jobs.values():
        ((_, line),), _ = store.events(job.number, 0)
        assert getattr(from_line(line), "reason", None) == job.reason
    new = add(store)
    assert new.number == 5
    assert new.status == JobStatus.QUEUED
    database.close()


def test_migrations_end_in_the_tables_that_the_code_uses(database: Database) -> None:
    with database.reading() as connection:
        context = MigrationContext.configure(connection)

        assert context.get_current_revision() == HEAD
        assert compare_metadata(context, METADATA) == []


OPENS = """
import sys; from pathlib import Path; from app.jobs.database import Database
sys.stdin.read(1); Database(sys.argv[1] or None, Path(sys.argv[2])).open()
"""


@pytest.mark.slow
def test_processes_that_open_a_new_database_at_once_do_not_disturb_each_other(url: str | None, tmp_path: Path) -> None:
    command = [sys.executable, "-c", OPENS, url or "", str(tmp_path / "state")]
    openers = [subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.PIPE) for _ in range(4)]
    for opener in openers:
        assert opener.stdin
        opener.stdin.write(b"x")
        opener.stdin.close()

    assert [opener.wait(60) for opener in openers] == [0, 0, 0, 0]


def test_table_of_a_newer_program_is_left_alone(url: str | None, tmp_path: Path) -> None:
    database = opened(url, tmp_path)
    with database.writing() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()
    newer = Database(url, tmp_path)

    with pytest.raises(StoreUnavailable, match=f"revision 9999, this one knows {HEAD}"):
        newer.open()
    with pytest.raises(StoreUnavailable), newer.reading():
        pass
    newer.close()


@pytest.mark.parametrize(
    "wrong",
    [
        "mysql://root:s3cret@db/jobs",
        "s3cret",
        "postgresql+psycopg://u:s3cret@db:port/jobs",
        "postgresql+x://u:s3cret@d/j",
    ],
)
def test_wrong_url_is_refused_without_repeating_it(wrong: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"TABSERVE_DATABASE_URL: expected postgresql\+psycopg") as error:
        Database(wrong, tmp_path)

    assert "s3cret" not in f"{error.value!r} {error.value.__cause__!r}"


def test_driver_that_is_not_installed_is_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"pip install 'tabserve\[postgres\]'"):
        Database("postgresql+pg8000://u@db/jobs", tmp_path)


def test_server_that_is_not_there_makes_the_store_unavailable_without_its_password(tmp_path: Path) -> None:
    database = Database(f"postgresql+psycopg://u:s3cret@/jobs?host={tmp_path}", tmp_path)

    with pytest.raises(StoreUnavailable) as error:
        database.open()
    assert "s3cret" not in f"{error.value} {error.value.__cause__}"
    database.close()
