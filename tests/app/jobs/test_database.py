"""The database of the job table: processes that open it at once, errors without secrets."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from app.errors import ConfigurationError, StoreUnavailable
from app.jobs.database import Database
from app.jobs.tablefile import DATABASE_FILE
from tests.app.databases import opened
from tests.processes import PROJECT

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

    assert [opener.wait(120) for opener in openers] == [0, 0, 0, 0]


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


def test_file_that_is_gone_makes_the_store_unavailable_when_what_was_removed_is_overwritten(tmp_path: Path) -> None:
    database = opened(None, tmp_path)
    database.close()
    (tmp_path / DATABASE_FILE).unlink()

    with pytest.raises(StoreUnavailable):
        database.overwrite_removed()
