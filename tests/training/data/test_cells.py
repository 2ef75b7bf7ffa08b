"""Cells as numbers and words."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from training.data.cells import alike, in_class_order, number, numbers, parse


@pytest.mark.parametrize("cell", ["", "a", "1_000", "٣", "0x10", "1,5", "1 2"])
def test_only_what_is_written_as_a_decimal_number_is_one(cell: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        number(cell)


@pytest.mark.parametrize("cell", ["1_000", "", "x"])
def test_cells_that_are_no_numbers_are_nan_and_the_others_stay(cell: str) -> None:
    np.testing.assert_array_equal(parse(["1.5", cell, "-2e3"]), [1.5, math.nan, -2000.0])


def test_truth_values_are_no_numbers() -> None:
    assert np.isnan(numbers(pd.Series([True, False]))).all()
    assert numbers(pd.Series([1, 2])).tolist() == [1.0, 2.0]


def test_classes_are_in_the_order_of_numbers_only_if_all_are_numbers() -> None:
    assert in_class_order({"10", "9", "1.5"}) == ["1.5", "9", "10"]
    assert in_class_order({"10", "9", "nan"}) == ["10", "9", "nan"]


def test_classes_that_probably_mean_the_same_are_grouped() -> None:
    assert alike(["yes", "Yes ", "no", "0", "0.0"]) == ["'yes' and 'Yes '", "'0' and '0.0'"]
