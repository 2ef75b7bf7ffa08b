"""Bodies that are too large, compressed, or deep: refused before they cost anything (S-13 to S-15)."""

from __future__ import annotations

import contextlib
import gzip
import json
import time
import zlib

import pytest

from app.access.keys import Scope
from tests.app.sockets import GOOD, Connection, connected
from tests.attacks.conftest import Guarded
from tests.attacks.measuring import resident_bytes

pytestmark = pytest.mark.slow

CAP = 8 << 20
FEW = 2 << 20  # what may be under way in the buffers of the kernel besides the 64 KiB that are read


def head(guarded: Guarded, *headers: str, path: str = "/predict/iris", key: bool = True) -> bytes:
    bearer = [f"authorization: Bearer {guarded.keys[Scope.PREDICT]}"] if key else []
    lines = [f"POST {path} HTTP/1.1", "host: localhost", "content-type: application/json", *bearer, *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def post(guarded: Guarded, message: bytes) -> int:
    with connected(guarded.url) as connection:
        with contextlib.suppress(ConnectionError):
            connection.send(message)
        return connection.answer().status


def in_chunks(body: bytes, size: int = 1 << 20) -> bytes:
    parts = [body[place : place + size] for place in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


@pytest.mark.parametrize("path", ["/predict/iris", "/predict"])
def test_body_at_the_cap_is_answered_and_a_byte_more_refused_declared_or_not(path: str, guarded: Guarded) -> None:
    named = GOOD if path != "/predict" else GOOD.replace(b"{", b'{"model": "iris", ', 1)
    fits, over = named.ljust(CAP), named.ljust(CAP + 1)

    assert post(guarded, head(guarded, f"content-length: {CAP}", path=path) + fits) == 200
    assert post(guarded, head(guarded, f"content-length: {CAP + 1}", path=path) + over) == 413
    assert post(guarded, head(guarded, "transfer-encoding: chunked", path=path) + in_chunks(fits)) == 200
    assert post(guarded, head(guarded, "transfer-encoding: chunked", path=path) + in_chunks(over)) == 413


@pytest.mark.parametrize("length", ["-1", "abc", str(1 << 64), "+5", "1_0", "5, 6", "0x10", "1.0", "9" * 400])
def test_length_that_is_no_number_of_bytes_is_refused(length: str, guarded: Guarded) -> None:
    assert post(guarded, head(guarded, f"content-length: {length}") + GOOD) in (400, 413)


def test_body_of_one_byte_chunks_is_a_body(guarded: Guarded) -> None:
    body = GOOD.ljust(65_537)

    assert post(guarded, head(guarded, "transfer-encoding: chunked") + in_chunks(body, 1)) in (200, 400, 413)


def test_stranger_is_answered_before_the_body_is_read(guarded: Guarded) -> None:
    before = resident_bytes(guarded.pid)
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(connected(guarded.url)) for _ in range(50)]
        for connection in connections:
            connection.send(head(guarded, f"content-length: {64 << 20}", key=False))
        assert [connection.answer().status for connection in connections] == [401] * 50
        assert max(sent_until_full(connection) for connection in connections[:5]) < FEW + (4 << 20)

    assert resident_bytes(guarded.pid) - before < 32 << 20


def sent_until_full(connection: Connection) -> int:
    """Return how many bytes of a body go through before nobody takes more."""
    connection.socket.setblocking(False)
    sent = 0
    with contextlib.suppress(BlockingIOError, ConnectionError):
        while sent < 64 << 20:
            sent += connection.socket.send(b"x" * (1 << 16))
    return sent


@pytest.mark.parametrize("size", [100, 1 << 20])
def test_refusal_can_be_read_by_a_client_that_sends_all_of_its_body_first(size: int, guarded: Guarded) -> None:
    for _ in range(5):
        assert post(guarded, head(guarded, f"content-length: {size}", key=False) + b" " * size) == 401


def test_connection_of_a_small_refused_body_can_be_used_again(guarded: Guarded) -> None:
    with connected(guarded.url) as connection:
        for _ in range(2):
            connection.send(head(guarded, f"content-length: {len(GOOD)}", key=False) + GOOD)
            assert connection.answer().status == 401
        connection.send(head(guarded, f"content-length: {len(GOOD)}") + GOOD)
        assert connection.answer().status == 200


BOMB = b"\0" * (10 << 20)
COMPRESSED = {
    "gzip": gzip.compress(BOMB),
    "deflate": zlib.compress(BOMB),
    "br": b"\x0b\x02\x80",
    "zstd": b"\x28\xb5\x2f\xfd",
    "gzip, gzip": gzip.compress(gzip.compress(BOMB)),
    "identity, gzip": b"x",
    "x-gzip": b"x",
    "GZIP": b"x",
    "": b"x",
}


@pytest.mark.parametrize("encoding", COMPRESSED)
@pytest.mark.parametrize("path", ["/predict/iris", "/predict", "/v2/models/iris/infer"])
def test_compressed_body_is_refused_unread(encoding: str, path: str, guarded: Guarded) -> None:
    before, began = resident_bytes(guarded.pid), time.perf_counter()
    for body in (COMPRESSED[encoding], b""):
        lines = (f"content-encoding: {encoding}", f"content-length: {len(body)}")
        assert post(guarded, head(guarded, *lines, path=path) + body) == 415

    assert time.perf_counter() - began < 1
    assert resident_bytes(guarded.pid) - before < 16 << 20


def test_identity_is_no_compression(guarded: Guarded) -> None:
    lines = ("content-encoding: identity", f"content-length: {len(GOOD)}")
    assert post(guarded, head(guarded, *lines) + GOOD) == 200


def nested(depth: int) -> bytes:
    return b'{"instances": ' + b"[" * depth + b"1" + b"]" * depth + b"}"


DEPTHS = (3, 15, 16, 17, 100, 500, 990, 1000, 1024, 2000, 5000, 50_000, 250_000)
DIGITS = (400, 4301, 100_000)
HOSTILE: dict[str, bytes] = {
    **{f"depth {depth}": nested(depth) for depth in DEPTHS},
    **{f"open {depth}": b"[" * depth for depth in (1000, 100_000, 1 << 20)},
    **{f"objects {depth}": b'{"a":' * depth for depth in (100, 1000, 100_000)},
    **{f"integer of {digits}": b'{"instances": [[1, 2, 3, ' + b"9" * digits + b"]]}" for digits in DIGITS},
    "a long fraction": b'{"instances": [[1, 2, 3, 0.' + b"9" * 900_000 + b"e999999]]}",
    "200,000 elements": b'{"instances": [[' + b"1," * 200_000 + b"1]]}",
    "200,000 rows": b'{"instances": [' + b"[]," * 200_000 + b"[]]}",
    "200,000 names": b'{"instances": [{' + b",".join(b'"%d":1' % n for n in range(100_000)) + b"}]}",
    "a name 50,000 times": b'{"instances": [{' + b'"a":1,' * 50_000 + b'"a":1}]}',
    "a field twice": b'{"instances": [[1, 2, 3, 4]], "instances": [[1, 2, 3, 4]]}',
    "an escaped twin": b'{"instances": [[1, 2, 3, 4]], "inst\\u0061nces": [[1, 2, 3, 4]]}',
    "an open text": b'{"instances": "' + b"a" * 900_000,
    "backslashes": b'{"instances": "' + b"\\\\" * 400_000 + b'"}',
}  # fmt: skip


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("path", ["/predict/iris", "/v2/models/iris/infer"])
def test_hostile_json_is_refused_quickly(body: bytes, path: str, guarded: Guarded) -> None:
    began = time.perf_counter()
    status = post(guarded, head(guarded, f"content-length: {len(body)}", path=path) + body)

    assert status in (400, 422)
    assert time.perf_counter() - began < 0.5  # of a machine that does other things, too; a few ms when it does not


@pytest.mark.parametrize("depth", [15, 16, 17, 100, 990, 1100, 250_000])
def test_hostile_json_is_refused_where_trainings_are_described(depth: int, guarded: Guarded) -> None:
    twins = b'{"model": "iris", "model": "cancer"}'
    deep = b'{"model": ' + b"[" * depth + b"]" * depth + b"}"
    headers = {**guarded.bearer(Scope.TRAIN), "content-type": "application/json"}
    for body in (deep, twins):
        answer = guarded.client.post("/train", content=body, headers=headers)
        assert answer.status_code in (400, 422), answer.text
        assert json.loads(answer.text)["errors"] is not None
