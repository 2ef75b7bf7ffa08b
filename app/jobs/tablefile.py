"""The file of a SQLite job table: made once, checked, and kept aside if it is corrupt; it must not know what is in it.

A table that is missing is made, but not while a corrupt one lies beside its place: then somebody has to decide whether
to repair it, to restore a copy, or to go on without it.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from urllib.parse import quote

from app.errors import StoreUnavailable

DATABASE_FILE = "jobs.sqlite3"
_CORRUPT = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_PRIMARY = 0xFF  # of an error code: without its details
_COMPANIONS = ("", "-wal", "-shm")


class TableFile:
    """See the module."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def connect(self) -> sqlite3.Connection:
        """Return a connection to the file, which is not made if it is missing.

        Raises:
            sqlite3.Error.
        """
        return sqlite3.connect(f"file:{quote(str(self._path))}?mode=rw", uri=True, check_same_thread=False)

    def prepare(self) -> None:
        """Make the file if it is missing, and check it; it takes a millisecond for each megabyte.

        Raises:
            StoreUnavailable: if it cannot be made, read, or is corrupt, which is then kept aside.
        """
        try:
            found = self._checked()
        except OSError as error:
            raise StoreUnavailable(f"the job table cannot be made or read: {error.strerror}") from error
        except sqlite3.Error as error:
            if error.sqlite_errorcode & _PRIMARY not in _CORRUPT:
                raise StoreUnavailable(f"the job table cannot be used: {error}") from error
            found = str(error)
        if found != "ok":
            raise StoreUnavailable(f"the job table is corrupt and kept aside as {self._put_aside().name}: {found}")

    def _checked(self) -> str:
        """Return "ok", or what is wrong with the pages; makes a file that is missing."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if not self._path.exists() and (aside := self._aside()):
            raise StoreUnavailable(
                f"the job table was corrupt and lies aside as {aside[-1].name}; put a good one in its place, "
                "or move that away to begin with an empty one"
            )
        self._path.touch()
        with contextlib.closing(self.connect()) as connection:
            return str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])

    def _aside(self) -> list[Path]:
        found = self._path.parent.glob(f"{self._path.name}.corrupt-*")
        return sorted(filter(_number, found), key=_number)

    def _put_aside(self) -> Path:
        """Rename the file and what belongs to it; of several processes that do, one does."""
        number = 1 + max(map(_number, self._aside()), default=0)
        aside = self._path.with_name(f"{self._path.name}.corrupt-{number}")
        for companion in _COMPANIONS:
            with contextlib.suppress(FileNotFoundError):
                Path(f"{self._path}{companion}").rename(f"{aside}{companion}")
        return aside


def _number(aside: Path) -> int:
    """Return the number in the name of a file that lies aside; 0 of what belongs to it."""
    number = aside.name.rpartition(".corrupt-")[2]
    return int(number) if number.isdigit() else 0
