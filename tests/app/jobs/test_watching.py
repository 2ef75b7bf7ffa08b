"""Waiting for the end of a job: one look for all who wait, which ends with the last of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from app.errors import StoreUnavailable
from app.jobs.records import TrainingJob
from app.jobs.watching import Watches
from tests.app.databases import job

MINUTE_S = 60.0


class Jobs:
    """Jobs whose ends a test decides, and how many look at each."""

    def __init__(self) -> None:
        self.ends: dict[str, asyncio.Future[TrainingJob]] = {}
        self.looks: Counter[str] = Counter()
        self.looking = 0
        self.began, self.left = asyncio.Event(), asyncio.Event()
        self.watches = Watches(self.ended)

    async def ended(self, job_id: str) -> TrainingJob:
        self.looks[job_id] += 1
        self.looking += 1
        self.ends[job_id] = asyncio.get_running_loop().create_future()
        self.began.set()
        try:
            return await self.ends[job_id]
        finally:
            self.looking -= 1
            self.left.set()

    async def waiting(self, job_id: str, clients: int, seconds: float = MINUTE_S) -> list[asyncio.Task[Any]]:
        """Let so many clients wait for a job, and return when somebody looks."""
        tasks = [asyncio.create_task(self.watches.wait_for_end(job_id, seconds)) for _ in range(clients)]
        await self.began.wait()
        return tasks


def test_x6_all_who_wait_for_a_job_share_one_look_and_get_the_same_job() -> None:
    async def scene() -> None:
        jobs, first, second = Jobs(), job("a"), job("b")
        tasks = await jobs.waiting("a", 1000)
        jobs.began.clear()
        tasks += await jobs.waiting("b", 10)
        assert jobs.looks == {"a": 1, "b": 1}
        jobs.ends["a"].set_result(first)
        jobs.ends["b"].set_result(second)
        found = await asyncio.gather(*tasks)
        assert [one is first for one in found] == [True] * 1000 + [False] * 10
        assert jobs.looking == 0

    asyncio.run(scene())


def test_look_ends_with_the_last_who_waits_whether_out_of_patience_or_gone() -> None:
    async def scene() -> None:
        jobs = Jobs()
        hasty, (patient,) = await jobs.waiting("a", 3, seconds=0.01), await jobs.waiting("a", 1)
        assert await asyncio.gather(*hasty) == [None] * 3
        assert jobs.looking == 1
        patient.cancel()
        await asyncio.gather(patient, return_exceptions=True)
        await jobs.left.wait()
        assert jobs.looking == 0
        jobs.began.clear()
        (later,) = await jobs.waiting("a", 1)
        jobs.ends["a"].set_result(job("a"))
        assert (await later).id == "a"
        assert jobs.looks == {"a": 2}

    asyncio.run(scene())


def test_look_that_fails_is_told_to_all_who_wait() -> None:
    async def scene() -> None:
        jobs = Jobs()
        tasks = await jobs.waiting("a", 3)
        jobs.ends["a"].set_exception(StoreUnavailable("locked"))
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(one) for one in found] == [StoreUnavailable] * 3

    asyncio.run(scene())
