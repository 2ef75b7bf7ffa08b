"""The short way from socket to answer, over real sockets: never to be told from uvicorn's own way, and never a 5xx."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import re
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from subprocess import Popen

import httpx
import hypothesis
import pytest
import uvicorn
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from app.main import create_app
from app.server.fast_path.protocol import MAX_DIRECT_BYTES, DirectProtocol
from app.settings import Settings
from modelstore import ModelRepository
from tests.app.broken import publish_as_means
from tests.app.overflow import Overflows
from tests.app.problems import FIELDS
from tests.app.sockets import GOOD, JSON, Answer, Connection, chunked, connected, request
from tests.app.waiting import until
from tests.fakes import publish
from tests.processes import service
from tests.properties import examples

FEATURES = ("sepal_length", "sepal_width", "petal_length", "petal_width")
CLASSES = ("setosa", "versicolor", "virginica")
LIVEZ = b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n"


@dataclass(frozen=True)
class Live:
    """A running service with the model `iris`: the mean of four features, version 2 adds a half."""

    client: httpx.Client
    process: Popen[bytes]
    log: Path

    @property
    def url(self) -> httpx.URL:
        return self.client.base_url


def store_in(folder: Path) -> None:
    repository = ModelRepository(folder / "models")
    publish(repository, "iris", features=FEATURES, classes=CLASSES)
    publish(repository, "iris", features=FEATURES, classes=CLASSES, shift=0.5, activate=False)
    publish_as_means(repository, Overflows(2, 0.0))


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("live")
    store_in(folder)
    with service(folder) as (client, process):
        yield Live(client, process, folder / "service.log")


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Run a service that waits for company, so that requests can be caught waiting, and takes small bodies only."""
    folder = tmp_path_factory.mktemp("patient")
    store_in(folder)
    environment = {"TABSERVE_MAX_BATCH_WAIT_S": "0.4", "TABSERVE_MAX_BODY_BYTES": "1024"}
    with service(folder, environment=environment) as (client, process):
        yield Live(client, process, folder / "service.log")


@pytest.fixture
def connection(live: Live) -> Iterator[Connection]:
    with connected(live.url) as connection:
        yield connection


def ask(url: httpx.URL, *packets: bytes) -> Answer:
    """Return the answer to one request on a connection of its own."""
    with connected(url) as connection:
        connection.send(*packets)
        return connection.answer()


def rows_body(*rows: tuple[float, ...], **fields: object) -> bytes:
    return json.dumps({"instances": rows, **fields}).encode()


def high(answer: Answer) -> float:
    """Return the probability of the last class of the first row: the mean of its features."""
    assert answer.status == 200, answer
    return float(json.loads(answer.body)["predictions"][0]["probabilities"]["virginica"])


def mean(value: float) -> bytes:
    """Return a body whose answer is `value`."""
    return rows_body((value,) * 4)


def comparable(answer: Answer) -> tuple[int, object, dict[str, str]]:
    """Return status, body and headers without what differs from request to request."""
    headers = {name: value for name, value in answer.headers.items() if name not in {"date", "x-request-id"}}
    body: object = answer.body
    if answer.status != 200:
        document = json.loads(answer.body)
        assert document.pop("request_id") == answer.headers["x-request-id"]
        body = document
    return answer.status, body, headers


# The short way and uvicorn's own


BODIES = {
    "good": GOOD,
    "by name": b'{"instances": [{"sepal_length": 1, "sepal_width": 2, "petal_length": 3, "petal_width": 4}]}',
    "many rows": rows_body(*[(0.25, 0.5, 0.75, 1.0)] * 500),
    "more rows than a batch": rows_body(*[(0, 0, 0, 1)] * 1500),
    "outside the range": rows_body((7, 7, 7, 7)),
    "model named": rows_body((1, 1, 1, 1), model="iris"),
    "version named": rows_body((0.25, 0.25, 0.25, 0.25), version=2),
    "active version named": rows_body((1, 1, 1, 1), version=1),
    "unknown version": rows_body((1, 1, 1, 1), version=99),
    "another model named": rows_body((1, 1, 1, 1), model="wine"),
    "version is text": rows_body((1, 1, 1, 1), version="1"),
    "empty": b"",
    "a space": b" ",
    "cut off": GOOD[:-2],
    "not json": b"instances=1",
    "not utf-8": b'{"instances": [["\xff"]]}',
    "byte order mark": b"\xef\xbb\xbf" + GOOD,
    "two documents": GOOD + GOOD,
    "a field twice": b'{"instances": [[1, 2, 3, 4]], "instances": [[1, 2, 3, 4]]}',
    "an array": b"[[1, 2, 3, 4]]",
    "null": b"null",
    "no instances": b"{}",
    "no rows": b'{"instances": []}',
    "too few": rows_body((1, 2, 3)),
    "too many": rows_body((1, 2, 3, 4), (1, 2, 3, 4, 5)),
    "a boolean": b'{"instances": [[1, 2, true, 4]]}',
    "a string": b'{"instances": [[1, 2, "3", 4]]}',
    "a null": b'{"instances": [[1, 2, null, 4]]}',
    "NaN": b'{"instances": [[1, 2, NaN, 4]]}',
    "Infinity": b'{"instances": [[1, 2, Infinity, 4]]}',
    "beyond float32": b'{"instances": [[1, 2, 1e39, 4]]}',
    "beyond float64": b'{"instances": [[1, 2, 1e999, 4]]}',
    "very long integer": b'{"instances": [[1, 2, ' + b"9" * 5000 + b", 4]]}",
    "nested deeply": b'{"instances": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    "a lone surrogate": b'{"instances": [{"\\ud800": 1}]}',
    "unknown field": rows_body((1, 2, 3, 4), verbose=1),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_both_ways_give_the_same_answer(live: Live, body: bytes) -> None:
    short = ask(live.url, request(body))

    by_query = ask(live.url, request(body, "/predict/iris?"))
    by_chunks = ask(live.url, *chunked(body) if body else chunked())
    assert comparable(short) == comparable(by_query) == comparable(by_chunks)
    assert short.status < 500
    assert sorted(short.headers) == sorted(by_query.headers)


@pytest.mark.parametrize(
    "name", ["wine", "IRIS", "iris.", "iris%20", "i", "%2e%2e", "iris\xe4", "_", "iris|x", 'iris"']
)
def test_both_ways_give_the_same_answer_to_a_model_that_is_unknown(live: Live, name: str) -> None:
    short, by_query = (ask(live.url, request(path=f"/predict/{name}{query}")) for query in ("", "?"))

    assert comparable(short) == comparable(by_query)
    assert short.status in (400, 404)


HEADERS = {
    "charset": {"content-type": "application/json; charset=utf-8"},
    "other charset spelling": {"content-type": "Application/JSON;charset=UTF-8"},
    "other type": {"content-type": "text/plain"},
    "no type": {},
    "accepts csv": {**JSON, "accept": "text/csv"},
    "origin": {**JSON, "origin": "http://example.org", "cookie": "a=b"},
}


@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS.keys())
def test_both_ways_give_the_same_answer_whatever_the_headers(live: Live, headers: dict[str, str]) -> None:
    short, by_query = (ask(live.url, request(GOOD, path, headers)) for path in ("/predict/iris", "/predict/iris?"))

    assert comparable(short) == comparable(by_query)


def test_both_ways_refuse_a_row_that_overflows_inside_the_model(live: Live) -> None:
    body = rows_body((0.5, 0.5), (3e38, 3e38))

    short, by_query = (ask(live.url, request(body, f"/predict/means{query}")) for query in ("", "?"))

    assert comparable(short) == comparable(by_query)
    assert short.status == 422
    assert json.loads(short.body)["errors"][0]["row"] == 1


def test_version_named_in_the_body_answers(live: Live) -> None:
    assert high(ask(live.url, request(rows_body((0.25,) * 4, version=2)))) == 0.75


def test_percent_encoded_name_is_the_same_name(live: Live) -> None:
    assert ask(live.url, request(path="/predict/%69ri%73")).body == ask(live.url, request()).body


def test_limit_of_the_body_holds_on_both_ways(patient: Live) -> None:
    fits, over = GOOD.ljust(1024), GOOD.ljust(1025)

    assert high(ask(patient.url, request(fits))) == 0.625
    for path in ("/predict/iris", "/predict/iris?"):
        assert ask(patient.url, request(over, path)).status == 413


@pytest.mark.parametrize("size", [MAX_DIRECT_BYTES - 1, MAX_DIRECT_BYTES, MAX_DIRECT_BYTES + 1, 5 * MAX_DIRECT_BYTES])
def test_body_about_and_above_the_size_of_the_short_way_is_answered(live: Live, size: int) -> None:
    assert high(ask(live.url, request(GOOD.ljust(size)))) == 0.625


# What every answer says


def test_headers_of_a_good_answer(connection: Connection) -> None:
    connection.send(request())
    answer = connection.answer()

    assert list(answer.headers) == [
        "date",
        "content-type",
        "x-content-type-options",
        "cache-control",
        "content-security-policy",
        "content-length",
        "x-request-id",
    ]
    assert int(answer.headers["content-length"]) == len(answer.body)
    assert parsedate_to_datetime(answer.headers["date"]).tzinfo is not None
    assert json.loads(answer.body)["predictions"][0]["label"] == "virginica"


@pytest.mark.parametrize("raw", [request(), request(b"{}"), LIVEZ, request(path="/nowhere"), b"garbage\r\n\r\n"])
def test_every_answer_has_a_date_and_an_id_and_none_names_the_server(live: Live, raw: bytes) -> None:
    answer = ask(live.url, raw)

    assert {"date", "x-request-id", "content-length"} <= answer.headers.keys()
    assert "server" not in answer.headers
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_harmless_request_id_comes_back_and_others_do_not(live: Live) -> None:
    for given in ("a-1.b_C", "7" * 64):
        assert ask(live.url, request(headers={**JSON, "x-request-id": given})).headers["x-request-id"] == given
    ids = [
        ask(live.url, request(headers={**JSON, "x-request-id": given})).headers["x-request-id"]
        for given in ("", "7" * 65, "a b", "ä", "<script>", "a\tb", "a,b")
    ]
    assert all(re.fullmatch(r"[0-9a-f]{16}", found) for found in ids)
    assert len(set(ids)) == len(ids)


def test_problem_says_the_id_of_its_request(live: Live) -> None:
    answer = ask(live.url, request(b"{}", headers={**JSON, "x-request-id": "mine"}))

    document = json.loads(answer.body)
    assert (answer.status, answer.headers["content-type"]) == (422, "application/problem+json")
    assert list(document) == FIELDS
    assert document["request_id"] == answer.headers["x-request-id"] == "mine"


# Connections


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


def part(kind: str, value: float) -> bytes:
    """Return a request: s short, u uvicorn's way, c chunked, v version in the body, l livez, e and b errors."""
    return {
        "s": request(mean(value)),
        "u": request(mean(value), "/predict/iris?"),
        "c": b"".join(chunked(mean(value))),
        "v": request(rows_body((value,) * 4, version=1)),
        "l": LIVEZ,
        "e": request(b"{}"),
        "b": request(b"nonsense"),
    }[kind]


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


def test_expect_100_continue_of_a_body_that_is_too_large_is_refused_without_it(connection: Connection) -> None:
    raw = request(b" " * (9 << 20), headers={**JSON, "expect": "100-continue"})

    connection.send(raw[: raw.index(b"\r\n\r\n") + 4])

    assert connection.answer().status == 413


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


# Clients that go away


def in_progress(live: Live) -> float:
    found = re.search(r"^tabserve_http_requests_in_progress (\S+)$", live.client.get("/metrics").text, re.MULTILINE)
    assert found
    return float(found[1])


def held_up(live: Live) -> float:
    found = re.search(r"^tabserve_http_requests_waiting (\S+)$", live.client.get("/metrics").text, re.MULTILINE)
    assert found
    return float(found[1])


def answered(live: Live, code: str) -> float:
    """Return how many predictions were answered with a status."""
    wanted = {"route": "/predict/{model}", "method": "POST", "code": code}
    families = text_string_to_metric_families(live.client.get("/metrics").text)
    return sum(s.value for family in families for s in family.samples if s.labels == wanted)


def ended(live: Live, outcome: str) -> float:
    """Return how many requests for predictions ended in a way."""
    wanted = {"model": "iris", "version": "1", "outcome": outcome}
    families = text_string_to_metric_families(live.client.get("/metrics").text)
    return sum(s.value for family in families for s in family.samples if s.labels == wanted)


@pytest.mark.parametrize("sent", [10, 60, -1], ids=["within its head", "after its head", "within its body"])
def test_client_that_goes_away_while_sending_leaves_nothing_in_progress(live: Live, sent: int) -> None:
    raw = request()
    cut = {10: 10, 60: raw.index(b"\r\n\r\n") + 4, -1: len(raw) - 1}[sent]
    with connected(live.url) as connection:
        connection.send(raw[:cut])
        connection.reset()

    until(lambda: in_progress(live) == 1, "only the scrape is in progress")
    assert high(ask(live.url, request())) == 0.625


@pytest.mark.parametrize("position", [0, 1, 2], ids=["first", "middle", "last"])
def test_client_that_goes_away_while_waiting_leaves_its_neighbours_served(patient: Live, position: int) -> None:
    before, answers, cancelled = answered(patient, "499"), ended(patient, "ok"), ended(patient, "cancelled")
    with connected(patient.url) as a, connected(patient.url) as b, connected(patient.url) as c:
        connections = [a, b, c]
        for place, connection in enumerate(connections):
            connection.send(request(mean(place / 4)))
        until(lambda: in_progress(patient) == 4, "all wait")
        connections[position].reset()

        for place, connection in enumerate(connections):
            if place != position:
                assert high(connection.answer()) == place / 4

    until(lambda: in_progress(patient) == 1, "only the scrape is in progress")
    assert answered(patient, "499") == before + 1
    assert (ended(patient, "ok"), ended(patient, "cancelled")) == (answers + 2, cancelled + 1)


def test_client_that_goes_away_with_pipelined_requests_leaves_its_neighbours_served(patient: Live) -> None:
    with connected(patient.url) as leaver, connected(patient.url) as neighbour:
        leaver.send(request(mean(0.25)) + request(mean(0.5)) + LIVEZ)
        neighbour.send(request(mean(0.75)))
        until(lambda: in_progress(patient) == 3, "both wait")
        leaver.reset()

        assert high(neighbour.answer()) == 0.75

    until(lambda: in_progress(patient) == 1, "only the scrape is in progress")


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


# What is no request


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


@examples(100)
@hypothesis.given(st.data())
def test_no_damage_to_a_request_is_ever_a_5xx(live: Live, data: st.DataObject) -> None:
    raw = bytearray(request(headers={**JSON, "connection": "close"}))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(raw) - 1))
        raw[start : start + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))

    found = statuses(all_answers(live.url, bytes(raw)))

    assert len(found) <= 2
    assert all(status < 500 for status in found)


@examples(50)
@hypothesis.given(st.integers(0, len(request()) - 1))
def test_half_a_request_is_not_answered_with_success(live: Live, end: int) -> None:
    assert 200 not in statuses(all_answers(live.url, request()[:end]))


@examples(100)
@hypothesis.given(st.binary(max_size=100))
def test_any_body_gets_the_same_answer_on_both_ways(live: Live, body: bytes) -> None:
    short, by_query = (ask(live.url, request(body, path)) for path in ("/predict/iris", "/predict/iris?"))

    assert comparable(short) == comparable(by_query)
    assert short.status in (400, 422)


def test_service_is_well_after_all_of_this(live: Live) -> None:
    until(lambda: in_progress(live) == 1, "only the scrape is in progress")
    assert live.process.poll() is None
    assert high(ask(live.url, request())) == 0.625
    assert "Traceback" not in live.log.read_text()
    assert not re.search(r'code="5\d\d"', live.client.get("/metrics").text)


# Many at once, and the end


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


@pytest.mark.slow
def test_requests_in_flight_are_answered_before_the_end(tmp_path: Path) -> None:
    store_in(tmp_path)
    waiting, sending, other_way = request(mean(0.25)), request(mean(0.5)), request(rows_body((0.75,) * 4, version=1))
    cut = {waiting: len(waiting), sending: len(sending) - 5, other_way: len(other_way) - 5}
    with service(tmp_path, environment={"TABSERVE_MAX_BATCH_WAIT_S": "0.6"}) as (client, process):
        live = Live(client, process, tmp_path / "service.log")
        connections = {raw: Connection(live.url) for raw in (sending, other_way, waiting)}
        for raw, connection in connections.items():
            connection.send(raw[: cut[raw]])
        until(lambda: (in_progress(live), held_up(live)) == (2, 2), "one and the scrape are answered, two are sent")
        process.send_signal(signal.SIGTERM)
        until(lambda: "no more connections" in live.log.read_text(), "the service ends")
        for raw, connection in connections.items():
            connection.send(raw[cut[raw] :])

        answers = [connections[raw].answer() for raw in (waiting, sending, other_way)]

        assert [high(answer) for answer in answers] == [0.25, 0.5, 0.75]
        assert [answer.headers["connection"] for answer in answers] == ["close"] * 3
        assert [connection.rest() for connection in connections.values()] == [b""] * 3
        client.close()
        assert process.wait(3) == 0
    for connection in connections.values():
        connection.socket.close()


async def asked_meanwhile(settings: Settings, connections: int, requests: int) -> int:
    """Ask in turns over so many connections, and return how many objects were left to the garbage collector."""
    config = uvicorn.Config(
        create_app(settings), http=DirectProtocol, ws="none", proxy_headers=False, log_config=None, port=0
    )
    server = uvicorn.Server(config)
    with contextlib.closing(config.bind_socket()) as listener:
        serving = asyncio.create_task(server.serve([listener]))
        while not server.started:  # noqa: ASYNC110 - uvicorn tells nobody
            await asyncio.sleep(0)
        address = listener.getsockname()
        await asyncio.gather(*(ask_again(address, 10) for _ in range(connections)))
        gc.collect()
        gc.disable()
        try:
            await asyncio.gather(*(ask_again(address, requests) for _ in range(connections)))
            return gc.collect()
        finally:
            gc.enable()
            server.should_exit = True
            await serving


async def ask_again(address: tuple[str, int], requests: int) -> None:
    reader, writer = await asyncio.open_connection(*address)
    for _ in range(requests):
        writer.write(request(rows_body((0.25, 0.5)), "/predict/means"))
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        await reader.readexactly(int(re.findall(rb"content-length: (\d+)", head)[0]))
    writer.close()
    await writer.wait_closed()


@pytest.mark.slow
@pytest.mark.parametrize("connections", [1, 4])
def test_requests_leave_nothing_to_the_garbage_collector(
    settings: Settings, repository: ModelRepository, connections: int
) -> None:
    publish(repository)

    left = asyncio.run(asked_meanwhile(settings, connections, 200))

    assert left < 100 * connections  # some for each connection, none for each request
