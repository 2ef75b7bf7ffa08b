"""Loads that were asked for by number: shared, bounded, and dropped without a waiter."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from app.registry.errors import TooManyLoads
from app.registry.on_demand import MAX_LOADS, MAX_WAITING, OnDemandLoads, Outcome
from app.registry.priority_lock import PriorityLock
from app.registry.state import Refusal
from tests.app.registry.test_priority_lock import settled


class Loader:
    """Refuses every version, as soon as it may.

    Attributes:
        loads: how many of each version began.
        may: set it to let them end.
    """

    def __init__(self) -> None:
        self.loads: Counter[int] = Counter()
        self.may = asyncio.Event()

    async def load(self, _name: str, version: int) -> Outcome:
        self.loads[version] += 1
        await self.may.wait()
        if version == 0:
            raise OSError("the disk is gone")
        return Refusal(f"version {version}", "", ())


def play(scene: Callable[[Loader, OnDemandLoads], Awaitable[None]]) -> Loader:
    async def main() -> Loader:
        loader = Loader()
        await scene(loader, OnDemandLoads(loader.load, PriorityLock()))
        return loader

    return asyncio.run(main())


def asking(asked: OnDemandLoads, version: int) -> asyncio.Task[Outcome]:
    return asyncio.create_task(asked.outcome("means", version))


def test_all_who_ask_for_a_version_share_one_load() -> None:
    async def scene(loader: Loader, asked: OnDemandLoads) -> None:
        tasks = [asking(asked, 2) for _ in range(MAX_WAITING)]
        await settled()
        loader.may.set()
        outcomes = await asyncio.gather(*tasks)
        assert {outcome.reason for outcome in outcomes if isinstance(outcome, Refusal)} == {"version 2"}

    assert play(scene).loads == {2: 1}


def test_who_asks_after_a_load_has_ended_gets_one_of_their_own() -> None:
    async def scene(loader: Loader, asked: OnDemandLoads) -> None:
        loader.may.set()
        await asked.outcome("means", 2)
        await asked.outcome("means", 2)

    assert play(scene).loads == {2: 2}


def test_no_more_wait_for_one_version_than_may() -> None:
    async def scene(loader: Loader, asked: OnDemandLoads) -> None:
        tasks = [asking(asked, 2) for _ in range(MAX_WAITING)]
        await settled()
        with pytest.raises(TooManyLoads):
            await asked.outcome("means", 2)
        other = asking(asked, 3)
        loader.may.set()
        await asyncio.gather(other, *tasks)

    assert play(scene).loads == {2: 1, 3: 1}


def test_no_more_versions_wait_than_may_and_one_at_a_time_is_loaded() -> None:
    async def scene(loader: Loader, asked: OnDemandLoads) -> None:
        tasks = [asking(asked, version) for version in range(1, 1 + MAX_LOADS)]
        await settled()
        assert loader.loads.total() == 1
        with pytest.raises(TooManyLoads):
            await asked.outcome("means", 99)
        joining = asking(asked, MAX_LOADS)
        loader.may.set()
        await asyncio.gather(joining, *tasks)
        await asked.outcome("means", 99)

    assert play(scene).loads == dict.fromkeys((*range(1, 1 + MAX_LOADS), 99), 1)


def test_error_of_a_load_is_that_of_all_who_wait_and_the_next_may_try() -> None:
    async def scene(loader: Loader, asked: OnDemandLoads) -> None:
        tasks = [asking(asked, 0) for _ in range(3)]
        await settled()
        loader.may.set()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [OSError] * 3
        await asked.outcome("means", 1)

    assert play(scene).loads == {0: 1, 1: 1}


def test_load_that_has_not_begun_is_given_up_with_the_last_who_waits_for_it() -> None:
    async def scene(loader: Loader, asked: OnDemandLoads) -> None:
        running = asking(asked, 1)
        leaving, staying = [asking(asked, 2), asking(asked, 2)], [asking(asked, 3), asking(asked, 3)]
        await settled()
        for task in (*leaving, staying[0]):
            task.cancel()
        await settled()
        loader.may.set()
        await asyncio.gather(running, staying[1])

    assert play(scene).loads == {1: 1, 3: 1}


def test_load_that_runs_goes_on_without_those_who_wanted_it_and_keeps_its_turn() -> None:
    async def scene(loader: Loader, asked: OnDemandLoads) -> None:
        leaving = asking(asked, 1)
        await settled()
        leaving.cancel()
        await settled()
        following, coming_back = asking(asked, 2), asking(asked, 1)
        await settled()
        assert loader.loads == {1: 1}
        loader.may.set()
        await asyncio.gather(following, coming_back)

    assert play(scene).loads == {1: 1, 2: 1}
