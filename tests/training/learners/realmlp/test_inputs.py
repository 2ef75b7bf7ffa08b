"""Cells to the inputs of a RealMLP."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.preprocessing import RobustScaler

from tests.training.samples import clouds, typed
from training.data.columns import Column
from training.data.dataset import Dataset
from training.learners.realmlp.inputs import LARGEST, fit_inputs

NAN = float("nan")


def table(column: Column, cells: list[float]) -> Dataset:
    x, rows = np.array(cells, dtype=np.float32)[:, None], len(cells)
    return Dataset(x, np.zeros(rows), (column,), (), np.arange(rows) + 2, np.arange(rows, dtype=np.uint64))


def test_numbers_are_scaled_as_scikit_learn_does_and_clipped_smoothly() -> None:
    rows = clouds(50, features=3)

    dense, codes = fit_inputs(rows)(torch.from_numpy(rows.x))

    scaled = RobustScaler().fit_transform(rows.x.astype(np.float64))
    np.testing.assert_allclose(dense.numpy(), scaled / np.sqrt(1 + (scaled / 3) ** 2), atol=1e-5)
    assert codes.shape == (50, 0)


@pytest.mark.parametrize(
    ("cells", "wanted"),
    [
        ([0, 0, 0, 0, 0, 0, 0, 0, 0, 4], 2.0),  # no interquartile range: half the range
        ([5, 5, 5, 5, 5, 5], 0.0),  # constant
        ([-3e38, 0, 1, 2, 3e38], 1.5e38),
    ],
    ids=["mostly one value", "constant", "near the largest number"],
)
def test_a_column_without_a_middle_range_is_scaled_all_the_same(cells: list[float], wanted: float) -> None:
    rows = table(Column("x"), cells)

    dense, _ = fit_inputs(rows)(torch.from_numpy(rows.x))

    scaled = (rows.x[-1, 0] - np.median(cells)) * (1 / wanted if wanted else 0)
    assert np.isfinite(dense.numpy()).all()
    if wanted < 1e6:
        assert float(dense[-1, 0]) == pytest.approx(scaled / np.sqrt(1 + (scaled / 3) ** 2))


def test_every_number_gives_inputs_below_3() -> None:
    dense, _ = fit_inputs(clouds(50, features=1))(torch.tensor([[3e38], [-3e38], [LARGEST], [float("inf")]]))

    assert (dense.abs() <= 3).all()


def test_a_missing_number_counts_as_the_median_and_is_told() -> None:
    inputs = fit_inputs(table(Column("x"), [1, 2, 3, NAN]))

    dense, _ = inputs(torch.tensor([[NAN], [2.0]]))

    assert dense.tolist() == [[0, 1], [0, 0]]


@pytest.mark.parametrize(
    ("column", "cells", "wanted"),
    [
        (Column("x", "boolean", ("no", "yes")), [0, 1, NAN], [-1, 1, 0]),
        (Column("x", "categorical", ("a", "b"), counts=(2, 2)), [0, 1, NAN, 2], [-1, 1, 0, 0]),
        (Column("x", "categorical", ("a",), counts=(2,), other=2), [0, 1, NAN], [-1, 1, 0]),
    ],
    ids=["boolean", "two texts", "one text and others"],
)
def test_two_values_are_one_input(column: Column, cells: list[float], wanted: list[float]) -> None:
    learnt = [cell for cell in cells if cell <= 1]

    dense, codes = fit_inputs(table(column, learnt * 2))(torch.tensor(cells)[:, None])

    assert dense[:, 0].tolist() == wanted
    assert codes.shape[1] == 0


def test_codes_of_all_columns_are_rows_of_one_table_and_what_was_never_seen_is_row_0() -> None:
    columns = tuple(Column(name, "categorical", tuple(name + t for t in "123"), counts=(1, 1, 1)) for name in "ab")
    x = np.array([[0, 0], [1, 1], [2, 2], [0, 3]], dtype=np.float32)  # only the second column has other texts
    rows = Dataset(x, np.zeros(4), columns, (), np.arange(4), np.arange(4, dtype=np.uint64))

    inputs = fit_inputs(rows)
    _, codes = inputs(torch.tensor([[0, 0], [2, 3], [3, NAN], [-1, 7]]))

    assert codes.tolist() == [[1, 4], [3, 7], [0, 0], [1, 0]]
    assert inputs.codes == 8


def test_parts_of_dates_that_vary_are_numbers() -> None:
    rows = typed(200)

    inputs = fit_inputs(rows)
    dense, _ = inputs(torch.from_numpy(rows.x))

    assert inputs.numbers == 1 + 7  # amount, and all parts of `since`
    assert torch.isfinite(dense).all()
    assert (dense[:, : inputs.numbers].std(dim=0) > 0.1).all()
