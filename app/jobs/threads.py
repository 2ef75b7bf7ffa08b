"""Threads for queries of the job table, which may block; it must not know the queries."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Protocol, TypeVar

from app.context import waiting
from app.errors import StoreUnavailable

ANSWER_DEADLINE_S = 5.5  # longest wait of a request for the table
REQUEST_THREADS = 16
OWNER_THREADS = 8

Returned = TypeVar("Returned")


class InThread(Protocol):
    """Runs a blocking function in a thread."""

    def __call__(self, function: Callable[..., Returned], /, *arguments: object) -> Awaitable[Returned]:
        """Return an awaitable of the function's result."""


class TableThreads:
    """Separate threads for requests and running trainings, so that requests cannot delay heartbeats."""

    def __init__(self, opened: Callable[[], Awaitable[None]]) -> None:
        """Create the pools; `opened` waits for an attempt to open the table, before each query of a request."""
        self._opened = opened
        self._requests = ThreadPoolExecutor(REQUEST_THREADS, "job-requests")
        self._owners = ThreadPoolExecutor(OWNER_THREADS, "job-owner")

    async def ask(self, function: Callable[..., Returned], /, *arguments: object) -> Returned:
        """Run a query of a request, with a deadline; the request counts as waiting meanwhile.

        Raises:
            StoreUnavailable: if the query, or opening the table before it, takes too long.
        """
        try:
            with waiting():
                async with asyncio.timeout(ANSWER_DEADLINE_S):
                    await self._opened()
                    return await _in_thread(self._requests, function, *arguments)
        except TimeoutError as error:
            raise StoreUnavailable("the job table does not answer now; predictions are not affected") from error

    async def call(self, function: Callable[..., Returned], /, *arguments: object) -> Returned:
        """Run a query of a running training, without a deadline."""
        return await _in_thread(self._owners, function, *arguments)

    def close(self) -> None:
        """Shut down the pools: cancel pending queries, and do not wait for running ones."""
        for pool in (self._requests, self._owners):
            pool.shutdown(wait=False, cancel_futures=True)


async def _in_thread(pool: ThreadPoolExecutor, function: Callable[..., Returned], *arguments: object) -> Returned:
    run = contextvars.copy_context().run
    return await asyncio.get_running_loop().run_in_executor(pool, partial(run, function, *arguments))
