"""The most probable class: what argmax says, however it is found."""

from __future__ import annotations

import numpy as np
import pytest

from app.inference.predictions import BatchPredictions, Predictions
from app.schema import Float32
from tests.app.tables import contract_of


def batch_of(probabilities: Float32) -> BatchPredictions:
    rows, classes = probabilities.shape
    return BatchPredictions(
        contract_of(("x",), [str(k) for k in range(classes)]), np.zeros((rows, 1), np.float32), probabilities
    )


def with_ties(rows: int, classes: int) -> Float32:
    """Return probabilities of few different values, so that many are equal."""
    return np.random.default_rng(rows).choice(np.array([0, 0.25, 0.5], np.float32), (rows, classes))


@pytest.mark.parametrize("classes", [2, 3, 8, 9, 200])
@pytest.mark.parametrize("rows", [1, 1023, 1024, 5000])
def test_winner_is_the_lowest_of_the_most_probable_classes(rows: int, classes: int) -> None:
    probabilities = with_ties(rows, classes)

    batch = batch_of(probabilities)

    assert batch.winners.tolist() == batch.best == probabilities.argmax(axis=1).tolist()
    assert batch.winning.tolist() == probabilities.max(axis=1).tolist()


@pytest.mark.parametrize("rows", [4, 4000])
def test_row_that_is_not_finite_has_the_winner_that_argmax_says_and_leaves_others_theirs(rows: int) -> None:
    probabilities = with_ties(rows, 3)
    probabilities[1] = [0.25, np.nan, 0.5]
    probabilities[2] = [-np.inf, -np.inf, np.inf]

    assert batch_of(probabilities).best == probabilities.argmax(axis=1).tolist()


def test_answer_is_a_part_of_the_batch() -> None:
    probabilities = with_ties(2000, 3)
    answer = Predictions(batch_of(probabilities), 500, 1500)

    assert answer.winners.tolist() == answer.best == probabilities[500:1500].argmax(axis=1).tolist()
    assert answer.winning.tolist() == probabilities[500:1500].max(axis=1).tolist()
    assert answer.columns.tolist() == probabilities[500:1500].T.tolist()
