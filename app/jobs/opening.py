"""Open the job table once it is needed, and try again until it can be used.

This module must not know jobs.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from app.errors import StoreUnavailable
from app.jobs.late import LateTable
from app.jobs.threads import InThread

logger = logging.getLogger(__name__)

OPEN_INTERVAL_S = 1.0  # interval of attempts to open the job table, and of checks whether there is one


class TableOpening:
    """The opening of a job table, for which requests wait once; use it from the event loop only."""

    def __init__(self, table: LateTable) -> None:
        self._table = table
        self._needed, self._tried = asyncio.Event(), asyncio.Event()
        self._trouble: str | None = None

    async def wait_for_attempt(self) -> None:
        """Have the table opened, and wait until that was tried."""
        self._needed.set()
        await self._tried.wait()

    async def open(self, call: InThread, absent: Callable[[], None]) -> None:
        """Open the table once a request needs it or another process has created it; return when it can be used.

        `absent` is called whenever there is no table and no request needs one.
        """
        try:
            while not (self._needed.is_set() or await asyncio.to_thread(self._table.is_there)):
                absent()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._needed.wait(), OPEN_INTERVAL_S)
            ready = await self._try(call)
        finally:
            self._tried.set()
        while not ready:
            await asyncio.sleep(OPEN_INTERVAL_S)
            ready = await self._try(call)

    async def _try(self, call: InThread) -> bool:
        try:
            await call(self._table.database.open)
        except Exception as error:  # the first call also imports the libraries, which lack of memory or files prevents
            trouble = str(error) if isinstance(error, StoreUnavailable) else type(error).__name__
            if trouble != self._trouble:  # log it once: this is tried every second
                logger.error("no training for now: %s", trouble, exc_info=error)
            self._trouble = trouble
            return False
        if self._trouble:
            logger.warning("the job table can be used again")
        return True
