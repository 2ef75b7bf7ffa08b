"""Slices of the test rows, held to hand calculations."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from modelstore import Decision, Slice
from tests.training.samples import clouds
from training.data.columns import Column
from training.data.dataset import Dataset
from training.evaluation.slices import measure_slices

NAN = math.nan

# number, colour (0 red, 1 blue, 2 any other), probability of yes; the truth is yes in rows 0 to 5
CELLS = [
    [1.0, 0, 0.9],
    [2.0, 0, 0.9],
    [3.0, 0, 0.4],
    [4.0, 0, 0.9],
    [5.0, 1, 0.6],
    [6.0, 1, 0.9],
    [7.0, 1, 0.9],
    [8.0, 2, 0.1],
    [9.0, NAN, 0.1],
    [NAN, NAN, 0.1],
]
COLUMNS = (Column("age"), Column("colour", "categorical", ("red", "blue"), counts=(4, 3)), Column("score"))


def rows() -> Dataset:
    x, y = np.array(CELLS, dtype=np.float32), np.array([1] * 6 + [0] * 4)
    return replace(clouds(10), x=x, y=y, columns=COLUMNS, classes=("no", "yes"))


def answers(x: np.ndarray) -> np.ndarray:
    return np.stack([1 - x[:, 2], x[:, 2]], axis=1)


def figures(slices: tuple[Slice, ...]) -> list[tuple[str, int, object]]:
    return [(one.values, one.rows, pytest.approx(one.figure)) for one in slices]


def test_accuracy_on_thirds_frequent_values_other_values_and_gaps_is_that_of_a_hand_calculation() -> None:
    found = measure_slices(answers, rows(), "bought")

    # wrong are rows 2 (yes, 0.4) and 6 (no, 0.9)
    assert (found.figure, found.rows, found.left_out) == ("accuracy", 10, 0)
    assert list(found.columns) == ["bought", "age", "colour", "score"]
    assert figures(found.columns["bought"]) == [("no", 4, 3 / 4), ("yes", 6, 5 / 6)]
    assert figures(found.columns["age"]) == [
        ("1 to 3", 3, 2 / 3), ("4 to 6", 3, 1.0), ("7 to 9", 3, 2 / 3), ("missing", 1, 1.0),
    ]  # fmt: skip
    assert figures(found.columns["colour"]) == [
        ("red", 4, 3 / 4), ("blue", 3, 2 / 3), ("other values", 1, 1.0), ("missing", 2, 1.0),
    ]  # fmt: skip


def test_interval_of_an_accuracy_is_wilsons() -> None:
    (no, _) = measure_slices(answers, rows(), "bought").columns["bought"]

    # 3 of 4: R's prop.test(3, 4, correct = FALSE) prints 0.3006418 0.9544127
    assert no.interval == pytest.approx((0.3006418, 0.9544127), abs=1e-5)


def test_labels_are_those_that_the_version_decides() -> None:
    found = measure_slices(answers, rows(), "bought", decision=Decision(threshold=0.95))

    assert figures(found.columns["bought"]) == [("no", 4, 1.0), ("yes", 6, 0.0)]  # every row is answered no


def test_of_very_many_classes_the_rare_ones_share_a_slice() -> None:
    y = np.array([*range(150), *range(50, 150)])  # the first 50 have one row each
    many = replace(clouds(250), y=y, classes=tuple(f"c{place}" for place in range(150)))

    found = measure_slices(lambda x: np.eye(150)[y], many, "kind").columns["kind"]

    assert [one.values for one in found] == [*(f"c{place}" for place in range(50, 150)), "other values"]
    assert (found[-1].rows, found[-1].figure) == (50, 1.0)


def test_rmse_on_thirds_of_a_quantity_and_of_days() -> None:
    days = Column("seen", "datetime")
    x = np.array([[day, 0.0] for day in range(6)], dtype=np.float32)
    quantity = replace(clouds(6), x=x, y=np.arange(6.0), columns=(days,), classes=())

    found = measure_slices(lambda cells: cells[:, :1] + np.array([[0], [0], [3], [4], [1], [1]]), quantity, "price")

    assert found.figure == "rmse"
    assert figures(found.columns["price"]) == [("0 to 1", 2, 0.0), ("2 to 3", 2, math.sqrt(12.5)), ("4 to 5", 2, 1.0)]
    assert [one.values for one in found.columns["seen"]] == [
        "1970-01-01 to 1970-01-02",
        "1970-01-03 to 1970-01-04",
        "1970-01-05 to 1970-01-06",
    ]
    # squares 9 and 16: 12.5 +- 1.96 * 3.5
    assert found.columns["price"][1].interval == pytest.approx((math.sqrt(5.64), math.sqrt(19.36)))


def test_equal_values_share_a_slice_and_of_many_columns_some_are_left_out() -> None:
    wide = replace(clouds(6, features=30), x=np.ones((6, 30), dtype=np.float32))

    found = measure_slices(lambda x: np.tile(np.array([[0.2, 0.8]]), (len(x), 1)), wide, "class")

    assert (len(found.columns), found.left_out) == (21, 10)
    assert [one.values for one in list(found.columns.values())[1]] == ["1"]
