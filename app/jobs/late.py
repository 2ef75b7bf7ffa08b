"""The job table of a process, which is imported and made when it is first needed; it must not know what is in it.

SQLAlchemy and alembic take half as long to import as torch, and a service that only answers needs neither of them.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from app.jobs.tablefile import DATABASE_FILE

if TYPE_CHECKING:
    from app.jobs.claims import Claims
    from app.jobs.database import Database
    from app.jobs.store import JobStore


class _Made(NamedTuple):
    database: Database
    store: JobStore
    claims: Claims


class LateTable:
    """The database and both views of it; call their methods from threads, for the first call imports them.

    Attributes:
        database: where the rows are.
        store: as those see it who ask for trainings.
        claims: as owners see it.
    """

    def __init__(self, url: str | None, folder: Path, owner: str) -> None:
        """Store where it is; one in PostgreSQL is made at once, since its address may be wrong.

        Args:
            url: of a PostgreSQL database; None is a SQLite file in `folder`.
            folder: for SQLite.
            owner: name of this process.

        Raises:
            ConfigurationError: as `Database`.
        """
        self._url, self._folder, self._owner = url, folder, owner
        self._making = threading.Lock()
        self._made: _Made | None = None
        self.database = cast("Database", _Late(lambda: self._parts().database))
        self.store = cast("JobStore", _Late(lambda: self._parts().store))
        self.claims = cast("Claims", _Late(lambda: self._parts().claims))
        if url is not None:
            self._parts()

    def is_there(self) -> bool:
        """Tell whether there may be jobs: a server, or a file, be it one that was put aside."""
        return self._url is not None or any(self._folder.glob(f"{DATABASE_FILE}*"))

    def close(self) -> None:
        """Close all connections, if there ever were any."""
        if self._made:
            self._made.database.close()

    def _parts(self) -> _Made:
        with self._making:
            if self._made is None:
                database: Database = _imported("database").Database(self._url, self._folder)
                store, claims = _imported("store").JobStore(database), _imported("claims").Claims(database, self._owner)
                self._made = _Made(database, store, claims)
            return self._made


class _Late:
    """Stands for an object: a method that is called is that of the object, which is made then."""

    def __init__(self, made: Callable[[], object]) -> None:
        self._made = made

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: object, **named: object) -> Any:
            return getattr(self._made(), name)(*arguments, **named)

        return call


def _imported(module: str) -> Any:
    return importlib.import_module(f"app.jobs.{module}")
