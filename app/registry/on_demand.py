"""Loads that were asked for by number: one for all who ask for the same, and few at a time; it must not know the disk.

Anybody who may predict may ask for any version, so this is where strangers could make the loader work without end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from app.errors import TooManyLoads
from app.registry.priority_lock import Turns
from app.registry.state import Refusal
from app.runtime.load import LoadedModel

MAX_LOADS = 4  # that wait or run, each of another version
MAX_WAITING = 32  # requests for one of them

Outcome = LoadedModel | Refusal
Load = Callable[[str, int], Awaitable[Outcome]]


@dataclass(slots=True)
class _Pending:
    """A load that is not done, and how many wait for it."""

    task: asyncio.Task[Outcome]
    waiting: int = 0


class AskedLoads:
    """See the module; all of it is for the event loop."""

    def __init__(self, load: Load, turns: Turns) -> None:
        """Store the parts.

        Args:
            load: loads a version, given as model and number; called in its turn.
            turns: the loader's.
        """
        self._load = load
        self._turns = turns
        self._pending: dict[tuple[str, int], _Pending] = {}
        self._running: tuple[str, int] | None = None

    def close(self) -> None:
        """Give up what nobody will wait for any more."""
        for pending in self._pending.values():
            pending.task.cancel()

    def require_room(self, name: str, version: int) -> None:
        """Check that one more may wait for this version.

        Raises:
            TooManyLoads.
        """
        pending = self._pending.get((name, version))
        if pending.waiting >= MAX_WAITING if pending else len(self._pending) >= MAX_LOADS:
            raise TooManyLoads

    async def outcome(self, name: str, version: int) -> Outcome:
        """Return what became of a load of this version: of the one that waits or runs, else of a new one.

        Raises:
            TooManyLoads, and whatever the load raises.
        """
        self.require_room(name, version)
        key = (name, version)
        pending = self._pending.get(key)
        if pending is None:
            pending = self._pending[key] = _Pending(asyncio.create_task(self._run(key), name="load asked for"))
            pending.task.add_done_callback(lambda task: task.cancelled() or task.exception())  # all may have left
        pending.waiting += 1
        try:
            return await asyncio.shield(pending.task)
        finally:
            pending.waiting -= 1
            if not pending.waiting and self._running != key:  # done, or not begun: a thread cannot be called back
                pending.task.cancel()
                if self._pending.get(key) is pending:
                    del self._pending[key]

    async def _run(self, key: tuple[str, int]) -> Outcome:
        async with self._turns.asked():
            self._running = key
            try:
                return await self._load(*key)
            finally:
                self._running = None
                del self._pending[key]
