"""Bodies that are answered while they arrive, through the real app; what only a socket shows, over a real one."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import io
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import httpx2
import numpy as np
import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from app.api.routes.predict import MAX_WHOLE_BYTES
from app.inference.codecs.blocks import TEXT_BLOCK_ROWS
from app.inference.dataplane import STEP_ROWS
from app.main import create_app
from app.settings import Settings
from modelstore import ModelRepository
from tests.app.asgi import ask
from tests.app.broken import publish_as_means
from tests.app.overflow import Overflows
from tests.app.problems import assert_problem
from tests.app.sockets import Connection, chunked, connected
from tests.app.tables import (
    ARROW,
    BODIES,
    CSV,
    FLOAT32,
    IDS,
    JSON,
    NDJSON,
    STREAMED,
    arrow_stream,
    as_arrow,
    as_csv,
    as_float32,
    as_ndjson,
    probabilities,
    rows,
)
from tests.app.waiting import until
from tests.fakes import publish
from tests.processes import service

MODELS = {
    "means": (("left", "right"), ("low", "high")),
    "thirds": (("x", "y", "z"), ("none", "some", "all")),
}
TWO = ("left", "right")
LATE = 20_000  # rows: the answer has begun long before the last of them
LARGE = 140_000  # rows: more than a mebibyte in every format
MANY = 3000  # rows: several blocks of every format, and more than one forward pass takes


def post(
    client: TestClient, body: bytes, given: str = CSV, wanted: str = "", path: str = "/predict/means"
) -> httpx2.Response:
    return client.post(path, content=body, headers={"content-type": given, **({"accept": wanted} if wanted else {})})


def post_streamed(client: TestClient, body: bytes, given: str, wanted: str = "") -> httpx2.Response:
    """Send a body whose length nobody knows, which is answered while it arrives."""
    headers = {"content-type": given, **({"accept": wanted} if wanted else {})}
    return client.post("/predict/means", content=iter((body,)), headers=headers)


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


@pytest.mark.parametrize("charset", ["utf-16", '"UTF-16LE"', "iso-8859-1", "windows-1252", ""])
@pytest.mark.parametrize("given", [JSON, CSV, NDJSON, "application/jsonl", "text/tab-separated-values"])
def test_text_that_says_another_encoding_than_utf8_is_refused(steady: TestClient, given: str, charset: str) -> None:
    problem = assert_problem(post(steady, b"{}", f"{given}; charset={charset}"), 415)

    assert "charset=utf-8" in problem["detail"]


@pytest.mark.parametrize("charset", ["utf-8", '"UTF-8"', "utf8", "US-ASCII"])
def test_text_in_utf8_is_taken_by_any_of_its_names(steady: TestClient, charset: str) -> None:
    assert post(steady, as_csv(rows(3), TWO), f"{CSV}; header=present;Charset={charset}").status_code == 200


@pytest.mark.parametrize("wanted", STREAMED, ids=IDS.get)
@pytest.mark.parametrize("query", ["layout=columns", "on_error=skip", "ignore_extra=true"])
def test_query_that_is_not_for_json_in_leaves_its_other_formats_as_they_are(
    steady: TestClient, query: str, wanted: str
) -> None:
    body = BODIES[JSON](rows(5), TWO)

    assert (
        post(steady, body, JSON, wanted, f"/predict/means?{query}").content == post(steady, body, JSON, wanted).content
    )


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


# Bad rows


BAD_CSV = {
    "text": (b"0.5,x", "right"),
    "underscore": (b"1_0,0.5", "left"),
    "empty field": (b",0.5", "left"),
    "nan": (b"0.5,nan", "right"),
    "inf": (b"inf,0.5", "left"),
    "beyond float32": (b"0.5,1e39", "right"),
    "too few columns": (b"0.5", None),
    "too many columns": (b"0.5,0.5,0.5", None),
}


@pytest.mark.parametrize(("line", "feature"), BAD_CSV.values(), ids=BAD_CSV.keys())
def test_bad_row_before_the_first_byte_of_the_answer_is_422_with_line_and_column(
    steady: TestClient, line: bytes, feature: str | None
) -> None:
    document = assert_problem(post(steady, b"left,right\n0.5,0.5\n" + line + b"\n0.5,0.5\n"), 422)

    assert (document["errors"][0]["row"], document["errors"][0]["feature"]) == (3, feature)
    column = f", column '{feature}'" if feature else ""
    assert document["detail"].startswith(f"line 3{column}: ")
    assert "means expects 2 features per row; see GET /models/means" in document["detail"]


def test_many_bad_rows_are_cut_to_ten(steady: TestClient) -> None:
    assert len(assert_problem(post(steady, b"left,right\n" + b"x,y\n" * 50), 422)["errors"]) == 10


BAD_BODIES = {
    "a line of 2 MB": (CSV, b"left,right\n" + b"1" * (2 << 20) + b",1\n", 400),
    "a header of 2 MB": (CSV, b"left," * (2 << 18), 400),
    "csv is binary": (CSV, bytes(range(256)) * 8, 422),
    "ndjson, a line of 2 MB": (NDJSON, b"[" + b" " * (2 << 20) + b"1,1]\n", 400),
    "ndjson, a row of three": (NDJSON, b"[1,1,1]\n", 422),
    "arrow is garbage": (ARROW, b"\x93NUMPY" + bytes(100), 400),
    "arrow is cut": (ARROW, as_arrow(rows(3), TWO)[:-100], 400),
    "arrow has a null": (ARROW, arrow_stream(pa.table({"left": [0.5, None], "right": [0.5, 0.5]})), 422),
    "arrow has a NaN": (ARROW, arrow_stream(pa.table({"left": [0.5, float("nan")], "right": [0.5, 0.5]})), 422),
    "float32 ends within its first row": (FLOAT32, bytes(4), 400),
    "float32 has a NaN": (FLOAT32, as_float32(np.full((1, 2), np.nan, np.float32), TWO), 422),
}


@pytest.mark.parametrize(("kind", "body", "status"), BAD_BODIES.values(), ids=BAD_BODIES.keys())
def test_bad_body_is_a_clear_4xx(steady: TestClient, kind: str, body: bytes, status: int) -> None:
    assert_problem(post(steady, body, kind), status)


MIXED = {
    CSV: b"left,right\n0.25,0.25\n0.5,x\n0.75,0.75\n",
    NDJSON: b'[0.25,0.25]\n[0.5,"x"]\n[0.75,0.75]\n',
    ARROW: arrow_stream(pa.table({"left": [0.25, 0.5, 0.75], "right": [0.25, None, 0.75]})),
    FLOAT32: as_float32(np.array([[0.25, 0.25], [0.5, np.nan], [0.75, 0.75]], np.float32), TWO),
}
FIRST_NUMBER = {CSV: 2, NDJSON: 1, ARROW: 0, FLOAT32: 0}


@pytest.mark.parametrize("given", MIXED, ids=IDS.get)
def test_skip_answers_every_row_in_its_place_in_json(steady: TestClient, given: str) -> None:
    answer = post(steady, MIXED[given], given, JSON, "/predict/means?on_error=skip")

    first = FIRST_NUMBER[given]
    good, bad, last = answer.json()["predictions"]
    assert [row["line"] for row in (good, bad, last)] == [first, first + 1, first + 2]
    assert (good["probabilities"]["high"], last["probabilities"]["high"]) == (0.25, 0.75)
    assert bad["error"]["feature"] == "right"
    assert set(bad) == {"line", "error"}


@pytest.mark.parametrize("given", MIXED, ids=IDS.get)
def test_skip_answers_every_row_in_its_place_in_ndjson(steady: TestClient, given: str) -> None:
    answer = post(steady, MIXED[given], given, NDJSON, "/predict/means?on_error=skip")

    good, bad, last = map(json.loads, answer.content.splitlines())
    assert [row["line"] - FIRST_NUMBER[given] for row in (good, bad, last)] == [0, 1, 2]
    assert (good["probabilities"]["high"], last["probabilities"]["high"]) == (0.25, 0.75)
    assert bad["error"]["feature"] == "right"


@pytest.mark.parametrize("given", MIXED, ids=IDS.get)
def test_skip_answers_every_row_in_its_place_in_csv(steady: TestClient, given: str) -> None:
    answer = post(steady, MIXED[given], given, CSV, "/predict/means?on_error=skip")

    good, bad, last = csv.DictReader(io.StringIO(answer.text))
    assert [int(row["line"]) - FIRST_NUMBER[given] for row in (good, bad, last)] == [0, 1, 2]
    assert (good["probability_high"], good["error"]) == ("0.25", "")
    assert (last["probability_high"], last["error"]) == ("0.75", "")
    assert (bad["label"], bad["probability_high"]) == ("", "")
    assert bad["error"].startswith("right: must be a ")


@pytest.mark.parametrize("given", MIXED, ids=IDS.get)
def test_skip_answers_every_row_in_its_place_in_arrow_and_float32(steady: TestClient, given: str) -> None:
    in_arrow, bare = (
        post(steady, MIXED[given], given, wanted, "/predict/means?on_error=skip").content for wanted in (ARROW, FLOAT32)
    )

    assert pa.ipc.open_stream(in_arrow).read_all()["probability_high"].to_pylist() == [0.25, None, 0.75]
    assert np.array_equal(probabilities(FLOAT32, bare)[:, 1], [0.25, np.nan, 0.75], equal_nan=True)


def test_skip_without_bad_rows_answers_as_fail_does_but_for_the_numbers(steady: TestClient) -> None:
    body = as_ndjson(rows(50), TWO)

    numbered = post(steady, body, NDJSON, path="/predict/means?on_error=skip").content

    assert re.sub(rb'"line":\d+,', b"", numbered) == post(steady, body, NDJSON).content


def test_warnings_name_the_place_of_a_row_after_skipped_ones(steady: TestClient) -> None:
    body = b"left,right\nx,0\n7,0\ny,0\n0,8\n"

    answer = post(steady, body, CSV, JSON, "/predict/means?on_error=skip").json()

    assert [(w["row"], w["feature"], w["value"]) for w in answer["warnings"]] == [(1, "left", 7), (3, "right", 8)]
    assert [row["line"] for row in answer["predictions"]] == [2, 3, 4, 5]


HUGE = np.array([[0.25, 0.25], [3e38, 3e38], [0.75, 0.75]], np.float32)


@pytest.mark.parametrize("kind", BODIES, ids=IDS.get)
def test_row_that_overflows_inside_the_model_is_the_clients_mistake(
    client: TestClient, repository: ModelRepository, kind: str
) -> None:
    publish_as_means(repository, Overflows(2, 0.0), activate=False)

    answer = post(client, BODIES[kind](HUGE, TWO), kind, path="/predict/means/versions/2")

    assert assert_problem(answer, 422)["errors"][0]["row"] == 1 + FIRST_NUMBER.get(kind, 0)


@pytest.mark.parametrize("kind", STREAMED, ids=IDS.get)
def test_row_that_overflows_inside_the_model_may_be_skipped(
    client: TestClient, repository: ModelRepository, kind: str
) -> None:
    publish_as_means(repository, Overflows(2, 0.0), activate=False)

    answer = post(client, BODIES[kind](HUGE, TWO), kind, JSON, "/predict/means/versions/2?on_error=skip").json()

    assert ["error" in row for row in answer["predictions"]] == [False, True, False]
    assert "overflows" in answer["predictions"][1]["error"]["problem"]


def late(kind: str, count: int = LATE) -> bytes:
    """Return a body whose bad row comes long after the answer has begun."""
    x = rows(count)
    if kind in (ARROW, FLOAT32):
        x[-1, 1] = np.nan
        return BODIES[kind](x, TWO)
    return BODIES[kind](x, TWO) + (b"0.5,x\n" if kind == CSV else b"[0.5,null]\n")


def test_last_words_name_line_and_column(steady: TestClient) -> None:
    in_csv = post_streamed(steady, late(CSV), CSV).text.splitlines()[-1]
    in_ndjson = json.loads(post_streamed(steady, late(NDJSON), NDJSON).content.splitlines()[-1])["error"]["detail"]
    in_json = post_streamed(steady, late(CSV), CSV, JSON).json()["error"]["detail"]

    assert in_csv.startswith(f"# error: line {LATE + 2}, column 'right': must be")
    assert in_ndjson.startswith(f"line {LATE + 1}, column 'right': must be")
    assert in_json.startswith(f"line {LATE + 2}, column 'right'")


@pytest.mark.slow
@pytest.mark.parametrize("wanted", BODIES, ids=IDS.get)
@pytest.mark.parametrize("given", STREAMED, ids=IDS.get)
def test_bad_row_anywhere_in_a_body_that_says_its_length_is_a_422(steady: TestClient, given: str, wanted: str) -> None:
    document = assert_problem(post(steady, late(given), given, wanted), 422)

    last = LATE - 1 if given in (ARROW, FLOAT32) else LATE + FIRST_NUMBER[given]
    assert (document["errors"][0]["row"], document["errors"][0]["feature"]) == (last, "right")


def test_body_that_grows_too_large_is_told_so_in_the_last_words(
    settings: Settings, repository: ModelRepository
) -> None:
    publish(repository)
    pieces, headers = (as_csv(rows(10), TWO), b"0.5,0.5\n" * 200), ((b"content-type", CSV.encode()),)

    with TestClient(create_app(settings.model_copy(update={"max_stream_bytes": 1024}))) as client:
        assert client.portal is not None
        exchange = client.portal.call(ask, client.app, "/predict/means", pieces, headers)

    *answers, words = exchange.body.splitlines()
    assert (exchange.status, len(answers)) == (200, 11)
    assert words.startswith(b"# error: the body may have at most 1024 bytes")


# Over a socket


@dataclass(frozen=True)
class Live:
    """A running service."""

    client: httpx.Client
    pid: int
    log: Path


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Run a service with the model `means`."""
    folder = tmp_path_factory.mktemp("live")
    publish(ModelRepository(folder / "models"))
    with service(folder) as (client, process):
        yield Live(client, process.pid, folder / "service.log")


@pytest.mark.slow
@pytest.mark.parametrize("kind", STREAMED, ids=IDS.get)
def test_bad_row_after_the_answer_began_breaks_it_off(live: Live, kind: str) -> None:
    client = live.client
    received = b""

    def take(answer: httpx.Response) -> None:
        nonlocal received
        for part in answer.iter_raw():
            received += part

    body = late(kind, LARGE)
    assert len(body) > MAX_WHOLE_BYTES
    with client.stream("POST", "/predict/means", content=body, headers={"content-type": kind}) as answer:
        assert answer.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked"):
            take(answer)

    assert len(received) > 10_000
    assert kind in (ARROW, FLOAT32) or b"column 'right'" in received[-300:]


@pytest.mark.slow
@pytest.mark.parametrize("kind", [CSV, NDJSON, FLOAT32], ids=IDS.get)
def test_answer_begins_before_the_request_ends(live: Live, kind: str) -> None:
    client = live.client
    body = BODIES[kind](rows(200), TWO)
    half = body.rindex(b"\n", 0, len(body) // 2) + 1 if kind != FLOAT32 else len(body) // 2
    head, first, second, end = chunked(body[:half], body[half:], path="/predict/means", headers={"content-type": kind})

    with connected(client.base_url) as connection:
        connection.send(head, first)
        status, headers = connection.head()
        begun = connection.chunk()
        connection.send(second, end)
        answer = begun + b"".join(iter(connection.chunk, b""))

    assert (status, headers["transfer-encoding"]) == (200, "chunked")
    assert 0 < len(probabilities(kind, begun)) < 200
    assert len(probabilities(kind, answer)) == 200


@pytest.mark.slow
def test_arrow_answers_batches_before_the_stream_ends(live: Live) -> None:
    client = live.client
    body = as_arrow(rows(200), TWO, 50)
    head, *chunks, end = chunked(
        *(body[at : at + 500] for at in range(0, len(body), 500)),
        path="/predict/means",
        headers={"content-type": ARROW},
    )

    with connected(client.base_url) as connection:
        connection.send(head, *chunks[:-1])
        connection.head()
        begun = connection.chunk()
        connection.send(chunks[-1], end)
        answer = begun + b"".join(iter(connection.chunk, b""))

    assert len(probabilities(ARROW, answer)) == 200


def resident_mb(pid: int) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0]) / 1024


def peak_mb(pid: int) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.split("VmHWM:")[1].split()[0]) / 1024


def count_lines(connection: Connection) -> int:
    connection.head()
    return sum(chunk.count(b"\n") for chunk in iter(connection.chunk, b""))


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_rows(live: Live) -> None:
    client, pid = live.client, live.pid
    thousand = as_csv(rows(1000), TWO).partition(b"\n")[2]
    counted: list[int] = []
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak counts from here
    before = resident_mb(pid)

    with connected(client.base_url) as connection:
        reading = threading.Thread(target=lambda: counted.append(count_lines(connection)))
        head, header, end = chunked(b"left,right\n", path="/predict/means", headers={"content-type": CSV})
        connection.send(head, header)
        reading.start()
        for _ in range(300):
            connection.send(b"%x\r\n%b\r\n" % (len(thousand), thousand))
        connection.send(end)
        reading.join()

    assert counted == [300_001]
    assert peak_mb(pid) - before < 64


@pytest.mark.slow
def test_client_that_goes_away_in_the_middle_leaves_nothing_behind(live: Live) -> None:
    client = live.client
    head, header, first, _ = chunked(
        b"left,right\n", b"0.5,0.5\n" * 5000, path="/predict/means", headers={"content-type": CSV}
    )
    with connected(client.base_url) as connection:
        connection.send(head, header, first)
        connection.head()
        connection.reset()

    until(lambda: in_progress(live.client) == 1, "only the scrape is in progress")
    assert live.client.post("/predict/means", json={"instances": [[0.5, 0.5]]}).status_code == 200


def in_progress(client: httpx.Client) -> float:
    found = re.search(r"^tabserve_http_requests_in_progress (\S+)$", client.get("/metrics").text, re.MULTILINE)
    assert found
    return float(found[1])


WRONG_AT_THE_END = {
    "arrow is twice there": (ARROW, as_arrow(rows(3), TWO) * 2),
    "float32 ends within its second row": (FLOAT32, bytes(12)),
}


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "body"), WRONG_AT_THE_END.values(), ids=WRONG_AT_THE_END.keys())
def test_body_of_unknown_length_that_goes_wrong_after_its_last_row_is_broken_off(
    live: Live, kind: str, body: bytes
) -> None:
    with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked"):
        live.client.post("/predict/means", content=iter((body,)), headers={"content-type": kind})


@pytest.mark.parametrize(("kind", "body"), WRONG_AT_THE_END.values(), ids=WRONG_AT_THE_END.keys())
def test_body_that_says_its_length_and_goes_wrong_after_its_last_row_is_a_400(
    steady: TestClient, kind: str, body: bytes
) -> None:
    assert_problem(post(steady, body, kind), 400)


@pytest.mark.slow
def test_mistakes_of_clients_leave_no_traceback_in_the_log(live: Live) -> None:
    for body in (late(CSV), b"left,right\n0.5\n", b"", bytes(12)):
        with contextlib.suppress(httpx.TransportError):
            live.client.post("/predict/means", content=iter((body,)), headers={"content-type": CSV})

    until(lambda: f"was broken off: line {LATE + 2}, column 'right'" in live.log.read_text(), "the line of the log")
    assert "Traceback" not in live.log.read_text()
