"""Explanations in every format.

`means` answers the mean of its row for `high`, so contributions are known.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from app.inference.additions.explanation import Explanation
from app.main import create_app
from modelstore import Background, Decision, ModelRepository
from tests.app.oip import outputs_of
from tests.app.problems import assert_problem
from tests.app.tables import ARROW, CSV, FLOAT32, NDJSON
from tests.app.typed import publish_typed
from tests.fakes import publish
from tests.settings import settings_in

BACKGROUND = Background(rows=((0.2, 0.4), (0.6, 0.4)), weights=(0.75, 0.25))  # means 0.3 and 0.4
ROWS = [[0.9, 0.5], [0.1, 0.3]]
HIGH = [(0.35, 0.3, 0.05), (0.35, -0.1, -0.05)]  # base, left and right, of the probability of high
TABLE = "left,right\n0.9,0.5\n0.1,0.3\n"
MANY = tuple(f"f{number}" for number in range(14))
TYPED = Background(rows=((30.0, 0.0, 0.0, 18_000.0, 60.0, 5.0), (None, 1.0, 1.0, None, None, 9.0)), weights=(0.5, 0.5))


@pytest.fixture(scope="module")
def explained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("explained")
    repository = ModelRepository(folder / "models")
    publish(repository, background=BACKGROUND)
    publish(repository, "decided", background=BACKGROUND, decision=Decision(threshold=0.1))
    publish(repository, "many", features=MANY, background=Background(rows=((0.5,) * 14,) * 16, weights=(1 / 16,) * 16))
    publish(repository, "old")
    publish_typed(repository, "regression", background=TYPED)
    limit = 4 * 2 * 1000  # rows computed for 1,000 rows of means
    with TestClient(
        create_app(settings_in(folder, max_explanation_rows=limit)), raise_server_exceptions=False
    ) as client:
        yield client


def explanations(client: TestClient, explain: object = True, model: str = "means", rows: object = ROWS) -> list[Any]:
    answer = client.post(f"/predict/{model}", json={"instances": rows, "explain": explain})
    assert answer.status_code == 200, answer.text
    return [one.get("explanation") for one in answer.json()["predictions"]]


def test_contributions_and_base_add_up_to_the_probability_of_the_label(explained: TestClient) -> None:
    answer = explained.post("/predict/means", json={"explain": True, "instances": ROWS}).json()

    first, second = (one["explanation"] for one in answer["predictions"])
    assert list(first) == ["method", "class", "base", "contributions"]
    assert (first["method"], first["class"], second["class"]) == ("shapley-exact", "high", "low")
    assert first["base"] == pytest.approx(0.35)
    assert first["contributions"] == pytest.approx({"left": 0.3, "right": 0.05}, abs=1e-6)
    assert second["contributions"] == pytest.approx({"left": 0.1, "right": 0.05}, abs=1e-6)  # of low
    for one in answer["predictions"]:
        found = one["explanation"]
        assert found["base"] + sum(found["contributions"].values()) == pytest.approx(one["probability"], abs=1e-6)


def test_an_explanation_leaves_the_rest_of_the_answer_as_it_is(explained: TestClient) -> None:
    for model in ("means", "decided", "typed"):
        rows = ROWS if model != "typed" else [[20, "basic", True, "2020-01-02T00:00:30", "7"]]
        plain, more = (
            explained.post(f"/predict/{model}", json={"instances": rows, "explain": wanted}).json()
            for wanted in (False, True)
        )
        for one in more["predictions"]:
            del one["explanation"]
        assert more == plain


@pytest.mark.parametrize("form", ["dataframe_records", "inputs", "columns"])
def test_every_form_of_a_document_may_ask(form: str, explained: TestClient) -> None:
    forms: dict[str, dict[str, Any]] = {
        "dataframe_records": {"dataframe_records": [dict(zip(("left", "right"), row, strict=True)) for row in ROWS]},
        "inputs": {"inputs": {"left": [0.9, 0.1], "right": [0.5, 0.3]}},
        "columns": {"columns": ["left", "right"], "data": ROWS},
    }
    answer = explained.post("/predict/means", json={**forms[form], "explain": True}).json()

    assert [one["explanation"] for one in answer["predictions"]] == explanations(explained)


def test_class_top_and_confidence_below_choose_what_is_explained(explained: TestClient) -> None:
    for found, (base, left, right) in zip(explanations(explained, {"class": "high"}), HIGH, strict=True):
        assert found["class"] == "high"
        assert [found["base"], *found["contributions"].values()] == pytest.approx([base, left, right], abs=1e-6)
    top = explanations(explained, {"class": "high", "top": 1})[0]
    assert list(top["contributions"]) == ["left"]
    assert top["other_contributions"] == pytest.approx(0.05, abs=1e-6)
    assert explanations(explained, {"confidence_below": 0.75})[1] is None  # low has 0.8, high 0.7
    assert explanations(explained, {"confidence_below": 0.75})[0] is not None


def test_a_decided_label_is_explained(explained: TestClient) -> None:
    assert [one["class"] for one in explanations(explained, model="decided")] == ["high", "high"]


def test_a_column_of_two_cells_and_a_missing_one_are_one_contribution_each(explained: TestClient) -> None:
    (found,) = explanations(explained, model="typed", rows=[[None, "basic", True, "2020-01-02T00:00:30", "7"]])

    assert (found["method"], "class" in found) == ("shapley-exact", False)
    parts = found["contributions"]  # half of the sum of the cells, where a missing one counts as 0
    assert set(parts) == {"age", "plan", "paid", "since", "sum"}
    days = 18_263  # of 2020-01-02
    by_hand = {"age": -15 / 2, "plan": -0.5 / 2, "paid": 0.5 / 2, "since": (days + 30 - 9030) / 2, "sum": 0.0}
    assert parts == pytest.approx(by_hand, rel=1e-6, abs=1e-2)
    assert found["base"] + sum(parts.values()) == pytest.approx(found["value"], rel=1e-6)


def test_tables_have_a_column_for_each_contribution(explained: TestClient) -> None:
    names = ["base", "contribution_left", "contribution_right"]
    path = "/predict/means?explain=true&explain_class=high"
    table = explained.post(path, content=TABLE, headers={"content-type": CSV}).text
    lines = list(csv.DictReader(io.StringIO(table)))
    assert list(lines[0])[-3:] == names
    arrow = explained.post(path, content=TABLE, headers={"content-type": CSV, "accept": ARROW}).content
    columns = pa.ipc.open_stream(arrow).read_all()
    assert columns.column_names[-3:] == names
    by_column = explained.post(path + "&layout=columns", json={"instances": ROWS}).json()
    for row, expected in enumerate(HIGH):
        assert [float(lines[row][name]) for name in names] == pytest.approx(expected, abs=1e-6)
        assert [columns[name][row].as_py() for name in names] == pytest.approx(expected, abs=1e-6)
        assert [by_column[name][row] for name in names] == pytest.approx(expected, abs=1e-6)
    assert columns["label"].to_pylist() == ["high", "low"] == by_column["labels"]


def test_rows_without_an_explanation_are_empty_or_null_in_tables(explained: TestClient) -> None:
    path = "/predict/means?explain=true&explain_confidence_below=0.75&on_error=skip"
    table = TABLE + "x,1\n"
    lines = explained.post(path, content=table, headers={"content-type": CSV}).text.splitlines()
    assert [line.split(",")[5:8] for line in lines[1:]] == [lines[1].split(",")[5:8], ["", "", ""], ["", "", ""]]
    assert float(lines[1].split(",")[5]) == pytest.approx(0.35)
    arrow = explained.post(path, content=table, headers={"content-type": CSV, "accept": ARROW}).content
    columns = pa.ipc.open_stream(arrow).read_all()
    assert columns["base"].null_count == 2
    assert columns["label"].to_pylist() == ["high", "low", None]


def test_lines_of_json_hold_the_same_explanations(explained: TestClient) -> None:
    answer = explained.post(
        "/predict/means?explain=true", content="[0.9,0.5]\n[0.1,0.3]\n", headers={"content-type": NDJSON}
    )

    assert [orjson.loads(line)["explanation"] for line in answer.text.splitlines()] == explanations(explained)


@pytest.mark.parametrize("binary", [False, True])
def test_the_open_inference_protocol_has_outputs_for_them(binary: bool, explained: TestClient) -> None:
    parameters = {"explain": True, "explain_class": "high", "binary_data_output": binary}
    inputs = [{"name": "features", "datatype": "FP32", "shape": [2, 2], "data": ROWS}]
    answer = explained.post("/v2/models/means/infer", json={"inputs": inputs, "parameters": parameters})

    found = outputs_of(answer)
    assert list(found) == ["probabilities", "label", "class_index", "base", "contributions"]
    assert np.array(found["contributions"]).reshape(2, 2) == pytest.approx(np.array(HIGH)[:, 1:], abs=1e-6)
    assert np.array(found["base"]).ravel() == pytest.approx([0.35, 0.35])


def test_an_output_that_was_not_asked_for_is_refused(explained: TestClient) -> None:
    inputs = [{"name": "features", "datatype": "FP32", "shape": [2, 2], "data": ROWS}]
    answer = explained.post("/v2/models/means/infer", json={"inputs": inputs, "outputs": [{"name": "contributions"}]})

    assert answer.status_code == 400
    assert "the parameter explain asks for it" in answer.json()["error"]


@pytest.mark.parametrize(
    ("model", "explain", "words"),
    [
        ("old", True, "explain: version 1 of old has no background rows to compare with; train the model again"),
        ("means", {"class": "middle"}, "explain.class: must be one of low, high"),
        ("typed", {"class": "low"}, "explain.class: is for classes; typed answers a quantity"),
        ("typed", {"confidence_below": 0.5}, "explain.confidence_below: is for classes"),
        ("means", 3, "explain: must be true, or an object"),
    ],
)
def test_what_cannot_be_explained_is_refused_in_words(
    model: str, explain: object, words: str, explained: TestClient
) -> None:
    row = ROWS[0] if model != "typed" else [20, "basic", True, "2020-01-02", "7"]
    answer = explained.post(f"/predict/{model}", json={"instances": [row], "explain": explain})

    assert words in assert_problem(answer, 422)["detail"]


@pytest.mark.parametrize(
    ("model", "parameter", "named"),
    [
        ("old", {}, "explain"),
        ("means", {"explain_class": "zzz"}, "explain_class"),
        ("typed", {"explain_confidence_below": 0.5}, "explain_confidence_below"),
    ],
)
def test_what_cannot_be_explained_is_named_as_the_query_or_the_parameters_have_it(
    model: str, parameter: dict[str, str | float], named: str, explained: TestClient
) -> None:
    row = ROWS[0] if model != "typed" else [20, "basic", True, "2020-01-02", "7"]
    asked = {"explain": True, **parameter}
    query = {name: str(value).lower() for name, value in asked.items()}
    answer = explained.post(f"/predict/{model}", params=query, json={"instances": [row]})

    assert assert_problem(answer, 422)["errors"][0]["feature"] == named
    if model != "typed":
        inputs = [{"name": "features", "datatype": "FP32", "shape": [1, 2], "data": row}]
        protocol = explained.post(f"/v2/models/{model}/infer", json={"inputs": inputs, "parameters": asked})
        assert protocol.json()["error"].startswith(f"parameters.{named}: ")


def test_it_is_asked_for_in_one_place_and_in_a_format_that_has_room(explained: TestClient) -> None:
    twice = explained.post("/predict/means?explain=true", json={"instances": ROWS, "explain": True})
    assert "in one place" in assert_problem(twice, 422)["detail"]
    numbers = explained.post("/predict/means?explain=true", json={"instances": ROWS}, headers={"accept": FLOAT32})
    assert "ask for another format" in assert_problem(numbers, 422)["detail"]


def test_too_many_rows_are_refused_before_any_is_explained(
    explained: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    dear = explained.post("/predict/many", json={"instances": [[0.5] * 14], "explain": True})
    assert "at most 0 rows a request" in assert_problem(dear, 413)["detail"]
    rows = [[0.5, 0.5]] * 1001
    refused = explained.post("/predict/means", json={"instances": rows, "explain": True})
    assert "at most 1000 rows a request" in assert_problem(refused, 413)["detail"]
    table = "left,right\n" + "0.5,0.5\n" * 1001
    with monkeypatch.context() as patch:
        patch.setattr(Explanation, "answer", None)  # whoever calls it is answered 500
        in_csv = explained.post("/predict/means?explain=true", content=table, headers={"content-type": CSV})
        assert "at most 1000 rows a request" in assert_problem(in_csv, 413)["detail"]
    few = explained.post("/predict/means", json={"instances": rows, "explain": {"confidence_below": 0.5}})
    assert few.status_code == 200
    assert not any("explanation" in one for one in few.json()["predictions"])


def test_bad_rows_that_are_skipped_do_not_count_as_explained(
    explained: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected: list[int] = []
    monkeypatch.setattr(Explanation, "expect", lambda _, rows: expected.append(rows))

    path, headers = "/predict/means?explain=true&on_error=skip", {"content-type": CSV}
    answer = explained.post(path, content=TABLE + "x,0.5\n", headers=headers)

    assert (answer.status_code, expected) == (200, [2])
