"""Store of uploaded data sets: streamed to disk, validated, kept by name and content.

This module must not know HTTP or jobs.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from app.context import while_wanted
from app.datasets import disk
from app.datasets.errors import DatasetInUse, DatasetTooLarge, InvalidDataset
from app.datasets.folders import Contents, DatasetFolders, StoredDataset, content_id
from app.datasets.incoming import Incoming, remove_leftovers
from app.errors import Problem, StoreUnavailable, TooManyStreams, wrong_field
from modelstore import DatasetFault, DatasetSummary, Dialect, Inspection, InvalidName, check_name
from modelstore.dialect import DETECTED

logger = logging.getLogger(__name__)

MAX_UPLOADS = 16
MAX_CHECKS, MAX_SMALL_CHECKS = 1, 2  # concurrent checks; each is a process
SMALL_BYTES = 4 << 20  # checked within seconds, because the time is linear in the number of cells
BUFFER_BYTES = 1 << 20
LOCK_DEADLINE_S = 10.0
LOCK_POLL_S = 0.01
LOCK_FILE = ".lock"

Inspect = Callable[[Path, Dialect], Awaitable[Inspection]]
InUse = Callable[[], Awaitable[Contents]]


class DatasetStore:
    """The data sets under one root folder, shared by all serving processes."""

    def __init__(self, root: Path, max_bytes: int, inspect: Inspect) -> None:
        """Create a store; `open` prepares its folder.

        Args:
            root: folder of all data sets; created when it is first needed.
            max_bytes: largest data set.
            inspect: reads a file of a dialect and returns its columns or its faults; raises ServingError if it cannot.
        """
        self._root = root
        self._folders = DatasetFolders(root)
        self._max_bytes = max_bytes
        self._inspect = inspect
        self._uploads = 0
        self._checks = asyncio.Semaphore(MAX_CHECKS)
        self._small_checks = asyncio.Semaphore(MAX_SMALL_CHECKS)

    async def open(self) -> None:
        """Remove the unfinished uploads of dead processes.

        An unusable folder is only logged here; every request that needs it fails.
        """
        try:
            await asyncio.to_thread(remove_leftovers, self._root)
        except OSError as error:
            logger.error("the folder of the data sets cannot be used", exc_info=error)

    async def put(
        self,
        name: str,
        body: AsyncIterator[bytes],
        in_use: InUse,
        declared_bytes: int | None = None,
        dialect: Dialect = DETECTED,
    ) -> tuple[StoredDataset, bool]:
        """Receive a data set, check it and keep it under a name; return it and whether the name is new.

        A rejected upload leaves nothing behind. The previous content of the name is removed, unless an unfinished
        training needs it.

        Args:
            name: follows the rules of model names.
            body: the file, in pieces.
            in_use: returns (name, content id) of the contents that unfinished trainings need.
            declared_bytes: size of the body if it is known.
            dialect: how the file is written; what it leaves open is detected.

        Raises:
            InvalidInput: if no data set can have that name.
            InvalidDataset: naming the first faults by line and column.
            DatasetTooLarge, StorageFull: before a byte is read if the size is known.
            TooManyStreams, StoreUnavailable.
            DeadlinePassed, ClientGone: if the client stops waiting before the check ends.
        """
        _require_legal(name)
        if declared_bytes is not None and declared_bytes > self._max_bytes:
            raise DatasetTooLarge(self._max_bytes)
        if self._uploads >= MAX_UPLOADS:
            raise TooManyStreams("data sets are received", MAX_UPLOADS)
        self._uploads += 1
        try:
            async with self._incoming(name, declared_bytes or 0) as incoming:
                await self._receive(incoming, body)
                summary = await while_wanted(self._check(incoming, dialect))
                stored = StoredDataset(name=name, created=datetime.now(UTC), dialect=dialect, summary=summary)
                return await self._keep(incoming, stored, in_use)
        finally:
            self._uploads -= 1

    async def get(self, name: str) -> StoredDataset:
        """Return a data set.

        Raises:
            DatasetNotFound, StoreUnavailable.
        """
        return await asyncio.to_thread(self._folders.find, name)

    async def list(self) -> tuple[StoredDataset, ...]:
        """Return all data sets, by name."""
        return await asyncio.to_thread(self._folders.all)

    async def delete(self, name: str, in_use: InUse) -> None:
        """Remove a data set.

        Raises:
            DatasetNotFound, StoreUnavailable.
            DatasetInUse: if an unfinished training needs any content of that name.
        """
        await self.get(name)
        async with contextlib.AsyncExitStack() as lock:
            await lock.enter_async_context(self.unchanged())
            await self.get(name)  # another may have deleted it meanwhile
            used = await in_use()
            if any(user == name for user, _ in used):
                raise DatasetInUse(name)
            await disk.to_the_end(self._forget(name, used, lock))

    def path(self, name: str, sha256: str, dialect: Dialect) -> Path:
        """Return the path of a content of a data set; both must be those of a `StoredDataset`.

        Raises:
            modelstore.InvalidName: if no data set can have that name.
        """
        return self._folders.path(name, content_id(sha256, dialect))

    @contextlib.asynccontextmanager
    async def unchanged(self) -> AsyncIterator[None]:
        """Lock the data sets: while this is held, no process replaces or removes one.

        The caller can look up a data set and record its hash without a race.

        Raises:
            StoreUnavailable: if others hold the lock for too long, or the folder cannot be written.
        """
        with disk.name_errors():
            self._root.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._root / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            deadline = time.monotonic() + LOCK_DEADLINE_S
            while not disk.try_lock(descriptor):
                if time.monotonic() > deadline:
                    raise StoreUnavailable("the data sets are being changed by others; try again in a moment")
                await asyncio.sleep(LOCK_POLL_S)
            yield
        finally:
            os.close(descriptor)

    @contextlib.asynccontextmanager
    async def _incoming(self, name: str, declared_bytes: int) -> AsyncIterator[Incoming]:
        """Begin an upload, and discard what is left of it at the end, also if the caller is cancelled meanwhile."""
        beginning = asyncio.create_task(asyncio.to_thread(Incoming.begin, self._root, name, declared_bytes))
        try:
            yield await asyncio.shield(beginning)
        finally:
            await asyncio.wait((beginning,))
            if beginning.exception() is None:
                await asyncio.shield(asyncio.to_thread(beginning.result().discard))

    async def _receive(self, incoming: Incoming, body: AsyncIterator[bytes]) -> None:
        """Write the body to disk, one buffer at a time, in a thread: a slow disk delays only this client."""
        buffer = bytearray()
        async for piece in body:
            buffer += piece
            if incoming.size_bytes + len(buffer) > self._max_bytes:
                raise DatasetTooLarge(self._max_bytes)
            if len(buffer) >= BUFFER_BYTES:
                await disk.to_the_end(asyncio.to_thread(incoming.write, bytes(buffer)))
                buffer.clear()
        await disk.to_the_end(asyncio.to_thread(incoming.finish, bytes(buffer)))

    async def _check(self, incoming: Incoming, dialect: Dialect) -> DatasetSummary:
        async with self._small_checks if incoming.size_bytes <= SMALL_BYTES else self._checks:
            inspection = await self._inspect(incoming.path, dialect)
        if inspection.summary is None:
            raise _invalid(inspection.faults)
        if inspection.summary.sha256 != incoming.sha256:
            raise StoreUnavailable("what was read back from the disk is not what was sent; send it again")
        return inspection.summary

    async def _keep(self, incoming: Incoming, stored: StoredDataset, in_use: InUse) -> tuple[StoredDataset, bool]:
        async with contextlib.AsyncExitStack() as lock:
            await lock.enter_async_context(self.unchanged())
            try:
                used: Contents | None = await in_use()
            except StoreUnavailable:  # the job table cannot be read: keep all contents
                used = None
            return await disk.to_the_end(self._install(incoming, stored, used, lock))

    async def _install(
        self, incoming: Incoming, stored: StoredDataset, used: Contents | None, lock: contextlib.AsyncExitStack
    ) -> tuple[StoredDataset, bool]:
        kept, is_new, stale = await asyncio.to_thread(self._folders.install, incoming, stored, used)
        await lock.aclose()  # others need not wait while this deletes
        await asyncio.to_thread(disk.delete, stale)
        return kept, is_new

    async def _forget(self, name: str, used: Contents, lock: contextlib.AsyncExitStack) -> None:
        stale = await asyncio.to_thread(self._folders.forget, name, used)
        await lock.aclose()
        await asyncio.to_thread(disk.delete, stale)


def _invalid(faults: Iterable[DatasetFault]) -> InvalidDataset:
    problems = tuple(Problem(fault.line, fault.column, fault.problem) for fault in faults)
    first = problems[0]
    places = [f"line {first.row}" if first.row is not None else "", f"column {first.feature}" if first.feature else ""]
    place = ", ".join(filter(None, places))
    return InvalidDataset(f"the data set cannot be used: {place + ': ' if place else ''}{first.problem}", problems)


def _require_legal(name: str) -> None:
    try:
        check_name(name)
    except InvalidName as error:
        raise wrong_field("name", f"must be {error.expected}", "the name of a data set") from error
