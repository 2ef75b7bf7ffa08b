from __future__ import annotations

import math

import numpy as np
import pytest

from tests.training.samples import clouds, slope
from training.errors import DatasetError
from training.evaluation.metrics import CHUNK_ROWS
from training.evaluation.task import evaluation_of, mean_gain, measure


def test_the_task_is_that_of_the_rows() -> None:
    assert evaluation_of(clouds()).naive == "majority"
    assert evaluation_of(slope()).naive == "mean"


def test_the_gain_of_a_regression_is_the_difference_of_squared_errors_with_its_standard_error() -> None:
    rows = slope(40)
    gains = (rows.y - 1000) ** 2 - (rows.y - 1003) ** 2

    mean, error = mean_gain(lambda x: np.full((len(x), 1), 1003.0), lambda x: np.full((len(x), 1), 1000.0), rows)

    assert mean == pytest.approx(gains.mean())
    assert error == pytest.approx(gains.std(ddof=1) / math.sqrt(40))


def test_the_gain_on_a_single_row_is_of_unknown_error() -> None:
    one = slope(1)

    assert mean_gain(lambda x: np.zeros((len(x), 1)), lambda x: np.ones((len(x), 1)), one)[1] == math.inf


def test_many_rows_are_measured_chunk_by_chunk() -> None:
    rows, asked = slope(CHUNK_ROWS + 10), []

    def answer(x: np.ndarray) -> np.ndarray:
        asked.append(len(x))
        return np.full((len(x), 1), 1000.0)

    measured = measure(answer, rows, "test")

    assert asked == [CHUNK_ROWS, 10]
    assert measured.rows == CHUNK_ROWS + 10
    assert measured.decisive.value == pytest.approx(np.sqrt(((rows.y - 1000) ** 2).mean()))


def test_a_row_to_which_there_is_no_finite_answer_is_named() -> None:
    rows = slope(CHUNK_ROWS + 10)
    rows.x[-1] = np.inf

    with pytest.raises(DatasetError, match=rf"test split, line {CHUNK_ROWS + 11}: values so far outside the training"):
        measure(lambda x: x[:, :1], rows, "test")
