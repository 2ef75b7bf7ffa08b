"""Labels that follow a decision, of the version or of the request.

`means` answers the mean of its row for `high`.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from modelstore import Decision, ModelRepository
from tests.fakes import publish

ROWS = [[0.1, 0.1], [0.3, 0.3], [0.75, 0.75]]
FLAT = [value for row in ROWS for value in row]
COSTS = ((0.0, 1.0, 1.0), (1.0, 0.0, 1.0), (9.0, 1.0, 0.0))
CSV = "left,right\n0.1,0.1\n0.3,0.3\n0.75,0.75\n"


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """Return a client of models with a threshold, with costs, with a chosen threshold, and without a decision."""
    folder = tmp_path_factory.mktemp("decided")
    repository = ModelRepository(folder / "models")
    publish(repository, "means", decision=Decision(threshold=0.3))
    publish(repository, "best", decision=Decision(threshold=0.25, maximise="f1", rows=80))
    publish(repository, "costly", classes=("none", "some", "all"), decision=Decision(costs=COSTS))
    publish(repository, "plain")
    settings = Settings(
        models_dir=repository.root, state_dir=folder / "state", datasets_dir=folder / "datasets", device="cpu"
    )
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        yield client


def predict(client: TestClient, model: str, rows: object = ROWS, query: str = "") -> Any:
    return client.post(f"/predict/{model}{query}", json={"instances": rows})


def labels(answer: Any) -> list[tuple[str, str | None]]:
    return [(one["label"], one.get("decision")) for one in answer.json()["predictions"]]


def test_the_label_follows_the_threshold_and_names_it_where_another_class_is_more_probable(decided: TestClient) -> None:
    answer = predict(decided, "means")

    assert labels(answer) == [("low", None), ("high", "threshold 0.3"), ("high", None)]
    assert answer.json()["predictions"][1] == {
        "label": "high",
        "probability": 0.3,
        "probabilities": {"low": 0.7, "high": 0.3},
        "decision": "threshold 0.3",
    }


@pytest.mark.parametrize("row", ROWS)
def test_a_row_alone_is_answered_as_among_others(decided: TestClient, row: list[float]) -> None:
    for model in ("means", "costly", "best", "plain"):
        alone = predict(decided, model, [row]).json()["predictions"]
        assert alone == [predict(decided, model).json()["predictions"][ROWS.index(row)]], model


def test_costs_choose_the_class_of_the_least_expected_cost(decided: TestClient) -> None:
    # expected costs of none, some, all: 9 p, 1, 1 - p where p is the probability of all and some has 0
    assert labels(predict(decided, "costly", [[0.05, 0.05], [0.2, 0.2], [0.6, 0.6]])) == [
        ("none", None),
        ("all", "costs"),
        ("all", None),
    ]


def test_a_figure_that_was_maximised_is_the_name_of_the_policy(decided: TestClient) -> None:
    assert labels(predict(decided, "best"))[1] == ("high", "f1")


@pytest.mark.parametrize(
    ("model", "query", "expected"),
    [
        ("means", "?decision=argmax", [("low", None), ("low", None), ("high", None)]),
        ("means", "?threshold=0.05", [("high", "threshold 0.05"), ("high", "threshold 0.05"), ("high", None)]),
        ("means", "?threshold=0.9", [("low", None), ("low", None), ("low", "threshold 0.9")]),
        ("plain", "?threshold=0.3", [("low", None), ("high", "threshold 0.3"), ("high", None)]),
        ("plain", "?decision=argmax", [("low", None), ("low", None), ("high", None)]),
    ],
)
def test_a_request_may_decide_otherwise(
    decided: TestClient, model: str, query: str, expected: list[tuple[str, str | None]]
) -> None:
    assert labels(predict(decided, model, query=query)) == expected
    by_lines = decided.post(
        f"/predict/{model}{query}", content=CSV, headers={"content-type": "text/csv", "accept": "application/x-ndjson"}
    )
    assert by_lines.status_code == 200
    named = [b'"decision"' in line for line in by_lines.content.splitlines()]
    assert named == [policy is not None for _, policy in expected]


@pytest.mark.parametrize(
    ("model", "query", "field"),
    [
        ("costly", "?threshold=0.3", "threshold"),
        ("means", "?threshold=0", "threshold"),
        ("means", "?threshold=1", "threshold"),
        ("means", "?threshold=nan", "threshold"),
        ("means", "?decision=costs", "decision"),
        ("means", "?decision=argmax&threshold=0.3", "decision"),
    ],
)
def test_a_decision_that_cannot_be_is_refused(decided: TestClient, model: str, query: str, field: str) -> None:
    answer = predict(decided, model, query=query)

    assert (answer.status_code, answer.json()["errors"][0]["feature"]) == (422, field)


def test_csv_has_a_column_for_the_policy(decided: TestClient) -> None:
    headers = {"content-type": "text/csv"}

    answer = decided.post("/predict/means", content=CSV, headers=headers).text
    skipped = decided.post("/predict/means?on_error=skip", content=CSV + "x,y\n", headers=headers).text
    plain = decided.post("/predict/plain", content=CSV, headers=headers).text

    assert answer.splitlines() == [
        "label,probability,probability_low,probability_high,decision",
        "low,0.9,0.9,0.1,",
        "high,0.3,0.7,0.3,threshold 0.3",
        "high,0.75,0.25,0.75,",
    ]
    assert skipped.splitlines()[2:4] == ["3,high,0.3,0.7,0.3,threshold 0.3,", "4,high,0.75,0.25,0.75,,"]
    assert skipped.splitlines()[4].startswith('5,,,,,,"left: ')
    assert plain.splitlines()[:2] == ["label,probability,probability_low,probability_high", "low,0.9,0.9,0.1"]


def test_columns_name_the_policy_once(decided: TestClient) -> None:
    answers = [predict(decided, "means", rows, "?layout=columns").json() for rows in (ROWS, ROWS[:1])]

    assert (answers[0]["labels"], answers[0]["decision"]) == (["low", "high", "high"], "threshold 0.3")
    assert "decision" not in answers[1]


def test_arrow_names_the_policy_in_its_metadata(decided: TestClient) -> None:
    headers = {"content-type": "text/csv", "accept": "application/vnd.apache.arrow.stream"}
    found = {}
    for model in ("means", "plain"):
        answer = decided.post(f"/predict/{model}", content=CSV, headers=headers)
        found[model] = pa.ipc.open_stream(io.BytesIO(answer.content)).read_all()

    assert found["means"].schema.metadata == {b"decision": b"threshold 0.3"}
    assert found["means"]["label"].to_pylist() == ["low", "high", "high"]
    np.testing.assert_allclose(found["means"]["probability"].to_numpy(), [0.9, 0.3, 0.75], rtol=1e-6)
    assert found["plain"].schema.metadata is None


@pytest.mark.parametrize(
    ("parameters", "label", "policy"),
    [
        ({}, ["low", "high", "high"], "threshold 0.3"),
        ({"threshold": 0.9}, ["low", "low", "low"], "threshold 0.9"),
        ({"decision": "argmax"}, ["low", "low", "high"], None),
    ],
)
def test_the_protocols_outputs_follow_and_name_the_policy(
    decided: TestClient, parameters: dict[str, object], label: list[str], policy: str | None
) -> None:
    tensor = {"name": "features", "datatype": "FP32", "shape": [3, 2], "data": FLAT}
    outputs = [{"name": "label"}, {"name": "class_index"}]

    answer = decided.post(
        "/v2/models/means/infer", json={"inputs": [tensor], "outputs": outputs, "parameters": parameters}
    )

    assert answer.json().get("parameters") == (policy and {"decision": policy})
    assert [output["data"] for output in answer.json()["outputs"]] == [label, [int(one == "high") for one in label]]


@pytest.mark.parametrize(
    "parameters", [{"threshold": 2}, {"threshold": "0.3"}, {"decision": "costs"}, {"threshold": True}]
)
def test_the_protocol_refuses_a_decision_that_cannot_be(decided: TestClient, parameters: dict[str, object]) -> None:
    tensor = {"name": "features", "datatype": "FP32", "shape": [3, 2], "data": FLAT}

    answer = decided.post("/v2/models/means/infer", json={"inputs": [tensor], "parameters": parameters})

    assert answer.status_code == 400
    assert "parameters." in answer.json()["error"]


def test_a_model_shows_its_decision_and_predictions_are_counted_by_label(decided: TestClient) -> None:
    decided.post("/predict/best", json={"instances": [[0.25, 0.25]]})

    shown = decided.get("/models/best").json()["decision"]
    version = decided.get("/models/costly/versions/1").json()["decision"]
    assert (shown["threshold"], shown["maximise"], shown["rows"]) == (0.25, "f1", 80)
    assert version["costs"] == [list(row) for row in COSTS]
    assert decided.get("/models/plain").json()["decision"] is None
    counted = [line for line in decided.get("/metrics").text.splitlines() if "predictions_total{" in line]
    assert any('class="high"' in line and 'model="best"' in line and not line.endswith(" 0.0") for line in counted)
