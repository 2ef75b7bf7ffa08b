"""Bodies are read if their type, their encoding and their size are accepted."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from app.api.bodies import MAX_SMALL_BYTES
from tests.app.problems import assert_failure, assert_problem
from tests.app.tables import (
    CSV,
    JSON,
    NDJSON,
    TWO,
    as_csv,
    post,
    rows,
)


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
