"""Requests come in any pieces, and what is no request gets one problem and never a 5xx."""

from __future__ import annotations

import json
import re
import socket

import httpx
import hypothesis
import pytest
from hypothesis import strategies as st

from tests.app.problems import FIELDS
from tests.app.server.live import Live, ask, high, mean
from tests.app.sockets import GOOD, JSON, Connection, chunked, connected, request
from tests.properties import examples

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("chunks", [1, 2, 7, len(GOOD)])
def test_chunked_request_is_answered(live: Live, chunks: int) -> None:
    step = -(-len(GOOD) // chunks)
    packets = chunked(*(GOOD[at : at + step] for at in range(0, len(GOOD), step)))

    assert high(ask(live.url, *packets)) == 0.625
    assert high(ask(live.url, b"".join(packets))) == 0.625


@pytest.mark.parametrize("path", ["/predict/iris", "/predict/iris?"], ids=["short", "uvicorn"])
def test_request_may_come_byte_by_byte(live: Live, path: str) -> None:
    assert high(ask(live.url, *(bytes([byte]) for byte in request(path=path)))) == 0.625


def test_request_may_be_split_anywhere(connection: Connection) -> None:
    raw = request()
    for at in range(1, len(raw)):
        connection.send(raw[:at], raw[at:])
        assert high(connection.answer()) == 0.625, at


def test_end_of_one_request_and_begin_of_the_next_may_share_a_packet(connection: Connection) -> None:
    raw = request(mean(0.25)) + request(mean(0.5)) + request(mean(0.75))
    third = len(raw) // 3

    connection.send(raw[: third + 20], raw[third + 20 : 2 * third + 50], raw[2 * third + 50 :])

    assert [high(connection.answer()) for _ in range(3)] == [0.25, 0.5, 0.75]


LENGTH = b"POST /predict/iris HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"
NO_HTTP = {
    "garbage": b"garbage\r\n\r\n",
    "binary": bytes(range(256)),
    "tls": bytes.fromhex("16030100c8010000c40303") + bytes(100),
    "http 2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "unknown version": b"GET /livez HTTP/9.9\r\n\r\n",
    "no target": b"GET \r\n\r\n",
    "line feeds only": LENGTH.replace(b"\r\n", b"\n") + b"content-length: 2\n\n{}",
    "space before a colon": b"GET /livez HTTP/1.1\r\nhost : a\r\n\r\n",
    "folded header": b"GET /livez HTTP/1.1\r\n folded: b\r\n\r\n",
    "header without name": b"GET /livez HTTP/1.1\r\n: a\r\n\r\n",
    "null byte in a header": b"GET /livez HTTP/1.1\r\nhost: a\0b\r\n\r\n",
    "two lengths that differ": LENGTH + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{} ",
    "two lengths that agree": LENGTH + b"content-length: 2\r\ncontent-length: 2\r\n\r\n{}",
    "length and chunks": LENGTH + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": LENGTH + b"transfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n0\r\n\r\n",
    "signed length": LENGTH + b"content-length: +2\r\n\r\n{}",
    "negative length": LENGTH + b"content-length: -2\r\n\r\n{}",
    "length with underscore": LENGTH + b"content-length: 1_0\r\n\r\n{}        ",
    "length is text": LENGTH + b"content-length: two\r\n\r\n{}",
    "length beyond 64 bits": LENGTH + b"content-length: 18446744073709551618\r\n\r\n{}",
    "chunk size is text": LENGTH + b"transfer-encoding: chunked\r\n\r\nzz\r\n",
    "chunk size beyond 64 bits": LENGTH + b"transfer-encoding: chunked\r\n\r\n" + b"f" * 17 + b"\r\n{}",
    "chunk without its end": LENGTH + b"transfer-encoding: chunked\r\n\r\n2\r\n{}xx0\r\n\r\n",
}


@pytest.mark.parametrize("raw", NO_HTTP.values(), ids=NO_HTTP.keys())
def test_what_is_no_request_gets_one_problem_and_the_connection_is_closed(live: Live, raw: bytes) -> None:
    with connected(live.url) as connection:
        connection.send(raw)
        answer = connection.answer()
        assert connection.rest() == b""

    assert answer.status == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["connection"] == "close"
    assert list(json.loads(answer.body)) == FIELDS
    assert json.loads(answer.body)["request_id"] == answer.headers["x-request-id"]


def statuses(raw: bytes) -> list[int]:
    return [int(found) for found in re.findall(rb"HTTP/1\.1 (\d{3})", raw)]


def all_answers(url: httpx.URL, raw: bytes) -> bytes:
    """Return everything that comes back to bytes after which the client says no more."""
    with connected(url) as connection:
        connection.send(raw)
        connection.socket.shutdown(socket.SHUT_WR)
        return connection.rest()


@examples(35)
@hypothesis.given(st.data())
def test_no_damage_to_a_request_is_ever_a_5xx(live: Live, data: st.DataObject) -> None:
    raw = bytearray(request(headers={**JSON, "connection": "close"}))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(raw) - 1))
        raw[start : start + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))

    found = statuses(all_answers(live.url, bytes(raw)))

    assert len(found) <= 2
    assert all(status < 500 for status in found)


@examples(20)
@hypothesis.given(st.integers(0, len(request()) - 1))
def test_half_a_request_is_not_answered_with_success(live: Live, end: int) -> None:
    assert 200 not in statuses(all_answers(live.url, request()[:end]))
