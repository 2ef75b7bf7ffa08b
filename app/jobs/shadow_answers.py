"""What shadow versions answered for rows with a receipt, in the job database.

It must not know receipts, or what follows from the pairs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import sqlalchemy as sa

from app.jobs.database import Database
from app.jobs.table import FEEDBACK, SHADOW_ANSWERS
from app.receipts import ShadowAnswer

PRUNE_EVERY_S = 60.0
MOST_KEPT = 1_000_000  # answers, some 60 bytes each; the oldest go first


class ShadowAnswers:
    """Answers of shadows in a database; every method blocks and may raise StoreUnavailable."""

    def __init__(self, database: Database, *, most_kept: int = MOST_KEPT, prune_every_s: float = PRUNE_EVERY_S) -> None:
        """Create the view; old answers are removed with the first new ones, and then at most every `prune_every_s`."""
        self._database = database
        self._most_kept = most_kept
        self._prune_every_s, self._pruned_s = prune_every_s, -math.inf

    def keep(self, answers: Sequence[ShadowAnswer], *, oldest_s: int) -> None:
        """Keep answers to rows whose receipts differ from all others; now and then, remove old ones.

        Args:
            answers: at least one.
            oldest_s: seconds since 1970; answers to rows that were predicted before are removed, and the oldest of too
                many, where rows of the same second go together.
        """
        is_due = time.monotonic() >= self._pruned_s + self._prune_every_s
        time_s = SHADOW_ANSWERS.c.time_s
        with self._database.writing() as connection:
            connection.execute(SHADOW_ANSWERS.insert(), [answer._asdict() for answer in answers])
            if is_due:
                last = connection.scalar(sa.select(time_s).order_by(time_s.desc()).offset(self._most_kept).limit(1))
                oldest_s = oldest_s if last is None else max(oldest_s, last + 1)
                connection.execute(SHADOW_ANSWERS.delete().where(time_s < oldest_s))
                self._pruned_s = time.monotonic()

    def pairs(self, model: str, active: int, shadow: int) -> tuple[int, int]:
        """Return on how many labelled rows the shadow was nearer to the truth than the active version, and farther.

        A class is right or wrong: its distance from the truth is 0 or 1. Rows on which both are as near do not count.
        """
        ours, theirs = (_distance(answer) for answer in (SHADOW_ANSWERS.c.answer, FEEDBACK.c.answer))
        counts = (sa.func.count(sa.case((ours < theirs, 1))), sa.func.count(sa.case((ours > theirs, 1))))
        both = FEEDBACK.join(SHADOW_ANSWERS, FEEDBACK.c.mac == SHADOW_ANSWERS.c.mac)
        query = sa.select(*counts).select_from(both)
        query = query.where(FEEDBACK.c.model == model, FEEDBACK.c.version == active, SHADOW_ANSWERS.c.shadow == shadow)
        with self._database.reading() as connection:
            nearer, farther = connection.execute(query).one()
        return nearer, farther


def _distance(answer: sa.Column[float]) -> sa.ColumnElement[float]:
    """Return how far an answer is from the label; only quantities have no confidence."""
    label = FEEDBACK.c.label
    is_wrong = sa.case((answer == label, 0.0), else_=1.0)
    return sa.case((FEEDBACK.c.confidence.is_(None), sa.func.abs(answer - label)), else_=is_wrong)
