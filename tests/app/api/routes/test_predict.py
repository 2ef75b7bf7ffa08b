"""The prediction routes through the real app."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from starlette.testclient import TestClient


def predict(client: TestClient, instances: object, path: str = "/predict/means", **fields: object) -> Any:
    return client.post(path, json={"instances": instances, **fields})


def test_answer_has_label_probability_and_all_probabilities(steady: TestClient) -> None:
    answer = predict(steady, [[0.25, 0.25], [0.5, 1.0]])

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "model": "means",
        "version": 1,
        "predictions": [
            {"label": "low", "probability": 0.75, "probabilities": {"low": 0.75, "high": 0.25}},
            {"label": "high", "probability": 0.75, "probabilities": {"low": 0.25, "high": 0.75}},
        ],
    }


def test_answer_bytes_are_in_the_order_the_documentation_shows(steady: TestClient) -> None:
    answer = predict(steady, [[1, 1]])

    assert answer.content == (
        b'{"model":"means","version":1,"predictions":'
        b'[{"label":"high","probability":1.0,"probabilities":{"low":0.0,"high":1.0}}]}'
    )


def test_probabilities_are_the_shortest_digits_that_give_the_same_float32(steady: TestClient) -> None:
    tenth = struct.unpack("f", struct.pack("f", 0.1))[0]

    answer = predict(steady, [[0.1, 0.1]])

    assert b'"high":0.1}' in answer.content
    assert struct.pack("f", answer.json()["predictions"][0]["probabilities"]["high"]) == struct.pack("f", tenth)


def test_three_classes_answer_in_class_order(steady: TestClient) -> None:
    answer = predict(steady, [[0, 0, 0.75]], "/predict/thirds").json()

    assert list(answer["predictions"][0]["probabilities"].items()) == [("none", 0.75), ("some", 0.0), ("all", 0.25)]


@pytest.mark.parametrize(
    "row",
    [
        pytest.param({"left": 0.125, "right": 0.625}, id="in feature order"),
        pytest.param({"right": 0.625, "left": 0.125}, id="in another order"),
    ],
)
def test_row_by_name_gives_the_same_answer_as_by_position(steady: TestClient, row: dict[str, float]) -> None:
    assert predict(steady, [row]).content == predict(steady, [[0.125, 0.625]]).content


def test_arrays_and_objects_may_be_mixed(steady: TestClient) -> None:
    mixed = predict(steady, [[0.125, 0.625], {"right": 0.625, "left": 0.125}]).json()["predictions"]

    assert mixed[0] == mixed[1]


def test_integers_are_numbers(steady: TestClient) -> None:
    assert predict(steady, [[1, 0]]).content == predict(steady, [[1.0, 0.0]]).content


def test_value_outside_the_training_range_is_answered_with_a_warning(steady: TestClient) -> None:
    answer = predict(steady, [[0.5, 0.5], [0.5, 1.5]]).json()

    assert len(answer["predictions"]) == 2
    assert answer["warnings"] == [{"row": 1, "feature": "right", "value": 1.5, "range": [0.0, 1.0]}]


def test_value_on_the_edge_of_the_training_range_gives_no_warning(steady: TestClient) -> None:
    assert "warnings" not in predict(steady, [[0, 1]]).json()


def test_many_warnings_are_cut_and_the_rest_counted(steady: TestClient) -> None:
    answer = predict(steady, [[2, 2]] * 75).json()

    assert (len(answer["warnings"]), answer["warnings_omitted"]) == (100, 50)


def test_batch_gives_each_row_the_answer_it_gets_alone(steady: TestClient) -> None:
    rows = [[i / 4096, 1 - i / 2048] for i in range(3000)]  # more rows than are answered on the event loop

    together = predict(steady, rows).json()["predictions"]

    for index in (0, 1, 1500, 2999):
        assert predict(steady, [rows[index]]).json()["predictions"][0] == together[index]


BAD_ROWS = {
    "too few values": ([[1]], 0, None),
    "too many values": ([[1, 2], [1, 2, 3]], 1, None),
    "empty row": ([[]], 0, None),
    "row is a number": ([1, 2], 0, None),
    "row is null": ([None], 0, None),
    "row is a string": (["1,2"], 0, None),
    "nested row": ([[[1, 2]]], 0, None),
    "string value": ([[1, "2"]], 0, "right"),
    "boolean value": ([[True, 2]], 0, "left"),
    "truth value": ([[1, True]], 0, "right"),
    "object value": ([[1, {}]], 0, "right"),
    "beyond float32": ([[1, 2], [1, 1e39]], 1, "right"),
    "beyond float32, negative": ([[-1e39, 1]], 0, "left"),
    "integer beyond float64": ([[10**400, 1]], 0, "left"),
    "name missing": ([{"left": 1}], 0, "right"),
    "name unknown": ([{"left": 1, "right": 2, "middle": 3}], 0, "middle"),
    "named string": ([{"left": 1, "right": "2"}], 0, "right"),
}


@pytest.mark.parametrize(("instances", "row", "feature"), BAD_ROWS.values(), ids=BAD_ROWS.keys())
def test_bad_row_is_refused_with_its_place(
    steady: TestClient, instances: object, row: int, feature: str | None
) -> None:
    answer = predict(steady, instances)

    assert answer.status_code == 422, answer.text
    first = answer.json()["errors"][0]
    assert (first["row"], first["feature"]) == (row, feature)
    assert "means expects 2 features per row; see GET /models/means" in answer.json()["detail"]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1e39", "9" * 5000])
def test_number_that_is_not_finite_in_float32_is_refused_with_its_place(steady: TestClient, number: str) -> None:
    body = f'{{"instances": [[0, 0], [0, {number}]]}}'

    answer = steady.post("/predict/means", content=body, headers={"content-type": "application/json"})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["row"] == 1
    assert answer.json()["errors"][0]["feature"] == "right"
    assert number not in str(answer.json() | {"request_id": ""})  # which may hold any four digits


def test_finite_value_that_overflows_inside_the_model_is_the_clients_mistake(steady: TestClient) -> None:
    answer = predict(steady, [[0.5, 0.5], [3e38, 3e38]])

    assert answer.status_code in {200, 422}
    assert "NaN" not in answer.text


BAD_BODIES = {
    "empty": (b"", 400),
    "cut off": (b'{"instances": [[1, 2]', 400),
    "not json": (b"instances=1", 400),
    "not utf-8": (b'{"instances": [["\xff"]]}', 400),
    "two documents": (b'{"instances": [[1, 2]]} {}', 400),
    "nested deeply": (b'{"instances": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400),
    "nested within bounds": (b'{"instances": ' + b"[" * 200 + b"]" * 200 + b"}", 422),
    "a field twice": (b'{"instances": [[1, 2]], "instances": [[1, 2]]}', 400),
    "a feature twice": (b'{"instances": [{"left": 1, "right": 2, "left": 3}]}', 400),
    "an array": (b"[[1, 2]]", 422),
    "no instances": (b"{}", 422),
    "instances is null": (b'{"instances": null}', 422),
    "instances is empty": (b'{"instances": []}', 422),
    "instances is an object": (b'{"instances": {"left": 1, "right": 2}}', 422),
    "unknown field": (b'{"instances": [[1, 2]], "inputs": 1}', 422),
    "model is a number": (b'{"instances": [[1, 2]], "model": 5}', 422),
    "model contradicts the path": (b'{"instances": [[1, 2]], "model": "thirds"}', 422),
    "version is text": (b'{"instances": [[1, 2]], "version": "1"}', 422),
    "version is true": (b'{"instances": [[1, 2]], "version": true}', 422),
    "version is zero": (b'{"instances": [[1, 2]], "version": 0}', 422),
    "version is unknown": (b'{"instances": [[1, 2]], "version": 99}', 404),
    "a lone surrogate": (b'{"instances": [{"\\ud800": 1, "right": 2}]}', 422),
}


@pytest.mark.parametrize(("body", "status"), BAD_BODIES.values(), ids=BAD_BODIES.keys())
def test_bad_body_is_a_clear_4xx(steady: TestClient, body: bytes, status: int) -> None:
    answer = steady.post("/predict/means", content=body, headers={"content-type": "application/json"})

    assert answer.status_code == status, answer.text
    assert len(answer.json()["detail"]) > 20


def test_escaped_feature_name_is_the_same_name(steady: TestClient) -> None:
    body = b'{"instances": [{"l\\u0065ft": 0.5, "right": 0.5}]}'

    answer = steady.post("/predict/means", content=body, headers={"content-type": "application/json"})

    assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/predict/nobody", "/predict/..%2F..%2Fetc", "/predict/means%00", "/predict/MEANS"])
def test_unknown_model_is_404_and_lists_the_known_ones(steady: TestClient, path: str) -> None:
    answer = predict(steady, [[1, 2]], path)

    assert answer.status_code == 404


def test_unknown_model_lists_the_known_ones(steady: TestClient) -> None:
    assert "means, thirds" in predict(steady, [[1, 2]], "/predict/nobody").json()["detail"]
