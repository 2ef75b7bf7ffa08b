"""Heads that are too large: refused or cut off, before they cost memory (S-18)."""

from __future__ import annotations

import contextlib

import pytest

from tests.app.sockets import connected
from tests.attacks.conftest import Guarded
from tests.attacks.measuring import resident_bytes

START = b"GET /livez HTTP/1.1\r\nhost: localhost\r\n"
LIMIT = 32 << 10

HEADS: dict[str, bytes] = {
    "a header of 1 MiB": START + b"x: " + b"a" * (1 << 20) + b"\r\n\r\n",
    "a header of 10 MiB": START + b"x: " + b"a" * (10 << 20) + b"\r\n\r\n",
    "a name of 1 MiB": START + b"a" * (1 << 20) + b": x\r\n\r\n",
    "10,000 headers": START + b"".join(b"x%d: y\r\n" % n for n in range(10_000)) + b"\r\n",
    "101 headers": START + b"".join(b"x%d: y\r\n" % n for n in range(100)) + b"\r\n",
    "a path of 1 MiB": b"GET /" + b"a" * (1 << 20) + b" HTTP/1.1\r\nhost: localhost\r\n\r\n",
    "a query of 1 MiB": b"GET /livez?" + b"a" * (1 << 20) + b" HTTP/1.1\r\nhost: localhost\r\n\r\n",
    "a byte more than the limit": START + b"x: " + b"a" * LIMIT + b"\r\n\r\n",
    "a head without an end": START + b"x: " + b"a" * (1 << 20),
    "a method without an end": b"A" * (1 << 20),
}


def answers(guarded: Guarded, head: bytes) -> bytes:
    """Return what comes back, or nothing if the connection was cut off."""
    with connected(guarded.url) as connection:
        with contextlib.suppress(ConnectionError):
            connection.send(head)
        return connection.rest()


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS.keys())
def test_head_that_is_too_large_is_refused(head: bytes, guarded: Guarded) -> None:
    received = answers(guarded, head)

    assert received[9:12] in (b"431", b"400", b""), received[:200]
    assert b'{"live":true}' not in received


@pytest.mark.parametrize("size", [100, 8 << 10])
def test_head_in_small_pieces_has_the_same_limit(size: int, guarded: Guarded) -> None:
    head = START + b"x: " + b"a" * (2 * LIMIT) + b"\r\n\r\n"
    with connected(guarded.url) as connection:
        with contextlib.suppress(ConnectionError):
            connection.send(*(head[place : place + size] for place in range(0, len(head), size)))
        received = connection.rest()

    assert received[9:12] in (b"431", b"")


def test_head_within_the_limits_is_answered(guarded: Guarded) -> None:
    many = b"".join(b"x%d: y\r\n" % number for number in range(90))
    head = START + many + b"x: " + b"a" * (LIMIT - 2000) + b"\r\n\r\n"
    with connected(guarded.url) as connection:
        connection.send(head[:100], head[100:20_000], head[20_000:])
        assert connection.answer().status == 200


def test_two_hundred_large_heads_at_once_cost_no_memory(guarded: Guarded) -> None:
    before = resident_bytes(guarded.pid)
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(connected(guarded.url)) for _ in range(200)]
        for connection in connections:
            with contextlib.suppress(ConnectionError):
                connection.send(START + b"x: " + b"a" * (1 << 20))
        for connection in connections:
            assert connection.rest()[9:12] in (b"431", b"")

    assert resident_bytes(guarded.pid) - before < 32 << 20
    assert guarded.client.get("/livez").status_code == 200
