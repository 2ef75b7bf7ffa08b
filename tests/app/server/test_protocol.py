"""Connections: pipelined requests and refusals in order, and a graceful close."""

from __future__ import annotations

import socket

import pytest

from tests.app.server.live import LIVEZ, Live, all_wait, high, mean, part
from tests.app.sockets import GOOD, JSON, Connection, connected, request
from tests.app.telemetry.figures import in_progress
from tests.app.waiting import until

pytestmark = pytest.mark.slow


def test_connection_is_kept_and_answers_again_and_again(connection: Connection) -> None:
    for value in (0.0, 0.25, 0.5, 0.75, 1.0):
        connection.send(request(mean(value)))
        assert high(connection.answer()) == value


def test_connection_is_kept_after_an_error(connection: Connection) -> None:
    for body, status in ((b"{}", 422), (b"x", 400), (GOOD, 200), (b"", 400), (GOOD, 200)):
        connection.send(request(body))
        assert connection.answer().status == status


@pytest.mark.parametrize("body", [GOOD, b"{}"], ids=["good", "bad"])
@pytest.mark.parametrize("path", ["/predict/iris", "/predict/iris?"], ids=["short", "uvicorn"])
def test_connection_is_closed_if_the_client_wants_it(connection: Connection, path: str, body: bytes) -> None:
    connection.send(request(body, path, {**JSON, "connection": "close"}))

    assert connection.answer().headers["connection"] == "close"
    assert connection.rest() == b""


def test_http_1_0_is_answered_and_closed(connection: Connection) -> None:
    connection.send(request(protocol="HTTP/1.0"))

    assert high(connection.answer()) == 0.625
    assert connection.rest() == b""


MIXES = {
    "two": "ss",
    "three": "sss",
    "ten": "s" * 10,
    "other route behind": "sl",
    "other route before": "ls",
    "alternating": "slslsl",
    "uvicorn's way between": "suscs",
    "errors between": "sesbs",
    "uvicorn's way first": "ucsuc",
    "version between": "svsvs",
}


@pytest.mark.parametrize("split", [False, True], ids=["one packet", "a packet each"])
@pytest.mark.parametrize("busy", [False, True], ids=["alone", "with another connection"])
@pytest.mark.parametrize("mix", MIXES.values(), ids=MIXES.keys())
def test_pipelined_requests_are_answered_in_order(live: Live, mix: str, busy: bool, split: bool) -> None:
    values = [place / 16 for place in range(len(mix))]
    packets = [part(kind, value) for kind, value in zip(mix, values, strict=True)]
    with connected(live.url) as connection, connected(live.url) as other:
        if busy:
            other.send(request()[:40])
        connection.send(*packets if split else [b"".join(packets)])
        for kind, value in zip(mix, values, strict=True):
            answer = connection.answer()
            if kind in "succv":
                assert high(answer) == value
            else:
                assert answer.status == {"l": 200, "e": 422, "b": 400}[kind]


@pytest.mark.slow
@pytest.mark.parametrize("mix", ["ss", "sls", "seu"])
def test_pipelined_requests_that_wait_for_their_batch_are_answered_in_order(patient: Live, mix: str) -> None:
    values = [place / 16 for place in range(len(mix))]
    with connected(patient.url) as connection:
        connection.send(b"".join(part(kind, value) for kind, value in zip(mix, values, strict=True)))
        answers = [connection.answer() for _ in mix]

    assert [high(answer) for kind, answer in zip(mix, answers, strict=True) if kind in "su"] == [
        value for kind, value in zip(mix, values, strict=True) if kind in "su"
    ]


@pytest.mark.parametrize("path", ["/predict/iris", "/predict/iris?"], ids=["short", "uvicorn"])
def test_expect_100_continue_is_told_to_go_on(connection: Connection, path: str) -> None:
    raw = request(GOOD, path, {**JSON, "expect": "100-continue"})

    connection.send(raw[: -len(GOOD)])
    assert connection.head() == (100, {})
    connection.send(GOOD)

    assert high(connection.answer()) == 0.625


def test_expect_100_continue_of_http_1_0_is_not_told_to_go_on(connection: Connection) -> None:
    raw = request(GOOD, headers={**JSON, "expect": "100-continue"}).replace(b"HTTP/1.1", b"HTTP/1.0")

    connection.send(raw)

    assert connection.answer().status == 200


def test_expect_100_continue_of_a_body_that_is_too_large_is_refused_without_it(connection: Connection) -> None:
    raw = request(b" " * (9 << 20), headers={**JSON, "expect": "100-continue"})

    connection.send(raw[: raw.index(b"\r\n\r\n") + 4])

    assert connection.answer().status == 413


def test_client_that_goes_away_with_pipelined_requests_leaves_its_neighbours_served(patient: Live) -> None:
    def leaves() -> bool:
        with connected(patient.url) as leaver, connected(patient.url) as neighbour:
            leaver.send(request(mean(0.25)) + request(mean(0.5)) + LIVEZ)
            neighbour.send(request(mean(0.75)))
            both_waited = all_wait(patient, leaver, neighbour, requests=2)
            leaver.reset()

            assert high(neighbour.answer()) == 0.75
            return both_waited

    until(leaves, "one left while both waited")
    until(lambda: in_progress(patient.client) == 1, "only the scrape is in progress")


def test_garbage_behind_a_request_that_waits_does_not_come_before_its_answer(patient: Live) -> None:
    with connected(patient.url) as connection:
        connection.send(request(mean(0.25)) + b"garbage\r\n\r\n")

        assert high(connection.answer()) == 0.25
        assert connection.answer().status == 400
        assert connection.rest() == b""


def test_half_closed_client_still_gets_its_answer(connection: Connection) -> None:
    connection.send(request())
    connection.socket.shutdown(socket.SHUT_WR)

    assert high(connection.answer()) == 0.625


def test_many_connections_at_once_get_their_own_answers(live: Live) -> None:
    values = [number / 64 for number in range(64)]
    connections = [Connection(live.url) for _ in values]
    for turn in range(5):
        for connection, value in zip(connections, values, strict=True):
            connection.send(request(mean(value), headers={**JSON, "x-request-id": f"{turn}-{value}"}))
        for connection, value in zip(connections, values, strict=True):
            answer = connection.answer()
            assert (high(answer), answer.headers["x-request-id"]) == (value, f"{turn}-{value}")
    for connection in connections:
        connection.socket.close()
