"""Columns of Arrow types become the cells of their features."""

from __future__ import annotations

from datetime import date, datetime

import numpy as np
import pyarrow as pa
import pytest

from app.inference.codecs.arrow_columns import rows, unfit
from app.schema import ModelSchema
from modelstore import DatetimeFeature
from tests.app.typed import FEATURES, typed_schema

SCHEMA = typed_schema()
NOTHING = pa.nulls(2)

COLUMNS = {
    "numbers as categories": (1, pa.array([2, None], pa.int64()), [[2], [np.nan]]),
    "float32 as categories": (1, pa.array([2.0, 2.5], pa.float32()), [[2], [3]]),
    "large numbers as categories": (1, pa.array([1e22, -1e300], pa.float64()), [[3], [3]]),
    "truth as numbers": (2, pa.array([1, 0], pa.uint8()), [[1], [0]]),
    "days": (3, pa.array([date(1970, 1, 2), None]), [[1, 0], [np.nan, np.nan]]),
    "times before 1970": (
        3,
        pa.array([datetime(1969, 12, 31, 23, 59, 59, 999), None], pa.timestamp("us")),
        [[-1, 86_399], [np.nan, np.nan]],
    ),
    "large texts": (1, pa.array(["basic", "?"], pa.large_string()), [[0], [np.nan]]),
}


@pytest.mark.parametrize(("place", "column", "expected"), COLUMNS.values(), ids=COLUMNS.keys())
def test_column_of_each_type(place: int, column: pa.Array, expected: list[list[float]]) -> None:
    columns = [NOTHING] * len(FEATURES)
    columns[place] = column

    x, bad = rows(columns, SCHEMA, 0)

    start = SCHEMA.starts[place]
    assert (unfit(column.type, FEATURES[place], SCHEMA), bad) == (None, {})
    np.testing.assert_array_equal(x[:, start : start + len(expected[0])], expected)


def test_bad_texts_are_named_by_row_and_the_row_is_cleared() -> None:
    columns = [pa.array([1.0, 2.0]), NOTHING, pa.array(["Yes", "maybe"]), NOTHING, NOTHING]

    x, bad = rows(columns, SCHEMA, 10)

    assert {row: (problem.row, problem.feature) for row, problem in bad.items()} == {1: (11, "paid")}
    assert x[1].tolist() == [0] * SCHEMA.width
    assert unfit(pa.string(), FEATURES[0], SCHEMA) == "a column of numbers (pandas.to_numeric makes one)"


def test_whole_numbers_are_days_where_the_training_file_has_eight_digits() -> None:
    day = DatetimeFeature(name="day", min="2024-01-01", max="2024-12-31", quantiles=(1,) * 9, format="%Y%m%d")
    schema = ModelSchema.of_features("one", 1, [day], ("a", "b"))
    for kind in (pa.int64(), pa.float64()):  # pandas makes floats of whole numbers with gaps
        column = pa.array([20240131, None, 20240230], kind)

        x, bad = rows([column], schema, 0)

        assert unfit(column.type, day, schema) is None
        np.testing.assert_array_equal(x, [[19753, 0], [np.nan, np.nan], [0, 0]])
        assert list(bad) == [2]
    assert unfit(pa.float32(), day, schema) == "a column of dates, times or texts"  # it has no odd number that large
    assert unfit(pa.int64(), FEATURES[3], SCHEMA) == "a column of dates, times or texts"
