"""Requests with typed values through the whole service: warnings, strict, answers of a quantity, metrics."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from modelstore import ModelRepository, Task
from tests.app.tables import ARROW, CSV, FLOAT32, JSON, NDJSON, post
from tests.app.telemetry.figures import parsed
from tests.app.typed import publish_typed

PATH = "/predict/typed"
RAW = b"id;age;plan;paid;since;sum;gone\na1;30;basic;YES;2020-01-01;$1,000.00;no\na2;NA;gold;;2031-05-06;;\n"
WARNINGS = [
    {"row": 1, "feature": "plan", "value": "unseen"},
    {"row": 1, "feature": "paid", "value": "missing"},
    {"row": 1, "feature": "since", "value": "2031-05-06", "range": ["2019-01-01", "2024-12-31"]},
    {"row": 1, "feature": "sum", "value": "missing"},
]


@pytest.fixture(params=["classification", "regression"])
def task(request: pytest.FixtureRequest) -> Task:
    found: Task = request.param
    return found


@pytest.fixture
def typed(task: Task, tmp_path: Path) -> Iterator[TestClient]:
    repository = ModelRepository(tmp_path / "models")
    publish_typed(repository, task)
    settings = Settings(
        models_dir=repository.root, state_dir=tmp_path / "state", datasets_dir=tmp_path / "datasets", device="cpu"
    )
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        yield client


def test_raw_lines_of_the_training_file_are_answered_with_warnings(typed: TestClient) -> None:
    answer = post(typed, RAW, CSV, JSON, PATH)

    assert answer.status_code == 200, answer.text
    assert answer.json()["warnings"] == WARNINGS
    metrics = typed.get("/metrics").text
    assert 'tabserve_unusual_values_total{model="typed",version="1",feature="plan",value="unseen"} 1' in metrics


def test_missing_values_are_counted_by_column_even_where_training_lacked_some(typed: TestClient) -> None:
    body = b"age,plan,paid,since,sum\n,basic,YES,2020-01-01,5\n?,,NO,,5\n"
    assert post(typed, body, CSV, JSON, PATH).status_code == 200
    assert post(typed, body, CSV, FLOAT32, PATH).status_code == 200

    shown = parsed(typed.get("/metrics").text)

    counted = {
        dict(labels)["feature"]: value
        for (name, labels), value in shown.items()
        if name == "tabserve_unusual_values_total" and dict(labels)["value"] == "missing"
    }
    assert counted == {"age": 4, "plan": 2, "since": 2}


@pytest.mark.parametrize("task", ["regression"], indirect=True)
def test_mean_of_the_answered_quantities_is_that_of_all_requests(typed: TestClient) -> None:
    answers = [
        typed.post(PATH, json={"instances": [[age, "basic", True, "1970-01-01", 9]] * rows}).json()["predictions"]
        for age, rows in ((30, 1), (80, 3))
    ]
    values = [row["value"] for predictions in answers for row in predictions]

    shown = parsed(typed.get("/metrics").text)

    labels = frozenset({("model", "typed"), ("version", "1")})
    assert values == [20.0, 45.0, 45.0, 45.0]
    assert shown["tabserve_predicted_value_mean", labels] == np.mean(values)


@pytest.mark.parametrize(("given", "skip"), [(CSV, False), (CSV, True)])
def test_strict_makes_every_warning_a_422_or_an_error_in_its_place(typed: TestClient, given: str, skip: bool) -> None:
    answer = post(typed, RAW, given, JSON, PATH + "?strict=true" + "&on_error=skip" * skip)

    problem = "has a value that was not seen in training"
    if skip:
        assert answer.json()["predictions"][1] == {"line": 3, "error": {"feature": "plan", "problem": problem}}
    else:
        assert answer.status_code == 422
        assert answer.json()["errors"] == [{"row": 3, "feature": "plan", "problem": problem}]


def test_strict_of_the_protocol_is_a_parameter_of_query_or_body(typed: TestClient) -> None:
    kinds = {"age": "FP32", "plan": "BYTES", "paid": "BOOL", "since": "BYTES", "sum": "FP32"}
    values = dict(zip(kinds, (30, "gold", True, "2020-01-01", 5), strict=True))
    inputs = [{"name": name, "datatype": kinds[name], "shape": [1], "data": [values[name]]} for name in kinds]
    path = "/v2/models/typed/infer"

    assert typed.post(path, json={"inputs": inputs}).status_code == 200
    assert typed.post(path + "?strict=true", json={"inputs": inputs}).status_code == 400
    assert typed.post(path + "?strict=perhaps", json={"inputs": inputs}).status_code == 400
    assert typed.post(path, json={"inputs": inputs, "parameters": {"strict": True}}).status_code == 400


@pytest.mark.parametrize("task", ["regression"], indirect=True)
def test_value_is_the_same_in_every_format(typed: TestClient) -> None:
    x = np.array([[30, 0, 1, 0, 0, 9], [np.nan, 1, 0, np.nan, np.nan, 4]], dtype="<f4")
    body = x.tobytes()

    assert [row["value"] for row in post(typed, body, FLOAT32, JSON, PATH).json()["predictions"]] == [20.0, 2.5]
    assert post(typed, body, FLOAT32, CSV, PATH).text == "value\n20.0\n2.5\n"
    assert post(typed, body, FLOAT32, NDJSON, PATH).text == '{"value":20.0}\n{"value":2.5}\n'
    assert np.frombuffer(post(typed, body, FLOAT32, FLOAT32, PATH).content, "<f4").tolist() == [20.0, 2.5]
    table = pa.ipc.open_stream(post(typed, body, FLOAT32, ARROW, PATH).content).read_all()
    assert table.to_pydict() == {"value": [20.0, 2.5]}
    row = [30, "basic", True, "1970-01-01", 9]
    columns = typed.post(PATH + "?layout=columns", json={"instances": [row, row]}).json()
    assert columns["values"] == [20.0, 20.0]
    assert typed.post(PATH, json={"instances": [[30, "basic", True, "2020-01-01", 9]]}).json() == {
        "model": "typed",
        "version": 1,
        "predictions": [{"value": (30 + 1 + 18262 + 9) / 2}],
    }


@pytest.mark.parametrize("task", ["regression"], indirect=True)
def test_output_of_the_protocol_is_a_value(typed: TestClient) -> None:
    shown = typed.get("/v2/models/typed").json()
    assert shown["outputs"] == [{"name": "value", "datatype": "FP32", "shape": [-1, 1]}]
    inputs = [
        {"name": each["name"], "datatype": each["datatype"], "shape": [1], "data": [None]} for each in shown["inputs"]
    ]

    outputs = typed.post("/v2/models/typed/infer", json={"inputs": inputs}).json()["outputs"]

    assert outputs == [{"name": "value", "datatype": "FP32", "shape": [1, 1], "data": [0.0]}]
    refused = typed.post("/v2/models/typed/infer", json={"inputs": inputs, "outputs": [{"name": "label"}]})
    assert (refused.status_code, "must be one of value" in refused.text) == (400, True)
