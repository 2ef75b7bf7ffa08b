"""A lock with two priorities: changes to the serving versions go before loads on request."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator


class PriorityLock:
    """A mutual exclusion lock with two priorities; a change waits for at most one load on request."""

    def __init__(self) -> None:
        self._busy = asyncio.Lock()
        self._loads = asyncio.Lock()
        self._changes = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    @contextlib.asynccontextmanager
    async def for_change(self) -> AsyncIterator[None]:
        """Hold the lock with high priority: for a refresh, an activation, a removal or a self-test."""
        self._changes += 1
        self._quiet.clear()
        try:
            async with self._busy:
                yield
        finally:
            self._changes -= 1
            if not self._changes:
                self._quiet.set()

    @contextlib.asynccontextmanager
    async def for_load(self) -> AsyncIterator[None]:
        """Hold the lock for one load on request, once no change is waiting."""
        async with self._loads:
            while self._changes:  # another change may have started since the event was set
                await self._quiet.wait()
            async with self._busy:  # free, so acquired without yielding to a change
                yield
