"""The part of a batch that answers one request."""

from __future__ import annotations

import numpy as np
import pytest

from app.inference.predictions import Predictions, find_overflows
from tests.app.inference.test_batch_predictions import batch_of, with_ties


def test_answer_is_a_part_of_the_batch() -> None:
    probabilities = with_ties(2000, 3)
    answer = Predictions(batch_of(probabilities), 500, 1500)
    mine = probabilities[500:1500]

    assert answer.winners.tolist() == answer.best == mine.argmax(axis=1).tolist()
    label, probability, *by_class = answer.columns.values()
    assert label.tolist() == answer.best
    assert probability.tolist() == mine.max(axis=1).tolist()
    assert [column.tolist() for column in by_class] == mine.T.tolist()


def test_cells_are_the_columns_as_text() -> None:
    probabilities = with_ties(50, 3)
    answer = Predictions(batch_of(probabilities), 10, 40)

    label, *numbers = answer.cells([b"a", b"b", b"c"])

    assert label == [b"abc"[k : k + 1] for k in answer.best]
    _, *columns = answer.columns.values()
    assert [list(map(float, cells)) for cells in numbers] == [column.tolist() for column in columns]


@pytest.mark.parametrize("rows", [300, 400])
def test_parts_of_an_answer_make_up_the_whole(rows: int) -> None:
    answer = Predictions(batch_of(with_ties(2000, 3)), 500, 1500)

    parts = [answer.part(start, rows) for start in range(0, 1000, rows)]

    assert max(part.rows for part in parts) == rows
    assert np.concatenate([part.outputs for part in parts]).tolist() == answer.outputs.tolist()
    assert [k for part in parts for k in part.best] == answer.best


def test_answer_that_is_small_enough_is_its_only_part() -> None:
    answer = Predictions(batch_of(with_ties(20, 3)), 5, 15)

    assert answer.part(0, 10) is answer


def test_overflows_are_rows_of_the_request_and_at_most_as_many_as_wanted() -> None:
    probabilities = with_ties(2000, 3)
    probabilities[[3, 503, 1400], 1] = np.inf, np.nan, -np.inf
    answer = Predictions(batch_of(probabilities), 500, 1500)

    assert find_overflows(answer) == [3, 900]
    assert find_overflows(answer, most=1) == [3]
