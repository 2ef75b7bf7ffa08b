"""What is kept of predicted rows, in the job database: ids and inputs.

It must not know receipts beyond their keys, or who decides what is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from app.jobs.database import Database
from app.jobs.kept_rows import KeptId, KeptInput, LabelledInput
from app.jobs.table import FEEDBACK, KEPT_IDS, KEPT_INPUTS, are_among


class KeptStore:
    """Ids and inputs of predicted rows in a database; every method blocks and may raise StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, ids: Sequence[KeptId], inputs: Sequence[KeptInput]) -> None:
        """Keep ids, each in place of an equal one of its model, and inputs."""
        newest = {(one.model, one.id): one for one in ids}
        with self._database.writing() as connection:
            for model in {one.model for one in ids}:
                names = [name for of, name in newest if of == model]
                for same in are_among(KEPT_IDS.c.id, names):
                    connection.execute(KEPT_IDS.delete().where(KEPT_IDS.c.model == model, same))
            if newest:
                connection.execute(KEPT_IDS.insert(), [one._asdict() for one in newest.values()])
            if inputs:
                connection.execute(KEPT_INPUTS.insert(), [one._asdict() for one in inputs])

    def receipts(self, ids: Sequence[str], now_s: int) -> Mapping[str, Mapping[str, str]]:
        """Return the receipt under each id that has not expired, by id and model."""
        found: dict[str, dict[str, str]] = {}
        known = sa.select(KEPT_IDS).where(KEPT_IDS.c.expires_s > now_s)
        with self._database.reading() as connection:
            for same in are_among(KEPT_IDS.c.id, ids):
                for row in connection.execute(known.where(same)):
                    found.setdefault(row.id, {})[row.model] = row.receipt
        return found

    def find_labelled(self, model: str, now_s: int, limit: int) -> tuple[list[LabelledInput], int]:
        """Return the newest inputs of a model's rows whose labels came, at most `limit`, and the number of all."""
        columns = KEPT_INPUTS.c.version, KEPT_INPUTS.c.time_s, KEPT_INPUTS.c.row, FEEDBACK.c.label
        joined = KEPT_INPUTS.join(FEEDBACK, KEPT_INPUTS.c.mac == FEEDBACK.c.mac)
        query = sa.select(*columns).select_from(joined)
        query = query.where(KEPT_INPUTS.c.model == model, KEPT_INPUTS.c.expires_s > now_s)
        newest = query.order_by(KEPT_INPUTS.c.time_s.desc(), KEPT_INPUTS.c.mac).limit(limit)
        with self._database.reading() as connection:
            count = connection.scalar(sa.select(sa.func.count()).select_from(query.subquery())) or 0
            return [LabelledInput(*row) for row in connection.execute(newest)], count

    def remove_expired(self, now_s: int) -> None:
        """Remove the ids and inputs that have expired, so that they are in no file."""
        with self._database.writing() as connection:
            for table in (KEPT_IDS, KEPT_INPUTS):
                connection.execute(table.delete().where(table.c.expires_s <= now_s))
        self._database.overwrite_removed()  # also what an earlier call removed, but could not overwrite
