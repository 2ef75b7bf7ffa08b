from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from benchmarks.clients import Address, Failed, ask
from benchmarks.closed_loop import closed_loop
from benchmarks.open_loop import Beside, at_random, evenly, open_loop
from benchmarks.requests import Request

pytestmark = pytest.mark.slow

FAST = Request("/fast", b"", 1, method="GET")
BAD = Request("/bad", b"", 1, method="GET")
SLOW_S = 0.1


class Echo(asyncio.Protocol):
    """Answers requests without a body: /slow late, /bad with 500, /cut not at all, others at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        path = data.split(b" ", 2)[1]
        if path == b"/cut":
            self.transport.close()
        elif path == b"/slow":
            asyncio.get_running_loop().call_later(SLOW_S, self.answer, b"200 OK")
        else:
            self.answer(b"500 No" if path == b"/bad" else b"200 OK")

    def answer(self, status: bytes) -> None:
        self.transport.write(b"HTTP/1.1 %b\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n" % status)


@pytest.fixture(scope="module")
def address() -> Iterator[Address]:
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(loop.create_server(Echo, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    host, port = server.sockets[0].getsockname()
    yield host, port
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    server.close()
    loop.run_until_complete(server.wait_closed())
    loop.close()


def test_one_question_has_one_answer(address: Address) -> None:
    assert ask(address, FAST).body == b"hi"


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
    assert len(arrivals.latencies_s) < 600


def test_an_open_loop_sends_one_request_even_if_nothing_is_asked_beside(address: Address) -> None:
    arrivals = open_loop(address, FAST, evenly(100, 60), beside=Beside(address, lambda _: None))
    assert len(arrivals.latencies_s) == 1


def test_schedules_have_the_rate_that_is_asked_for() -> None:
    assert evenly(4, 1).tolist() == [0, 0.25, 0.5, 0.75]
    moments = at_random(1000, 10, seed=3)
    assert np.all(np.diff(moments) > 0)
    assert abs(len(moments) / moments[-1] - 1000) < 50  # 5 standard errors of a mean of 10,000 gaps
