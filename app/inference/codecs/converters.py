"""Convert the values of a feature to its cells, or say what is wrong with a value.

Each converter has a quick way for many values and a precise way for one; they give the same bits for the same values.
This module must not know how a format arranges its values, nor HTTP or torch.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from app.inference.codecs.categories import BooleanConverter, CategoryConverter
from app.inference.codecs.columns import (
    NAN,
    NUMBERS,
    OUT_OF_RANGE,
    Cells,
    convert_one_by_one,
    float_of_text,
    floats_of_fields,
    json_type,
    round_number,
)
from app.schema import Float32, ModelSchema
from modelstore import BooleanFeature, CategoricalFeature, DatetimeFeature, Feature, NumericFeature
from modelstore.dates import DIGITS, ISO, parse_date
from modelstore.numbers import PLAIN, parse_number

FLOAT32_MAX = float(np.finfo(np.float32).max)
FIRST_DAY, LAST_DAY = -719_163, 2_932_897  # a day more than the years 1 to 9999, because of offsets from UTC

_DATES_KEPT = 65_536
_LONGEST_DATE = 64
_AMBIGUOUS_POINT = "grouped_point"  # 1.234 is 1234 there, so 1.5 is no number


class Converter(Protocol):
    """What every type of feature can do.

    Attributes:
        width: cells of a value.
        least: smallest valid cell that is not missing, for each cell.
        most: largest valid cell.
        whole: whether cells must be whole numbers.
        expected: what the cells must be, for messages.
    """

    width: int
    least: Cells
    most: Cells
    whole: bool
    expected: str

    def cell(self, value: object) -> Cells | str:
        """Return the cells of a value parsed from JSON, or what is wrong with it."""

    def cell_of_text(self, text: str) -> Cells | str:
        """Return the cells of a field of text, or what is wrong with it."""

    def cells(self, values: Sequence[Any]) -> Float32 | None:
        """Return the cells of values parsed from JSON, shape (N, width); None if any is invalid."""

    def cells_of_texts(self, texts: Sequence[str]) -> Float32 | None:
        """Return the cells of fields of text, shape (N, width); None if any is invalid."""


class NumberConverter:
    """A number is its own cell. Text is read as the training file's cells were, and not taken for a plain number."""

    width = 1
    least: Cells = (-FLOAT32_MAX,)
    most: Cells = (FLOAT32_MAX,)
    whole = False
    expected = OUT_OF_RANGE

    def __init__(self, feature: NumericFeature, schema: ModelSchema) -> None:
        self._missing = schema.missing_values if schema.takes_missing else frozenset[str]()
        self._takes_missing = schema.takes_missing
        self._reading = feature.reading
        self._has_commas = feature.reading == PLAIN and schema.dialect.decimal == ","
        self._advice = "; send numbers without quotes" + (", and null where one is missing" * schema.takes_missing)

    def cell(self, value: object) -> Cells | str:
        """Return the cell of a value parsed from JSON, or what is wrong with it."""
        if value is None and self._takes_missing:
            return (NAN,)
        if isinstance(value, str):
            if value.strip() in self._missing:
                return (NAN,)
            if self._reading != PLAIN:
                return self.cell_of_text(value)
            return "must be a number, got a string" + self._advice
        found = NUMBERS.float_of(value)
        return found if isinstance(found, str) else (found,)

    def cell_of_text(self, text: str) -> Cells | str:
        """Return the cell of a field of text, or what is wrong with it."""
        stripped = text.strip()
        if stripped in self._missing:
            return (NAN,)
        value = None if self._reading == PLAIN else parse_number(stripped, self._reading)
        if value is not None:
            found = round_number(value)
        elif self._reading.startswith(_AMBIGUOUS_POINT):
            return "must be a number with a decimal comma, as in the training file, got other text"
        else:
            found = float_of_text(self._with_point(text))
        return found if isinstance(found, str) else (found,)

    def cells(self, values: Sequence[Any]) -> Float32 | None:
        """Return the cells of values parsed from JSON, shape (N, 1); None if any is invalid."""
        x = NUMBERS.floats_or_gaps(values) if self._takes_missing else NUMBERS.floats(values)
        if x is None and self._takes_missing and str in set(map(type, values)):
            return convert_one_by_one(self.cell, values, 1)
        return None if x is None else x.reshape(-1, 1)

    def cells_of_texts(self, texts: Sequence[str]) -> Float32 | None:
        """Return the cells of fields of text, shape (N, 1); None if any is invalid."""
        if self._reading == PLAIN and not self._has_commas:
            x = floats_of_fields(texts, self._missing)
            if x is not None:
                return x.reshape(-1, 1)
        return convert_one_by_one(self.cell_of_text, texts, 1)

    def _with_point(self, text: str) -> str:
        """Return a number as text with a decimal point, where the training file has decimal commas."""
        return text.replace(",", ".") if self._has_commas and "." not in text else text


class DateConverter:
    """A date or time is its days since 1970-01-01 and the seconds of that day, without fractions."""

    width = 2
    least: Cells = (FIRST_DAY, 0)
    most: Cells = (LAST_DAY, 86_399)
    whole = True
    expected = "must be whole days since 1970-01-01 and seconds of the day, or missing"

    def __init__(self, feature: DatetimeFeature, schema: ModelSchema) -> None:
        self._missing = schema.missing_values
        self._format = feature.format
        own = "" if feature.format == ISO else f", or as {feature.format}"
        self._must = f"must be a date or time in ISO 8601, such as {feature.max}{own}"

    def cell(self, value: object) -> Cells | str:
        """Return the cells of a value parsed from JSON, or what is wrong with it."""
        if isinstance(value, str):
            return self.cell_of_text(value)
        if type(value) in (int, float) and self._format == DIGITS:  # pandas has floats beside gaps
            return self.cell_of_text(str(value))
        return (NAN, NAN) if value is None else f"{self._must}, got {json_type(value)}"

    def cell_of_text(self, text: str) -> Cells | str:
        """Return the cells of a field of text, or what is wrong with it."""
        stripped = text.strip()
        if stripped in self._missing:
            return (NAN, NAN)
        found = _date(stripped, self._format) if len(stripped) <= _LONGEST_DATE else None
        return found or f"{self._must}, got {'other text' if stripped else 'an empty field'}"

    def cells(self, values: Sequence[Any]) -> Float32 | None:
        """Return the cells of values parsed from JSON, shape (N, 2); None if any is invalid."""
        return convert_one_by_one(self.cell, values, 2)

    def cells_of_texts(self, texts: Sequence[str]) -> Float32 | None:
        """Return the cells of fields of text, shape (N, 2); None if any is invalid."""
        return convert_one_by_one(self.cell_of_text, texts, 2)


def converter_of(feature: Feature, schema: ModelSchema) -> Converter:
    """Return the converter of a feature."""
    if isinstance(feature, NumericFeature):
        return NumberConverter(feature, schema)
    if isinstance(feature, CategoricalFeature):
        return CategoryConverter(feature, schema)
    if isinstance(feature, BooleanFeature):
        return BooleanConverter(feature, schema)
    return DateConverter(feature, schema)


def example_row(schema: ModelSchema, cells: Float32) -> list[object]:
    """Return values that stand for the cells of a row, shape (W,), as JSON has them."""
    row: list[object] = []
    for feature, start in zip(schema.types, schema.starts, strict=True):
        cell = float(cells[start])
        if math.isnan(cell):
            row.append(None)
        elif isinstance(feature, CategoricalFeature):
            known = list(feature.categories)
            row.append(known[int(cell)] if cell < len(known) else "\N{REPLACEMENT CHARACTER}")
        elif isinstance(feature, BooleanFeature):
            row.append(cell == 1)
        elif isinstance(feature, DatetimeFeature):
            time = np.datetime64(int(cell), "D") + np.timedelta64(int(cells[start + 1]), "s")
            row.append(str(time))
        else:
            row.append(cell)
    return row


@functools.lru_cache(maxsize=_DATES_KEPT)
def _date(text: str, format_: str) -> Cells | None:
    return parse_date(text, format_)
