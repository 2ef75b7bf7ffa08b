"""Convert the columns of an Arrow record batch to cells; needs the extra `arrow`.

Values that are no numbers of their own are converted once for each distinct one, and of a dictionary only those that
rows have: one of a billion nulls takes a few bytes. This module must not know messages.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from app.errors import Problem
from app.inference.codecs.blocks import BINARY_BLOCK_ROWS, RowBlock
from app.inference.codecs.columns import rows_of_arrays
from app.inference.codecs.converters import Converter, DateConverter, NumberConverter
from app.inference.codecs.rows import cells_of_array, converter_for, missing_cells, take
from app.schema import SECONDS_OF_A_DAY, Float32, ModelSchema
from modelstore import DatetimeFeature, Feature, NumericFeature
from modelstore.dates import DIGITS
from modelstore.numbers import PLAIN

_FEW_VALUES = 1024  # of a dictionary; they are converted in about a millisecond
_LEAST_ROWS = 64  # of a block
_TICKS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}  # of a second

NO_DATE = "must be a date or time of the years 1 to 9999"


def is_number(kind: pa.DataType) -> bool:
    """Return whether a column holds numbers."""
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def unfit(kind: pa.DataType, feature: Feature, schema: ModelSchema) -> str | None:
    """Return what a column must be for a feature; None if it is."""
    values = _values_of(kind)
    if pa.types.is_null(values) and schema.takes_missing:
        return None
    if isinstance(feature, NumericFeature):
        if is_number(kind):
            return None
        return (
            None
            if feature.reading != PLAIN and _is_text(values)
            else "a column of numbers (pandas.to_numeric makes one)"
        )
    if isinstance(feature, DatetimeFeature):
        is_time = pa.types.is_date(kind) or pa.types.is_timestamp(kind)
        is_time |= feature.format == DIGITS and _is_exact(kind)
        return None if is_time or _is_text(values) else "a column of dates, times or texts"
    if _is_text(values) or is_number(kind) or pa.types.is_boolean(kind):
        return None
    return "a column of texts, numbers or truth values"


def unfit_for_ids(kind: pa.DataType) -> str | None:
    """Return what a column of ids must be; None if it is."""
    values = _values_of(kind)
    if _is_text(values) or pa.types.is_string_view(values) or pa.types.is_integer(values) or pa.types.is_null(values):
        return None
    return "a column of texts or whole numbers"


def rows(columns: Sequence[pa.Array], schema: ModelSchema, first: int) -> tuple[Float32, dict[int, Problem]]:
    """Return columns in feature order as cells, shape (N, W), and the first problem of each bad row, which is all 0.

    Args:
        columns: one for each feature, of a type that fits.
        schema: schema of the model.
        first: number of the first row.
    """
    converter = converter_for(schema)
    if schema.all_numbers and all(is_number(column.type) for column in columns):
        x = rows_of_arrays(map(_numbers, columns), (len(columns[0]), schema.width))
        return x, converter.clear_bad_rows(x, first)
    parts, problems = [], dict[int, Problem]()
    for name, each, column in zip(schema.features, converter.converters, columns, strict=True):
        cells, wrong_values = _cells(each, column)
        parts.append(cells)
        for row, text in wrong_values.items():
            problems.setdefault(row, Problem(first + row, name, text))
    x = np.concatenate(parts, axis=1)
    x[list(problems)] = 0
    return x, dict(sorted(problems.items()))


def ids_of(column: pa.Array) -> list[Any]:
    """Return the values of a column of ids; a value of a dictionary is one object, however many rows have it."""
    if not pa.types.is_dictionary(column.type):
        listed: list[Any] = column.to_pylist()
        return listed
    values, places = _distinct(column)
    return [values[place] for place in places.tolist()]


def blocks_of(
    columns: Sequence[pa.Array], schema: ModelSchema, first: int, size: int = BINARY_BLOCK_ROWS
) -> Iterator[RowBlock]:
    """Yield columns in feature order as blocks of at most `size` rows; `first` is the number of the first row."""
    for start in range(0, len(columns[0]), size):
        parts = [column.slice(start, size) for column in columns]
        x, bad = rows(parts, schema, first + start)
        yield RowBlock(x, first + start, bad)


def block_size(columns: Sequence[pa.Array], ids: pa.Array, schema: ModelSchema) -> int:
    """Return the number of rows to convert at a time: fewer, the more values are converted one by one."""
    slow = sum(map(_is_slow, columns, schema.types)) + (not pa.types.is_null(ids.type))
    return max(_LEAST_ROWS, BINARY_BLOCK_ROWS // (1 + 2 * slow))


def _is_slow(column: pa.Array, feature: Feature) -> bool:
    """Return whether a column may have many values that are converted one by one, as texts are."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return len(column.dictionary) > _FEW_VALUES
    return _is_text(kind) or (is_number(kind) and not isinstance(feature, NumericFeature))


def _cells(converter: Converter, column: pa.Array) -> tuple[Float32, dict[int, str]]:
    """Return the cells of a column, shape (N, width), and what is wrong with some, by index."""
    kind = column.type
    if pa.types.is_null(kind):
        return missing_cells(len(column), converter), {}
    is_date = isinstance(converter, DateConverter)
    if is_date and (pa.types.is_date(kind) or pa.types.is_timestamp(kind)):
        x = _times(column)
        outside = (x[:, 0] < converter.least[0]) | (x[:, 0] > converter.most[0])  # (N,)
        return x, dict.fromkeys(np.flatnonzero(outside).tolist(), NO_DATE)
    if isinstance(converter, NumberConverter) and is_number(kind):
        x = rows_of_arrays((_numbers(column),), (len(column), 1))
        return x, dict.fromkeys(np.flatnonzero(np.isinf(x[:, 0])).tolist(), converter.expected)
    if pa.types.is_floating(kind) and not is_date:
        return cells_of_array(converter, _numbers(column))
    values, places = _distinct(column)  # texts, truth values, whole numbers, or days as numbers
    return take([converter.cell(value) for value in values], places, converter.width)


def _distinct(column: pa.Array) -> tuple[list[Any], np.ndarray[Any, Any]]:
    """Return the distinct values of a column, None behind them, and the place of each row's value, shape (N,)."""
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    dictionary = encoded.dictionary
    size = len(dictionary)
    # the place of a null, behind the last value, may not fit into the type of the indices
    places = encoded.indices.cast(pa.int64()).fill_null(size).to_numpy(zero_copy_only=False)
    if size <= len(places):
        return [*dictionary.to_pylist(), None], places
    used, places = np.unique(places, return_inverse=True)
    return [*(dictionary[place].as_py() for place in used.tolist() if place < size), None], places


def _numbers(column: pa.Array) -> np.ndarray[Any, Any]:
    values: np.ndarray[Any, Any] = column.to_numpy(zero_copy_only=False)  # null becomes NaN
    return values


def _times(column: pa.Array) -> Float32:
    """Return days and seconds of dates or times, in UTC or without a zone as they stand, shape (N, 2)."""
    kind = column.type
    if pa.types.is_date32(kind):
        days, seconds = column.cast(pa.int32()).fill_null(0).to_numpy(zero_copy_only=False), 0
    else:
        ticks = _TICKS["ms" if pa.types.is_date(kind) else kind.unit] * SECONDS_OF_A_DAY
        numbers = column.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
        days, rest = np.divmod(numbers, ticks)
        seconds = rest // (ticks // SECONDS_OF_A_DAY)
    x = np.empty((len(column), 2), dtype=np.float32)
    x[:, 0], x[:, 1] = days, seconds
    x[column.is_null().to_numpy(zero_copy_only=False)] = np.nan
    return x


def _values_of(kind: pa.DataType) -> pa.DataType:
    """Return the type of a column's values, which may be in a dictionary."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_exact(kind: pa.DataType) -> bool:
    """Return whether numbers of this type are exact up to eight digits; those of float32 are not."""
    return bool(pa.types.is_integer(kind) or pa.types.is_float64(kind))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
