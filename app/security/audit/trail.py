"""Write audit records durably, without blocking the event loop.

A caller continues when its record is on disk. All pending records are written together, in a thread, with one sync of
the disk. This module must not know HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from app.errors import StoreUnavailable
from app.security.audit.chain import AuditFile, Entry, last_entries
from app.security.errors import AuditUnavailable

logger = logging.getLogger(__name__)

MAX_WAITING = 10_000
MAX_FIELD = 128
DEADLINE_S = 10.0


class AuditTrail:
    """Audit trail of one process; other processes write to the same file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = AuditFile(path)
        self._thread = ThreadPoolExecutor(1, "audit")
        self._waiting: list[tuple[Entry, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None
        self._trouble = False
        self._following: Future[None] | None = None

    async def record(self, action: str, outcome: str, **fields: object) -> None:
        """Write a record and return when it is on disk.

        Args:
            action: name of the action, done or requested.
            outcome: `asked`, `ok`, `refused`, `failed` or `unknown`.
            fields: who, what and why; None is left out, long texts are cut.

        Raises:
            AuditUnavailable: if it cannot be guaranteed that the record reaches the disk.
        """
        try:
            async with asyncio.timeout(DEADLINE_S):
                await self._append(action, outcome, fields)
        except OSError as error:  # includes TimeoutError
            raise AuditUnavailable from error

    def read_last(self, most: int) -> list[dict[str, object]]:
        """Return the last records of all processes, oldest first; reads the file, so call it from a thread.

        Raises:
            StoreUnavailable: if the file cannot be read.
        """
        try:
            return last_entries(self._path, most)
        except OSError as error:
            raise StoreUnavailable(f"the audit file cannot be read now: {error.strerror or error}") from error

    def note(self, action: str, outcome: str, **fields: object) -> None:
        """Write a record without waiting for it; a failure is logged."""
        with contextlib.suppress(OSError):
            future = self._append(action, outcome, fields)
            future.add_done_callback(lambda done: done.cancelled() or done.exception())

    def follow(self) -> None:
        """Go on in a new file if the present one was renamed, without waiting; a failure is left to the next call.

        A process that came later could not: only those that have the renamed file open know the end of the chain.
        """
        if self._following is None or self._following.done():
            self._following = self._thread.submit(self._follow)

    async def close(self) -> None:
        """Write all pending records and close the file."""
        if self._writing is not None:
            await asyncio.wait((self._writing,), timeout=DEADLINE_S)
        await asyncio.get_running_loop().run_in_executor(self._thread, self._file.close)
        self._thread.shutdown(wait=False)

    def _append(self, action: str, outcome: str, fields: Entry) -> asyncio.Future[None]:
        if len(self._waiting) >= MAX_WAITING:
            raise TimeoutError("the audit file is too slow")
        entry = _entry(action, outcome) | {
            name: _truncate(value) for name, value in fields.items() if value is not None
        }
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((entry, future))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write(), name="audit")
        return future

    def _follow(self) -> None:
        if self._file.is_renamed():
            self._file.append([_entry("log.rotated", "ok")])

    async def _write(self) -> None:
        """Write until no record is pending."""
        while self._waiting:
            taken, self._waiting = self._waiting, []
            error = await self._write_entries([entry for entry, _ in taken])
            for _, future in taken:
                if not future.done():
                    future.set_result(None) if error is None else future.set_exception(error)
        self._writing = None

    async def _write_entries(self, entries: list[Entry]) -> OSError | None:
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._file.append, entries)
        except Exception as error:  # whatever it is, the actions must be refused, and no caller may wait for ever
            if not self._trouble:
                logger.error("the audit file cannot be written: nothing that is audited is done", exc_info=error)
            self._trouble = True
            return error if isinstance(error, OSError) else OSError(str(error))
        self._trouble = False
        return None


def _entry(action: str, outcome: str) -> dict[str, object]:
    return {
        "time": datetime.now(UTC).isoformat(timespec="microseconds"),
        "monotonic_s": round(time.monotonic(), 6),
        "process": os.getpid(),
        "action": action,
        "outcome": outcome,
    }


def _truncate(value: object) -> object:
    """Return a value in a form that JSON can hold, with long texts cut to `MAX_FIELD` characters."""
    if isinstance(value, bool | int | float):
        return value
    text = str(value)
    return (text if len(text) <= MAX_FIELD else text[:MAX_FIELD] + "...").encode("utf-8", "backslashreplace").decode()
