"""Cells to the columns that trees test."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from training.data.columns import Column
from training.learners.protocol import predictor
from training.learners.trees.inputs import codes_of, inputs_of

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def test_codes_come_first_then_numbers_and_the_parts_of_dates() -> None:
    columns = (Column("when", "datetime"), Column("plan", "categorical", ("basic", "plus")), Column("paid", "boolean"))
    moment = datetime(2024, 2, 29, 13, 5, tzinfo=UTC)  # a Thursday

    x = np.array([[(moment - EPOCH).days, 13 * 3600 + 300, 1, 0], [np.nan, np.nan, np.nan, 1]], dtype=np.float32)

    expected = [[1, 19782, 47100, 0, 2024, 2, 3], [np.nan, np.nan, np.nan, 1, np.nan, np.nan, np.nan]]
    np.testing.assert_array_equal(predictor(inputs_of(columns))(x), expected)
    assert codes_of(columns) == (3,)


def test_the_most_frequent_of_too_many_categories_keep_their_codes() -> None:
    columns = (Column("city", "categorical", tuple(map(str, range(255)))),)

    codes = predictor(inputs_of(columns))(np.array([[0.0], [253], [254], [255]]))

    assert codes.ravel().tolist() == [0, 253, 254, 254]
    assert codes_of(columns) == (255,)
