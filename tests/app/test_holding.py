"""What all requests may hold together: the first bytes of each are free, and whoever is alone may hold any number."""

from __future__ import annotations

import pytest

from app.errors import TooManyBytesHeld
from app.holding import FREE_BYTES, HOLDING, Budget, Holding, hold

LIMIT = 1000


@pytest.fixture
def budget() -> Budget:
    return Budget(LIMIT)


def test_first_bytes_of_each_request_are_free_in_any_pieces(budget: Budget) -> None:
    for _ in range(100):
        holding = Holding(budget)
        for size in (1, FREE_BYTES - 2, 1):
            holding.take(size)

    assert budget.held_bytes == 0


def test_request_finds_room_to_the_last_byte_and_no_further(budget: Budget) -> None:
    first, second = Holding(budget), Holding(budget)
    first.take(FREE_BYTES + 600)
    second.take(FREE_BYTES)
    second.take(400)

    with pytest.raises(TooManyBytesHeld) as refused:
        second.take(1)

    assert refused.value.limit_bytes == LIMIT
    assert budget.held_bytes == LIMIT


def test_request_that_is_alone_may_hold_more(budget: Budget) -> None:
    alone, other = Holding(budget), Holding(budget)
    alone.take(FREE_BYTES + LIMIT)
    alone.take(10 * LIMIT)

    with pytest.raises(TooManyBytesHeld):
        other.take(FREE_BYTES + 1)
    assert budget.held_bytes == 11 * LIMIT


def test_room_is_there_again_when_requests_end_also_refused_ones(budget: Budget) -> None:
    first, second = Holding(budget), Holding(budget)
    first.take(FREE_BYTES + 600)
    with pytest.raises(TooManyBytesHeld):
        second.take(FREE_BYTES + 600)
    for ended in (second, first, first):
        ended.give_back()

    assert budget.held_bytes == 0


def test_bytes_are_counted_for_the_request_of_the_context_and_for_nobody_outside_of_one(budget: Budget) -> None:
    hold(FREE_BYTES + 1)
    token = HOLDING.set(Holding(budget))
    try:
        hold(FREE_BYTES + 1)
    finally:
        HOLDING.reset(token)

    assert budget.held_bytes == 1


def test_x7_first_bytes_of_bodies_that_are_not_whole_count_apart_from_the_others(budget: Budget) -> None:
    whole, begun, late = Holding(budget), Holding(budget), Holding(budget)
    whole.take(FREE_BYTES + LIMIT)
    begun.receive(600)
    late.receive(400)

    with pytest.raises(TooManyBytesHeld):
        late.receive(1)
    assert (budget.held_bytes, budget.begun_bytes) == (LIMIT, LIMIT)

    begun.received()
    late.receive(1)
    assert (budget.held_bytes, budget.begun_bytes) == (LIMIT, 401)
    late.give_back()
    assert (budget.held_bytes, budget.begun_bytes) == (LIMIT, 0)


def test_x7_body_that_is_not_whole_counts_its_first_bytes_only_once(budget: Budget) -> None:
    large = Holding(budget)
    for _ in range(3):
        large.receive(FREE_BYTES)

    assert (budget.held_bytes, budget.begun_bytes) == (2 * FREE_BYTES, FREE_BYTES)
