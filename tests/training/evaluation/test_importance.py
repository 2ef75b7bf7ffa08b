"""Permutation importance: of useful, useless and equal columns, and within its time."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np
import pytest

from modelstore import Importance, Notice
from tests.training.samples import clouds, collect, ignore, typed
from training.data.dataset import Dataset
from training.evaluation.importance import REPEATS, measure_importance
from training.learners.protocol import Predict

Floats = np.ndarray


def first_alone(x: Floats) -> np.ndarray:
    """Return probabilities that depend on the first cell only."""
    high = 1 / (1 + np.exp(-np.nan_to_num(x[:, 0])))
    return np.stack([1 - high, high], axis=1).astype(np.float32)


def importance_of(predict: Predict, rows: Dataset, budget_s: float = 60.0) -> Importance:
    found = measure_importance(predict, rows, ignore, budget_s=budget_s)
    assert found is not None
    return found


def test_a_column_that_the_model_ignores_has_no_importance_and_the_others_come_first() -> None:
    rows = clouds(300, features=3)

    found = importance_of(first_alone, rows)

    assert (found.figure, found.rows, found.repeats) == ("log_loss", 300, REPEATS)
    assert next(iter(found.columns)) == rows.features[0]
    first, *others = found.columns.values()
    assert first.interval[0] < first.mean < first.interval[1]
    assert first.interval[0] > 0.1
    assert [other.mean for other in others] == [0, 0]


def test_the_importance_of_a_quantity_is_the_rise_of_its_rmse() -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(2000, 2)).astype(np.float32)
    rows = replace(clouds(2000), x=x, y=3.0 * x[:, 0].astype(np.float64), classes=())

    found = importance_of(lambda cells: (3 * cells[:, :1]).astype(np.float32), rows)

    # the difference of two independent values of variance 9 has a standard deviation of 3 sqrt(2)
    assert found.figure == "rmse"
    assert found.columns[rows.features[0]].mean == pytest.approx(3 * math.sqrt(2), rel=0.05)


def test_columns_that_say_the_same_are_shuffled_together_too() -> None:
    rows = clouds(200, features=3)
    rows.x[:, 1] = -2 * rows.x[:, 0] + 1

    def both(x: Floats) -> np.ndarray:
        """Return probabilities that either of the two columns alone could give."""
        return first_alone((x[:, :1] - (x[:, 1:2] - 1) / 2) / 2)

    found = importance_of(both, rows)

    (pair,) = found.together
    assert set(pair.columns) == set(rows.features[:2])
    assert pair.mean > max(column.mean for column in found.columns.values())


def test_the_two_cells_of_a_date_are_one_column() -> None:
    rows = typed(200)

    found = importance_of(lambda x: first_alone(x[:, 3:4] / 1e4), rows)

    assert set(found.columns) == set(rows.features)
    assert {name for name, column in found.columns.items() if column.mean} == {"since"}


def test_a_slow_model_is_measured_on_fewer_rows_and_says_so() -> None:
    def slow(x: Floats) -> np.ndarray:
        """Take 20 us a row."""
        time.sleep(20e-6 * len(x))
        return first_alone(x)

    rows = clouds(1000, features=2)
    events, found = collect(lambda report: measure_importance(slow, rows, report, budget_s=0.3))
    nothing = collect(lambda report: measure_importance(slow, rows, report, budget_s=0.001))

    assert found is not None
    assert found.rows < 1000
    assert [event.message for event in events if isinstance(event, Notice)] == [
        f"importance of columns is measured on {found.rows} of 1000 test rows, {found.repeats} times"
    ]
    assert nothing[1] is None
    assert "not measured" in nothing[0][0].message  # type: ignore[union-attr]


def test_a_single_row_has_no_importance() -> None:
    assert measure_importance(first_alone, clouds(2).rows(slice(1)), ignore, budget_s=60) is None
