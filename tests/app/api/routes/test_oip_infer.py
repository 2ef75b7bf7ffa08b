"""Inference requests over HTTP: types, lengths, limits, timeouts, failures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from starlette.testclient import TestClient

from app.inference.codecs.oip import InferBody
from app.main import create_app
from app.settings import Settings
from modelstore import ModelRepository
from tests.app.asgi import ask, ask_at_once
from tests.app.broken import POISON, RaisesLater, publish_as_means
from tests.app.oip import INFER, JSON_BYTES, SPELLINGS, TWO, announced, body_of, infer, outputs_of, sent, tensor, whole
from tests.app.problems import assert_failure
from tests.app.tables import rows
from tests.fakes import manifest_for, publish, script

GOOD = whole([tensor([[0.5, 0.5]])])


@pytest.mark.parametrize("path", [INFER, "/v2/repository/index"])
def test_json_that_says_another_encoding_than_utf8_is_refused(steady: TestClient, path: str) -> None:
    answer = steady.post(path, content=GOOD, headers={"content-type": "application/json; charset=utf-16"})

    assert_failure(answer, 415)
    assert "charset=utf-8" in answer.json()["error"]


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "multipart/form-data; boundary=x"},
        {"content-encoding": "gzip"},
        {"content-encoding": "deflate, gzip"},
    ],
    ids=lambda headers: next(iter(headers.values())),
)
def test_other_content_is_415(steady: TestClient, headers: dict[str, str]) -> None:
    assert_failure(steady.post(INFER, content=GOOD, headers=headers), 415)


@pytest.mark.parametrize("length", ["", "-1", "+5", "1.0", "abc", "9" * 19, "9" * 18, "٣", "1_0", " "])
def test_length_of_the_json_that_is_no_number_or_too_large_is_400(steady: TestClient, length: str) -> None:
    headers = [(JSON_BYTES.encode(), length.encode())]

    assert_failure(steady.post(INFER, content=GOOD, headers=headers), 400)


@pytest.fixture
def small(settings: Settings, repository: ModelRepository) -> Iterator[TestClient]:
    """Return a client of an app that lets two rows wait."""
    publish_as_means(repository, RaisesLater(2, 0.0))
    app = create_app(settings.model_copy(update={"max_queue_rows": 2}))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.mark.parametrize("path", [INFER, "/v2/models/means/versions/1/infer", "/v2/repository/index"])
@pytest.mark.parametrize("streamed", [False, True], ids=["declared", "streamed"])
def test_body_that_is_too_large_is_413(narrow: TestClient, path: str, streamed: bool) -> None:
    content = GOOD.ljust(1025)

    answer = narrow.post(path, content=iter((content,)) if streamed else content)

    assert "1024 bytes" in assert_failure(answer, 413)


def test_malformed_content_length_is_400(narrow: TestClient) -> None:
    assert narrow.portal is not None

    exchange = narrow.portal.call(ask, narrow.app, INFER, (GOOD,), ((b"content-length", b"x"),))

    assert (exchange.status, list(json.loads(exchange.body))) == (400, ["error"])


def test_full_queue_is_429_and_says_when_to_come_again(small: TestClient) -> None:
    assert small.portal is not None

    answers = small.portal.call(ask_at_once, small.app, INFER, [GOOD] * 4)

    assert sorted(answer.status for answer in answers) == [200, 200, 429, 429]
    for answer in answers:
        assert answer.status == 200 or (list(json.loads(answer.body)), answer.headers["retry-after"]) == (
            ["error"],
            "1",
        )


def test_failure_of_the_model_is_500_and_hurts_nobody_else(small: TestClient) -> None:
    poisoned = small.post(INFER, content=whole([tensor([[2 * POISON, 0]])]))

    assert "internal error" in assert_failure(poisoned, 500)
    assert small.post(INFER, content=GOOD).status_code == 200
    did = small.get("/v2/models/means/stats").json()["model_stats"][0]["inference_stats"]
    assert (did["success"]["count"], did["fail"]["count"]) == (1, 1)


@pytest.mark.parametrize("rows_asked", [1, 5, 1024, 1025, pytest.param(5000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_every_spelling_is_answered_like_predict(steady: TestClient, spell: Any, rows_asked: int) -> None:
    x = rows(rows_asked)

    found = outputs_of(steady.post(INFER, **sent(spell(x, ("left", "right")))))

    own = steady.post("/predict/means", json={"instances": x.tolist()}).json()["predictions"]
    expected = [[row["probabilities"]["low"], row["probabilities"]["high"]] for row in own]
    assert found["probabilities"].tobytes() == np.array(expected, dtype=np.float32).tobytes()
    assert found["label"].tolist() == [row["label"] for row in own]
    assert [("low", "high")[k] for k in found["class_index"]] == [row["label"] for row in own]


def test_answers_of_a_network_have_the_bits_of_predict(settings: Settings, repository: ModelRepository) -> None:
    torch.manual_seed(1)
    layers = torch.nn.Linear(2, 16), torch.nn.Tanh(), torch.nn.Linear(16, 2), torch.nn.Softmax(1)
    network = torch.nn.Sequential(*layers)
    data = script(network)
    repository.activate("means", repository.publish(manifest_for(network, data), data).version)
    x = rows(200)
    with TestClient(create_app(settings)) as client:
        own = client.post("/predict/means", json={"instances": x.tolist()}).json()["predictions"]
        found = [client.post(INFER, **sent(spell(x, ("left", "right")))) for spell in SPELLINGS.values()]

    expected = np.array([list(row["probabilities"].values()) for row in own], dtype=np.float32)
    assert len({row["probabilities"]["low"] for row in own}) > 100
    assert {outputs_of(answer)["probabilities"].tobytes() for answer in found} == {expected.tobytes()}


def test_version_in_the_path_answers(client: TestClient, repository: ModelRepository) -> None:
    version = publish(repository, shift=0.5, activate=False)

    answer = infer(client, path=f"/v2/models/means/versions/{version}/infer").json()

    assert (answer["model_version"], answer["outputs"][0]["data"][1]) == ("2", 0.75)
    assert infer(client).json()["model_version"] == "1"


def test_json_answer_has_no_header_of_binary_ones(steady: TestClient) -> None:
    answer = infer(steady)

    assert answer.headers["content-type"] == "application/json"
    assert JSON_BYTES not in answer.headers


def test_raw_form_is_answered_with_binary_tensors_only(steady: TestClient) -> None:
    content = np.array([[0.25, 0.75]], dtype="<f4").tobytes()

    answer = steady.post(INFER, content=content, headers={JSON_BYTES: "0"})

    found = outputs_of(answer)
    assert found["probabilities"].tolist() == [[0.5, 0.5]]
    assert b'"data"' not in answer.content


@pytest.mark.parametrize("content_type", [None, "application/json", "application/json; charset=utf-8"])
def test_json_needs_no_content_type(steady: TestClient, content_type: str | None) -> None:
    headers = {"content-type": content_type} if content_type else {}

    assert steady.post(INFER, content=whole([tensor(TWO)]), headers=headers).status_code == 200


def test_value_outside_the_training_range_is_answered(steady: TestClient) -> None:
    assert infer(steady, [tensor([[0.5, 1.5]])]).status_code == 200


def test_rows_are_counted_as_those_of_predict_are(client: TestClient) -> None:
    infer(client)
    client.post(INFER, **sent(SPELLINGS["binary"](rows(3000), ("left", "right"))))

    assert 'tabserve_inference_rows_total{model="means",version="1"} 3002.0' in client.get("/metrics").text


def test_answer_carries_the_request_id(steady: TestClient) -> None:
    answer = steady.post(INFER, content=whole([tensor(TWO)]), headers={"x-request-id": "mine"})

    assert answer.headers["x-request-id"] == "mine"


def test_body_may_be_as_large_as_the_limit_and_no_larger(settings: Settings, repository: ModelRepository) -> None:
    publish(repository)
    described, part = announced(rows(100))
    text = whole([described])
    limit = len(text) + len(part)
    with TestClient(create_app(settings.model_copy(update={"max_body_bytes": limit}))) as client:
        assert client.post(INFER, **sent(body_of(text, part))).status_code == 200
        answer = client.post(INFER, **sent(InferBody(text + b" " + part, 0, len(text) + 1)))

    assert (answer.status_code, list(answer.json())) == (413, ["error"])
