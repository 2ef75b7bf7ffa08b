"""The order of turns: changes go before loads that were asked for, after one at most."""

from __future__ import annotations

import asyncio

from app.registry.priority_lock import PriorityLock


async def settled() -> None:
    """Let everybody come as far as they can."""
    for _ in range(10):
        await asyncio.sleep(0)


class Played:
    """PriorityLock that are taken, in the order in which they came, each until it is let go.

    Attributes:
        taken: names of the turns, in order.
        running: how many are taken now.
        most: how many were at a time.
    """

    def __init__(self) -> None:
        self._lock = PriorityLock()
        self._ends: dict[str, asyncio.Event] = {}
        self.taken: list[str] = []
        self.running = self.most = 0

    def change(self, name: str) -> asyncio.Task[None]:
        return asyncio.create_task(self._play(name, by_number=False))

    def ask(self, name: str) -> asyncio.Task[None]:
        return asyncio.create_task(self._play(name, by_number=True))

    async def let_go(self, name: str) -> None:
        self._ends.setdefault(name, asyncio.Event()).set()
        await settled()

    async def _play(self, name: str, *, by_number: bool) -> None:
        async with self._lock.for_load() if by_number else self._lock.for_change():
            self.taken.append(name)
            self.running += 1
            self.most = max(self.most, self.running)
            await self._ends.setdefault(name, asyncio.Event()).wait()
            self.running -= 1


def test_changes_wait_for_the_load_that_runs_and_no_other() -> None:
    async def main() -> Played:
        played = Played()
        tasks = []
        for name in ("load 1", "load 2", "load 3"):
            tasks.append(played.ask(name))
            await settled()
        for name in ("change 1", "change 2"):
            tasks.append(played.change(name))
            await settled()
        for name in ("load 1", "change 1", "change 2", "load 2", "load 3"):
            await played.let_go(name)
        await asyncio.gather(*tasks)
        return played

    played = asyncio.run(main())

    assert played.taken == ["load 1", "change 1", "change 2", "load 2", "load 3"]
    assert played.most == 1


def test_change_that_comes_in_the_moment_when_one_ends_goes_before_the_loads() -> None:
    lock, taken = PriorityLock(), []

    async def load() -> None:
        async with lock.for_load():
            taken.append("load")

    async def main() -> None:
        async with lock.for_change():
            loading = asyncio.create_task(load())
            await settled()
        async with lock.for_change():  # by now the load was told that it may, but has not run
            await settled()
            taken.append("change")
        await loading

    asyncio.run(main())

    assert taken == ["change", "load"]


def test_who_gives_up_waiting_holds_nobody_up() -> None:
    async def main() -> list[str]:
        played = Played()
        first = played.ask("load 1")
        await settled()
        waiting = [played.ask("load 2"), played.change("change 1")]
        await settled()
        for task in waiting:
            task.cancel()
        await settled()
        last = played.ask("load 3")
        for name in ("load 1", "load 3"):
            await played.let_go(name)
        await asyncio.gather(first, last)
        return played.taken

    assert asyncio.run(main()) == ["load 1", "load 3"]
