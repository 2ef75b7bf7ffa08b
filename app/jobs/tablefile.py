"""The SQLite file of the job table: created once, checked, and put aside if it is corrupt.

A missing file is created, but not while a corrupt one was put aside: then an operator must decide whether to repair it,
to restore a backup, or to continue without it. This module must not know the contents of the table.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from urllib.parse import quote

from app.errors import StoreUnavailable

DATABASE_FILE = "jobs.sqlite3"
_CORRUPT = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_PRIMARY = 0xFF  # mask of the primary part of an extended error code
_COMPANIONS = ("", "-wal", "-shm")


class TableFile:
    """A SQLite file that is checked before it is used."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def connect(self) -> sqlite3.Connection:
        """Connect to the file, which must exist.

        Raises:
            sqlite3.Error.
        """
        return sqlite3.connect(f"file:{quote(str(self._path))}?mode=rw", uri=True, check_same_thread=False)

    def prepare(self) -> None:
        """Create the file if it is missing, and check it, which takes about 1 ms per megabyte.

        Raises:
            StoreUnavailable: if the file cannot be created or read, or is corrupt and was put aside.
        """
        try:
            found = self._check()
        except OSError as error:
            raise StoreUnavailable(f"the job table cannot be made or read: {error.strerror}") from error
        except sqlite3.Error as error:
            if error.sqlite_errorcode & _PRIMARY not in _CORRUPT:
                raise StoreUnavailable(f"the job table cannot be used: {error}") from error
            found = str(error)
        if found != "ok":
            raise StoreUnavailable(f"the job table is corrupt and kept aside as {self._put_aside().name}: {found}")

    def _check(self) -> str:
        """Create the file if it is missing; return "ok", or the first fault of its pages."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if not self._path.exists() and (aside := self._aside()):
            raise StoreUnavailable(
                f"the job table was corrupt and lies aside as {aside[-1].name}; put a good one in its place, "
                "or move that away to begin with an empty one"
            )
        self._path.touch(mode=0o600)  # it may hold inputs of requests; SQLite gives its companions the same mode
        with contextlib.closing(self.connect()) as connection:
            return str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])

    def _aside(self) -> list[Path]:
        found = self._path.parent.glob(f"{self._path.name}.corrupt-*")
        return sorted(filter(_number, found), key=_number)

    def _put_aside(self) -> Path:
        """Rename the file and its companions; if several processes try, each file is renamed once."""
        number = 1 + max(map(_number, self._aside()), default=0)
        aside = self._path.with_name(f"{self._path.name}.corrupt-{number}")
        for companion in _COMPANIONS:
            with contextlib.suppress(FileNotFoundError):
                Path(f"{self._path}{companion}").rename(f"{aside}{companion}")
        return aside


def _number(aside: Path) -> int:
    """Return the number in the name of a file that was put aside; 0 for its companions."""
    number = aside.name.rpartition(".corrupt-")[2]
    return int(number) if number.isdigit() else 0
