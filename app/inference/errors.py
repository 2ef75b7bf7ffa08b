"""Errors of predictions."""

from __future__ import annotations

from app.errors import Overloaded, TooLarge


class TooManyRows(TooLarge):
    """A request that is held in memory exceeds the row limit; its response would be many times as large."""

    def __init__(self, limit_rows: int) -> None:
        super().__init__(
            f"a request may have at most {limit_rows} rows (TABSERVE_MAX_ROWS); send them in several requests, or as "
            "CSV, NDJSON, Arrow or float32 to /predict/{model}, which are answered while they arrive"
        )
        self.limit_rows = limit_rows


class RowQueueFull(Overloaded):
    """The queue of the model holds as many rows as it may."""

    kind = "overloaded"
    meaning = "Too many rows are queued; try again after `Retry-After` seconds"

    def __init__(self, limit_rows: int) -> None:
        super().__init__(f"too many requests wait (at most {limit_rows} rows may); try again in a moment")
        self.limit_rows = limit_rows
