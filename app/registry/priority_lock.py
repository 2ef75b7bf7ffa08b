"""Whose turn it is with the loader: what changes what serves goes before what was asked for by number; no models."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Turns:
    """One at a time, with two doors; a change waits for one load that was asked for at most, however many wait."""

    def __init__(self) -> None:
        self._busy = asyncio.Lock()
        self._asking = asyncio.Lock()
        self._changes = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    @contextlib.asynccontextmanager
    async def change(self) -> AsyncIterator[None]:
        """Take a turn for a look at the store, an activation, a removal or a test."""
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
    async def asked(self) -> AsyncIterator[None]:
        """Take a turn for one load that was asked for by number, when no change waits."""
        async with self._asking:
            while self._changes:  # another may have begun since the event was set
                await self._quiet.wait()
            async with self._busy:  # free, so taken before any change can come
                yield
