"""Work that nobody waits for any more: dropped from the queue before it is computed, and never its neighbours."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import pytest

from app.errors import ClientGone, DeadlinePassed
from app.inference.batcher import Batcher
from app.patience import PATIENCE, Patience, require_wanted, while_wanted


class Doubler:
    """A model that doubles numbers and remembers which."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.seen += items
        return [2 * item for item in items]


async def ask(batcher: Batcher[int, int], item: int, patience: Patience) -> int:
    PATIENCE.set(patience)
    return await batcher.result(item, 1)


def past() -> Patience:
    return Patience(deadline_ns=time.perf_counter_ns() - 1)


def future() -> Patience:
    return Patience(deadline_ns=time.perf_counter_ns() + 60_000_000_000, gone=lambda: False)


def test_only_what_is_still_wanted_is_computed() -> None:
    run = Doubler()
    batcher: Batcher[int, int] = Batcher(run, max_batch_rows=10, max_queue_rows=100)
    every = [Patience(), past(), Patience(gone=lambda: True), future()]

    async def scene() -> list[int | BaseException]:
        return await asyncio.gather(*(ask(batcher, n, p) for n, p in enumerate(every)), return_exceptions=True)

    results = asyncio.run(scene())

    assert run.seen == [0, 3]
    assert (results[0], results[3]) == (0, 6)
    assert isinstance(results[1], DeadlinePassed)
    assert isinstance(results[2], ClientGone)
    assert batcher.queued_rows == 0


def test_client_that_goes_while_its_rows_wait_is_noticed() -> None:
    run, gone = Doubler(), [False]
    batcher: Batcher[int, int] = Batcher(run, max_batch_rows=10, max_queue_rows=100)

    async def scene() -> int:
        waiting = asyncio.create_task(ask(batcher, 1, Patience(gone=lambda: gone[0])))
        await asyncio.sleep(0)
        gone[0] = True
        return await waiting

    with pytest.raises(ClientGone):
        asyncio.run(scene())
    assert run.seen == []


@pytest.mark.parametrize(
    ("patience", "end"),
    [(past, DeadlinePassed), (lambda: Patience(gone=lambda: True), ClientGone)],
    ids=["late", "gone"],
)
def test_long_computation_asks_whether_it_is_still_wanted(
    patience: Callable[[], Patience], end: type[Exception]
) -> None:
    async def scene(wanted: Patience) -> None:
        PATIENCE.set(wanted)
        require_wanted()

    asyncio.run(scene(future()))
    with pytest.raises(end):
        asyncio.run(scene(patience()))


@pytest.mark.parametrize("error", [ClientGone, DeadlinePassed])
def test_x5_long_work_ends_with_those_who_want_it(error: type[Exception]) -> None:
    async def scene() -> None:
        begun, ended, gone = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def work() -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        deadline_ns = time.perf_counter_ns() if error is DeadlinePassed else None
        PATIENCE.set(Patience(deadline_ns, gone.is_set))
        wanted = asyncio.create_task(while_wanted(work()))
        await begun.wait()
        if error is ClientGone:
            gone.set()
        with pytest.raises(error):
            await wanted
        assert ended.is_set()

    asyncio.run(scene())


def test_long_work_that_is_wanted_gives_what_it_gives() -> None:
    async def scene() -> None:
        assert await while_wanted(asyncio.sleep(0, "done")) == "done"
        with pytest.raises(ZeroDivisionError):
            await while_wanted(divide())

    async def divide() -> float:
        return 1 / 0

    asyncio.run(scene())
