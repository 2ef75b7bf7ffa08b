"""Wrong fields and parameters of every route: each is named, in words of ours."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from app.api.routes.oip import IndexQuery
from app.api.routes.predict import PredictQuery
from app.api.schemas.train import JobsQuery
from app.api.schemas.versions import CompareQuery, HistoryQuery
from app.jobs.records import TrainingRequest
from modelstore import wording
from tests.app.oip import tensor
from tests.app.problems import assert_problem
from tests.modelstore.test_wording import PYDANTICS

GOOD = {"instances": [[0.5, 0.5]]}
MISSPELT = {
    "short way": ("POST", "/predict/means?on_eror=skip", GOOD, "on_eror", "on_error"),
    "by version": ("POST", "/predict/means/versions/1?layuot=columns", GOOD, "layuot", "layout"),
    "in the body": ("POST", "/predict?ignore_extras=true", GOOD, "ignore_extras", "ignore_extra"),
    "second of an envelope": ("POST", "/predict", {**GOOD, "modle": "means"}, "modle", "model"),
    "jobs": ("GET", "/train?limt=5", None, "limt", "limit"),
    "history": ("GET", "/models/means/versions?befor=3", None, "befor", "before"),
    "comparison": ("GET", "/models/means/compare?versions=3,4&version=3", None, "version", "versions"),
    "training": ("POST", "/train", {"model": "iris", "dataset": "x", "traget": "y"}, "traget", "target"),
    "nested": ("POST", "/train", {"model": "iris", "overrides": {"epoch": 3}}, "overrides.epoch", "epochs"),
}


@pytest.mark.parametrize(("method", "path", "body", "name", "meant"), MISSPELT.values(), ids=MISSPELT.keys())
def test_a_misspelt_name_is_named_with_the_one_that_is_meant(
    steady: TestClient, method: str, path: str, body: Any, name: str, meant: str
) -> None:
    document = assert_problem(steady.request(method, path, json=body), 422)

    assert document["errors"][0] == {"row": None, "feature": name, "problem": f"is not known, perhaps {meant} is meant"}
    assert document["detail"].startswith(f"{name}: is not known, perhaps {meant} is meant")


STRANGE = {
    "short way": (
        "POST",
        "/predict/means?layout=rows&verbose=1",
        GOOD,
        None,
        "parameter 2 is not known; known are layout, ",
    ),
    "by version": (
        "POST",
        "/predict/means/versions/1?verbose=1",
        GOOD,
        None,
        "parameter 1 is not known; known are layout, ",
    ),
    "jobs": ("GET", "/train?verbose=1", None, None, "parameter 1 is not known; known are model, status, "),
    "training": (
        "POST",
        "/train",
        {"model": "iris", "verbose": 1},
        None,
        "field 2 is not known; known are types, task, ",
    ),
    "nested": (
        "POST",
        "/train",
        {"model": "iris", "overrides": {"epochs": 1, "verbose": 1}},
        "overrides",
        "field 2 is not known; known are learner, ",
    ),
}


@pytest.mark.parametrize(("method", "path", "body", "name", "problem"), STRANGE.values(), ids=STRANGE.keys())
def test_a_name_like_no_other_is_told_by_its_place_and_not_repeated(
    steady: TestClient, method: str, path: str, body: Any, name: str | None, problem: str
) -> None:
    answer = steady.request(method, path, json=body)

    fault = assert_problem(answer, 422)["errors"][0]
    assert fault["feature"] == name
    assert fault["problem"].startswith(problem)
    assert "verbose" not in answer.text


NESTED = {
    "inputs": ({"input": [tensor([[0.5, 0.5]])]}, "there is input, perhaps inputs is meant"),
    "name": ({"inputs": [{**tensor([[0.5, 0.5]]), "name": None, "nane": "x"}]}, "there is nane, perhaps name is meant"),
    "datatype": (
        {"inputs": [{"name": "x", "shape": [1, 2], "data_type": "FP32", "data": [0, 0]}]},
        "inputs.0.datatype: must be a string; there is data_type, perhaps datatype is meant",
    ),
    "shape": (
        {"inputs": [{"name": "x", "shapes": [1, 2], "datatype": "FP32", "data": [0, 0]}]},
        "there is shapes, perhaps shape is meant",
    ),
    "data": (
        {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "datas": [0, 0]}]},
        "there is datas, perhaps data is meant",
    ),
}


@pytest.mark.parametrize(("body", "hint"), NESTED.values(), ids=NESTED.keys())
def test_a_misspelt_field_of_an_inference_request_is_named(steady: TestClient, body: Any, hint: str) -> None:
    answer = steady.post("/v2/models/means/infer", json=body)

    assert answer.status_code == 400
    assert hint in answer.json()["error"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/predict/means"),
        ("POST", "/predict"),
        ("POST", "/predict/means/versions/1"),
        ("POST", "/train"),
        ("POST", "/v2/models/means/infer"),
    ],
)
def test_form_that_curl_says_it_sends_is_hinted_at(steady: TestClient, method: str, path: str) -> None:
    form = steady.request(method, path, content=b"a=1", headers={"content-type": "application/x-www-form-urlencoded"})
    other = steady.request(method, path, content=b"a=1", headers={"content-type": "text/plain"})

    assert (form.status_code, other.status_code) == (415, 415)
    assert "curl -d says that it sends a form" in form.text
    assert "--data-binary" in form.text
    assert "curl" not in other.text


WRONG: dict[str, list[Any]] = {
    "train": [
        {},
        [],
        {"model": 3},
        {"model": "../x"},
        {"model": "x", "target": ""},
        {"model": "x", "target": "\0"},
        {"model": "x", "target": "x" * 201},
        {"model": "x", "features": []},
        {"model": "x", "features": [3]},
        {"model": "x", "overrides": []},
        {"model": "x", "overrides": {"hidden": [0]}},
        {"model": "x", "overrides": {"hidden": list(range(1, 11))}},
        {"model": "x", "overrides": {"lr": 0}},
        {"model": "x", "overrides": {"dropout": 1}},
        {"model": "x", "overrides": {"optimizer": "SGD"}},
        {"model": "x", "seed": 1.5},
        {"model": "x", "seed": 2**32},
        {"model": "x", "timeout_s": "1"},
        {"model": "x", "memory_bytes": 1},
        {"model": "x", "activate": 1},
    ],
    "train?": ["limit=0", "limit=501", "limit=x", "limit=" + "9" * 5000, "status=done", "before=1.5", "model=No Name"],
    "predict/means?": ["layout=x", "ignore_extra=x", "on_error="],
    "predict/means/versions/1?": ["layout=x", "ignore_extra=x", "on_error="],
    "models/means/versions?": ["limit=0", "before=x"],
    "models/means/compare?": ["", "versions=3"],
    "models/means/versions/": ["x", "01", "9" * 5000],
    "v2/repository/index": [{"ready": 1}, [], {"ready": None}],
    "v2/models/means/versions/": ["x"],
}


@pytest.mark.parametrize(("path", "given"), [(path, given) for path, all_ in WRONG.items() for given in all_])
def test_no_message_of_pydantics_own_reaches_a_client(steady: TestClient, path: str, given: Any) -> None:
    posted = path.startswith("predict") or not isinstance(given, str)
    address = f"/{path}{given}" if isinstance(given, str) else f"/{path}"

    answer = steady.request("POST" if posted else "GET", address, json=GOOD if isinstance(given, str) else given)

    assert answer.status_code in (400, 422)
    document = answer.json()
    told = (
        [document["error"]]
        if "error" in document
        else [document["detail"], *(e["problem"] for e in document["errors"])]
    )
    assert not any(PYDANTICS.search(text) for text in told), told
    assert not any("another value" in text or "of another form" in text for text in told), told


def test_every_pattern_that_a_client_may_miss_has_words() -> None:
    found = []
    for kind in (TrainingRequest, JobsQuery, HistoryQuery, CompareQuery, IndexQuery, PredictQuery):
        found += patterns(kind.model_json_schema())

    assert len(found) >= 5
    for pattern in found:
        fault = {"type": "string_pattern_mismatch", "ctx": {"pattern": pattern}, "input": ""}
        assert wording.describe_expected(fault) != "a string of another form", pattern


def patterns(schema: Any) -> list[str]:
    if isinstance(schema, list):
        return [found for part in schema for found in patterns(part)]
    if not isinstance(schema, dict):
        return []
    own = [schema["pattern"]] if isinstance(schema.get("pattern"), str) else []
    return own + [found for part in schema.values() for found in patterns(part)]
