"""The threads in which the job table is asked, since it may keep them waiting; it must not know what is asked."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Protocol, TypeVar

from app.errors import StoreUnavailable
from app.telemetry.in_flight import waiting

ANSWER_DEADLINE_S = 5.5  # of a request that has to wait for the table
REQUEST_THREADS = 16
OWNER_THREADS = 8

Returned = TypeVar("Returned")


class InThread(Protocol):
    """Calls what blocks in a thread."""

    def __call__(self, function: Callable[..., Returned], /, *arguments: object) -> Awaitable[Returned]:
        """Return what the function returns."""


class TableThreads:
    """Threads for requests, and others for running trainings, whose heartbeats no request that waits may hold up."""

    def __init__(self, opened: Callable[[], Awaitable[None]]) -> None:
        """Make the threads, which start when they are needed.

        Args:
            opened: sees to it that the table is opened if it can be; awaited before anything is asked.
        """
        self._opened = opened
        self._requests = ThreadPoolExecutor(REQUEST_THREADS, "job-requests")
        self._owners = ThreadPoolExecutor(OWNER_THREADS, "job-owner")

    async def ask(self, function: Callable[..., Returned], /, *arguments: object) -> Returned:
        """Call what a request needs, and wait only so long for it; meanwhile it does not count as being answered.

        Raises:
            StoreUnavailable: if it takes too long.
        """
        await self._opened()  # which takes as long as others may hold it up, and then all calls fail at once
        try:
            with waiting():
                return await asyncio.wait_for(_in_thread(self._requests, function, *arguments), ANSWER_DEADLINE_S)
        except TimeoutError as error:
            raise StoreUnavailable("the job table does not answer now; predictions are not affected") from error

    async def call(self, function: Callable[..., Returned], /, *arguments: object) -> Returned:
        """Call what a running training needs, however long it takes."""
        return await _in_thread(self._owners, function, *arguments)

    def close(self) -> None:
        """Begin nothing more; what has begun is not waited for."""
        for pool in (self._requests, self._owners):
            pool.shutdown(wait=False, cancel_futures=True)


async def _in_thread(pool: ThreadPoolExecutor, function: Callable[..., Returned], *arguments: object) -> Returned:
    run = contextvars.copy_context().run
    return await asyncio.get_running_loop().run_in_executor(pool, partial(run, function, *arguments))
