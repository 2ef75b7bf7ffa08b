"""Routes that take, show and remove data sets; it must not know where they lie or how they are checked."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Self

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from app.api.bodies import check_content_type, declared_length
from app.api.schemas import csv_body, problems
from app.datasets import DatasetStore, InUse, StoredDataset
from modelstore import ColumnSummary

CSV = "text/csv"


class DatasetBrief(BaseModel):
    """One data set in a list; `columns` counts them, class column included."""

    name: str
    created: datetime
    rows: int
    columns: int
    size_bytes: int
    sha256: str

    @classmethod
    def of(cls, stored: StoredDataset) -> Self:
        """Return what a list shows of a data set."""
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
        created: when this content came.
        rows: data rows, the header not counted.
        sha256: of the file, by which every version that was trained on it names it.
        duplicate_rows: rows that are equal to one above them.
        columns: in the file's order; numeric ones can be features, any with few values can be the target.
        warnings: sentences about what can be trained on but should not look so.
    """

    name: str
    created: datetime
    rows: int
    size_bytes: int
    sha256: str
    duplicate_rows: int
    columns: tuple[ColumnSummary, ...]
    warnings: tuple[str, ...]


class DatasetList(BaseModel):
    """All data sets, by name."""

    datasets: list[DatasetBrief]


def router(datasets: DatasetStore, in_use: InUse) -> APIRouter:
    """Return the routes about data sets; `in_use` tells which contents trainings need that have not ended."""
    routes = APIRouter(tags=["datasets"])

    @routes.put(
        "/datasets/{name}",
        status_code=201,
        response_model=DatasetInfo,
        openapi_extra=csv_body(churn="age,visits,churned\n34,2,no\n51,0,yes\n"),
        responses={
            200: {"description": "The data set replaces one of the same name", "model": DatasetInfo},
            **problems(413, 415, 422, 503, 507),
        },
    )
    async def put(name: str, request: Request) -> Response:
        """Keep a CSV file as a data set: a header line, then a line each row, UTF-8, commas; checked before it is kept.

        It streams to the disk, so it may be large. Faults are named by line (the header is line 1) and column.
        """
        check_content_type(request.headers.get("content-type"), (CSV,))
        stored, is_new = await datasets.put(name, request.stream(), in_use, declared_length(request))
        response = await asyncio.to_thread(_shown, stored)
        response.status_code = 201 if is_new else 200
        response.headers["Location"] = f"/datasets/{stored.name}"
        return response

    @routes.get("/datasets", responses=problems(503))
    async def list_datasets() -> DatasetList:
        """List all data sets."""
        return DatasetList(datasets=[DatasetBrief.of(stored) for stored in await datasets.list()])

    @routes.get("/datasets/{name}", response_model=DatasetInfo, responses=problems(404, 422, 503))
    async def show(name: str) -> Response:
        """Show a data set: columns with their kinds, ranges and classes, rows, sha256, what looks wrong."""
        return await asyncio.to_thread(_shown, await datasets.get(name))

    @routes.delete("/datasets/{name}", status_code=204, responses=problems(404, 409, 422, 503))
    async def delete(name: str) -> None:
        """Remove a data set; 409 while a training that has not ended needs it. Models trained on it stay."""
        await datasets.delete(name, in_use)

    return routes


def _shown(stored: StoredDataset) -> Response:
    """Return the answer that shows a data set; with thousands of columns it takes a while, so call it from a thread."""
    summary = stored.summary
    info = DatasetInfo(
        name=stored.name,
        created=stored.created,
        rows=summary.rows,
        size_bytes=summary.size_bytes,
        sha256=summary.sha256,
        duplicate_rows=summary.duplicate_rows,
        columns=summary.columns,
        warnings=summary.warnings,
    )
    return Response(info.model_dump_json(), media_type="application/json")
