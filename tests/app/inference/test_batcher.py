"""Zero-wait batching: order, isolation, cancellation and bounds, with sums done by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from app.context import UNLIMITED, Deadline
from app.inference.batcher import Batcher, Entry
from app.inference.errors import RowQueueFull

Run = Callable[[Sequence[int]], Sequence[int]]


class Doubler:
    """Doubles its items and remembers which ran together."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        return [2 * item for item in items]


def batcher(run: Run, *, batch: int = 100, queue: int = 1000, wait_s: float = 0.0) -> Batcher[int, int]:
    return Batcher(run, max_batch_rows=batch, max_queue_rows=queue, max_wait_s=wait_s)


def answers_of(scene: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    return asyncio.run(scene())


async def turn() -> None:
    """Let everything that is due in this turn of the loop happen."""
    await asyncio.sleep(0)


def test_items_of_one_turn_run_together_and_are_answered_in_order() -> None:
    run = Doubler()

    async def scene() -> list[int]:
        rows = batcher(run)
        return await asyncio.gather(*(rows.result(item, 1) for item in range(5)))

    assert answers_of(scene) == [0, 2, 4, 6, 8]
    assert run.batches == [[0, 1, 2, 3, 4]]


def test_items_of_different_turns_run_apart() -> None:
    run = Doubler()

    async def scene() -> list[int]:
        rows = batcher(run)
        return [await rows.result(item, 1) for item in range(3)]

    assert answers_of(scene) == [0, 2, 4]
    assert run.batches == [[0], [1], [2]]


def test_callbacks_come_in_the_order_of_arrival() -> None:
    answered: list[int | Exception] = []

    async def scene() -> None:
        rows = batcher(Doubler())
        for item in (3, 1, 2):
            rows.submit(item, 1, answered.append)
        assert answered == []
        await turn()

    answers_of(scene)
    assert answered == [6, 2, 4]


def test_failed_run_fails_its_own_items_and_no_later_ones() -> None:
    def run(items: Sequence[int]) -> list[int]:
        if 13 in items:
            raise ValueError("thirteen")
        return [2 * item for item in items]

    async def scene() -> tuple[list[int | BaseException], int]:
        rows = batcher(run, batch=2)
        first = await asyncio.gather(*(rows.result(item, 1) for item in (1, 2, 13, 4, 5, 6)), return_exceptions=True)
        return first, await rows.result(7, 1)

    first, later = answers_of(scene)
    assert [type(answer) for answer in first] == [int, int, ValueError, ValueError, int, int]
    assert (first[:2], first[4:], later) == ([2, 4], [10, 12], 14)


@pytest.mark.parametrize("wrong", [[], [1], [1, 2, 3]], ids=["none", "too few", "too many"])
def test_run_of_wrong_length_fails_its_items_instead_of_mixing_them_up(wrong: list[int]) -> None:
    async def scene() -> list[int | BaseException]:
        rows = batcher(lambda items: wrong)
        return list(await asyncio.gather(rows.result(1, 1), rows.result(2, 1), return_exceptions=True))

    answers = answers_of(scene)
    assert [type(answer) for answer in answers] == [RuntimeError] * 2
    assert str(answers[0]) == f"2 items gave {len(wrong)} results"


@pytest.mark.parametrize("position", [0, 1, 2], ids=["first", "middle", "last"])
def test_cancelled_entry_is_not_computed_and_leaves_neighbours_and_the_next_batch_served(position: int) -> None:
    run, answered = Doubler(), list[int | Exception]()

    async def scene() -> int:
        rows = batcher(run)
        entries = [rows.submit(item, 1, answered.append) for item in (10, 20, 30)]
        entries[position].cancelled = True
        await turn()
        return await rows.result(40, 1)

    assert answers_of(scene) == 80
    left = [item for place, item in enumerate((10, 20, 30)) if place != position]
    assert run.batches == [left, [40]]
    assert answered == [2 * item for item in left]


@pytest.mark.parametrize("position", [0, 1, 2], ids=["first", "middle", "last"])
def test_cancelled_task_is_not_computed_and_leaves_neighbours_and_the_next_batch_served(position: int) -> None:
    run = Doubler()

    async def scene() -> tuple[list[int | BaseException], int]:
        rows = batcher(run, wait_s=0.2)
        tasks = [asyncio.ensure_future(rows.result(item, 1)) for item in (10, 20, 30)]
        await turn()
        assert rows.queued_rows == 3
        tasks[position].cancel()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        return answers, await rows.result(40, 1)

    answers, later = answers_of(scene)
    left = [item for place, item in enumerate((10, 20, 30)) if place != position]
    assert isinstance(answers[position], asyncio.CancelledError)
    assert [answer for answer in answers if isinstance(answer, int)] == [2 * item for item in left]
    assert (run.batches, later) == ([left, [40]], 80)


@pytest.mark.parametrize("position", [0, 1, 2], ids=["first", "middle", "last"])
def test_entry_that_is_cancelled_while_its_batch_runs_is_not_answered(position: int) -> None:
    answered: list[int | Exception] = []
    entries: list[Entry[int, int]] = []

    def run(items: Sequence[int]) -> list[int]:
        entries[position].cancelled = True
        return list(items)

    async def scene() -> None:
        rows = batcher(run)
        entries.extend(rows.submit(item, 1, answered.append) for item in (10, 20, 30))
        await turn()

    answers_of(scene)
    assert answered == [item for place, item in enumerate((10, 20, 30)) if place != position]


def test_batch_of_cancelled_entries_does_not_run() -> None:
    run = Doubler()

    async def scene() -> None:
        rows = batcher(run)
        for item in (1, 2):
            rows.submit(item, 1, lambda result: None).cancelled = True
        await turn()
        assert rows.queued_rows == 0

    answers_of(scene)
    assert run.batches == []


def test_timeout_of_one_caller_is_its_own() -> None:
    async def scene() -> tuple[bool, int]:
        rows = batcher(Doubler(), wait_s=0.2)
        patient = asyncio.ensure_future(rows.result(1, 1))
        try:
            await asyncio.wait_for(rows.result(2, 1), timeout=0)
        except TimeoutError:
            return True, await patient
        return False, await patient

    assert answers_of(scene) == (True, 2)


def test_queue_takes_exactly_its_bound_in_rows() -> None:
    async def scene() -> list[int | Exception]:
        answered: list[int | Exception] = []
        rows = batcher(Doubler(), queue=10)
        rows.submit(1, 4, answered.append)
        rows.submit(2, 6, answered.append)
        with pytest.raises(RowQueueFull, match="at most 10 rows"):
            rows.submit(3, 1, answered.append)
        assert rows.queued_rows == 10
        await turn()
        return answered

    assert answers_of(scene) == [2, 4]


def test_queue_has_room_again_when_its_batch_ran() -> None:
    async def scene() -> list[int]:
        rows = batcher(Doubler(), queue=1)
        return [await rows.result(item, 1) for item in range(3)]

    assert answers_of(scene) == [0, 2, 4]


def test_refused_caller_gets_overloaded_and_those_before_it_their_answers() -> None:
    async def scene() -> list[int | BaseException]:
        rows = batcher(Doubler(), queue=2)
        return await asyncio.gather(*(rows.result(item, 1) for item in range(4)), return_exceptions=True)

    answers = answers_of(scene)
    assert answers[:2] == [0, 2]
    assert [type(answer) for answer in answers[2:]] == [RowQueueFull, RowQueueFull]


def test_item_larger_than_queue_and_batch_runs_by_itself() -> None:
    run = Doubler()

    async def scene() -> list[int]:
        rows = batcher(run, batch=4, queue=8)
        return list(await asyncio.gather(rows.result(1, 50)))

    assert answers_of(scene) == [2]
    assert run.batches == [[1]]


def test_batch_takes_as_many_items_as_its_bound_in_rows_allows() -> None:
    run = Doubler()

    async def scene() -> list[int]:
        rows = batcher(run, batch=10)
        sizes = (4, 6, 1, 10, 3, 30, 5, 5)
        return await asyncio.gather(*(rows.result(item, size) for item, size in enumerate(sizes)))

    assert answers_of(scene) == [0, 2, 4, 6, 8, 10, 12, 14]
    assert run.batches == [[0, 1], [2], [3], [4], [5], [6, 7]]


def test_between_two_batches_of_a_long_queue_others_get_their_turn() -> None:
    events: list[str] = []

    def run(items: Sequence[int]) -> Sequence[int]:
        events.append(f"batch {items[0]}")
        return items

    async def scene() -> None:
        rows = batcher(run, batch=1)
        waiting = asyncio.gather(*(rows.result(item, 1) for item in range(3)))
        while not waiting.done():
            events.append("turn")
            await turn()

    answers_of(scene)
    assert [event for event in events if event != "turn"] == ["batch 0", "batch 1", "batch 2"]
    assert "turn" in events[events.index("batch 0") : events.index("batch 1")]


def test_alone_runs_here_and_now_without_a_loop() -> None:
    answered: list[int | Exception] = []

    entry = batcher(Doubler()).submit(21, 1, answered.append, alone=True)

    assert answered == [42]
    assert (entry.item, entry.rows, entry.cancelled) == (21, 1, False)


def test_alone_and_failing_is_told_the_failure() -> None:
    def run(items: Sequence[int]) -> list[int]:
        raise ValueError(str(items))

    answered: list[int | Exception] = []

    batcher(run).submit(1, 1, answered.append, alone=True)

    assert [type(answer) for answer in answered] == [ValueError]


def test_alone_does_not_overtake_those_who_wait() -> None:
    run, answered = Doubler(), list[int | Exception]()

    async def scene() -> None:
        rows = batcher(run)
        rows.submit(1, 1, answered.append)
        rows.submit(2, 1, answered.append, alone=True)
        await turn()

    answers_of(scene)
    assert (run.batches, answered) == ([[1, 2]], [2, 4])


@pytest.mark.parametrize("alone", [False, True], ids=["not known to be alone", "alone"])
def test_positive_wait_gathers_items_of_several_turns(alone: bool) -> None:
    run = Doubler()

    async def scene() -> None:
        rows, all_answered, answered = batcher(run, wait_s=0.2), asyncio.Event(), list[int | Exception]()

        def done(result: int | Exception) -> None:
            answered.append(result)
            if len(answered) == 3:
                all_answered.set()

        for item in (1, 2, 3):
            rows.submit(item, 1, done, alone=alone)
            await turn()
        await all_answered.wait()
        assert answered == [2, 4, 6]

    answers_of(scene)
    assert run.batches == [[1, 2, 3]]


def test_who_is_answered_may_ask_again_at_once() -> None:
    run, answered = Doubler(), list[int | Exception]()

    async def scene() -> None:
        rows = batcher(run)

        def again(result: int | Exception) -> None:
            answered.append(result)
            rows.submit(100, 1, answered.append)

        rows.submit(1, 1, again)
        rows.submit(2, 1, answered.append)
        await turn()
        await turn()

    answers_of(scene)
    assert (run.batches, answered) == ([[1, 2], [100]], [2, 4, 200])


def raises(result: int | Exception) -> None:
    """Fail to pass an answer on, as a connection does that can no longer be written to."""
    raise RuntimeError(f"nobody takes {result}")


@pytest.mark.parametrize("position", [0, 1, 2], ids=["first", "middle", "last"])
def test_answer_that_cannot_be_given_leaves_neighbours_and_the_next_batch_served(
    position: int, caplog: pytest.LogCaptureFixture
) -> None:
    """X-01."""
    answered: list[int | Exception] = []

    async def scene() -> int:
        rows = batcher(Doubler())
        for place, item in enumerate((10, 20, 30)):
            rows.submit(item, 1, raises if place == position else answered.append)
        await turn()
        return await rows.result(40, 1)

    assert answers_of(scene) == 80
    assert answered == [2 * item for place, item in enumerate((10, 20, 30)) if place != position]
    assert [record.levelname for record in caplog.records] == ["ERROR"]


@pytest.mark.parametrize("position", [0, 1, 2], ids=["first", "middle", "last"])
def test_late_answer_that_cannot_be_given_leaves_the_queue_going_on(
    position: int, caplog: pytest.LogCaptureFixture
) -> None:
    """X-01: also when the queue is longer than a batch, which goes on in the next turn."""
    answered: list[int | Exception] = []

    async def scene() -> None:
        rows = batcher(Doubler(), batch=1)
        for place, item in enumerate((10, 20, 30)):
            entry = rows.submit(item, 1, raises if place == position else answered.append)
            entry.deadline = Deadline(at_ns=0) if place == position else UNLIMITED
        for _ in range(4):
            await turn()
        assert rows.queued_rows == 0

    answers_of(scene)
    assert answered == [2 * item for place, item in enumerate((10, 20, 30)) if place != position]
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_answer_that_cannot_be_given_is_not_the_fault_of_who_submits_alone(caplog: pytest.LogCaptureFixture) -> None:
    """X-01: who submits would answer once more."""
    batcher(Doubler()).submit(1, 1, raises, alone=True)

    assert [record.levelname for record in caplog.records] == ["ERROR"]
