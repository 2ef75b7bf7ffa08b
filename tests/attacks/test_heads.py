"""Heads that are too large or contradict themselves are refused (S-13, S-14, S-18)."""

from __future__ import annotations

import contextlib

import pytest

from app.security.keys import Scope
from app.server.headers import ONCE
from tests.app.sockets import GOOD, connected
from tests.attacks.conftest import Guarded
from tests.attacks.measuring import peak_bytes, reset_peak, resident_bytes
from tests.attacks.messages import CAP, answer_to, head, in_chunks, post, whole
from tests.promises import Measured

pytestmark = pytest.mark.slow

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
    """S-18."""
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


WAYS = ("/predict/iris", "/predict/iris?", "/predict", "/v2/models/iris/infer")  # the short one first
TWICE = {
    "authorization": ("Bearer x", "Bearer y"),
    "content-encoding": ("gzip", "identity"),
    "content-type": ("application/json", "text/csv"),
    "inference-header-content-length": ("10", "20"),
    "origin": ("http://localhost", "https://evil.test"),
    "sec-fetch-site": ("same-origin", "cross-site"),
    "x-request-timeout-ms": ("10000", "20000"),
}


@pytest.mark.parametrize("path", WAYS)
@pytest.mark.parametrize("name", TWICE)
def test_header_that_is_read_once_may_not_come_twice(name: str, path: str, guarded: Guarded) -> None:
    first, second = TWICE[name]
    for values in ((first, second), (second, first), (first, first)):
        answer = answer_to(guarded.url, whole(guarded, GOOD, *(f"{name}: {value}" for value in values), path=path))
        assert answer.status == 400, values
        assert b"once" in answer.body
        assert answer.headers["connection"] == "close"


def test_each_header_that_is_read_once_is_tried_twice() -> None:
    assert {name.encode() for name in TWICE} == set(ONCE)


@pytest.mark.parametrize("path", WAYS)
def test_second_content_type_does_not_lift_the_cap_of_a_body(path: str, guarded: Guarded) -> None:
    """S-13: what streams may be longer than what is held in memory."""
    sent = in_chunks(b" " * (4 * CAP))
    reset_peak(guarded.pid)
    before = resident_bytes(guarded.pid)

    assert post(guarded, head(guarded, "content-type: text/csv", "transfer-encoding: chunked", path=path) + sent) == 400
    assert peak_bytes(guarded.pid) - before < CAP


@pytest.mark.parametrize("kind", ["text/csv", "application/x-ndjson", "application/octet-stream"])
def test_inference_has_the_cap_of_bodies_that_are_held_whatever_they_call_themselves(
    kind: str, guarded: Guarded
) -> None:
    key = f"authorization: {guarded.bearer(Scope.PREDICT)['authorization']}"
    lines = ["POST /v2/models/iris/infer HTTP/1.1", "host: localhost", key, f"content-type: {kind}"]
    message = "\r\n".join([*lines, f"content-length: {CAP + 1}", "", ""]).encode()

    assert post(guarded, message) in (413, 415)


def test_two_hundred_large_heads_at_once_cost_no_memory(guarded: Guarded, measured: Measured) -> None:
    before = resident_bytes(guarded.pid)
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(connected(guarded.url)) for _ in range(200)]
        for connection in connections:
            with contextlib.suppress(ConnectionError):
                connection.send(START + b"x: " + b"a" * (1 << 20))
        for connection in connections:
            assert connection.rest()[9:12] in (b"431", b"")

    grown = max(resident_bytes(guarded.pid) - before, 0)
    assert grown < 32 << 20
    measured(
        "S-18", f"{len(HEADS)} large heads refused; 200 of 1 MiB at once: 431 or cut off, {grown >> 10} KiB more memory"
    )
    assert guarded.client.get("/livez").status_code == 200
