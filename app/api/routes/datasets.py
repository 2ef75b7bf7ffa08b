"""Routes to store, show and remove data sets.

This module must not know where data sets are stored or how they are checked.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Self

from fastapi import Query, Request, Response
from pydantic import BaseModel

from app.api.bodies import declared_length, media_type
from app.api.errors import FileInForm
from app.api.parameters import DatasetPath
from app.api.prefix import link
from app.api.routing import TableRouter
from app.api.schemas.common import Document, file_body, links, problems, without_null
from app.datasets.folders import StoredDataset
from app.datasets.store import DatasetStore, InUse
from app.security.permissions import Routes
from modelstore import ColumnSummary, Dialect

FORMS = "multipart/"

_SHOW, _DELETE = "show_datasets__name__get", "delete_datasets__name__delete"


class DialectQuery(Dialect, strict=False):
    """How the file is written, as query parameters; unknown ones are refused."""

    def dialect(self) -> Dialect:
        """Return the options that were given."""
        return Dialect(**self.model_dump(exclude_none=True))


for _field in DialectQuery.model_fields.values():
    _field.json_schema_extra = without_null


class DatasetBrief(BaseModel):
    """One data set in a list; `columns` is the number of columns, including the class column."""

    name: str
    created: datetime
    rows: int
    columns: int
    size_bytes: int
    sha256: str

    @classmethod
    def of(cls, stored: StoredDataset) -> Self:
        """Return the list entry of a data set."""
        summary = stored.summary
        return cls(
            name=stored.name,
            created=stored.created,
            rows=summary.rows,
            columns=len(summary.columns),
            size_bytes=summary.size_bytes,
            sha256=summary.sha256,
        )


class DatasetInfo(BaseModel):
    """One data set.

    Attributes:
        created: time when this content was uploaded.
        rows: number of data rows, without the header.
        sha256: hash of the file; each version trained on it records this hash.
        dialect: how the file was read: as the parameters say with which it was sent, and detected where they do not.
        duplicate_rows: number of rows equal to an earlier row.
        blank_lines: number of blank lines ignored; they are not rows, but are included in line numbers.
        columns: columns in the file's order, with their types, and the reason where a training leaves one out.
        warnings: sentences about anything suspicious in the data that does not prevent training.
    """

    name: str
    created: datetime
    rows: int
    size_bytes: int
    sha256: str
    duplicate_rows: int
    blank_lines: int
    dialect: Dialect
    columns: tuple[ColumnSummary, ...]
    warnings: tuple[str, ...]


class DatasetList(BaseModel):
    """All data sets, by name."""

    datasets: list[DatasetBrief]


class DatasetRoutes:
    """Route handlers, one method each; their docstrings appear in the OpenAPI document."""

    def __init__(self, datasets: DatasetStore, in_use: InUse) -> None:
        self._datasets = datasets
        self._in_use = in_use

    async def put(self, name: DatasetPath, request: Request, query: Annotated[DialectQuery, Query()]) -> Response:
        """Store a file as a data set: a table with one line per row, as it lies on the disk.

        How it is written (delimiter, encoding, header and so on) is detected, whatever its content type says; the query
        parameters decide what is detected wrongly. The file is checked before it is stored. It is streamed to disk, so
        it may be large. Faults are reported by line (the header is line 1) and column.
        """
        if media_type(request.headers.get("content-type")).startswith(FORMS):
            raise FileInForm
        async with _receive_to_the_end(request) as body:
            length = declared_length(request)
            stored, is_new = await self._datasets.put(name, body, self._in_use, length, query.dialect())
        response = await asyncio.to_thread(_show, stored)
        response.status_code = 201 if is_new else 200
        response.headers["Location"] = link(request, Routes.SHOW_DATASET.path(name=stored.name))
        return response

    async def list_datasets(self) -> DatasetList:
        """List all data sets."""
        return DatasetList(datasets=[DatasetBrief.of(stored) for stored in await self._datasets.list()])

    async def show(self, name: DatasetPath) -> Response:
        """Show a data set: columns with their types, ranges and classes, number of rows, sha256, warnings."""
        return await asyncio.to_thread(_show, await self._datasets.get(name))

    async def delete(self, name: DatasetPath) -> None:
        """Remove a data set; 409 while an unfinished training needs it. Models trained on it are kept."""
        await self._datasets.delete(name, self._in_use)


def router(datasets: DatasetStore, in_use: InUse) -> TableRouter:
    """Create the data set routes; `in_use` returns the contents that unfinished trainings need."""
    routes, answer = TableRouter(tags=["datasets"]), DatasetRoutes(datasets, in_use)
    following = links("name", "$response.body#/name", show=_SHOW, delete=_DELETE)
    kept: dict[int | str, Document] = {
        200: {"description": "Replaced a data set of the same name", "model": DatasetInfo, "links": following},
        201: {"description": "Stored", "links": following},
    }
    routes.add(
        Routes.PUT_DATASET,
        status_code=201,
        response_model=DatasetInfo,
        openapi_extra=file_body(churn="age,visits,churned\n34,2,no\n51,0,yes\n"),
        responses=kept | problems(413, 415, 422, 503, 507),
    )(answer.put)
    routes.add(Routes.LIST_DATASETS, responses=problems(503))(answer.list_datasets)
    routes.add(Routes.SHOW_DATASET, response_model=DatasetInfo, responses=problems(404, 422, 503))(answer.show)
    routes.add(Routes.DELETE_DATASET, status_code=204, responses=problems(404, 409, 422, 503))(answer.delete)
    return routes


@contextlib.asynccontextmanager
async def _receive_to_the_end(request: Request) -> AsyncIterator[AsyncIterator[bytes]]:
    """Yield the body, and go on receiving after its end.

    A server may only notice a disconnect of the client while the app is receiving.
    """
    ended = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        """Yield the body in pieces."""
        async for piece in request.stream():
            yield piece
        ended.set()

    async def listen() -> None:
        """Go on receiving after the end of the body."""
        await ended.wait()
        await request.receive()

    listener = asyncio.create_task(listen())
    try:
        yield body()
    finally:
        listener.cancel()
        await asyncio.wait((listener,))


def _show(stored: StoredDataset) -> Response:
    """Return the response that shows a data set; slow with thousands of columns, so call it from a thread."""
    info = DatasetInfo(name=stored.name, created=stored.created, **dict(stored.summary))
    return Response(info.model_dump_json(), media_type="application/json")
