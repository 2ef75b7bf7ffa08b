"""Data sets for tests: what is sent, what an inspection finds, and what lies on the disk."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import TypeVar

from app.datasets.folders import Contents, StoredDataset
from app.datasets.store import BUFFER_BYTES, DatasetStore, InUse
from modelstore import ColumnSummary, DatasetFault, DatasetSummary, Dialect, Inspection

ONE = b"x,y\n1,a\n"


TWO = b"x,y\n1,a\n2,b\n"


T = TypeVar("T")


async def look(file: Path, dialect: Dialect) -> Inspection:
    """Find as many rows as the file has line feeds but one; a file that says `bad` has a fault."""
    data = await asyncio.to_thread(file.read_bytes)
    if b"bad" in data:
        return Inspection(faults=(DatasetFault(line=3, column="x", problem="is not a number"),))
    summary = DatasetSummary(
        rows=data.count(b"\n") - 1,
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        columns=(ColumnSummary(name="x", type="numeric"),),
    )
    return Inspection(summary=summary)


def used(*contents: tuple[str, str]) -> InUse:
    """Return what tells that trainings need these contents."""

    async def tell() -> Contents:
        return frozenset(contents)

    return tell


NONE = used()


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def broken_off() -> AsyncIterator[bytes]:
    yield ONE * (BUFFER_BYTES // len(ONE) + 1)
    raise ConnectionResetError


def run(work: Coroutine[object, object, T]) -> T:
    return asyncio.run(work)


def put(store: DatasetStore, name: str, data: bytes, in_use: InUse = NONE) -> tuple[StoredDataset, bool]:
    return run(store.put(name, pieces(data), in_use, len(data)))


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def files(root: Path) -> list[str]:
    """Return all files below the root, but for the lock."""
    found = sorted(str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir())
    return [name for name in found if name != ".lock"]


def files_of(name: str, *contents: bytes) -> list[str]:
    ours = [f"{name}/{sha256(data)}/{file}" for data in contents for file in (f"{name}.csv", "summary.json")]
    return sorted([f"{name}/CURRENT", *ours])


def store_file(store: DatasetStore) -> Path:
    return store.path("churn", run(store.get("churn")).summary.sha256, Dialect())
