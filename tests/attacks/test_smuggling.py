"""Messages that two parsers read differently: one answer at most (S-20)."""

from __future__ import annotations

import re

import pytest

from app.security.keys import Scope
from tests.app.sockets import connected
from tests.attacks.conftest import Guarded
from tests.promises import Measured

pytestmark = pytest.mark.slow

HIDDEN = b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n"
POST = b"POST /predict/iris HTTP/1.1\r\nhost: localhost\r\n"
GET = b"GET /livez HTTP/1.1\r\nhost: localhost\r\n"


def chunks(framing: bytes, body: bytes) -> bytes:
    return POST + framing + b"\r\n\r\n" + body + HIDDEN


TE = b"transfer-encoding: chunked"
LENGTHS = (
    b"+5",
    b"-1",
    b"0x5",
    b"5 5",
    b"5,5",
    b"5;",
    b"1_0",
    b"\xd9\xa3",
    b"5.0",
    b"",
    b"1e1",
    b"9" * 30,
    b" ",
    b"5\x00",
)
ENCODINGS = (
    b"xchunked", b"chunked, identity", b"identity", b"gzip", b"chunked, gzip", b"gzip, chunked", b"chunked;q=1",
    b" chunked ,", b"chunk\x0bed", b"chunked, chunked", b'"chunked"', b"chu nked", b"", b"\xefchunked",
)  # fmt: skip
SIZES = (
    b"0x0", b"-1", b"+0", b"ffffffffffffffffff", b"1_0", b"", b" ", b"g", b"0;\n", b"00000000000000000000g", b"\x000",
    b"10000000000000000",
)  # fmt: skip

AMBIGUOUS: dict[str, bytes] = {
    "length and chunks": chunks(b"content-length: 5\r\n" + TE, b"0\r\n\r\n"),
    "chunks and length": chunks(TE + b"\r\ncontent-length: 5", b"0\r\n\r\n"),
    "two lengths": chunks(b"content-length: 5\r\ncontent-length: 6", b"hello"),
    "the same length twice": chunks(b"content-length: 5\r\ncontent-length: 5", b"hello"),
    "two encodings": chunks(TE + b"\r\n" + TE, b"0\r\n\r\n"),
    "two encodings that differ": chunks(TE + b"\r\ntransfer-encoding: identity", b"0\r\n\r\n"),
    "a space before the colon": chunks(b"transfer-encoding : chunked", b"0\r\n\r\n"),
    "a space before the length's colon": chunks(b"content-length : 5", b"hello"),
    "a tab before the colon": chunks(b"transfer-encoding\t: chunked", b"0\r\n\r\n"),
    "a folded header": chunks(b"x: y\r\n transfer-encoding: chunked", b"0\r\n\r\n"),
    "a folded encoding": chunks(b"transfer-encoding:\r\n chunked", b"0\r\n\r\n"),
    "a nul in a name": chunks(b"transfer\x00-encoding: chunked", b"0\r\n\r\n"),
    "a nul in a value": chunks(b"x: a\x00b", b""),
    "a bare line feed between headers": POST + b"x: y\n" + TE + b"\r\n\r\n0\r\n\r\n" + HIDDEN,
    "a bare line feed at the end": POST.replace(b"\r\n", b"\n") + b"\n" + HIDDEN,
    "a bare carriage return": chunks(b"x: y\r" + TE, b"0\r\n\r\n"),
    "a line feed in a chunk size": chunks(TE, b"0\n\r\n"),
    "a bad end of a chunk": chunks(TE, b"5\r\nhelloXX0\r\n\r\n"),
    "a chunk without an end": chunks(TE, b"5\r\nhello0\r\n\r\n"),
    "a line feed in a chunk extension": chunks(TE, b"0;a=\nb\r\n\r\n"),
    "no name": chunks(b": x", b""),
    "no colon": chunks(b"transfer-encoding chunked", b"0\r\n\r\n"),
    "a header before the first line": b" x: y\r\n" + GET + b"\r\n" + HIDDEN,
    "a tab in the first line": GET.replace(b" /livez ", b"\t/livez ") + b"\r\n" + HIDDEN,
    "version 1.2": GET.replace(b"1.1", b"1.2") + b"\r\n" + HIDDEN,
    "version 2": GET.replace(b"1.1", b"2.0") + b"\r\n" + HIDDEN,
    "version 1.10": GET.replace(b"1.1", b"1.10") + b"\r\n" + HIDDEN,
    "lower-case http": GET.replace(b"HTTP", b"http") + b"\r\n" + HIDDEN,
    "a method of its own": GET.replace(b"GET", b"GETX") + b"\r\n" + HIDDEN,
    "a lower-case method": GET.replace(b"GET", b"get") + b"\r\n" + HIDDEN,
    "a nul in the path": GET.replace(b"/livez", b"/livez\x00") + b"\r\n" + HIDDEN,
    "the preface of http 2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + HIDDEN,
    "chunks in http 1.0": chunks(TE, b"0\r\n\r\n").replace(b"HTTP/1.1", b"HTTP/1.0", 1),
    "connect": b"CONNECT localhost:80 HTTP/1.1\r\nhost: localhost\r\n\r\n" + HIDDEN,
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + HIDDEN,
    **{f"length {length!r}": chunks(b"content-length: " + length, b"hello") for length in LENGTHS},
    **{f"encoding {encoding!r}": chunks(b"transfer-encoding: " + encoding, b"0\r\n\r\n") for encoding in ENCODINGS},
    **{f"chunk size {size!r}": chunks(TE, size + b"\r\n\r\n") for size in SIZES},
}


def test_corpus_is_large_enough() -> None:
    assert len(AMBIGUOUS) >= 60


@pytest.mark.parametrize("message", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
def test_ambiguous_message_gets_one_refusal_and_ends_the_connection(
    message: bytes, guarded: Guarded, measured: Measured
) -> None:
    key = guarded.keys[Scope.PREDICT]
    with connected(guarded.url) as connection:
        connection.send(message.replace(POST, POST + b"authorization: Bearer %b\r\n" % key.encode()))
        received = connection.rest()

    statuses = re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", received)
    assert len(statuses) == 1, received
    assert statuses[0] in (b"400", b"401", b"405", b"415"), received
    assert b'{"live":true}' not in received
    measured("S-20", f"{len(AMBIGUOUS)} ambiguous messages: one refusal each, the connection closed")


def test_malformed_request_behind_one_that_waits_does_not_take_its_answer(guarded: Guarded) -> None:
    with connected(guarded.url) as connection:
        connection.send(GET + b"\r\nGARBAGE\r\n\r\n" + HIDDEN)
        received = connection.rest()

    assert re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", received)[0] == b"200"
    assert received.count(b'{"live":true}') == 1


def test_trailer_does_not_become_a_header(guarded: Guarded) -> None:
    key = next(iter(guarded.keys.values())).encode()
    with connected(guarded.url) as connection:
        connection.send(POST + TE + b"\r\n\r\n0\r\nauthorization: Bearer " + key + b"\r\n\r\n")
        assert connection.answer().status == 401
