"""JSON answers: strict, exact, and with warnings about values outside the training range."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any, NoReturn

import hypothesis
import numpy as np
from hypothesis import strategies as st

from app.inference.batch_predictions import BatchClassification, batch_of
from app.inference.codecs.json_answers import write_answer
from app.inference.predictions import Predictions
from app.schema import Float32, ModelSchema
from modelstore import Decision
from tests.app.tables import schema_of
from tests.properties import examples


def refuse(constant: str) -> NoReturn:
    raise AssertionError(f"{constant} is not JSON")


def strictly(data: bytes) -> Any:
    return json.loads(data.decode("utf-8"), parse_constant=refuse)


def written(schema: ModelSchema, x: Float32, probabilities: Float32, start: int = 0, stop: int | None = None) -> Any:
    batch = BatchClassification(schema, x, probabilities)
    return strictly(write_answer(Predictions(batch, start, len(x) if stop is None else stop)))


labels = st.lists(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
    | st.sampled_from(["100 %", "%s", "%(a)s", "%%", '"', "\\", "\n", "{}", "😀", "naïve", "\u2028", "}},{"]),
    min_size=2,
    max_size=5,
    unique=True,
)


@examples(50)
@hypothesis.given(labels, st.data())
def test_answer_is_strict_json_with_the_exact_probabilities(classes: list[str], data: st.DataObject) -> None:
    rows = data.draw(
        st.lists(
            st.lists(st.floats(0, 1, width=32), min_size=len(classes), max_size=len(classes)), min_size=1, max_size=4
        )
    )
    probabilities = np.array(rows, dtype=np.float32)
    x = np.full((len(rows), 1), 0.5, dtype=np.float32)

    answer = written(schema_of(("only",), tuple(classes)), x, probabilities)

    assert list(answer) == ["model", "version", "predictions"]
    assert len(answer["predictions"]) == len(rows)
    for row, prediction in zip(rows, answer["predictions"], strict=True):
        assert list(prediction["probabilities"]) == classes
        assert [np.float32(value) for value in prediction["probabilities"].values()] == row
        assert prediction["label"] == classes[row.index(max(row))]
        assert np.float32(prediction["probability"]) == max(row)


def test_each_request_of_a_batch_gets_its_own_rows_and_warnings() -> None:
    schema = schema_of(("only",))
    x = np.array([[0.5], [2], [0.25], [-1]], dtype=np.float32)
    probabilities = np.array([[1, 0], [0.5, 0.5], [0.25, 0.75], [0, 1]], dtype=np.float32)

    first = written(schema, x, probabilities, 0, 1)
    second = written(schema, x, probabilities, 1, 4)

    assert [p["probability"] for p in first["predictions"]] == [1.0]
    assert "warnings" not in first
    assert [p["probability"] for p in second["predictions"]] == [0.5, 0.75, 1.0]
    assert second["warnings"] == [
        {"row": 0, "feature": "only", "value": 2.0, "range": [0.0, 1.0]},
        {"row": 2, "feature": "only", "value": -1.0, "range": [0.0, 1.0]},
    ]


def test_equal_probabilities_give_the_first_class() -> None:
    answer = written(schema_of(("only",)), np.zeros((1, 1), dtype=np.float32), np.full((1, 2), 0.5, dtype=np.float32))

    assert answer["predictions"][0]["label"] == "low"


def test_digits_are_the_shortest_that_give_the_same_float32() -> None:
    probabilities = np.array([[np.float32(0.1), np.float32(0.9)]], dtype=np.float32)
    schema = schema_of(("only",))

    text = write_answer(
        Predictions(BatchClassification(schema, np.zeros((1, 1), dtype=np.float32), probabilities), 0, 1)
    )

    assert b'"probabilities":{"low":0.1,"high":0.9}' in text
    assert math.isclose(float(probabilities[0, 0]), 0.1, rel_tol=1e-7)


def test_a_value_alone_is_written_as_among_others() -> None:
    schema = replace(schema_of(("only",), ()), task="regression", kind="regression")
    batch = batch_of(schema, np.full((2, 1), 0.5, dtype=np.float32), np.array([[0.1], [-2]], dtype=np.float32))

    assert write_answer(Predictions(batch, 0, 2)) == (
        b'{"model":"means","version":3,"predictions":[{"value":0.1},{"value":-2.0}]}'
    )
    assert write_answer(Predictions(batch, 1, 2)) == b'{"model":"means","version":3,"predictions":[{"value":-2.0}]}'


@examples(30)
@hypothesis.given(labels, st.data())
def test_a_decided_row_alone_is_written_as_among_others(classes: list[str], data: st.DataObject) -> None:
    costs = data.draw(
        st.lists(st.lists(st.floats(0, 9), min_size=len(classes), max_size=len(classes)), min_size=len(classes))
    )[: len(classes)]
    probabilities = np.random.default_rng(0).dirichlet(np.ones(len(classes)), 6).astype(np.float32)
    plain = schema_of(("only",), tuple(classes))
    schema = replace(plain, decision=Decision(costs=tuple(map(tuple, costs))), kind="decision")
    batch = batch_of(schema, np.full((6, 1), 0.5, dtype=np.float32), probabilities)

    together = strictly(write_answer(Predictions(batch, 0, 6)))["predictions"]

    assert [strictly(write_answer(Predictions(batch, row, row + 1)))["predictions"][0] for row in range(6)] == together
    for row, answer in zip(probabilities, together, strict=True):
        most_probable = classes[row.argmax()]
        assert ("decision" in answer) is (answer["label"] != most_probable)
        assert np.float32(answer["probability"]) == np.float32(answer["probabilities"][answer["label"]])
