"""Lazy access to the job table: imported and created on first use.

SQLAlchemy takes a third of a second to import, and a service that only predicts does not need it. This module must
not know the contents of the table.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from app.errors import StoreUnavailable
from app.jobs.tablefile import DATABASE_FILE

if TYPE_CHECKING:
    from app.jobs.claims import Claims
    from app.jobs.database import Database
    from app.jobs.feedback import FeedbackStore
    from app.jobs.kept import KeptStore
    from app.jobs.shadow_answers import ShadowAnswers
    from app.jobs.store import JobStore


class _Made(NamedTuple):
    database: Database
    store: JobStore
    claims: Claims
    feedback: FeedbackStore
    shadow_answers: ShadowAnswers
    kept: KeptStore


class LateTable:
    """The job database and its views, created on the first call of a method, which must be made in a thread."""

    def __init__(self, url: str | None, folder: Path, owner: str) -> None:
        """Create it, with PostgreSQL at once, because the URL may be wrong; without a URL it is a SQLite file.

        Raises:
            ConfigurationError: as `Database`.
        """
        self._url, self._folder, self._owner = url, folder, owner
        self._making = threading.Lock()
        self._made: _Made | None = None
        self.database = cast("Database", _Late(lambda: self._parts().database))
        self.store = cast("JobStore", _Late(lambda: self._parts().store))
        self.claims = cast("Claims", _Late(lambda: self._parts().claims))
        self.feedback = cast("FeedbackStore", _Late(lambda: self._parts().feedback))
        self.shadow_answers = cast("ShadowAnswers", _Late(lambda: self._parts().shadow_answers))
        self.kept = cast("KeptStore", _Late(lambda: self._parts().kept))
        if url is not None:
            self._parts()

    def is_there(self) -> bool:
        """Return whether jobs may exist: in a PostgreSQL database, or a file, even one that was put aside.

        They may also exist in a folder that cannot be searched; opening the table gives the reason.
        """
        try:
            return self._url is not None or any(self._folder.glob(f"{DATABASE_FILE}*"))
        except OSError:
            return True

    def close(self) -> None:
        """Close all connections, if any were opened."""
        if self._made:
            self._made.database.close()

    def _parts(self) -> _Made:
        with self._making:
            if self._made is None:
                database: Database = _import("database").Database(self._url, self._folder)
                store, claims = _import("store").JobStore(database), _import("claims").Claims(database, self._owner)
                feedback, kept = _import("feedback").FeedbackStore(database), _import("kept").KeptStore(database)
                answers = _import("shadow_answers").ShadowAnswers(database)
                self._made = _Made(database, store, claims, feedback, answers, kept)
            return self._made


class _Late:
    """Proxy of an object that is created on the first call of one of its methods."""

    def __init__(self, made: Callable[[], object]) -> None:
        self._made = made

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: object, **named: object) -> Any:
            """Call the method of the object, which is created if it is not there."""
            try:
                made = self._made()
            except Exception as error:  # too few files or too little memory for the import, which is tried again
                raise StoreUnavailable("the job table cannot be used now; predictions are not affected") from error
            return getattr(made, name)(*arguments, **named)

        return call


def _import(module: str) -> Any:
    return importlib.import_module(f"app.jobs.{module}")
