"""One look at a job for all who wait for its end, however many they are; it must not know HTTP or the job table."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from app.jobs.records import TrainingJob


@dataclass
class _Watch:
    """What those share who wait for one job."""

    ended: asyncio.Task[TrainingJob]
    waiting: int = 0


class Watches:
    """The jobs that somebody waits for."""

    def __init__(self, ended: Callable[[str], Awaitable[TrainingJob]]) -> None:
        """Store the parts; `ended` returns a job as soon as it has ended."""
        self._ended = ended
        self._watches: dict[str, _Watch] = {}

    async def ended(self, job_id: str, seconds: float) -> TrainingJob | None:
        """Return a job when it has ended, None if it has not after so many seconds; raises what the look at it does."""
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
        async def look() -> TrainingJob:
            return await self._ended(job_id)

        task = asyncio.create_task(look(), name=f"watch {job_id}", context=contextvars.Context())  # it is nobody's own
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # those who waited may all be gone
        return task
