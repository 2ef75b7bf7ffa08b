"""Share one poll of a job among all clients that wait for its end.

This module must not know HTTP or the job table.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from app.jobs.records import TrainingJob


@dataclass
class _Watch:
    """The poll of one job, shared by all that wait for it."""

    ended: asyncio.Task[TrainingJob]
    waiting: int = 0


class Watches:
    """The shared polls of all jobs that clients wait for."""

    def __init__(self, ended: Callable[[str], Coroutine[Any, Any, TrainingJob]]) -> None:
        """Create an empty collection; `ended` waits for the end of a job and returns it."""
        self._ended = ended
        self._watches: dict[str, _Watch] = {}

    async def wait_for_end(self, job_id: str, seconds: float) -> TrainingJob | None:
        """Return a job when it has ended, or None if it has not after the given number of seconds.

        Raises:
            Exception: any exception that polling the job raises.
        """
        watch = self._watches.get(job_id)
        if watch is None:
            watch = self._watches[job_id] = _Watch(self._begin(job_id))
        watch.waiting += 1
        try:
            done, _ = await asyncio.wait((watch.ended,), timeout=seconds)
            return watch.ended.result() if done else None
        finally:
            watch.waiting -= 1
            if not watch.waiting:
                watch.ended.cancel()
                del self._watches[job_id]

    def _begin(self, job_id: str) -> asyncio.Task[TrainingJob]:
        look = self._ended(job_id)
        task = asyncio.create_task(look, name=f"watch {job_id}", context=contextvars.Context())  # of no request
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # all that waited may be gone
        return task
