"""Warnings: what they name, how many there are, and the same values as problems."""

from __future__ import annotations

import json

import numpy as np
import pytest

from app.errors import MAX_PROBLEMS, Problem
from app.inference.batch_predictions import BatchClassification
from app.inference.codecs.warnings import MAX_WARNINGS, Warnings, describe_warnings, find_bad_rows, refusal
from app.inference.predictions import OVERFLOW, Predictions
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


def spoilt_predictions(rows: int) -> Predictions:
    """Return so many rows, of which the first overflows, the second is unusual, and the third both."""
    x, outputs = np.full((rows, 3), 0.5, np.float32), np.full((rows, 2), 0.5, np.float32)
    x[1:3], outputs[[0, 2]] = 7, np.nan
    return Predictions(BatchClassification(schema_of(NAMES), x, outputs), 0, rows)


@pytest.mark.parametrize(("strict", "expected"), [(False, [0, 2]), (True, [0, 1, 2])], ids=["usual", "strict"])
def test_rows_that_overflow_are_bad_and_where_it_matters_unusual_ones(*, strict: bool, expected: list[int]) -> None:
    found = find_bad_rows(spoilt_predictions(5), lambda row: row + 100, strict=strict)

    assert sorted(found) == expected
    assert {found[row].problem for row in (0, 2)} == {OVERFLOW}
    assert [problem.row for problem in refusal(found.values()).problems] == [row + 100 for row in expected]


def test_rows_of_other_requests_in_the_batch_do_not_matter() -> None:
    batch = spoilt_predictions(6).batch

    assert find_bad_rows(Predictions(batch, 3, 6), int, strict=True) == {}


def test_of_many_rows_that_overflow_some_are_named_unless_all_are_wanted() -> None:
    outputs = np.full((50, 2), np.inf, np.float32)
    answer = Predictions(BatchClassification(schema_of(NAMES), np.full((50, 3), 0.5, np.float32), outputs), 0, 50)

    assert list(find_bad_rows(answer, int, strict=True)) == list(range(MAX_PROBLEMS))
    assert len(find_bad_rows(answer, int, strict=True, most=None)) == 50


def test_a_refusal_names_bad_rows_in_their_order() -> None:
    error = refusal([Problem(7, "left", "is wrong"), Problem(3, None, OVERFLOW)], "line", ". See there")

    assert str(error) == f"line 3: {OVERFLOW}. See there"
    assert [problem.row for problem in error.problems] == [3, 7]
