"""Data sets that clients send: streamed to the disk, checked, kept by name and content; no HTTP, no jobs.

Layout: `<root>/<name>/<sha256>/{<name>.csv, summary.json}`, and `<root>/<name>/CURRENT` holds the sha256 of the content
that the name stands for. A content never changes, so a training that began with one is not touched by the next one.
What arrives lies in a dot-folder, locked by its process for as long as that lives, and is renamed when it is complete.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import hashlib
import logging
import os
import re
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from pydantic import AwareDatetime, ValidationError

from app.errors import (
    DatasetInUse,
    DatasetNotFound,
    DatasetTooLarge,
    InvalidDataset,
    InvalidInput,
    Problem,
    StorageFull,
    StoreUnavailable,
    TooManyStreams,
)
from modelstore import DatasetFault, DatasetSummary, Inspection, InvalidName, check_name
from modelstore.disk import replace, sync, write
from modelstore.manifest import ModelName, Record

logger = logging.getLogger(__name__)

MAX_UPLOADS = 16
MAX_CHECKS = 1
BUFFER_BYTES = 1 << 20
LOCK_DEADLINE_S = 10.0
LOCK_POLL_S = 0.01

CURRENT_FILE = "CURRENT"
SUMMARY_FILE = "summary.json"
LOCK_FILE = ".lock"
INCOMING_PREFIX = ".incoming-"
REMOVED_PREFIX = ".removed-"

_SHA256 = re.compile(r"[0-9a-f]{64}")
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

Inspect = Callable[[Path], Awaitable[Inspection]]
Contents = frozenset[tuple[str, str]]
Folders = tuple[Path, ...]
InUse = Callable[[], Awaitable[Contents]]


class StoredDataset(Record):
    """A data set as it is kept; `created` is when this content came."""

    name: ModelName
    created: AwareDatetime
    summary: DatasetSummary


class DatasetStore:
    """The data sets under one root folder, shared by every process that serves."""

    def __init__(self, root: Path, max_bytes: int, inspect: Inspect) -> None:
        """Store the parts.

        Args:
            root: folder of all data sets; made when it is first needed.
            max_bytes: largest data set.
            inspect: looks at a file and returns its columns or its faults; raises ServingError if it cannot.
        """
        self._root = root
        self._max_bytes = max_bytes
        self._inspect = inspect
        self._uploads = 0
        self._checks = asyncio.Semaphore(MAX_CHECKS)

    async def open(self) -> None:
        """Remove what dead processes left half-done; a folder that cannot be used is met again by every request."""
        try:
            await asyncio.to_thread(_remove_leftovers, self._root)
        except OSError as error:
            logger.error("the folder of the data sets cannot be used", exc_info=error)

    async def put(
        self, name: str, body: AsyncIterator[bytes], in_use: InUse, declared_bytes: int | None = None
    ) -> tuple[StoredDataset, bool]:
        """Receive a data set, check it and keep it under a name; returns it and whether the name is new.

        Nothing is left of one that is not kept. A content that the name stood for before is removed, unless a training
        that has not ended needs it.

        Args:
            name: as of a model.
            body: the file, in pieces.
            in_use: returns (name, sha256) of what trainings that have not ended need.
            declared_bytes: size of the body if it is known.

        Raises:
            InvalidInput: if no data set can have that name.
            InvalidDataset: naming the first faults by line and column.
            DatasetTooLarge, StorageFull: before a byte is read if the size is known.
            TooManyStreams, StoreUnavailable.
        """
        try:
            check_name(name)
        except InvalidName as error:
            problem = f"must be {error.expected}"
            raise InvalidInput(f"the name of a data set {problem}", (Problem(None, "name", problem),)) from error
        if declared_bytes is not None and declared_bytes > self._max_bytes:
            raise DatasetTooLarge(self._max_bytes)
        if self._uploads >= MAX_UPLOADS:
            raise TooManyStreams("data sets are received", MAX_UPLOADS)
        self._uploads += 1
        try:
            incoming = await asyncio.to_thread(_Incoming.begin, self._root, name, declared_bytes or 0)
            try:
                await self._receive(incoming, body)
                summary = await self._checked(incoming)
                stored = StoredDataset(name=name, created=datetime.now(UTC), summary=summary)
                return await self._keep(incoming, stored, in_use)
            finally:
                await asyncio.shield(asyncio.to_thread(incoming.discard))
        finally:
            self._uploads -= 1

    async def get(self, name: str) -> StoredDataset:
        """Return a data set.

        Raises:
            DatasetNotFound, StoreUnavailable.
        """
        return await asyncio.to_thread(self._find, name)

    async def list(self) -> tuple[StoredDataset, ...]:
        """Return all data sets, by name."""
        return await asyncio.to_thread(self._all)

    async def delete(self, name: str, in_use: InUse) -> None:
        """Remove a data set.

        Raises:
            DatasetNotFound, StoreUnavailable.
            DatasetInUse: if a training that has not ended needs any content of that name.
        """
        await self.get(name)
        async with self.unchanged():
            used = await in_use()
            if any(user == name for user, _ in used):
                raise DatasetInUse(name)
            stale = await asyncio.to_thread(self._forget, name, used)
        await asyncio.to_thread(_delete, stale)

    def path(self, name: str, sha256: str) -> Path:
        """Return where a content of a data set lies; the sha256 must be that of a `StoredDataset`.

        Raises:
            modelstore.InvalidName: if no data set can have that name.
        """
        return self._root / check_name(name) / sha256 / f"{name}.csv"

    @contextlib.asynccontextmanager
    async def unchanged(self) -> AsyncIterator[None]:
        """While this is held no process replaces or removes a data set, so that what was found can be written down.

        Raises:
            StoreUnavailable: if others hold it for too long, or the folder cannot be written.
        """
        with _disk_errors_named():
            self._root.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._root / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            deadline = time.monotonic() + LOCK_DEADLINE_S
            while not _locked(descriptor):
                if time.monotonic() > deadline:
                    raise StoreUnavailable("the data sets are being changed by others; try again in a moment")
                await asyncio.sleep(LOCK_POLL_S)
            yield
        finally:
            os.close(descriptor)

    async def _receive(self, incoming: _Incoming, body: AsyncIterator[bytes]) -> None:
        """Write the body to the disk, a buffer at a time, in a thread: a slow disk stops this client only."""
        buffer = bytearray()
        async for piece in body:
            buffer += piece
            if incoming.size_bytes + len(buffer) > self._max_bytes:
                raise DatasetTooLarge(self._max_bytes)
            if len(buffer) >= BUFFER_BYTES:
                await asyncio.to_thread(incoming.write, bytes(buffer))
                buffer.clear()
        await asyncio.to_thread(incoming.finish, bytes(buffer))

    async def _checked(self, incoming: _Incoming) -> DatasetSummary:
        async with self._checks:
            inspection = await self._inspect(incoming.path)
        if inspection.summary is None:
            raise _invalid(inspection.faults)
        if inspection.summary.sha256 != incoming.sha256:
            raise StoreUnavailable("what was read back from the disk is not what was sent; send it again")
        return inspection.summary

    async def _keep(self, incoming: _Incoming, stored: StoredDataset, in_use: InUse) -> tuple[StoredDataset, bool]:
        async with self.unchanged():
            try:
                used: Contents | None = await in_use()
            except StoreUnavailable:  # the table of trainings cannot be read: keep what may be needed
                used = None
            kept, is_new, stale = await asyncio.to_thread(self._install, incoming, stored, used)
        await asyncio.to_thread(_delete, stale)
        return kept, is_new

    def _install(
        self, incoming: _Incoming, stored: StoredDataset, used: Contents | None
    ) -> tuple[StoredDataset, bool, Folders]:
        """Put a checked content in place; the caller holds the lock and deletes the folders that are returned."""
        home, sha256 = self._root / stored.name, stored.summary.sha256
        with _disk_errors_named():
            is_new = _current(home) is None
            home.mkdir(exist_ok=True)
            known = _read(home / sha256)
            try:
                if known is None:
                    write(incoming.folder / SUMMARY_FILE, stored.model_dump_json().encode())
                    sync(incoming.folder)
                    shutil.rmtree(home / sha256, ignore_errors=True)  # it could not be read: damaged
                    incoming.folder.rename(home / sha256)
                    sync(home)
                replace(home / CURRENT_FILE, sha256.encode())
            except OSError:
                if known is None:
                    shutil.rmtree(home / sha256, ignore_errors=True)
                _remove_if_empty(home)
                raise
            sync(self._root)
            return known or stored, is_new, self._set_aside(used)

    def _forget(self, name: str, used: Contents) -> Folders:
        """Let a name stand for nothing; the caller holds the lock and deletes the folders that are returned."""
        with _disk_errors_named():
            (self._root / name / CURRENT_FILE).unlink(missing_ok=True)
            sync(self._root / name)
            return self._set_aside(used)

    def _set_aside(self, used: Contents | None) -> Folders:
        """Rename every content that is not current and that no training needs; the caller holds the lock."""
        stale: Folders = ()
        for home in self._homes() if used is not None else ():
            current = _current(home)
            for content in home.iterdir():
                needed = content.name == current or (home.name, content.name) in (used or ())
                if _SHA256.fullmatch(content.name) and not needed:
                    stale = (*stale, Path(tempfile.mkdtemp(prefix=REMOVED_PREFIX, dir=self._root)))
                    content.rename(stale[-1] / content.name)
            if current is None:
                _remove_if_empty(home)
        return stale

    def _homes(self) -> Folders:
        try:
            return tuple(sorted(entry for entry in self._root.iterdir() if _legal(entry.name) and entry.is_dir()))
        except FileNotFoundError:
            return ()

    def _find(self, name: str) -> StoredDataset:
        if not _legal(name):
            raise DatasetNotFound
        home = self._root / name
        with _disk_errors_named("read"):
            for _ in range(3):  # the content may be replaced between the two looks
                current = _current(home)
                found = _read(home / current) if current else None
                if found is not None:
                    return found
        raise DatasetNotFound

    def _all(self) -> tuple[StoredDataset, ...]:
        found = []
        with _disk_errors_named("read"):
            homes = self._homes()
        for home in homes:
            with contextlib.suppress(DatasetNotFound):  # deleted meanwhile
                found.append(self._find(home.name))
        return tuple(found)


class _Incoming:
    """A data set that is arriving, in a folder of its own; every method blocks."""

    def __init__(self, folder: Path, lock: int, path: Path, stream: BinaryIO) -> None:
        self.folder = folder
        self.path = path
        self.size_bytes = 0
        self._lock = lock
        self._stream = stream
        self._digest = hashlib.sha256()

    @classmethod
    def begin(cls, root: Path, name: str, declared_bytes: int) -> _Incoming:
        """Make the folder and lock it.

        Raises:
            StorageFull: if there is no room for what was declared.
            StoreUnavailable.
        """
        with _disk_errors_named():
            root.mkdir(parents=True, exist_ok=True)
            if shutil.disk_usage(root).free < declared_bytes:
                raise StorageFull
            folder, lock = _new_locked_folder(root)
            try:
                folder.chmod(0o755)
                path = folder / f"{name}.csv"
                return cls(folder, lock, path, path.open("xb", buffering=0))
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)
                raise

    @property
    def sha256(self) -> str:
        """Return the hash of what was written so far."""
        return self._digest.hexdigest()

    def write(self, data: bytes) -> None:
        """Add to the file."""
        with _disk_errors_named():
            view = memoryview(data)
            while view:
                view = view[self._stream.write(view) :]
        self._digest.update(data)
        self.size_bytes += len(data)

    def finish(self, data: bytes) -> None:
        """Add the last piece and make the file durable."""
        self.write(data)
        with _disk_errors_named():
            os.fsync(self._stream.fileno())
            self._stream.close()

    def discard(self) -> None:
        """Remove what was not renamed; never fails."""
        with contextlib.suppress(OSError):
            self._stream.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._lock)


@contextlib.contextmanager
def _disk_errors_named(doing: str = "written") -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise StorageFull from error
        reason = error.strerror or type(error).__name__
        raise StoreUnavailable(f"the data sets cannot be {doing} now: {reason}") from error


def _invalid(faults: Iterable[DatasetFault]) -> InvalidDataset:
    problems = tuple(Problem(fault.line, fault.column, fault.problem) for fault in faults)
    first = problems[0]
    places = [f"line {first.row}" if first.row is not None else "", f"column {first.feature}" if first.feature else ""]
    place = ", ".join(filter(None, places))
    return InvalidDataset(f"the data set cannot be used: {place + ': ' if place else ''}{first.problem}", problems)


def _legal(name: str) -> bool:
    try:
        check_name(name)
    except InvalidName:
        return False
    return True


def _current(home: Path) -> str | None:
    """Return the sha256 that a name stands for, or None."""
    try:
        text = (home / CURRENT_FILE).read_text("ascii")
    except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError):
        return None
    return text if _SHA256.fullmatch(text) else None


def _read(content: Path) -> StoredDataset | None:
    """Return what is known about a content, or None if it is not there in full."""
    try:
        stored = StoredDataset.model_validate_json((content / SUMMARY_FILE).read_bytes())
        size_bytes = (content / f"{stored.name}.csv").stat().st_size
    except (FileNotFoundError, NotADirectoryError, ValidationError):
        return None
    return stored if size_bytes == stored.summary.size_bytes else None


def _remove_if_empty(home: Path) -> None:
    """Remove the folder of a name that stands for nothing, unless something is in it that is not ours to remove."""
    with contextlib.suppress(OSError):
        (home / f".{CURRENT_FILE}.new").unlink(missing_ok=True)
        home.rmdir()


def _new_locked_folder(root: Path) -> tuple[Path, int]:
    """Return a new folder and the descriptor that keeps it locked; a starting process may take it before the lock."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=INCOMING_PREFIX, dir=root))
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            if _locked(descriptor) and folder.exists():
                return folder, descriptor
            os.close(descriptor)


def _locked(descriptor: int) -> bool:
    """Lock an open file or folder if nobody else has, and tell whether that was so."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remove_leftovers(root: Path) -> None:
    """Remove what arrived for, or was set aside by, processes that are gone."""
    root.mkdir(parents=True, exist_ok=True)
    for folder in (*root.glob(f"{INCOMING_PREFIX}*"), *root.glob(f"{REMOVED_PREFIX}*")):
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                if _locked(descriptor):
                    logger.info("removing %s, which a process left", folder.name)
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(descriptor)


def _delete(folders: Iterable[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
