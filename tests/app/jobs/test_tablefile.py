"""The SQLite file of the job table: made, checked, and put aside if it is corrupt."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.errors import StoreUnavailable
from app.jobs.database import Database
from app.jobs.store import JobStore
from app.jobs.tablefile import DATABASE_FILE
from tests.app.databases import opened


def test_folder_that_cannot_be_made_is_said_without_its_path(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(StoreUnavailable, match="the job table cannot be made or read: Not a directory"):
        Database(None, tmp_path / "file" / "state").open()


def test_the_file_and_its_companions_are_of_their_owner_alone(tmp_path: Path) -> None:
    database = opened(None, tmp_path)

    assert {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == dict.fromkeys(
        (DATABASE_FILE, f"{DATABASE_FILE}-wal", f"{DATABASE_FILE}-shm"), 0o600
    )
    database.close()


def corrupted(folder: Path) -> bytes:
    """Make a table, damage a page of it, and return the file's bytes."""
    opened(None, folder).close()
    file = folder / DATABASE_FILE
    whole = file.read_bytes()
    file.write_bytes(damaged := whole[:4096] + bytes(64) + whole[4160:])
    return damaged


@pytest.mark.parametrize("kind", ["no database", "a damaged page"])
def test_corrupt_file_is_kept_aside_and_no_other_made_until_somebody_took_it_away(kind: str, tmp_path: Path) -> None:
    file, aside = tmp_path / DATABASE_FILE, tmp_path / f"{DATABASE_FILE}.corrupt-1"
    if kind == "no database":
        file.write_bytes(damaged := b"these are no pages" * 1000)
    else:
        damaged = corrupted(tmp_path)
    database = Database(None, tmp_path)

    with pytest.raises(StoreUnavailable, match=r"corrupt and kept aside as jobs\.sqlite3\.corrupt-1"):
        database.open()
    with pytest.raises(StoreUnavailable, match=r"lies aside as jobs\.sqlite3\.corrupt-1; put a good one in its place"):
        database.open()
    with pytest.raises(StoreUnavailable), database.writing():
        pass

    assert aside.read_bytes() == damaged
    assert not file.exists()
    aside.rename(tmp_path / "elsewhere")
    database.open()
    assert JobStore(database).page() == ([], None)
    database.close()


def test_second_corrupt_file_does_not_take_the_place_of_the_first(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / DATABASE_FILE).write_bytes(b"no pages")
        with pytest.raises(StoreUnavailable, match=rf"corrupt-{number}:"):
            Database(None, tmp_path).open()

    assert sorted(path.name[-1] for path in tmp_path.iterdir()) == ["1", "2"]


def test_good_file_put_in_the_place_of_a_corrupt_one_is_used(tmp_path: Path) -> None:
    (tmp_path / f"{DATABASE_FILE}.corrupt-1").write_bytes(b"no pages")
    (tmp_path / "copy").mkdir()
    opened(None, tmp_path / "copy").close()
    (tmp_path / "copy" / DATABASE_FILE).rename(tmp_path / DATABASE_FILE)

    opened(None, tmp_path).close()
