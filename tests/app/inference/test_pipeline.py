"""Formats, lengths and spellings of bodies through the app: same rows, same answer."""

from __future__ import annotations

import asyncio

import httpx2
import orjson
import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from app.api.routes.predict import MAX_WHOLE_BYTES
from app.errors import InvalidInput
from app.inference.codecs.blocks import TEXT_BLOCK_ROWS
from app.inference.dataplane import STEP_ROWS
from app.main import create_app
from app.settings import Settings
from modelstore import ModelRepository
from tests.app.asgi import ask
from tests.app.problems import assert_problem
from tests.app.tables import (
    ARROW,
    BODIES,
    CSV,
    FLOAT32,
    IDS,
    JSON,
    NDJSON,
    STREAMED,
    TWO,
    arrow_stream,
    as_csv,
    post,
    post_streamed,
    probabilities,
    rows,
)
from tests.app.typed import publish_typed

MODELS = {"means": (("left", "right"), ("low", "high")), "thirds": (("x", "y", "z"), ("none", "some", "all"))}
LATE = 20_000  # rows: the answer has begun long before the last of them
MANY = 3000  # rows: several blocks of every format, and more than one forward pass takes


def base_type(answer: httpx2.Response) -> str:
    return answer.headers["content-type"].partition(";")[0]


# Formats


@pytest.mark.parametrize("kind", STREAMED, ids=IDS.get)
def test_every_format_gives_the_bits_of_json(steady: TestClient, kind: str) -> None:
    x = rows(30)

    plain, answer = post(steady, BODIES[JSON](x, TWO), JSON), post(steady, BODIES[kind](x, TWO), kind)

    assert probabilities(kind, answer.content).tobytes() == probabilities(JSON, plain.content).tobytes()


@pytest.mark.slow
@pytest.mark.parametrize("wanted", BODIES, ids=IDS.get)
@pytest.mark.parametrize("given", BODIES, ids=IDS.get)
@pytest.mark.parametrize("model", MODELS)
def test_every_pair_of_formats_gives_the_same_bits(steady: TestClient, model: str, given: str, wanted: str) -> None:
    features, classes = MODELS[model]
    x = rows(MANY, len(features))
    path = f"/predict/{model}"
    plain = post(steady, BODIES[JSON](x, features), JSON, path=path)

    answer = post(steady, BODIES[given](x, features), given, wanted, path)

    assert answer.status_code == 200, answer.text[:500]
    assert base_type(answer) == wanted
    found = probabilities(wanted, answer.content, classes)
    assert found.shape == (MANY, len(classes))
    assert found.tobytes() == probabilities(JSON, plain.content, classes).tobytes()


@pytest.mark.parametrize("wanted", ["", "*/*", "text/html, */*;q=0.1", "application/xml"])
@pytest.mark.parametrize("given", BODIES, ids=IDS.get)
def test_answer_has_the_format_of_the_request_if_none_that_is_known_is_asked_for(
    steady: TestClient, given: str, wanted: str
) -> None:
    answer = post(steady, BODIES[given](rows(3), TWO), given, wanted)

    assert (answer.status_code, base_type(answer)) == (200, given)
    assert len(probabilities(given, answer.content)) == 3


@pytest.mark.parametrize("path", ["/predict/means", "/predict/means/versions/1"])
def test_best_type_of_accept_counts_and_case_and_other_parameters_do_not(steady: TestClient, path: str) -> None:
    given, body = "Text/CSV; charset=utf-8", as_csv(rows(3), TWO)

    for wanted in ("APPLICATION/JSON;q=0.9, text/csv;q=0.8", "text/csv;q=0.8, application/json;v=1"):
        assert len(probabilities(JSON, post(steady, body, given, wanted, path).content)) == 3
    assert base_type(post(steady, body, given, "application/json;q=0.1, text/csv", path)) == CSV


@pytest.mark.parametrize("kind", ["application/jsonl", "application/ndjson"])
def test_ndjson_goes_by_other_names_too(steady: TestClient, kind: str) -> None:
    body = BODIES[NDJSON](rows(3), TWO)
    usual, answer = post(steady, body, NDJSON), post(steady, body, kind)

    assert (answer.status_code, base_type(answer), answer.content) == (200, kind, usual.content)
    assert base_type(post(steady, body, NDJSON, kind)) == kind


def test_rows_with_tabs_are_answered_as_those_with_commas(steady: TestClient) -> None:
    body = as_csv(rows(500), TWO)
    usual, answer = post(steady, body, CSV), post(steady, body.replace(b",", b"\t"), "text/tab-separated-values")

    assert (answer.status_code, base_type(answer), answer.content) == (200, CSV, usual.content)


@pytest.mark.parametrize("wanted", STREAMED, ids=IDS.get)
def test_names_that_the_model_does_not_know_are_ignored_if_asked_in_every_format(
    steady: TestClient, wanted: str
) -> None:
    body = BODIES[JSON](rows(5), TWO)
    path = "/predict/means?ignore_extra=true"

    assert post(steady, body, JSON, wanted, path).content == post(steady, body, JSON, wanted).content


@pytest.mark.parametrize("kind", STREAMED, ids=IDS.get)
def test_columns_are_refused_where_rows_or_answers_are_not_json(steady: TestClient, kind: str) -> None:
    path = "/predict/means?layout=columns"

    for given, wanted in ((kind, JSON), (kind, kind), (JSON, kind)):
        answer = post(steady, BODIES[given](rows(5), TWO), given, wanted, path)
        assert assert_problem(answer, 422)["errors"][0]["feature"] == "layout"


@pytest.mark.parametrize("wanted", [JSON, *STREAMED], ids=IDS.get)
def test_to_skip_bad_rows_is_refused_for_json(steady: TestClient, wanted: str) -> None:
    answer = post(steady, BODIES[JSON](rows(5), TWO), JSON, wanted, "/predict/means?on_error=skip")

    assert assert_problem(answer, 422)["errors"][0]["feature"] == "on_error"


def test_streamed_body_needs_the_model_in_the_path(steady: TestClient) -> None:
    answer = post(steady, as_csv(rows(3), TWO), path="/predict")

    assert_problem(answer, 422)


@pytest.mark.parametrize("kind", STREAMED, ids=IDS.get)
@pytest.mark.parametrize(("path", "status"), [("/predict/nobody", 404), ("/predict/means/versions/99", 404)])
def test_unknown_model_or_version_is_404_in_every_format(steady: TestClient, kind: str, path: str, status: int) -> None:
    assert_problem(post(steady, BODIES[kind](rows(3), TWO), kind, path=path), status)


@pytest.mark.parametrize("query", ["on_error=never", "ignore_extra=perhaps", "layout=diagonal"])
def test_query_that_is_not_understood_is_422(steady: TestClient, query: str) -> None:
    assert_problem(post(steady, as_csv(rows(3), TWO), path=f"/predict/means?{query}"), 422)


# The same rows, written and sent in other ways


CSV_SPELLINGS = {
    "carriage returns": b"left,right\r\n0.25,0.5\r\n1,0\r\n",
    "byte order mark": b"\xef\xbb\xbfleft,right\n0.25,0.5\n1,0\n",
    "quotes": b'"left","right"\n"0.25","0.5"\n"1","0"\n',
    "no final line feed": b"left,right\n0.25,0.5\n1,0",
    "spaces": b"left, right\n0.25, 0.5\n 1 ,0\n",
    "other spellings": b"left,right\n.25,+0.5\n01.,0\n",
    "other order": b"right,left\n0.5,0.25\n0,1\n",
}


@pytest.mark.parametrize("body", CSV_SPELLINGS.values(), ids=CSV_SPELLINGS.keys())
def test_csv_may_be_written_in_many_ways(steady: TestClient, body: bytes) -> None:
    assert post(steady, body).content == post(steady, b"left,right\n0.25,0.5\n1,0\n").content


def test_extra_columns_are_refused_or_ignored(steady: TestClient) -> None:
    body = b"id,left,right\na,0.25,0.5\n"

    refused = assert_problem(post(steady, body), 422)
    ignored = post(steady, body, path="/predict/means?ignore_extra=true")

    assert "?ignore_extra=true" in refused["detail"]
    assert ignored.content == post(steady, b"left,right\n0.25,0.5\n").content


@pytest.mark.parametrize("wanted", BODIES, ids=IDS.get)
@pytest.mark.parametrize("given", STREAMED, ids=IDS.get)
def test_body_of_unknown_length_gives_the_same_answer(steady: TestClient, given: str, wanted: str) -> None:
    body = BODIES[given](rows(MANY), TWO)

    whole, streamed = post(steady, body, given, wanted), post_streamed(steady, body, given, wanted)

    assert int(whole.headers["content-length"]) == len(whole.content)
    assert "content-length" not in streamed.headers
    assert streamed.content == whole.content


@pytest.mark.parametrize(("rows_more", "whole"), [(0, True), (1, False)])
def test_body_of_up_to_a_mebibyte_is_answered_as_a_whole(steady: TestClient, rows_more: int, whole: bool) -> None:
    body = bytes(MAX_WHOLE_BYTES + 8 * rows_more)

    answer = post(steady, body, FLOAT32)

    assert ("content-length" in answer.headers) == whole
    assert len(probabilities(FLOAT32, answer.content)) == len(body) // 8


@pytest.mark.slow
@pytest.mark.parametrize("wanted", STREAMED, ids=IDS.get)
@pytest.mark.parametrize("given", STREAMED, ids=IDS.get)
def test_others_get_their_turns_while_a_body_is_answered_as_a_whole(
    steady: TestClient, given: str, wanted: str
) -> None:
    body = BODIES[given](rows(LATE), TWO)
    headers = ((b"content-type", given.encode()), (b"accept", wanted.encode()), (b"content-length", b"%d" % len(body)))

    async def turns_meanwhile() -> int:
        answering, turns = asyncio.create_task(ask(steady.app, "/predict/means", (body,), headers)), 0
        while not answering.done():
            await asyncio.sleep(0)
            turns += 1
        assert answering.result().status == 200
        return turns

    assert steady.portal is not None
    least = LATE / (TEXT_BLOCK_ROWS if {given, wanted} & {CSV, NDJSON} else STEP_ROWS)
    assert steady.portal.call(turns_meanwhile) > least


@pytest.mark.parametrize("kind", STREAMED, ids=IDS.get)
def test_body_byte_by_byte_gives_the_same_answer(steady: TestClient, kind: str) -> None:
    body = BODIES[kind](rows(4), TWO)
    assert steady.portal is not None

    exchange = steady.portal.call(
        ask, steady.app, "/predict/means", [bytes([byte]) for byte in body], ((b"content-type", kind.encode()),)
    )

    assert exchange.status == 200
    found, expected = (probabilities(kind, answer) for answer in (exchange.body, post(steady, body, kind).content))
    assert found.tobytes() == expected.tobytes()


def test_body_split_at_every_position_gives_the_same_answer(steady: TestClient) -> None:
    body = b'left,right\r\n0.25,0.5\r\n"1",0\r\n'
    expected = post(steady, body).content
    assert steady.portal is not None

    for at in range(1, len(body)):
        parts, headers = (body[:at], body[at:]), ((b"content-type", CSV.encode()),)
        assert steady.portal.call(ask, steady.app, "/predict/means", parts, headers).body == expected, at


@pytest.mark.parametrize(("kind", "status"), [(CSV, 422), (ARROW, 400), (FLOAT32, 400)], ids=IDS.get)
def test_empty_body_is_a_clear_4xx_where_a_body_cannot_be_empty(steady: TestClient, kind: str, status: int) -> None:
    assert_problem(post(steady, b"", kind), status)


NO_ROWS = {
    CSV: b"left,right\n",
    NDJSON: b"",
    ARROW: arrow_stream(pa.table({"left": pa.array([], pa.float32()), "right": pa.array([], pa.float32())})),
}


@pytest.mark.parametrize("wanted", BODIES, ids=IDS.get)
@pytest.mark.parametrize("given", NO_ROWS, ids=IDS.get)
def test_no_rows_give_an_answer_without_rows(steady: TestClient, given: str, wanted: str) -> None:
    answer = post(steady, NO_ROWS[given], given, wanted)

    assert answer.status_code == 200
    assert len(probabilities(wanted, answer.content)) == 0


BLANK_LINES = {
    "csv": (CSV, b"left,right\n0.25,0.5\n\n1,0\n\n", 2),
    "csv, CR": (CSV, b"left,right\r0.25,0.5\r1,0\r\r", 1),
    "csv, CRLF": (CSV, b"\r\nleft,right\r\n0.25,0.5\r\n1,0\r\n  \r\n", 2),
    "ndjson": (NDJSON, b"[0.25,0.5]\n\n[1,0]\n\n", 2),
    "ndjson, CR": (NDJSON, b"[0.25,0.5]\r[1,0]\r\r", 1),
    "none": (CSV, b"left,right\r0.25,0.5\r1,0", 0),
}


@pytest.mark.parametrize(("kind", "body", "blank"), BLANK_LINES.values(), ids=BLANK_LINES.keys())
def test_f10_blank_lines_are_passed_over_and_said_in_a_header(
    steady: TestClient, kind: str, body: bytes, blank: int
) -> None:
    plain = b"left,right\n0.25,0.5\n1,0\n" if kind == CSV else b"[0.25,0.5]\n[1,0]\n"
    expected = post(steady, plain, kind).content

    whole, streamed = post(steady, body, kind), post_streamed(steady, body, kind)

    assert (whole.status_code, whole.content, streamed.content) == (200, expected, expected)
    assert whole.headers.get("x-blank-lines", "0") == str(blank)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
def test_f10_blank_line_at_the_end_of_many_rows_does_not_break_off_the_answer(steady: TestClient, end: str) -> None:
    body = as_csv(rows(LATE), TWO).replace(b"\n", end.encode()) + 2 * end.encode()

    answer = post_streamed(steady, body, CSV, FLOAT32)

    assert len(probabilities(FLOAT32, answer.content)) == LATE


def test_f10_lines_that_are_named_are_those_of_the_file(steady: TestClient) -> None:
    body = b"\nleft,right\n\n0.5,0.5\n\n0.5,x\n\n"

    refused = assert_problem(post(steady, body), 422)
    skipped = post(steady, body, path="/predict/means?on_error=skip").text.splitlines()

    assert refused["detail"].startswith("line 6, column 'right'")
    assert [line.partition(",")[0] for line in skipped] == ["line", "4", "6"]


@pytest.mark.parametrize("strict", [True, False])
def test_request_on_the_short_way_is_refused_by_a_strict_version(
    settings: Settings, repository: ModelRepository, strict: bool
) -> None:
    publish_typed(repository, strict=strict)
    app = create_app(settings)
    good = {"age": 30, "plan": "basic", "paid": True, "since": "2020-01-01", "sum": 5}

    async def answer(*rows: object) -> bytes | Exception:
        answered: asyncio.Future[bytes | Exception] = asyncio.get_running_loop().create_future()
        app.pipeline.answer_soon(orjson.dumps({"instances": rows}), "typed", answered.set_result, alone=True)
        return await answered

    with TestClient(app) as client:
        assert client.portal is not None
        accepted = client.portal.call(answer, good)
        unusual = client.portal.call(answer, good, {**good, "plan": "gold"})

    assert isinstance(accepted, bytes)
    if not strict:
        assert isinstance(unusual, bytes)
        assert orjson.loads(unusual)["warnings"] == [{"row": 1, "feature": "plan", "value": "unseen"}]
        return
    assert isinstance(unusual, InvalidInput)
    assert [(problem.row, problem.feature) for problem in unusual.problems] == [(1, "plan")]
