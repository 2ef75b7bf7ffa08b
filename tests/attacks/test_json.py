"""Deep, long, ambiguous or broken JSON is refused quickly; others go on (S-15 to S-17)."""

from __future__ import annotations

import itertools
import json
import random
import statistics
import threading
import time
from collections.abc import Iterator
from typing import Any, NoReturn

import pytest

from app.api.bodies import MAX_SMALL_BYTES
from app.security.keys import Scope
from tests.app.api.routes.test_oip_errors import hostile
from tests.app.oip import JSON_BYTES
from tests.app.sockets import Answer, connected, request
from tests.attacks.conftest import FEATURES, Guarded
from tests.attacks.messages import CAP, answer_to, head, post, whole
from tests.faults.scenes import rounds
from tests.promises import Measured, allowed

pytestmark = pytest.mark.slow

PREDICT, INFER = "/predict/iris", "/v2/models/iris/infer"
VERSIONED = "/v2/models/iris/versions/1/infer"
SLOWEST_S = allowed(0.05)
MANY_NAMES = ("100,000 names", "100,001 names")
MANY_NAMES_S = allowed(0.5)  # each is compared, in a thread: docs/decisions.md


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
    "100,000 rows": b'{"instances": [' + b"[]," * 100_000 + b"[]]}",
    "100,000 names": b'{"instances": [{' + b",".join(b'"%d":1' % n for n in range(100_000)) + b"}]}",
    "100,001 names": b'{"instances": [{' + b",".join(b'"%d":1' % n for n in range(100_001)) + b"}]}",
    "a name 50,000 times": b'{"instances": [{' + b'"a":1,' * 50_000 + b'"a":1}]}',
    "a field twice": b'{"instances": [[1, 2, 3, 4]], "instances": [[1, 2, 3, 4]]}',
    "an escaped twin": b'{"instances": [[1, 2, 3, 4]], "inst\\u0061nces": [[1, 2, 3, 4]]}',
    "an open text": b'{"instances": "' + b"a" * 900_000,
    "backslashes": b'{"instances": "' + b"\\\\" * 400_000 + b'"}',
}  # fmt: skip


@pytest.mark.alone
@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("path", [PREDICT, INFER])
def test_hostile_json_is_refused_quickly(name: str, path: str, guarded: Guarded) -> None:
    began = time.perf_counter()
    status = post(guarded, whole(guarded, HOSTILE[name], path=path))

    assert status in (400, 422)
    assert time.perf_counter() - began < (MANY_NAMES_S if name in MANY_NAMES else SLOWEST_S)


def sweep() -> Iterator[bytes]:
    """Yield bodies of every depth, every few digits, and more of both."""
    for depth in [*range(1, 1101), 2000, 5000, 50_000, 250_000]:
        yield nested(depth)
    for digits in [*range(10, 1000, 40), 4299, 4300, 4301, 10_000, 100_000]:
        yield b'{"instances": [[1, 2, 3, %b]]}' % (b"9" * digits)
    yield b"[" * (CAP - 1)
    yield b'{"instances": [[' + b"1," * 1_000_000 + b"1]]}"


@pytest.mark.alone
def test_every_depth_and_length_is_answered_or_refused_and_quickly(guarded: Guarded, measured: Measured) -> None:
    """S-15, on one connection that stays open after every body."""
    took_s, counts = list[float](), dict[int, int]()
    with connected(guarded.url) as connection:
        for body, path in itertools.product(sweep(), (PREDICT, INFER)):
            began = time.perf_counter()
            connection.send(whole(guarded, body, path=path))
            status = connection.answer().status
            if len(body) <= 1 << 20:
                took_s.append(time.perf_counter() - began)
            assert status in (400, 422, 200), body[:40]
            assert (status == 200) == (path == PREDICT and b"[1, 2, 3, 9" in body and len(body) < 70), body[:40]
            counts[status] = counts.get(status, 0) + 1
    slowest_ms = max(took_s) * 1000
    measured(
        "S-15", f"{sum(counts.values())} depths and lengths: 0 5xx, of <= 1 MiB the slowest in {slowest_ms:.0f} ms"
    )
    assert slowest_ms < SLOWEST_S * 1000
    assert statistics.quantiles(took_s, n=100)[98] < allowed(0.05)


@pytest.mark.parametrize("depth", [15, 16, 17, 100, 990, 1100, 250_000])
def test_hostile_json_is_refused_wherever_json_is_taken(depth: int, guarded: Guarded) -> None:
    twins = b'{"model": "iris", "model": "cancer"}'
    deep = b'{"model": ' + b"[" * depth + b"]" * depth + b"}"
    headers = {**guarded.bearer(Scope.TRAIN), "content-type": "application/json"}
    for body in (deep, twins):
        answer = guarded.client.post("/train", content=body, headers=headers)
        assert answer.status_code in ((400, 422) if len(body) <= MAX_SMALL_BYTES else (413,)), answer.text
        assert json.loads(answer.text)["errors"] is not None
    twins = b'{"ready": true, "ready": false}'
    for body in (deep, twins) if depth > 16 else (twins,):  # the index ignores unknown fields
        assert post(guarded, whole(guarded, body, path="/v2/repository/index")) in (400, 413)
    tail = whole(guarded, deep + b"\0" * 16, f"{JSON_BYTES}: {len(deep)}", path=INFER)
    assert post(guarded, tail.replace(b"application/json", b"application/octet-stream")) == 400


ODD = (
    "NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1e39", "-1e39", "3.5e38", '"NaN"', '"1"', '"Infinity"', "true",
    "false", "null", "[]", "{}", "[1]", '""', "-", "+1", ".5", "1.", "01", "0x1", "1_0", "1e", "--1", "1,", "'1'",
    "inf", "nan", "0b1", "\u0661", "1 1", "\\u0031", '"\\ud800"', '"\\udc00\\ud800"', '"\x00"', '"\x1f"', "\ufeff1",
    "1\x00", "\xa01", "1/0", "undefined", "1e+39", "9" * 400, "1" + "0" * 39, "3.4028236e38", "-3.4028236e38", "NaN2",
    "1e1e1",
)  # fmt: skip
FINE = (
    "0", "-0", "-0.0", "5e-324", "1e-999", "3.4028234e38", "-3.4028234e38", "1E5", "1e+5", "1e-5", "123456789012345678",
    "0.1" + "0" * 300, "9007199254740993", "1" + "0" * 38, "0e999",
)  # fmt: skip
NAMES = (
    "",
    "\\ud800",
    "a\\u0000",
    "sepal_width ",
    "SEPAL_WIDTH",
    "__proto__",
    "constructor",
    "\\ud83d\\ude00",
    "x" * 300,
)


def generated(count: int, chance: random.Random) -> Iterator[tuple[bytes, bool]]:
    """Yield requests of a row or two with odd values at odd places, and whether they are legal all the same."""
    for number in range(count):
        odd = number % 4 != 0
        values = [chance.choice(FINE) for _ in FEATURES]
        place = chance.randrange(len(FEATURES))
        if odd:
            values[place] = chance.choice(ODD)
        names: list[str] = list(FEATURES)
        legal = not odd and not any(value.startswith(("3.4028234e38", "-3.4", "1" + "0" * 38)) for value in values)
        if number % 3 == 0:
            if number % 9 == 0:
                names[place], legal = chance.choice(NAMES), False
            row = "{" + ", ".join(f'"{name}": {value}' for name, value in zip(names, values, strict=True)) + "}"
        else:
            row = "[" + ", ".join(values) + "]"
        text = f'{{"instances": [{row}]}}' if number % 2 else f'{{"instances": [[0.5, 0.5, 0.5, 0.5], {row}]}}'
        yield encoded(text, number, chance), legal and number % 16 != 8


def encoded(text: str, number: int, chance: random.Random) -> bytes:
    """Return the text in UTF-8; each sixteenth in something else, or damaged."""
    body = text.encode()
    if number % 16 != 8:
        return body
    place = chance.randrange(14, len(body) - 1)
    return chance.choice(
        (
            text.encode("utf-16"), text.encode("utf-16-le"), text.encode("utf-32"), b"\xef\xbb\xbf" + body,
            body[:place] + b"\xc0\x80" + body[place:], body[:place] + b"\xff" + body[place:], body[:place],
            body[:place] + b"\xed\xa0\x80" + body[place:], body[:place] + b"\xf8\x88\x80\x80\x80" + body[place:],
            body + body, body + b"\x00", body.replace(b"]}", b"],}"), body.replace(b"{", b"{,", 1), body + b" // x",
        )
    )  # fmt: skip


def refuse(text: str) -> NoReturn:
    raise AssertionError(f"{text} is no JSON")


def strictly(answer: Answer) -> Any:
    """Parse a response strictly."""
    return json.loads(answer.body.decode("utf-8", "strict"), parse_constant=refuse)


@pytest.mark.parametrize("query", ["", "?"], ids=["short way", "ASGI"])
def test_generated_bodies_are_refused_in_strict_json_unless_they_are_legal(
    query: str, guarded: Guarded, measured: Measured
) -> None:
    """S-16, the same bodies on both paths from the socket."""
    count, legal_count = rounds(2000, 20_000), 0
    with connected(guarded.url) as connection:
        for body, legal in generated(count, random.Random(16)):
            connection.send(whole(guarded, body, path=PREDICT + query))
            answer = connection.answer()
            document = strictly(answer)
            if legal:
                legal_count += 1
                assert answer.status == 200, (body, answer)
                assert len(document["predictions"]) in (1, 2)
            else:
                assert answer.status in (400, 422, 200), (body, answer)
                assert answer.status != 200 or not any(
                    odd.encode() in body for odd in ("NaN", "Inf", "true", "null")
                ), body
    assert legal_count > count / 20
    measured("S-16", f"{count} generated bodies on each way: 0 5xx, every answer strict JSON in UTF-8")


def test_hostile_tensors_are_refused_in_the_form_of_the_protocol(guarded: Guarded, measured: Measured) -> None:
    """S-17, the corpus of tests/app/api/routes/test_oip_errors.py over a socket."""
    count = 0
    with connected(guarded.url) as connection:
        for path, (name, body, headers) in itertools.product((INFER, VERSIONED), hostile()):
            lines = [f"{key}: {value}" for key, value in headers.items()]
            message = whole(guarded, body, *lines, path=path)
            if headers:
                message = message.replace(b"application/json", b"application/octet-stream", 1)
            connection.send(message)
            answer = connection.answer()
            assert answer.status in (400, 413), (name, answer)
            assert list(strictly(answer)) == ["error"], name
            count += 1
    measured("S-17", f"{count} hostile tensors: all 400, with the error field of the protocol")


def filled(begin: bytes, unit: bytes, end: bytes) -> bytes:
    return begin + b",".join([unit] * ((CAP - len(begin) - len(end)) // (len(unit) + 1))) + end


def tensor_of(values: int, datatype: bytes, unit: bytes, end: bytes) -> bytes:
    begin = b'{"inputs":[{"name":"x","shape":[%d,4],"datatype":"%b","data":[' % (values // 4, datatype)
    return begin + b",".join([unit] * (values - 1)) + b"," + end + b"]}]}"


def large_bodies() -> dict[str, tuple[str, bytes]]:
    return {
        "a boolean at the end": (PREDICT, filled(b'{"instances":[', b"[1,2,3,4]", b",[1,2,3,true]]}")),
        "no number at the end": (PREDICT, filled(b'{"instances":[', b"[1.5,2.5,3.5,4.5]", b",[1,2,3,NaN]]}")),
        "no end": (PREDICT, filled(b'{"instances":[', b"[1.5,2.5,3.5,4.5]", b"")),
        "empty rows": (PREDICT, filled(b'{"instances":[', b"[]", b"]}")),
        "one long row": (PREDICT, filled(b'{"instances":[[', b"1.5", b"]]}")),
        "the model in the body": ("/predict", filled(b'{"model":"iris","instances":[', b"[1.5,2.5,3.5,4.5]", b"]}")),
        "whole numbers": (INFER, tensor_of(4_000_000, b"INT32", b"1", b"1")),
        "a text at the end": (INFER, tensor_of(4_000_000, b"FP32", b"1", b'"x"')),
        "no number at the end of a tensor": (INFER, tensor_of(2_000_000, b"FP32", b"1.5", b"NaN")),
        "many parameters": (INFER, b'{"parameters":' + filled(b"{", b'"a":1', b'},"inputs":[]}')[: CAP - 40]),
    }


@pytest.mark.alone
def test_large_bodies_that_are_wrong_at_the_end_hold_up_nobody_else(guarded: Guarded, measured: Measured) -> None:
    """A14: each holds one thread for a second or two, and the event loop for no longer than one of its pieces."""
    large, stop, took_s = large_bodies(), threading.Event(), list[float]()

    def probe() -> None:
        with connected(guarded.url) as connection:
            while not stop.is_set():
                began = time.perf_counter()
                connection.send(request(b"", "/livez", {}, method="GET"))
                assert connection.answer().status == 200
                took_s.append(time.perf_counter() - began)
                stop.wait(0.005)

    probing = threading.Thread(target=probe)
    probing.start()
    statuses = {}
    try:
        for name, (path, body) in large.items():
            assert len(body) <= CAP
            statuses[name] = answer_to(guarded.url, whole(guarded, body, path=path)).status
    finally:
        stop.set()
        probing.join()

    assert set(statuses.values()) <= {400, 413, 422}, statuses
    p99_ms, slowest_ms = statistics.quantiles(took_s, n=100)[98] * 1000, max(took_s) * 1000
    figures = f"p99 {p99_ms:.0f} ms, slowest {slowest_ms:.0f} ms"
    measured("S-15", f"probes beside {len(large)} hostile bodies of 8 MiB: {figures}")
    assert p99_ms < allowed(50)
    assert slowest_ms < allowed(500)


def test_rows_of_a_request_are_bounded(guarded: Guarded) -> None:
    row, limit = b"[0.1,0.2,0.3,0.4]", 131_072
    for path, begin in ((PREDICT, b'{"instances":['), ("/predict", b'{"model":"iris","instances":[')):
        for rows, status in ((limit, 200), (limit + 1, 413)):
            body = begin + b",".join([row] * rows) + b"]}"
            answer = answer_to(guarded.url, whole(guarded, body, path=path))
            assert answer.status == status, (path, rows)
    assert b"TABSERVE_MAX_ROWS" in answer.body
    binary = b'{"inputs":[{"name":"x","shape":[%d,4],"datatype":"FP32","parameters":{"binary_data_size":%d}}]}'
    for rows, status in ((limit, 200), (limit + 1, 413)):
        text = binary % (rows, rows * 16)
        lines = (f"{JSON_BYTES}: {len(text)}", f"content-length: {len(text) + rows * 16}")
        message = head(guarded, *lines, path=INFER).replace(b"application/json", b"application/octet-stream")
        assert answer_to(guarded.url, message + text + bytes(rows * 16)).status == status
