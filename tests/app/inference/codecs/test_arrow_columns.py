"""Columns of Arrow types become the cells of their features."""

from __future__ import annotations

from datetime import date, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pytest

from app.inference.codecs.arrow_columns import NO_DATE, block_size, ids_of, rows, unfit, unfit_for_ids
from app.inference.codecs.blocks import BINARY_BLOCK_ROWS
from app.inference.codecs.columns import Cells
from app.inference.codecs.rows import converter_for
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
    "dictionary as large as its type of indices": (
        1,
        pa.DictionaryArray.from_arrays(pa.array([127, None], pa.int8()), pa.array([*map(str, range(-125, 3))])),
        [[2], [np.nan]],
    ),
    "dictionary longer than the column": (
        1,
        pa.DictionaryArray.from_arrays(pa.array([3, None], pa.int8()), pa.array(["2", None, "2", "basic"])),
        [[0], [np.nan]],
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


DAYS = pa.array([2_932_897, 2_932_898, None, -719_163, -719_164, 10**8], pa.int32())


@pytest.mark.parametrize(
    "column",
    [DAYS.cast(pa.date32()), pa.compute.multiply(DAYS.cast(pa.int64()), 86_400).cast(pa.timestamp("s", "UTC"))],
    ids=["dates", "times"],
)
def test_day_outside_the_years_1_to_9999_is_a_bad_row(column: pa.Array) -> None:
    x, bad = rows([pa.nulls(6)] * 3 + [column, pa.nulls(6)], SCHEMA, 0)

    start = SCHEMA.starts[3]
    np.testing.assert_array_equal(x[[0, 2, 3], start], [2_932_897, np.nan, -719_163])
    assert {row: problem.problem for row, problem in bad.items()} == dict.fromkeys((1, 4, 5), NO_DATE)


@pytest.mark.parametrize(
    ("place", "column"),
    [
        (1, pa.array(np.arange(BINARY_BLOCK_ROWS) % 2 == 0)),
        (2, pa.array(np.arange(BINARY_BLOCK_ROWS) % 2 == 0)),
        (2, pa.array(np.arange(BINARY_BLOCK_ROWS) % 2, pa.uint8())),
        (3, pa.array(["2024-01-31", "2024-02-01"]).take(pa.array(np.arange(BINARY_BLOCK_ROWS) % 2))),
    ],
    ids=["truth of a category", "truth", "whole numbers", "dates"],
)
def test_equal_values_are_converted_once(place: int, column: pa.Array, monkeypatch: pytest.MonkeyPatch) -> None:
    converter, judged = converter_for(SCHEMA).converters[place], list[object]()
    convert = converter.cell

    def cell(value: object) -> Cells | str:
        judged.append(value)
        return convert(value)

    monkeypatch.setattr(converter, "cell", cell)

    x, bad = rows([column if at == place else pa.nulls(len(column)) for at in range(len(FEATURES))], SCHEMA, 0)

    start = SCHEMA.starts[place]
    np.testing.assert_array_equal(x[2:, start], x[:-2, start])
    assert (len(judged), bad) == (3, {})  # and null


def test_blocks_are_small_where_many_values_are_converted_one_by_one() -> None:
    dates = pa.array([f"2024-01-31T00:00:{at % 60:02}.{at}" for at in range(3000)])
    few = dates.slice(0, 3).dictionary_encode().take(pa.array([0] * 3000))
    nothing, numbers = pa.nulls(3000), pa.array(np.arange(3000.0))

    def size(*columns: pa.Array, ids: pa.Array = nothing) -> int:
        return block_size([*columns, *[nothing] * (len(FEATURES) - len(columns))], ids, SCHEMA)

    assert size(numbers) == size(numbers, few) == BINARY_BLOCK_ROWS
    assert size(numbers, dates) == size(numbers, dates.dictionary_encode()) == size(ids=dates) == 5461
    assert size(numbers, dates, nothing, dates) == 3276


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view(), pa.uint8(), pa.int64(), pa.null()])
def test_ids_are_texts_or_whole_numbers_also_in_dictionaries(kind: pa.DataType) -> None:
    assert unfit_for_ids(kind) is None
    assert unfit_for_ids(pa.dictionary(pa.int8(), kind)) is None


@pytest.mark.parametrize(
    "kind", [pa.date32(), pa.timestamp("us"), pa.float64(), pa.bool_(), pa.binary(), pa.list_(pa.int8())], ids=str
)
def test_what_is_no_text_or_whole_number_is_no_id(kind: pa.DataType) -> None:
    assert unfit_for_ids(kind) == "a column of texts or whole numbers"


def test_ids_of_a_dictionary_are_those_of_its_rows_and_each_is_there_once() -> None:
    long = "x" * (1 << 20)
    known = pa.array(["a", None, long])
    for places in ([2, None, 1, 2, 0, 2], [2, None]):
        listed = ids_of(pa.DictionaryArray.from_arrays(pa.array(places, pa.int8()), known))

        assert listed == [None if place is None else known[place].as_py() for place in places]
        assert len({id(text) for text in listed if text == long}) == 1


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
