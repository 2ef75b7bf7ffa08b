from __future__ import annotations

import numpy as np
import pytest

from benchmarks.clients import Address
from benchmarks.open_loop import Beside, at_random, evenly, open_loop
from benchmarks.requests import Request
from tests.benchmarks.conftest import SLOW_S

pytestmark = pytest.mark.slow

FAST = Request("/fast", b"", 1, method="GET")
BAD = Request("/bad", b"", 1, method="GET")


def test_an_open_loop_sends_everything_that_is_due(address: Address) -> None:
    arrivals = open_loop(address, FAST, evenly(200, 0.25), keep=True)
    assert len(arrivals.latencies_s) == len(arrivals.late_s) == 50
    assert {(reply.status, reply.body) for reply in arrivals.replies} == {(200, b"hi")}


def test_an_open_loop_counts_latency_from_the_scheduled_moment(address: Address) -> None:
    """All are due at once, 64 leave, the rest waits for their answers: the last of 128 takes at least twice as long."""
    arrivals = open_loop(address, Request("/slow", b"", 1, method="GET"), np.zeros(128))
    assert min(arrivals.latencies_s) >= SLOW_S * 0.99
    assert max(arrivals.latencies_s) >= 2 * SLOW_S * 0.99


@pytest.mark.parametrize("path", ["/bad", "/cut"])
def test_an_open_loop_counts_failures(address: Address, path: str) -> None:
    arrivals = open_loop(address, Request(path, b"", 1, method="GET"), evenly(100, 0.05))
    assert (arrivals.failures, arrivals.latencies_s) == (5, [])


def test_an_open_loop_ends_with_what_is_asked_beside(address: Address) -> None:
    beside = Beside(address, lambda asked: (FAST if asked else BAD).wire() if asked < 3 else None)
    arrivals = open_loop(address, FAST, evenly(100, 60), beside=beside)
    assert (beside.replies, beside.failures) == (2, 1)
    assert len(arrivals.latencies_s) < 3000


def test_what_is_asked_beside_keeps_its_pause(address: Address) -> None:
    beside = Beside(address, lambda asked: FAST.wire() if asked < 4 else None, pause_s=0.05)
    arrivals = open_loop(address, FAST, evenly(100, 60), beside=beside)
    assert beside.replies == 4
    assert 5 <= len(arrivals.latencies_s) < 3000  # it ends when the fifth is due: 20 without any delay, of 6,000


def test_an_open_loop_sends_one_request_even_if_nothing_is_asked_beside(address: Address) -> None:
    arrivals = open_loop(address, FAST, evenly(100, 60), beside=Beside(address, lambda _: None))
    assert len(arrivals.latencies_s) == 1


def test_schedules_have_the_rate_that_is_asked_for() -> None:
    assert evenly(4, 1).tolist() == [0, 0.25, 0.5, 0.75]
    moments = at_random(1000, 10, seed=3)
    assert np.all(np.diff(moments) > 0)
    assert abs(len(moments) / moments[-1] - 1000) < 50  # 5 standard errors of a mean of 10,000 gaps
