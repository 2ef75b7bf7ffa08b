"""Warnings: what they name, how many there are, and the same values as problems."""

from __future__ import annotations

import json

import numpy as np

from app.inference.batch_predictions import BatchClassification
from app.inference.codecs.warnings import MAX_WARNINGS, Warnings, describe_warnings
from app.inference.predictions import Predictions
from app.schema import Float32
from tests.app.tables import schema_of

NAMES = ("left", 'the "right"', "ünder 100 %")


def predictions_of(x: Float32) -> Predictions:
    outputs = np.full((len(x), 2), 0.5, np.float32)
    return Predictions(BatchClassification(schema_of(NAMES), x, outputs), 0, len(x))


def test_warnings_of_many_blocks_are_cut_and_the_rest_counted() -> None:
    warnings = Warnings()
    for _ in range(5):
        warnings.note(predictions_of(np.full((10, 3), 7, np.float32)))
    warnings.skip()

    answer = json.loads(b"{" + warnings.json()[1:] + b"}")

    assert len(answer["warnings"]) == MAX_WARNINGS
    assert answer["warnings_omitted"] == 150 - MAX_WARNINGS
    assert [warning["feature"] for warning in answer["warnings"][:3]] == list(NAMES)
    assert [warning["row"] for warning in answer["warnings"][::3]] == list(range(34))


def test_first_unusual_value_of_each_row_is_a_problem_under_the_rows_number() -> None:
    x = np.full((3, 3), 0.5, np.float32)
    x[0, 1], x[2] = np.nan, 7

    found = describe_warnings(predictions_of(x), lambda row: row + 100)

    assert [(at, found[at].row, found[at].feature) for at in found] == [(0, 100, NAMES[1]), (2, 102, NAMES[0])]
    assert found[0].problem == "is missing, which it was in no training row"
    assert found[2].problem == "is outside the training range; GET /models/means shows it"
