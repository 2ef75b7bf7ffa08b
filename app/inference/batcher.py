"""Zero-wait batching: items that arrive in one iteration of the event loop run together.

By default, no item waits for others: the items of an iteration run when it ends, and an item that is known to be alone
runs at once. Sizes are rows. Items are validated before they are submitted, so that a bad one cannot affect its
neighbours. This module must not know torch or HTTP.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from app.context import UNLIMITED, Deadline, current_deadline
from app.inference.errors import RowQueueFull

logger = logging.getLogger(__name__)

CALLBACK_FAILED = "a result could not be delivered; the others of its batch are not affected"

T = TypeVar("T")
R = TypeVar("R")

Done = Callable[[R | Exception], None]


class Entry(Generic[T, R]):
    """One queued item and its callback; it may be cancelled until it runs."""

    __slots__ = ("cancelled", "deadline", "done", "item", "rows")

    def __init__(self, item: T, rows: int, done: Done[R]) -> None:
        self.item = item
        self.rows = rows
        self.done = done
        self.cancelled = False
        self.deadline: Deadline = UNLIMITED


class Batcher(Generic[T, R]):
    """Collect items and run them together, in order of arrival."""

    def __init__(
        self,
        run: Callable[[Sequence[T]], Sequence[R]],
        *,
        max_batch_rows: int,
        max_queue_rows: int,
        max_wait_s: float = 0.0,
    ) -> None:
        """Create an empty queue.

        Args:
            run: computes the results of items, one for each, in the same order.
            max_batch_rows: largest number of rows in one run, unless a single item has more.
            max_queue_rows: largest number of waiting rows; more are refused.
            max_wait_s: how long to wait for further items; 0 waits only until the iteration of the event loop ends.
        """
        self._run = run
        self._max_batch_rows = max_batch_rows
        self._max_queue_rows = max_queue_rows
        self._max_wait_s = max_wait_s
        self._queue: deque[Entry[T, R]] = deque()
        self.queued_rows = 0

    def submit(self, item: T, rows: int, done: Done[R], *, alone: bool = False) -> Entry[T, R]:
        """Run an item in a batch with the others of this iteration; `done` receives its result or the exception.

        Args:
            item: validated input.
            rows: its size.
            done: called once, never after the entry was cancelled.
            alone: no other item can arrive in this iteration, so run this one immediately.

        Raises:
            RowQueueFull: if the queue is full.
        """
        entry: Entry[T, R] = Entry(item, rows, done)
        if alone and not self._queue and not self._max_wait_s:
            self._answer([entry])
            return entry
        if self.queued_rows + rows > self._max_queue_rows and self._queue:
            raise RowQueueFull(self._max_queue_rows)
        if not self._queue:
            self._schedule()
        self._queue.append(entry)
        self.queued_rows += rows
        return entry

    async def result(self, item: T, rows: int, deadline_ns: int | None = None) -> R:
        """Run an item in a batch with the others of this iteration and return its result.

        Raises:
            RowQueueFull: if the queue is full.
            DeadlinePassed: if the item did not run before `deadline_ns`, or within the time that its client waits.
            ClientGone: if the client disconnected before it ran.
            Exception: any exception of the run.
        """
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()

        def done(result: R | Exception) -> None:
            """Settle the future, unless its request was cancelled."""
            if future.done():
                return
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)

        entry = self.submit(item, rows, done)
        entry.deadline = current_deadline().no_later_than(deadline_ns)
        try:
            return await future
        finally:
            entry.cancelled = True

    def _schedule(self) -> None:
        loop = asyncio.get_running_loop()
        if self._max_wait_s:
            loop.call_later(self._max_wait_s, self._flush)
        else:
            loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Run one batch; if more items wait, schedule the next batch for the next iteration."""
        batch: list[Entry[T, R]] = []
        rows, now_ns = 0, time.perf_counter_ns()
        while self._queue and (not batch or rows + self._queue[0].rows <= self._max_batch_rows):
            entry = self._queue.popleft()
            self.queued_rows -= entry.rows
            if entry.cancelled:
                continue
            if entry.deadline is not UNLIMITED and (error := entry.deadline.error_at(now_ns)) is not None:
                _refuse(entry, error)
                continue
            batch.append(entry)
            rows += entry.rows
        if self._queue:
            asyncio.get_running_loop().call_soon(self._flush)
        if batch:
            self._answer(batch)

    def _answer(self, batch: list[Entry[T, R]]) -> None:
        try:
            results: Sequence[R | Exception] = self._run([entry.item for entry in batch])
            if len(results) != len(batch):
                raise RuntimeError(f"{len(batch)} items gave {len(results)} results")
        except Exception as error:
            results = [error] * len(batch)
        for entry, result in zip(batch, results, strict=True):
            if not entry.cancelled:
                try:
                    entry.done(result)
                except Exception:
                    logger.exception(CALLBACK_FAILED)


def _refuse(entry: Entry[Any, Any], error: Exception) -> None:
    try:
        entry.done(error)
    except Exception:
        logger.exception(CALLBACK_FAILED)
