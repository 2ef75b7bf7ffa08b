"""Errors of data sets."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from app.errors import Conflict, InvalidInput, NotFound, TooLarge, Unavailable


class DatasetNotFound(NotFound):
    """There is no data set of that name."""

    def __init__(self) -> None:
        super().__init__("there is no such data set; GET /datasets lists all, PUT /datasets/{name} adds one")


class InvalidDataset(InvalidInput):
    """The data set cannot be used.

    `Problem.row` is the line in the file (the header is line 1), `Problem.feature` the column.
    """


class DatasetInUse(Conflict):
    """An unfinished training needs the data set."""

    def __init__(self, name: str) -> None:
        super().__init__(f"a training that has not ended needs data set {name}; wait for it or cancel it: GET /train")


class DatasetTooLarge(TooLarge):
    """The data set exceeds the size limit."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"a data set may have at most {limit_bytes} bytes (TABSERVE_MAX_DATASET_BYTES)")


class StorageFull(Unavailable):
    """The disk has no room for the data set."""

    status = HTTPStatus.INSUFFICIENT_STORAGE
    meaning = "The disk is full; nothing was stored"
    headers: Mapping[str, str] = {"Retry-After": "60"}  # an operator has to free space first

    def __init__(self) -> None:
        super().__init__("the disk of the data sets is full; nothing was kept, delete what you do not need")
