"""Convert rows of values to rows of cells, feature by feature.

Values are in feature order here; the formats and `headers.py` put them there. This module must not know HTTP or torch.
"""

from __future__ import annotations

import functools
import itertools
import math
import struct
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from app.errors import MAX_PROBLEMS, Problem
from app.inference.codecs.columns import NUMBERS, Cells, all_finite, find_problems
from app.inference.codecs.converters import Converter, DateConverter, NumberConverter, converter_of
from app.inference.codecs.strict_json import as_whole
from app.schema import Float32, ModelSchema

_NUMBERS = NUMBERS.types
_FEW_ROWS = 4  # up to this number, row by row is quicker than column by column
_UNKNOWN = ""  # no number, so that a row that holds it is not taken
_DIGITS_LOST = "may have lost digits on its way; send BYTES, INT64 or FP64: a text, or a number of 64 bits"


class RowConverter:
    """Convert the rows of one schema.

    Attributes:
        converters: one for each feature, length F.
    """

    def __init__(self, schema: ModelSchema) -> None:
        self._schema = schema
        self._features = len(schema.features)
        self._all_numbers = schema.all_numbers
        self.converters: tuple[Converter, ...] = tuple(converter_of(feature, schema) for feature in schema.types)
        self._pack = struct.Struct(f"{schema.width}f").pack_into
        self._tables = [
            (place, converter.table.get)
            for place, converter in enumerate(self.converters)
            if hasattr(converter, "table")
        ]
        dates = [place for place, converter in enumerate(self.converters) if isinstance(converter, DateConverter)]
        self._dates = [(place, self.converters[place].cell) for place in reversed(dates)]
        self._least = np.array([cell for converter in self.converters for cell in converter.least], dtype=np.float32)
        self._most = np.array([cell for converter in self.converters for cell in converter.most], dtype=np.float32)
        self._may_be_broken = np.repeat(
            [not converter.whole for converter in self.converters], [converter.width for converter in self.converters]
        )
        self._features_of_cells = [
            name
            for name, converter in zip(schema.features, self.converters, strict=True)
            for _ in range(converter.width)
        ]

    def rows(self, rows: Sequence[Sequence[Any]]) -> Float32 | None:
        """Return rows of values parsed from JSON, each of length F, as cells, shape (N, W); None if any is invalid."""
        if self._all_numbers:
            x = NUMBERS.floats(list(itertools.chain.from_iterable(rows)))
            if x is not None:
                return x.reshape(-1, self._features)
            if not self._schema.takes_missing:
                return None
        if len(rows) <= _FEW_ROWS:
            found = [self._row(row) for row in rows]
            return None if None in found else np.array(found, dtype=np.float32)
        return self._join([converter.cells(column) for converter, column in self._by_column(rows)])

    def row(self, row: Sequence[Any]) -> Float32 | None:
        """Return one row of values parsed from JSON, length F, as cells, shape (1, W); None if any is invalid.

        Values that need no thought take the quick way: numbers, known texts and dates.
        """
        values = list(row)
        try:
            for place, look_up in self._tables:
                values[place] = look_up(values[place], _UNKNOWN)
        except TypeError:  # arrays and objects have no hash
            return None
        for place, read in self._dates:
            cells = read(values[place])
            if type(cells) is str:
                return None
            values[place : place + 1] = cells
        if _NUMBERS.issuperset(map(type, values)):
            buffer = bytearray(4 * len(values))
            try:
                self._pack(buffer, 0, *values)
            except (struct.error, OverflowError):
                return None
            x = np.frombuffer(buffer, dtype=np.float32)
            if b"\1" not in np.isinf(x).tobytes():
                return x.reshape(1, -1)
        return self.rows([row])

    def rows_of_texts(self, columns: Sequence[Sequence[str] | None], rows: int) -> Float32 | None:
        """Return columns of text, in feature order, as cells, shape (N, W); None if any field is invalid.

        Args:
            columns: the fields of each feature; None for one that is not there, which is missing in all rows.
            rows: number of rows.
        """
        pairs = zip(self.converters, columns, strict=True)
        return self._join(
            [
                missing_cells(rows, converter) if column is None else converter.cells_of_texts(column)
                for converter, column in pairs
            ]
        )

    def row_of_texts(self, fields: Sequence[str | None]) -> Float32 | Problem:
        """Return the fields of one row, in feature order, as cells, shape (1, W), or what is wrong with the first."""
        row: list[float] = []
        for name, converter, field in zip(self._schema.features, self.converters, fields, strict=True):
            cells = converter.cell(None) if field is None else converter.cell_of_text(field)
            if isinstance(cells, str):
                return Problem(None, name, cells)
            row += cells
        return np.array([row], dtype=np.float32)

    def find_faults(self, numbers: Sequence[int], rows: Sequence[Sequence[Any]]) -> list[Problem]:
        """Return the first problems of numbered rows (N, F) of values parsed from JSON, looked for column by column."""
        found: list[tuple[int, int, str]] = []
        for place, (converter, column) in enumerate(self._by_column(rows)):
            wrong = itertools.islice(find_problems(column, converter.cells, converter.cell), MAX_PROBLEMS)
            found += [(numbers[row], place, problem) for row, problem in wrong]
        names = self._schema.features
        return [Problem(row, names[place], problem) for row, place, problem in sorted(found)[:MAX_PROBLEMS]]

    def clear_bad_rows(self, x: Float32, first: int) -> dict[int, Problem]:
        """Set rows of cells that no value stands for to 0, and return the first problem of each, by index.

        Args:
            x: rows, float32, shape (N, W), changed in place.
            first: number of the first row.
        """
        if not self._schema.takes_missing:  # all features are numbers
            if all_finite(x):
                return {}
            good = np.isfinite(x)
        else:
            good = (x >= self._least) & (x <= self._most) & (self._may_be_broken | (np.floor(x) == x)) | np.isnan(x)
        for place, converter in enumerate(self.converters):
            if converter.width > 1:  # a day without seconds, or the other way round
                day = self._schema.starts[place]
                good[:, day] &= np.isnan(x[:, day]) == np.isnan(x[:, day + 1])
        if good.all():
            return {}
        expected = [converter.expected for converter in self.converters for _ in range(converter.width)]
        bad = {
            row: Problem(first + row, self._features_of_cells[cell], expected[cell])
            for row, cell in reversed(np.argwhere(~good).tolist())
        }
        x[list(bad)] = 0
        return dict(sorted(bad.items()))

    def _row(self, row: Sequence[Any]) -> list[float] | None:
        found: list[float] = []
        for converter, value in zip(self.converters, row, strict=True):
            cells = converter.cell(value)
            if isinstance(cells, str):
                return None
            found += cells
        return found

    def _by_column(self, rows: Sequence[Sequence[Any]]) -> Iterator[tuple[Converter, Sequence[Any]]]:
        return zip(self.converters, zip(*rows, strict=True), strict=True)

    def _join(self, parts: Sequence[Float32 | None]) -> Float32 | None:
        """Return the cells of all features side by side; None if those of one are None."""
        known = [part for part in parts if part is not None]
        return np.concatenate(known, axis=1) if len(known) == len(parts) else None


@functools.lru_cache(maxsize=256)
def converter_for(schema: ModelSchema) -> RowConverter:
    """Return the converter of a schema's rows."""
    return RowConverter(schema)


def missing_cells(rows: int, converter: Converter) -> Float32:
    """Return the cells of missing values, shape (rows, width)."""
    return np.full((rows, converter.width), np.nan, dtype=np.float32)


def take(found: Sequence[Cells | str], places: np.ndarray[Any, Any], width: int) -> tuple[Float32, dict[int, str]]:
    """Return the cells of values given as places in a list, shape (N, width), and what is wrong with some, by index.

    Args:
        found: cells of each distinct value, or what is wrong with it.
        places: place of each value in `found`, shape (N,).
        width: cells of a value.
    """
    cells = np.array([(0.0,) * width if isinstance(each, str) else each for each in found], dtype=np.float32)
    wrong = {place: each for place, each in enumerate(found) if isinstance(each, str)}
    bad = np.flatnonzero(np.isin(places, list(wrong))).tolist() if wrong else []
    return cells.reshape(-1, width)[places], {row: wrong[int(places[row])] for row in bad}


def cells_of_array(
    converter: Converter, values: np.ndarray[Any, Any], bits: int | None = None
) -> tuple[Float32, dict[int, str]]:
    """Return the cells of an array of numbers or truth values, shape (N, width), and what is wrong, by index.

    Numbers of a category or date are its digits, so each distinct one is converted on its own.

    Args:
        converter: of the feature, which is no number itself.
        values: shape (N,).
        bits: significant bits of floats that have fewer than those of the array.
    """
    if isinstance(converter, NumberConverter):
        raise TypeError("numbers are their own cells")
    distinct, places = np.unique(values, return_inverse=True)
    exact = math.inf
    if distinct.dtype.kind == "f" and distinct.dtype.itemsize < 8:  # the shortest digits of this precision
        listed: list[Any] = [float(str(value)) for value in distinct]
        exact = 2.0 ** (bits or np.finfo(distinct.dtype).nmant + 1)
    else:
        listed = distinct.tolist()
    found = [
        converter.cell(None if isinstance(value, float) and math.isnan(value) else as_whole(value)) for value in listed
    ]
    for place, value in enumerate(listed):
        if abs(value) >= exact and not isinstance(found[place], str):
            found[place] = _DIGITS_LOST
    return take(found, places, converter.width)
