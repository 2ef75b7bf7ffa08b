"""The state of a request: its deadline, and the memory that all requests may occupy."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import pytest

from app.context import (
    CONTEXT,
    FREE_BYTES,
    Deadline,
    MemoryBudget,
    MemoryReservation,
    RequestContext,
    current_deadline,
    current_request_id,
    require_wanted,
    reserve,
    waiting,
    while_wanted,
)
from app.errors import ClientGone, DeadlinePassed, TooManyBytesHeld
from app.inference.batcher import Batcher
from app.telemetry.in_flight import Flight
from app.telemetry.metrics import ServingMetrics

LIMIT = 1000


class Doubler:
    """A model that doubles numbers and remembers which."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.seen += items
        return [2 * item for item in items]


async def ask(batcher: Batcher[int, int], item: int, deadline: Deadline) -> int:
    CONTEXT.set(RequestContext(deadline=deadline))
    return await batcher.result(item, 1)


def past() -> Deadline:
    return Deadline(at_ns=time.perf_counter_ns() - 1)


def future() -> Deadline:
    return Deadline(at_ns=time.perf_counter_ns() + 60_000_000_000, gone=lambda: False)


def test_deadline_is_the_earlier_of_two_and_keeps_its_client() -> None:
    gone = bool
    deadline = Deadline(at_ns=20, gone=gone)

    assert deadline.no_later_than(None) is deadline
    assert deadline.no_later_than(20) is deadline
    assert deadline.no_later_than(30) is deadline
    assert deadline.no_later_than(10) == Deadline(at_ns=10, gone=gone)
    assert Deadline().no_later_than(10) == Deadline(at_ns=10)


def test_only_what_is_still_wanted_is_computed() -> None:
    run = Doubler()
    batcher: Batcher[int, int] = Batcher(run, max_batch_rows=10, max_queue_rows=100)
    every = [Deadline(), past(), Deadline(gone=lambda: True), future()]

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
        waiting = asyncio.create_task(ask(batcher, 1, Deadline(gone=lambda: gone[0])))
        await asyncio.sleep(0)
        gone[0] = True
        return await waiting

    with pytest.raises(ClientGone):
        asyncio.run(scene())
    assert run.seen == []


@pytest.mark.parametrize(
    ("deadline", "end"),
    [(past, DeadlinePassed), (lambda: Deadline(gone=lambda: True), ClientGone)],
    ids=["late", "gone"],
)
def test_long_computation_asks_whether_it_is_still_wanted(
    deadline: Callable[[], Deadline], end: type[Exception]
) -> None:
    async def scene(wanted: Deadline) -> None:
        CONTEXT.set(RequestContext(deadline=wanted))
        require_wanted()

    asyncio.run(scene(future()))
    with pytest.raises(end):
        asyncio.run(scene(deadline()))


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

        at_ns = time.perf_counter_ns() if error is DeadlinePassed else None
        CONTEXT.set(RequestContext(deadline=Deadline(at_ns, gone.is_set)))
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


@pytest.fixture
def budget() -> MemoryBudget:
    return MemoryBudget(LIMIT)


def test_first_bytes_of_each_request_are_free_in_any_pieces(budget: MemoryBudget) -> None:
    for _ in range(100):
        reservation = MemoryReservation(budget)
        for size in (1, FREE_BYTES - 2, 1):
            reservation.reserve(size)

    assert budget.reserved_bytes == 0


def test_request_finds_room_to_the_last_byte_and_no_further(budget: MemoryBudget) -> None:
    first, second = MemoryReservation(budget), MemoryReservation(budget)
    first.reserve(FREE_BYTES + 600)
    second.reserve(FREE_BYTES)
    second.reserve(400)

    with pytest.raises(TooManyBytesHeld) as refused:
        second.reserve(1)

    assert refused.value.limit_bytes == LIMIT
    assert budget.reserved_bytes == LIMIT


def test_request_that_is_alone_may_hold_more(budget: MemoryBudget) -> None:
    alone, other = MemoryReservation(budget), MemoryReservation(budget)
    alone.reserve(FREE_BYTES + LIMIT)
    alone.reserve(10 * LIMIT)

    with pytest.raises(TooManyBytesHeld):
        other.reserve(FREE_BYTES + 1)
    assert budget.reserved_bytes == 11 * LIMIT


def test_room_is_there_again_when_requests_end_also_refused_ones(budget: MemoryBudget) -> None:
    first, second = MemoryReservation(budget), MemoryReservation(budget)
    first.reserve(FREE_BYTES + 600)
    with pytest.raises(TooManyBytesHeld):
        second.reserve(FREE_BYTES + 600)
    for ended in (second, first, first):
        ended.release()

    assert budget.reserved_bytes == 0


def test_room_that_a_request_no_longer_needs_is_there_for_others(budget: MemoryBudget) -> None:
    first, second = MemoryReservation(budget), MemoryReservation(budget)
    first.reserve(FREE_BYTES + LIMIT)
    first.reserve(-400)
    second.reserve(FREE_BYTES + 400)
    with pytest.raises(TooManyBytesHeld):
        first.reserve(1)

    second.reserve(-FREE_BYTES - 400)
    assert budget.reserved_bytes == LIMIT - 400
    second.reserve(FREE_BYTES)
    assert budget.reserved_bytes == LIMIT - 400


def test_bytes_are_counted_for_the_request_of_the_context_and_for_nobody_outside_of_one(budget: MemoryBudget) -> None:
    reserve(FREE_BYTES + 1)
    token = CONTEXT.set(RequestContext(memory=MemoryReservation(budget)))
    try:
        reserve(FREE_BYTES + 1)
    finally:
        CONTEXT.reset(token)

    assert budget.reserved_bytes == 1


def test_x7_first_bytes_of_bodies_that_are_not_whole_count_apart_from_the_others(budget: MemoryBudget) -> None:
    whole, incomplete, late = MemoryReservation(budget), MemoryReservation(budget), MemoryReservation(budget)
    whole.reserve(FREE_BYTES + LIMIT)
    incomplete.reserve_incomplete(600)
    late.reserve_incomplete(400)

    with pytest.raises(TooManyBytesHeld):
        late.reserve_incomplete(1)
    assert (budget.reserved_bytes, budget.incomplete_bytes) == (LIMIT, LIMIT)

    incomplete.complete()
    late.reserve_incomplete(1)
    assert (budget.reserved_bytes, budget.incomplete_bytes) == (LIMIT, 401)
    late.release()
    assert (budget.reserved_bytes, budget.incomplete_bytes) == (LIMIT, 0)


def test_x7_body_that_is_not_whole_counts_its_first_bytes_only_once(budget: MemoryBudget) -> None:
    large = MemoryReservation(budget)
    for _ in range(3):
        large.reserve_incomplete(FREE_BYTES)

    assert (budget.reserved_bytes, budget.incomplete_bytes) == (2 * FREE_BYTES, FREE_BYTES)


def test_present_request_waits_and_without_one_nobody_does() -> None:
    metrics = ServingMetrics()
    with waiting():
        assert metrics.waiting == 0
    flight = Flight(metrics, 1)
    flight.begin()
    token = CONTEXT.set(RequestContext(flight=flight))
    try:
        with waiting():
            assert (metrics.in_progress, metrics.waiting) == (0, 1)
    finally:
        CONTEXT.reset(token)


def test_outside_of_a_request_there_is_no_id_and_no_deadline() -> None:
    assert current_request_id() is None
    assert current_deadline() == Deadline()
    require_wanted()
