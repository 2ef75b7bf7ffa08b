"""The fast path over real sockets: the same answers as uvicorn's own way, never a 5xx."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import re
from email.utils import parsedate_to_datetime

import hypothesis
import pytest
import uvicorn
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from app.main import create_app
from app.server.fast_path.protocol import MAX_DIRECT_BYTES, DirectProtocol
from app.settings import Settings
from modelstore import ModelRepository
from tests.app.problems import FIELDS
from tests.app.server.live import LIVEZ, Live, all_wait, ask, high, mean, rows_body
from tests.app.sockets import GOOD, JSON, Answer, Connection, chunked, connected, request
from tests.app.telemetry.figures import REQUESTS, in_progress, scraped
from tests.app.waiting import until
from tests.fakes import publish
from tests.properties import examples


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
    "no receipt": {**JSON, "x-prediction-receipt": "0"},
    "wrong receipt": {**JSON, "x-prediction-receipt": "yes"},
    "origin": {**JSON, "origin": "http://example.org", "cookie": "a=b"},
}


@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS.keys())
def test_both_ways_give_the_same_answer_whatever_the_headers(live: Live, headers: dict[str, str]) -> None:
    short, by_query = (ask(live.url, request(GOOD, path, headers)) for path in ("/predict/iris", "/predict/iris?"))

    assert comparable(short) == comparable(by_query)


def test_a_request_for_receipts_gets_them(live: Live) -> None:
    answer = ask(live.url, request(GOOD, "/predict/iris", {**JSON, "x-prediction-receipt": "1"}))

    assert all(len(one["receipt"]) == 52 for one in json.loads(answer.body)["predictions"])


def test_both_ways_refuse_a_row_that_overflows_inside_the_model(live: Live) -> None:
    body = rows_body((0.5, 0.5), (3e38, 3e38))

    short, by_query = (ask(live.url, request(body, f"/predict/means{query}")) for query in ("", "?"))

    assert comparable(short) == comparable(by_query)
    assert short.status == 422
    assert json.loads(short.body)["errors"][0]["row"] == 1


STRICT = {
    "all usual": ([(0.5, 0.5), (0, 1)], []),
    "unusual": ([(7, 0.5)], [0]),
    "overflow": ([(3e38, 3e38)], [0]),
    "unusual before an overflow": ([(7, 0.5), (0.5, 0.5), (3e38, 3e38)], [0, 2]),
    "unusual behind an overflow": ([(3e38, 3e38), (0.5, 0.5), (7, 0.5)], [0, 2]),
}


@pytest.mark.parametrize(("rows", "bad"), STRICT.values(), ids=STRICT.keys())
def test_both_ways_refuse_the_same_rows_of_a_strict_version(
    live: Live, rows: list[tuple[float, ...]], bad: list[int]
) -> None:
    short, by_query = (ask(live.url, request(rows_body(*rows), f"/predict/strict{query}")) for query in ("", "?"))

    assert comparable(short) == comparable(by_query)
    assert short.status == (422 if bad else 200)
    assert [error["row"] for error in json.loads(short.body).get("errors", [])] == bad


def test_version_named_in_the_body_answers(live: Live) -> None:
    assert high(ask(live.url, request(rows_body((0.25,) * 4, version=2)))) == 0.75


def test_percent_encoded_name_is_the_same_name(live: Live) -> None:
    assert ask(live.url, request(path="/predict/%69ri%73")).body == ask(live.url, request()).body


@pytest.mark.slow  # a second service
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


# Clients that go away


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

    until(lambda: in_progress(live.client) == 1, "only the scrape is in progress")
    assert high(ask(live.url, request())) == 0.625


@pytest.mark.slow
@pytest.mark.parametrize("position", [0, 1, 2], ids=["first", "middle", "last"])
def test_client_that_goes_away_while_waiting_leaves_its_neighbours_served(patient: Live, position: int) -> None:
    def counted() -> tuple[float, float, float]:
        until(lambda: in_progress(patient.client) == 1, "only the scrape is in progress")
        return answered(patient, "499"), ended(patient, "ok"), ended(patient, "cancelled")

    def leaves() -> bool:
        left, answers, cancelled = counted()
        with connected(patient.url) as a, connected(patient.url) as b, connected(patient.url) as c:
            connections = [a, b, c]
            for place, connection in enumerate(connections):
                connection.send(request(mean(place / 4)))
            all_waited = all_wait(patient, *connections, requests=3)
            connections[position].reset()

            for place, connection in enumerate(connections):
                if place != position:
                    assert high(connection.answer()) == place / 4
        now = counted()
        return all_waited and now == (left + 1, answers + 2, cancelled + 1)  # else all were answered before it left

    until(leaves, "one left while all waited, and is counted so")


@pytest.mark.slow
@examples(35)
@hypothesis.given(st.binary(max_size=100))
def test_any_body_gets_the_same_answer_on_both_ways(live: Live, body: bytes) -> None:
    short, by_query = (ask(live.url, request(body, path)) for path in ("/predict/iris", "/predict/iris?"))

    assert comparable(short) == comparable(by_query)
    assert short.status in (400, 422)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("raw", "status"),
    [(b"GET /livez HTTP/1.1 x\r\n\r\n", 400), (b"GET /livez HTTP/1.1\r\n" + b"a: b\r\n" * 9000 + b"\r\n", 431)],
    ids=["malformed", "large"],
)
def test_input_that_is_no_request_is_counted_beside_unknown_paths(live: Live, raw: bytes, status: int) -> None:
    labels = frozenset({"route": "unmatched", "method": "other", "code": str(status)}.items())
    before = scraped(live.client).get((REQUESTS, labels), 0.0)

    assert ask(live.url, raw).status == status

    assert scraped(live.client)[REQUESTS, labels] == before + 1


def test_service_is_well_after_all_of_this(live: Live) -> None:
    until(lambda: in_progress(live.client) == 1, "only the scrape is in progress")
    assert live.process.poll() is None
    assert high(ask(live.url, request())) == 0.625
    assert "Traceback" not in live.log.read_text()
    assert not re.search(r'code="5\d\d"', live.client.get("/metrics").text)


# What is left behind


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

    seldom = settings.model_copy(update={"poll_interval_s": 60.0})  # a look at the store leaves something, too
    left = asyncio.run(asked_meanwhile(seldom, connections, 200))

    assert left < 100 * connections  # some for each connection, none for each request
