"""Rows with their targets: the task, and rows in another order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.training.samples import clouds


def test_rows_without_classes_are_those_of_a_regression() -> None:
    rows = clouds(6)

    assert rows.task == "classification"
    assert replace(rows, classes=(), y=np.arange(6.0)).task == "regression"


def test_reordering_moves_whole_rows() -> None:
    rows, order = clouds(50), np.random.default_rng(0).permutation(50)
    expected = rows.rows(order)

    rows.reorder(order)

    for name in ("x", "y", "lines", "marks"):
        assert np.array_equal(getattr(rows, name), getattr(expected, name))


def test_a_part_of_the_rows_is_spread_from_the_first_to_the_last() -> None:
    assert clouds(10).thin(4).lines.tolist() == [2, 5, 8, 11]
    assert np.array_equal(clouds(10).thin(11).lines, clouds(10).lines)


def test_classes_with_few_rows_can_keep_some_beside_those_that_are_evenly_spread() -> None:
    rows = replace(clouds(100), y=np.isin(np.arange(100), (7, 8, 9)).astype(np.int64))

    assert rows.thin(3).lines.tolist() == [2, 51, 101]
    assert rows.thin(3, of_class=1).lines.tolist() == [2, 9, 51, 101]
    assert rows.thin(3, of_class=2).lines.tolist() == [2, 9, 11, 51, 101]
    assert rows.thin(3, of_class=9).lines.tolist()[1:4] == [9, 10, 11]
    assert np.array_equal(clouds(100).thin(9, of_class=2).lines, clouds(100).thin(9).lines)
