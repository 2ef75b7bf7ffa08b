"""Rows of feedback that a version is trained on, and what its lineage says of them.

A row was predicted by an earlier version of the model; its label came later. It must not know where rows are kept.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Self

from pydantic import AwareDatetime, Field

from modelstore.records import Count, Record

Value = float | bool | str | None


class FeedbackRow(Record):
    """One row.

    Attributes:
        version: number of the version that predicted it.
        time_s: seconds since 1970 when it was predicted.
        values: its values by column: a number, a truth value, the text of a category, a date or time in ISO 8601, or
            None if it is missing.
        label: the true value of the target as text.
    """

    version: Annotated[int, Field(ge=1)]
    time_s: Count
    values: dict[str, Value]
    label: str


class Feedback(Record):
    """The rows of feedback of one training.

    Attributes:
        left_out: rows that cannot be used: their version is gone, or predicted another target.
    """

    rows: tuple[FeedbackRow, ...]
    left_out: Count = 0


class FeedbackSummary(Record):
    """Which rows of feedback a version was trained on, test rows included.

    Attributes:
        rows: number of the rows.
        first: when the first of them was predicted; `last` likewise.
        versions: numbers of the versions that predicted them.
        left_out: rows with a label that could not be used.
    """

    rows: Annotated[int, Field(ge=1)]
    first: AwareDatetime
    last: AwareDatetime
    versions: tuple[Annotated[int, Field(ge=1)], ...]
    left_out: Count = 0

    @classmethod
    def of(cls, rows: tuple[FeedbackRow, ...], left_out: int) -> Self:
        """Return the summary of at least one row."""
        times = [row.time_s for row in rows]
        first, last = (datetime.fromtimestamp(end(times), UTC) for end in (min, max))
        versions = tuple(sorted({row.version for row in rows}))
        return cls(rows=len(rows), first=first, last=last, versions=versions, left_out=left_out)

    def describe(self) -> str:
        """Return the summary in words."""
        by = f"version{'s' if len(self.versions) > 1 else ''} {', '.join(map(str, self.versions))}"
        left = f"; {self.left_out} more could not be used" if self.left_out else ""
        rows = "1 row" if self.rows == 1 else f"{self.rows:,} rows"
        return f"{rows}, predicted {self.first:%Y-%m-%d} to {self.last:%Y-%m-%d} by {by}{left}"
