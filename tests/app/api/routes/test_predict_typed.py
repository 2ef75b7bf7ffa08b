"""Requests with typed values through the app: warnings, strict, quantities, metrics."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from app.main import create_app
from modelstore import ModelRepository, Task
from tests.app.problems import assert_problem
from tests.app.tables import ARROW, CSV, FLOAT32, JSON, NDJSON, post
from tests.app.telemetry.figures import parsed
from tests.app.typed import FEATURES, publish_typed
from tests.settings import settings_in

PATH = "/predict/typed"
RAW = b"id;age;plan;paid;since;sum;gone\na1;30;basic;YES;2020-01-01;$1,000.00;no\na2;NA;gold;;2031-05-06;;\n"
WARNINGS = [
    {"row": 1, "feature": "plan", "value": "unseen"},
    {"row": 1, "feature": "paid", "value": "missing"},
    {"row": 1, "feature": "since", "value": "2031-05-06", "range": ["2019-01-01", "2024-12-31"]},
    {"row": 1, "feature": "sum", "value": "missing"},
]


@pytest.fixture(scope="module", params=["classification", "regression"])
def task(request: pytest.FixtureRequest) -> Task:
    found: Task = request.param
    return found


def client_of(folder: Path, task: Task = "classification", **fields: Any) -> TestClient:
    """Return a client of a service whose model `typed` has these fields in its manifest."""
    publish_typed(ModelRepository(folder / "models"), task, **fields)
    return TestClient(create_app(settings_in(folder)), raise_server_exceptions=False)


@pytest.fixture(scope="module")
def typed(task: Task, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with client_of(tmp_path_factory.mktemp(task), task) as client:
        yield client


@pytest.fixture
def counting(task: Task, tmp_path: Path) -> Iterator[TestClient]:
    """Return a client of a service that has counted nothing yet."""
    with client_of(tmp_path, task) as client:
        yield client


@pytest.fixture(scope="module")
def by_strictness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[bool, TestClient]]:
    """Return a client of a service whose version is strict, and one of a service whose version is not."""
    folder = tmp_path_factory.mktemp("strictness")
    with client_of(folder / "strict", strict=True) as strict, client_of(folder / "other", strict=False) as other:
        yield {True: strict, False: other}


def test_raw_lines_of_the_training_file_are_answered_with_warnings(counting: TestClient) -> None:
    answer = post(counting, RAW, CSV, JSON, PATH)

    assert answer.status_code == 200, answer.text
    assert answer.json()["warnings"] == WARNINGS
    metrics = counting.get("/metrics").text
    assert 'tabserve_unusual_values_total{model="typed",version="1",feature="plan",value="unseen"} 1' in metrics


def test_missing_values_are_counted_by_column_even_where_training_lacked_some(counting: TestClient) -> None:
    body = b"age,plan,paid,since,sum\n,basic,YES,2020-01-01,5\n?,,NO,,5\n"
    assert post(counting, body, CSV, JSON, PATH).status_code == 200
    assert post(counting, body, CSV, FLOAT32, PATH).status_code == 200

    shown = parsed(counting.get("/metrics").text)

    counted = {
        dict(labels)["feature"]: value
        for (name, labels), value in shown.items()
        if name == "tabserve_unusual_values_total" and dict(labels)["value"] == "missing"
    }
    assert counted == {"age": 4, "plan": 2, "since": 2}


@pytest.mark.parametrize("task", ["regression"], indirect=True)
def test_mean_of_the_answered_quantities_is_that_of_all_requests(counting: TestClient) -> None:
    answers = [
        counting.post(PATH, json={"instances": [[age, "basic", True, "1970-01-01", 9]] * rows}).json()["predictions"]
        for age, rows in ((30, 1), (80, 3))
    ]
    values = [row["value"] for predictions in answers for row in predictions]

    shown = parsed(counting.get("/metrics").text)

    labels = frozenset({("model", "typed"), ("version", "1")})
    assert values == [20.0, 45.0, 45.0, 45.0]
    assert shown["tabserve_predicted_value_mean", labels] == np.mean(values)


@pytest.mark.parametrize(("given", "skip"), [(CSV, False), (CSV, True)])
def test_strict_makes_every_warning_a_422_or_an_error_in_its_place(typed: TestClient, given: str, skip: bool) -> None:
    answer = post(typed, RAW, given, JSON, PATH + "?strict=true" + "&on_error=skip" * skip)

    problem = "has a value that is not among the categories: not in the training rows, or too rare there"
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


UNSEEN = {"age": 30, "plan": "gold", "paid": True, "since": "2020-01-01", "sum": 5}
PROBLEM = "has a value that is not among the categories: not in the training rows, or too rare there"


def infer_body(row: dict[str, Any], **parameters: bool) -> dict[str, Any]:
    kinds = {"age": "FP32", "plan": "BYTES", "paid": "BOOL", "since": "BYTES", "sum": "FP32"}
    inputs = [{"name": name, "datatype": kinds[name], "shape": [1], "data": [value]} for name, value in row.items()]
    return {"inputs": inputs, "parameters": parameters}


def test_strict_version_refuses_unusual_values_unless_the_request_takes_them(tmp_path: Path) -> None:
    table = RAW.replace(b"a1;30;basic;YES;2020-01-01;$1,000.00;no\n", b"")
    good = {"instances": [{**UNSEEN, "plan": "basic"}]}
    with client_of(tmp_path, strict=True) as client:
        assert client.get("/models/typed").json()["strict"] is True
        assert client.get("/models/typed/versions/1").json()["strict"] is True
        assert client.post(PATH, json=good).status_code == 200
        by_column = {"inputs": {name: [value] for name, value in UNSEEN.items()}}
        for body in ({"instances": [UNSEEN]}, {"instances": [UNSEEN], "version": 1}, by_column):
            refused = assert_problem(client.post(PATH, json=body), 422)
            assert refused["errors"] == [{"row": 0, "feature": "plan", "problem": PROBLEM}]
            assert refused["detail"] == f"row 0, column 'plan': {PROBLEM}"
            assert client.post(PATH + "?strict=false", json=body).json()["warnings"] == [
                {"row": 0, "feature": "plan", "value": "unseen"}
            ]
        assert post(client, table, CSV, JSON, PATH).status_code == 422
        assert post(client, table, CSV, JSON, PATH + "?strict=false").status_code == 200


@pytest.mark.parametrize(
    ("version", "query", "parameter", "status"),
    [
        (True, None, None, 400),
        (True, None, False, 200),
        (True, "false", None, 200),
        (True, "true", False, 400),
        (False, None, None, 200),
        (False, None, True, 400),
        (False, "false", True, 200),
        (False, "true", None, 400),
    ],
)
def test_query_decides_before_the_parameters_and_these_before_the_version(
    by_strictness: dict[bool, TestClient], version: bool, query: str | None, parameter: bool | None, status: int
) -> None:
    body = infer_body(UNSEEN, **({} if parameter is None else {"strict": parameter}))
    path = "/v2/models/typed/infer" + (f"?strict={query}" if query else "")

    assert by_strictness[version].post(path, json=body).status_code == status


def test_optional_column_may_be_absent_by_name_and_gets_the_warning_of_a_missing_value(tmp_path: Path) -> None:
    optional = [each.model_copy(update={"required": each.name not in ("age", "sum")}) for each in FEATURES]
    row = {name: value for name, value in UNSEEN.items() if name not in ("age", "sum")} | {"plan": "basic"}
    with client_of(tmp_path, features=tuple(optional)) as client:
        answer = client.post(PATH, json={"instances": [row]})
        assert answer.json()["warnings"] == [{"row": 0, "feature": "sum", "value": "missing"}]
        assert client.post(PATH + "?strict=true", json={"instances": [row]}).status_code == 422
        lines = b"plan,paid,since\nbasic,Yes,2020-01-01\n"
        assert post(client, lines, CSV, JSON, PATH).json() == answer.json()
        inferred = client.post("/v2/models/typed/infer", json=infer_body(row))
        assert inferred.json()["outputs"][0]["data"] == [*answer.json()["predictions"][0]["probabilities"].values()]
        required = client.post(PATH, json={"instances": [{**row, "plam": row["plan"]}]})
        assert required.status_code == 422
        document = client.get("/openapi.json").json()

    content = document["paths"][PATH]["post"]["requestBody"]["content"]["application/json"]
    _, named = content["schema"]["properties"]["instances"]["items"]["oneOf"]
    assert named["required"] == ["plan", "paid", "since"]
