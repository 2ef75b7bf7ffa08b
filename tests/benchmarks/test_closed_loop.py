from __future__ import annotations

import pytest

from benchmarks.clients import Address, Failed
from benchmarks.closed_loop import closed_loop
from benchmarks.requests import Request
from tests.benchmarks.conftest import SLOW_S

pytestmark = pytest.mark.slow

FAST = Request("/fast", b"", 1, method="GET")
BAD = Request("/bad", b"", 1, method="GET")


@pytest.mark.parametrize("wrk", [True, False], ids=["wrk if there", "own client"])
def test_a_closed_loop_counts_what_was_answered(address: Address, wrk: bool) -> None:
    load = closed_loop(address, FAST, 4, 0.8 if wrk else 0.2, wrk=wrk)
    assert load.requests_per_s > 20
    assert 0 < load.p50_ms <= load.p99_ms


def test_a_closed_loop_waits_for_slow_answers_and_does_not_count_faster_than_they_come(address: Address) -> None:
    load = closed_loop(address, Request("/slow", b"", 1, method="GET"), 2, 0.05, wrk=False)
    assert load.p50_ms >= SLOW_S * 1e3 * 0.99
    assert load.requests_per_s <= 2 / SLOW_S


@pytest.mark.parametrize("path", ["/bad", "/cut"])
def test_a_closed_loop_fails_rather_than_measure_errors(address: Address, path: str) -> None:
    with pytest.raises(Failed):
        closed_loop(address, Request(path, b"", 1, method="GET"), 2, 0.1, wrk=False)
