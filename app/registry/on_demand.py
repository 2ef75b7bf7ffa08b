"""Load versions on request: one load per version, shared by its requests, few at a time.

Every client that may predict may request any version, so without these limits clients could keep the loader busy
forever. This module must not access the disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from app.registry.errors import TooManyLoads
from app.registry.priority_lock import PriorityLock
from app.registry.state import Refusal
from app.runtime.load import LoadedModel

MAX_LOADS = 4  # waiting or running, each for a different version
MAX_WAITING = 32  # requests that share one load

Outcome = LoadedModel | Refusal
Load = Callable[[str, int], Awaitable[Outcome]]


@dataclass(slots=True)
class _Pending:
    """An unfinished load and the number of requests that wait for it."""

    task: asyncio.Task[Outcome]
    waiting: int = 0


class OnDemandLoads:
    """Bounded, shared loads of requested versions; use it from the event loop only."""

    def __init__(self, load: Load, lock: PriorityLock) -> None:
        """Create it; `load` loads a version, by name and number, while `lock` is held, the lock of the loader."""
        self._load = load
        self._lock = lock
        self._pending: dict[tuple[str, int], _Pending] = {}
        self._running: tuple[str, int] | None = None

    def close(self) -> None:
        """Cancel all unfinished loads."""
        for pending in self._pending.values():
            pending.task.cancel()

    def require_room(self, name: str, version: int) -> None:
        """Check that one more request may wait for this version.

        Raises:
            TooManyLoads.
        """
        pending = self._pending.get((name, version))
        if pending.waiting >= MAX_WAITING if pending else len(self._pending) >= MAX_LOADS:
            raise TooManyLoads

    async def outcome(self, name: str, version: int) -> Outcome:
        """Return the outcome of loading this version; join the unfinished load if there is one.

        Raises:
            TooManyLoads, and any exception of the load.
        """
        self.require_room(name, version)
        key = (name, version)
        pending = self._pending.get(key)
        if pending is None:
            pending = self._pending[key] = _Pending(asyncio.create_task(self._run(key), name="load asked for"))
            pending.task.add_done_callback(lambda task: task.cancelled() or task.exception())  # if all waiters left
        pending.waiting += 1
        try:
            return await asyncio.shield(pending.task)
        finally:
            pending.waiting -= 1
            if not pending.waiting and self._running != key:  # done or not started: threads cannot be cancelled
                pending.task.cancel()
                if self._pending.get(key) is pending:
                    del self._pending[key]

    async def _run(self, key: tuple[str, int]) -> Outcome:
        async with self._lock.for_load():
            self._running = key
            try:
                return await self._load(*key)
            finally:
                self._running = None
                del self._pending[key]
