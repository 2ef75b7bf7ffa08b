"""One database, SQLite or PostgreSQL: transactions that read or write, and a schema kept up to date; it knows no jobs.

Every method blocks, so call it from a thread. A transaction that writes excludes all others that do, in every process.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.errors import ConfigurationError, StoreUnavailable

DATABASE_FILE = "jobs.sqlite3"
BUSY_TIMEOUT_MS = 5000
HEAD = "0002"  # the newest revision in app/migrations
_BEFORE_ALEMBIC = "0001"
_MIGRATIONS = Path(__file__).resolve().parent / "migrations"
_LOCK = 0x74616273  # PostgreSQL's advisory lock of all that write: "tabs"
_POOL = {"pool_size": 4, "max_overflow": 28, "hide_parameters": True}


class Database:
    """Where rows are kept; nothing is opened before `open`."""

    def __init__(self, url: str | None, folder: Path) -> None:
        """Store where it is.

        Args:
            url: of a PostgreSQL database, `postgresql+psycopg://...`; None is a SQLite file in `folder`.
            folder: for SQLite, made if absent.

        Raises:
            ConfigurationError: if the URL is none of PostgreSQL, or its driver is not installed; does not repeat it.
        """
        self._folder = None if url else folder
        self._engine = _postgresql(url) if url else _sqlite(folder / DATABASE_FILE)

    def open(self) -> None:
        """Make the database ready: the folder, and the newest schema.

        Raises:
            StoreUnavailable: if the folder or the database cannot be used.
        """
        if self._folder:
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StoreUnavailable(f"the state folder cannot be made: {error.strerror}") from error
        with self.writing() as connection:
            _migrate(connection)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Yield a connection for looking only.

        Raises:
            StoreUnavailable: if it cannot be used now.
        """
        with _available(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self, wait_ms: int | None = None) -> Iterator[sa.Connection]:
        """Yield a connection that may write, alone among all; what it wrote is durable when this ends.

        Args:
            wait_ms: how long to wait for others that write, at least 1; `BUSY_TIMEOUT_MS` if None.

        Raises:
            StoreUnavailable: if it cannot be used now, or others write for too long.
        """
        engine = self._engine.execution_options(wait_ms=BUSY_TIMEOUT_MS if wait_ms is None else wait_ms)
        with _available(), engine.begin() as connection:
            yield connection


def _sqlite(file: Path) -> sa.Engine:
    def configure(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself: `begin` below does
        for setting in (f"busy_timeout={BUSY_TIMEOUT_MS}", "journal_mode=WAL", "synchronous=FULL"):
            connection.execute(f"PRAGMA {setting}")

    def begin(connection: sa.Connection) -> None:
        wait_ms = connection.get_execution_options().get("wait_ms")
        connection.exec_driver_sql(f"PRAGMA busy_timeout={wait_ms or BUSY_TIMEOUT_MS}")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if wait_ms else "BEGIN")

    engine = sa.create_engine(f"sqlite:///{file}", **_POOL)
    sa.event.listen(engine, "connect", configure)
    sa.event.listen(engine, "begin", begin)
    return engine


def _postgresql(url: str) -> sa.Engine:
    def begin(connection: sa.Connection) -> None:
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
        raise wrong from None  # its message has the URL, and that the password
    except ModuleNotFoundError as error:
        raise ConfigurationError("TABSERVE_DATABASE_URL needs a driver: pip install 'tabserve[postgres]'") from error
    sa.event.listen(engine, "begin", begin)
    return engine


def _migrate(connection: sa.Connection) -> None:
    """Bring the schema to the newest revision, all in one transaction."""
    inspector = sa.inspect(connection)
    known = inspector.has_table("alembic_version")
    if known and connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar() == HEAD:
        return
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    if not known and inspector.has_table("jobs"):
        command.stamp(config, _BEFORE_ALEMBIC)
    command.upgrade(config, HEAD)


@contextmanager
def _available() -> Iterator[None]:
    try:
        yield
    except (DBAPIError, PoolTimeout) as error:
        raise StoreUnavailable("the job table cannot be used now; predictions are not affected") from error
