"""Database access, SQLite or PostgreSQL: connections and transactions.

Every method blocks, so call it from a thread. Write transactions exclude each other, across all processes. This module
must not know jobs.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.errors import ConfigurationError, StoreUnavailable
from app.jobs.migration import migrate
from app.jobs.tablefile import DATABASE_FILE, TableFile

BUSY_TIMEOUT_MS = 5000
UNAVAILABLE = "the job table cannot be used now; predictions are not affected"
_LOCK = 0x74616273  # key of the PostgreSQL advisory lock for writers: "tabs"
_POOL = {"pool_size": 4, "max_overflow": 28, "hide_parameters": True}


class Database:
    """A database; nothing is opened before `open`."""

    def __init__(self, url: str | None, folder: Path) -> None:
        """Create the engine without connecting.

        Args:
            url: of a PostgreSQL database, `postgresql+psycopg://...`; None for a SQLite file in `folder`.
            folder: for SQLite, created if missing.

        Raises:
            ConfigurationError: if the URL is not one of PostgreSQL, or its driver is not installed; the message does
                not repeat the URL.
        """
        self._file = None if url else TableFile(folder / DATABASE_FILE)
        self._engine = _sqlite(self._file) if self._file else _postgresql(url or "")
        self._opened = False

    def open(self) -> None:
        """Create the file if needed, and migrate to the newest schema.

        Raises:
            StoreUnavailable: if file or database cannot be used, or a newer Tabserve created them.
        """
        if self._file:
            self._file.prepare()
        with _available(), self._engine.execution_options(wait_ms=BUSY_TIMEOUT_MS).begin() as connection:
            migrate(connection)
        self._opened = True

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Yield a connection in a read transaction.

        Raises:
            StoreUnavailable: if the database cannot be used now.
        """
        self._require_opened()
        with _available(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self, wait_ms: int | None = None) -> Iterator[sa.Connection]:
        """Yield a connection in an exclusive write transaction; its writes are durable when this ends.

        Args:
            wait_ms: longest wait for other writers, at least 1; `BUSY_TIMEOUT_MS` if None.

        Raises:
            StoreUnavailable: if the database cannot be used now, or other writers take too long.
        """
        self._require_opened()
        engine = self._engine.execution_options(wait_ms=BUSY_TIMEOUT_MS if wait_ms is None else wait_ms)
        with _available(), engine.begin() as connection:
            yield connection

    def overwrite_removed(self) -> None:
        """Overwrite what was removed, as far as the database can: in the file of SQLite and in its log.

        Raises:
            StoreUnavailable: if the database cannot be used now.
        """
        if self._file:
            with _available(), contextlib.closing(self._engine.raw_connection()) as connection:
                connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _require_opened(self) -> None:
        """Check that `open` has succeeded, so that the schema is the expected one."""
        if not self._opened:
            raise StoreUnavailable(UNAVAILABLE)


def _sqlite(file: TableFile) -> sa.Engine:
    def configure(connection: Any, _record: object) -> None:
        """Set up a new connection: transactions are ours, and what was committed is on the disk."""
        connection.isolation_level = None  # the driver starts no transaction by itself: `begin` below does
        for setting in (f"busy_timeout={BUSY_TIMEOUT_MS}", "journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
            connection.execute(f"PRAGMA {setting}")

    def begin(connection: sa.Connection) -> None:
        """Begin a transaction; with `wait_ms` it writes, and waits so long for its lock."""
        wait_ms = connection.get_execution_options().get("wait_ms")
        connection.exec_driver_sql(f"PRAGMA busy_timeout={wait_ms or BUSY_TIMEOUT_MS}")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if wait_ms else "BEGIN")

    engine = sa.create_engine("sqlite://", creator=file.connect, poolclass=sa.QueuePool, **_POOL)
    sa.event.listen(engine, "connect", configure)
    sa.event.listen(engine, "begin", begin)
    return engine


def _postgresql(url: str) -> sa.Engine:
    def begin(connection: sa.Connection) -> None:
        """With `wait_ms`, take the lock of writers and wait so long for it."""
        if wait_ms := connection.get_execution_options().get("wait_ms"):
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {wait_ms}")
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")

    wrong = ConfigurationError("TABSERVE_DATABASE_URL: expected postgresql+psycopg://user:password@host/database")
    limits = f"-c statement_timeout={BUSY_TIMEOUT_MS} -c lock_timeout={BUSY_TIMEOUT_MS}"
    arguments = {"connect_timeout": 4, "application_name": "tabserve", "client_encoding": "utf8", "options": limits}
    try:
        parsed = sa.make_url(url)
        if parsed.get_backend_name() != "postgresql":
            raise wrong
        engine = sa.create_engine(parsed, pool_pre_ping=True, connect_args=arguments, **_POOL)
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise wrong from None  # its message contains the URL, and so the password
    except ModuleNotFoundError as error:
        raise ConfigurationError("TABSERVE_DATABASE_URL needs a driver: pip install 'tabserve[postgres]'") from error
    sa.event.listen(engine, "begin", begin)
    return engine


@contextmanager
def _available() -> Iterator[None]:
    try:
        yield
    except (DBAPIError, PoolTimeout, sqlite3.Error) as error:  # the last from a raw connection
        raise StoreUnavailable(UNAVAILABLE) from error
