"""Bodies are read if their type, their encoding and their size are accepted."""

from __future__ import annotations

import asyncio

import pytest
from starlette.requests import Request
from starlette.testclient import TestClient
from starlette.types import Message

from app.api.bodies import MAX_SMALL_BYTES, declared_length, media_type, parse_json, read_json, read_small
from app.api.errors import BodyTooLarge, UnsupportedContentType
from app.api.routes.oip import IndexQuery
from app.errors import InvalidInput, MalformedBody
from tests.app.problems import assert_failure, assert_problem
from tests.app.tables import CSV, JSON, NDJSON, TWO, as_csv, post, rows


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonx"])
def test_other_content_type_is_415(steady: TestClient, content_type: str | None) -> None:
    headers = {"content-type": content_type} if content_type else {}

    answer = steady.post("/predict/means", content=b'{"instances": [[1, 2]]}', headers=headers)

    assert answer.status_code == 415
    assert "application/json" in answer.json()["detail"]


def test_content_type_may_have_parameters(steady: TestClient) -> None:
    headers = {"content-type": "Application/JSON; charset=utf-8"}

    assert steady.post("/predict/means", content=b'{"instances": [[1, 2]]}', headers=headers).status_code == 200


def test_index_reads_no_more_than_a_query_needs(steady: TestClient) -> None:
    assert_failure(steady.post("/v2/repository/index", content=b"[" * (MAX_SMALL_BYTES + 1)), 413)


@pytest.mark.parametrize("charset", ["utf-16", '"UTF-16LE"', "iso-8859-1", "windows-1252", ""])
@pytest.mark.parametrize("given", [JSON, CSV, NDJSON, "application/jsonl", "text/tab-separated-values"])
def test_text_that_says_another_encoding_than_utf8_is_refused(steady: TestClient, given: str, charset: str) -> None:
    problem = assert_problem(post(steady, b"{}", f"{given}; charset={charset}"), 415)

    assert "charset=utf-8" in problem["detail"]


@pytest.mark.parametrize("charset", ["utf-8", '"UTF-8"', "utf8", "US-ASCII"])
def test_text_in_utf8_is_taken_by_any_of_its_names(steady: TestClient, charset: str) -> None:
    assert post(steady, as_csv(rows(3), TWO), f"{CSV}; header=present;Charset={charset}").status_code == 200


def asked(content_type: str | None, *pieces: bytes, **headers: str) -> Request:
    """Return a request whose body comes in these pieces."""
    left = list(pieces)

    async def receive() -> Message:
        return {"type": "http.request", "body": left.pop(0) if left else b"", "more_body": bool(left)}

    named = {name.replace("_", "-"): value for name, value in headers.items()}
    given = named if content_type is None else {"content-type": content_type, **named}
    raw = [(name.encode(), value.encode()) for name, value in given.items()]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": raw}, receive)


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        (None, ""),
        ("", ""),
        ("text/csv", "text/csv"),
        (" Text/CSV ; header=present", "text/csv"),
        ("application/json, text/csv", "application/json"),
    ],
)
def test_media_type_is_read_without_case_and_parameters(header: str | None, kind: str) -> None:
    assert media_type(header) == kind


@pytest.mark.parametrize(
    ("length", "size"),
    [("0", 0), ("1024", 1024), ("9" * 30, 10**18 - 1), ("", None), ("-1", None), ("1.0", None), ("two", None)],
)
def test_declared_length_is_a_number_or_nothing(length: str, size: int | None) -> None:
    assert declared_length(asked(None, content_length=length)) == size
    assert declared_length(asked(None)) is None


def test_small_body_is_read_to_its_limit_in_any_pieces() -> None:
    half = b"x" * (MAX_SMALL_BYTES // 2)

    assert asyncio.run(read_small(asked(None, half, half))) == half + half
    with pytest.raises(BodyTooLarge):
        asyncio.run(read_small(asked(None, half, half, b"x")))


def test_json_body_is_read_strictly() -> None:
    assert asyncio.run(read_json(asked("application/json", b'{"ready"', b": true}"), IndexQuery)).ready
    with pytest.raises(UnsupportedContentType):
        asyncio.run(read_json(asked("text/plain", b"{}"), IndexQuery))
    for body in (b"", b"{", b"\xff", b'{"ready": true, "ready": false}', b"[" * 100_000):
        with pytest.raises(MalformedBody):
            asyncio.run(read_json(asked("application/json", body), IndexQuery))


def test_wrong_field_is_named_and_its_value_is_not_repeated() -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_json(b'{"ready": "xqzjv"}', IndexQuery)

    assert [problem.feature for problem in refused.value.problems] == ["ready"]
    assert "xqzjv" not in str(refused.value)
