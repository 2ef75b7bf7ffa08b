"""Labels that came later, in the job database: kept once a receipt, and read by version.

It must not know receipts, or what the figures are.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from app.jobs.database import Database
from app.jobs.records import LabelledRow
from app.jobs.table import FEEDBACK, are_among


class FeedbackStore:
    """Labelled rows in a database; every method blocks and may raise StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, rows: Sequence[LabelledRow], *, oldest_s: int) -> list[LabelledRow]:
        """Keep the rows whose receipts have no label yet, and return them; remove rows that were predicted earlier.

        Args:
            rows: with receipts that differ from each other.
            oldest_s: seconds since 1970; what was predicted before is removed.
        """
        with self._database.writing() as connection:
            connection.execute(FEEDBACK.delete().where(FEEDBACK.c.time_s < oldest_s))
            known: set[bytes] = set()
            for same in are_among(FEEDBACK.c.mac, [row.mac for row in rows]):
                known.update(connection.scalars(sa.select(FEEDBACK.c.mac).where(same)))
            new = [row for row in rows if row.mac not in known]
            if new:
                connection.execute(FEEDBACK.insert(), [row._asdict() for row in new])
        return new

    def newest(self, model: str, version: int, *, since_s: int, limit: int) -> tuple[list[LabelledRow], int]:
        """Return a version's labelled rows from a time on, at most `limit` and newest first, and the number of all."""
        query = sa.select(*FEEDBACK.c).where(*_of_version(model, version, since_s)).order_by(FEEDBACK.c.time_s.desc())
        with self._database.reading() as connection:
            count = _count(connection, model, version, since_s)
            return [LabelledRow(*row) for row in connection.execute(query.limit(limit))], count

    def count(self, model: str, version: int, *, since_s: int) -> int:
        """Return the number of labelled rows of a version that were predicted from a time on."""
        with self._database.reading() as connection:
            return _count(connection, model, version, since_s)


def _of_version(model: str, version: int, since_s: int) -> tuple[sa.ColumnElement[bool], ...]:
    return FEEDBACK.c.model == model, FEEDBACK.c.version == version, FEEDBACK.c.time_s >= since_s


def _count(connection: sa.Connection, model: str, version: int, since_s: int) -> int:
    query = sa.select(sa.func.count()).select_from(FEEDBACK).where(*_of_version(model, version, since_s))
    return connection.scalar(query) or 0
