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


class TooManyExplained(TooLarge):
    """The explanations of a request would take more rows to compute than one request may."""

    def __init__(self, most: int, version: str, rows_each: int, limit_rows: int) -> None:
        super().__init__(
            f"{version} computes {rows_each} rows to explain one, and one request may have {limit_rows} computed "
            f"(TABSERVE_MAX_EXPLANATION_ROWS): explain at most {most} rows a request, or only those that need it, with "
            "confidence_below"
        )


class RowQueueFull(Overloaded):
    """The queue of the model holds as many rows as it may."""

    kind = "overloaded"
    meaning = "Too many rows are queued; try again after `Retry-After` seconds"

    def __init__(self, limit_rows: int) -> None:
        super().__init__(f"too many requests wait (at most {limit_rows} rows may); try again in a moment")
