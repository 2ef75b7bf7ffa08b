"""The model and the version that answer: named in one place or in two that agree."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from app.errors import InvalidInput
from app.inference.target import agree_on, require_name
from modelstore import ModelRepository
from tests.fakes import publish


@pytest.mark.parametrize(
    ("in_path", "in_body", "agreed"),
    [("means", None, "means"), (None, "means", "means"), ("means", "means", "means"), (None, None, None)],
)
def test_name_in_path_and_body_is_one(in_path: str | None, in_body: str | None, agreed: str | None) -> None:
    assert agree_on("model", in_path, in_body) == agreed


def test_path_and_body_that_differ_are_refused_by_field() -> None:
    with pytest.raises(InvalidInput, match="version: path and body name different ones") as refused:
        agree_on("version", 1, 2)

    assert [problem.feature for problem in refused.value.problems] == ["version"]


def test_name_that_is_nowhere_is_asked_for() -> None:
    assert require_name("means") == "means"
    with pytest.raises(InvalidInput, match=r"POST /predict/\{model\}"):
        require_name(None)


def predict(client: TestClient, instances: object, path: str = "/predict/means", **fields: object) -> Any:
    return client.post(path, json={"instances": instances, **fields})


def test_model_may_be_named_in_the_body(steady: TestClient) -> None:
    by_body = predict(steady, [[0.5, 0.25]], "/predict", model="means")

    assert by_body.content == predict(steady, [[0.5, 0.25]]).content


@pytest.mark.parametrize("place", ["path", "body", "both"])
def test_version_may_be_named(client: TestClient, repository: ModelRepository, place: str) -> None:
    version = publish(repository, shift=0.5, activate=False)
    path = f"/predict/means/versions/{version}" if place != "body" else "/predict/means"
    fields = {"version": version} if place != "path" else {}

    answer = predict(client, [[0.25, 0.25]], path, **fields).json()

    assert (answer["version"], answer["predictions"][0]["probabilities"]["high"]) == (2, 0.75)
    assert predict(client, [[0.25, 0.25]]).json()["version"] == 1


def test_model_must_be_named_somewhere(steady: TestClient) -> None:
    answer = predict(steady, [[1, 2]], "/predict")

    assert answer.status_code == 422
    assert "POST /predict/{model}" in answer.json()["detail"]
