"""How many rows a request may have; bodies that must be read whole: the same answers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import orjson
import pytest
from starlette.testclient import TestClient

from app.inference.codecs.strict_json import MOST_AT_ONCE_BYTES
from app.inference.offload import SMALL_BYTES
from app.main import create_app
from modelstore import ModelRepository
from tests.app.oip import announced, body_of, sent, tensor, whole
from tests.app.problems import assert_problem
from tests.fakes import publish
from tests.settings import settings_in

LIMIT = 3


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("few")
    publish(ModelRepository(folder / "models"))
    with TestClient(create_app(settings_in(folder, max_rows=LIMIT))) as client:
        yield client


@pytest.mark.parametrize("pad", [0, SMALL_BYTES], ids=["small", "large"])
@pytest.mark.parametrize("path", ["/predict/means", "/predict/means/versions/1", "/predict"])
def test_one_row_too_many_is_refused_wherever_json_is_read(path: str, pad: int, few: TestClient) -> None:
    named = {"model": "means"} if path == "/predict" else {}
    for rows in (LIMIT, LIMIT + 1):
        body = orjson.dumps({"instances": [[0.25, 0.5]] * rows, **named}) + b" " * pad
        answer = few.post(path, content=body, headers={"content-type": "application/json"})
        if rows == LIMIT:
            assert answer.status_code == 200
        else:
            assert "TABSERVE_MAX_ROWS" in assert_problem(answer, 413)["detail"]


@pytest.mark.parametrize("pad", [0, SMALL_BYTES], ids=["small", "large"])
def test_one_row_too_many_is_refused_as_tensors_of_json(pad: int, few: TestClient) -> None:
    for rows, status in ((LIMIT, 200), (LIMIT + 1, 413)):
        for datatype in ("FP32", "INT32"):  # the one is read in steps if it is large, the other is not
            text = whole([tensor([[0, 1]] * rows, datatype)]) + b" " * pad
            assert few.post("/v2/models/means/infer", **sent(body_of(text))).status_code == status


def test_one_row_too_many_is_refused_as_binary_tensors(few: TestClient) -> None:
    for rows, status in ((LIMIT, 200), (LIMIT + 1, 413)):
        described, part = announced([[0, 1]] * rows)
        answer = few.post("/v2/models/means/infer", **sent(body_of(whole([described]), part)))
        assert answer.status_code == status
        raw = dataclasses.replace(body_of(b""), data=bytearray(part), json_bytes=0)
        assert few.post("/v2/models/means/infer", **sent(raw)).status_code == status


def test_formats_that_stream_take_any_number(few: TestClient) -> None:
    rows = b"left,right\n" + b"0.25,0.5\n" * (LIMIT + 1)

    assert few.post("/predict/means", content=rows, headers={"content-type": "text/csv"}).status_code == 200


@pytest.mark.parametrize("space", [0, MOST_AT_ONCE_BYTES], ids=["in one go", "in steps"])
def test_large_request_is_answered_alike_whichever_reader_reads_it(space: int, steady: TestClient) -> None:
    rows = [[number / 4096, 1 - number / 4096] for number in range(4096)]
    plain = orjson.dumps({"instances": rows})
    unusual = orjson.dumps({"model": "means", "instances": rows}) + b" " * space
    json = {"content-type": "application/json"}

    expected = steady.post("/predict/means", content=plain, headers=json)

    assert expected.status_code == 200
    for path in ("/predict", "/predict/means", "/predict/means/versions/1"):
        assert steady.post(path, content=unusual, headers=json).content == expected.content
