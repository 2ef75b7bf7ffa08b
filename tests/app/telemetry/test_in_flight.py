"""Which requests count as in flight: those that do not wait, within the limit."""

from __future__ import annotations

import pytest

from app.errors import TooManyInFlight
from app.telemetry.in_flight import Flight
from app.telemetry.metrics import ServingMetrics


@pytest.fixture
def metrics() -> ServingMetrics:
    return ServingMetrics()


def test_request_counts_from_its_beginning_to_its_end_unless_it_waits(metrics: ServingMetrics) -> None:
    flight = Flight(metrics, 1)
    seen = []
    flight.begin()
    for _ in range(2):
        seen.append((metrics.in_progress, metrics.waiting))
        with flight.waiting():
            seen.append((metrics.in_progress, metrics.waiting))
    flight.end()

    assert seen == [(1, 0), (0, 1)] * 2
    assert (metrics.in_progress, metrics.waiting) == (0, 0)


def test_request_of_which_several_tasks_wait_is_one_that_waits(metrics: ServingMetrics) -> None:
    flight = Flight(metrics, 1)
    flight.begin()
    flight.pause()
    with flight.waiting():
        assert (metrics.in_progress, metrics.waiting) == (0, 1)
    assert (metrics.in_progress, metrics.waiting) == (0, 1)
    flight.resume()

    assert (metrics.in_progress, metrics.waiting) == (1, 0)


def test_wait_that_is_cut_off_is_over(metrics: ServingMetrics) -> None:
    flight = Flight(metrics, 1)
    flight.begin()
    with pytest.raises(TimeoutError), flight.waiting():
        raise TimeoutError

    assert (metrics.in_progress, metrics.waiting) == (1, 0)


def test_there_is_room_for_as_many_as_may_be_answered_at_a_time(metrics: ServingMetrics) -> None:
    flights = [Flight(metrics, 2) for _ in range(3)]
    for flight in flights:
        flight.begin()

    with pytest.raises(TooManyInFlight) as refused:
        flights[0].require_room()
    assert refused.value.limit == 2
    with flights[1].waiting():
        flights[0].require_room()
