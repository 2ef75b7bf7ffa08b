"""Convert the values of a feature to its cells, or say what is wrong with a value: one converter a feature.

Each converter has a quick way for many values and a precise way for one; they give the same bits for the same values.
This module must not know how a format arranges its values, nor HTTP or torch.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from app.inference.codecs.columns import (
    NUMBERS,
    OUT_OF_RANGE,
    float_of_text,
    floats_of_fields,
    floats_with_gaps,
    json_type,
    round_number,
)
from app.schema import Float32, ModelSchema
from modelstore import BooleanFeature, CategoricalFeature, DatetimeFeature, Feature, NumericFeature
from modelstore.dates import ISO, parse_date
from modelstore.numbers import PLAIN, parse_number

Cells = tuple[float, ...]

NAN = math.nan
FLOAT32_MAX = float(np.finfo(np.float32).max)
FIRST_DAY, LAST_DAY = -719_163, 2_932_897  # a day more than the years 1 to 9999, because of offsets from UTC

_BLOCK_VALUES = 4096
_DATES_KEPT = 65_536
_LONGEST_DATE = 64
_WHOLE = re.compile(r"-?\d+", re.ASCII)
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
        ...

    def cell_of_text(self, text: str) -> Cells | str:
        """Return the cells of a field of text, or what is wrong with it."""
        ...

    def cells(self, values: Sequence[Any]) -> Float32 | None:
        """Return the cells of values parsed from JSON, shape (N, width); None if any is invalid."""
        ...

    def cells_of_texts(self, texts: Sequence[str]) -> Float32 | None:
        """Return the cells of fields of text, shape (N, width); None if any is invalid."""
        ...


class NumberConverter:
    """A number is its own cell. Text is read as the training file's cells were, and not taken for a plain number."""

    width = 1
    least: Cells = (-FLOAT32_MAX,)
    most: Cells = (FLOAT32_MAX,)
    whole = False

    def __init__(self, feature: NumericFeature, schema: ModelSchema) -> None:
        self._missing = schema.missing_values if schema.takes_missing else frozenset[str]()
        self._takes_missing = schema.takes_missing
        self._reading = feature.reading
        self.expected = "must be a finite number" + (" or missing" if schema.takes_missing else "")

    def cell(self, value: object) -> Cells | str:
        """Return the cell of a value parsed from JSON, or what is wrong with it."""
        if value is None and self._takes_missing:
            return (NAN,)
        if isinstance(value, str):
            if value.strip() in self._missing:
                return (NAN,)
            if self._reading != PLAIN:
                return self.cell_of_text(value)
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
            found = float_of_text(text)
        return found if isinstance(found, str) else (found,)

    def cells(self, values: Sequence[Any]) -> Float32 | None:
        """Return the cells of values parsed from JSON, shape (N, 1); None if any is invalid."""
        x = NUMBERS.floats(values)
        if x is None and self._takes_missing:
            x = floats_with_gaps(values)
            if x is None and str in set(map(type, values)):
                return _one_by_one(self.cell, values, 1)
        return None if x is None else x.reshape(-1, 1)

    def cells_of_texts(self, texts: Sequence[str]) -> Float32 | None:
        """Return the cells of fields of text, shape (N, 1); None if any is invalid."""
        if self._reading == PLAIN:
            x = floats_of_fields(texts, self._missing)
            if x is not None:
                return x.reshape(-1, 1)
        return _one_by_one(self.cell_of_text, texts, 1)


class _KnownValues:
    """Look up values in a table; a value that is not in it is judged on its own.

    Attributes:
        table: cell of each known value. Of numbers, only 0 and 1 may be keys, as they are equal to false and true.
    """

    width = 1
    whole = True
    least: Cells = (0.0,)
    most: Cells
    expected: str

    def __init__(self, table: dict[object, float]) -> None:
        self.table = table

    def cell(self, value: object) -> Cells | str:
        """Return the cell of a value parsed from JSON, or what is wrong with it."""
        raise NotImplementedError

    def cell_of_text(self, text: str) -> Cells | str:
        """Return the cell of a field of text, or what is wrong with it."""
        raise NotImplementedError

    def cells(self, values: Sequence[Any]) -> Float32 | None:
        """Return the cells of values parsed from JSON, shape (N, 1); None if any is invalid."""
        return self._look_up(values, self.cell)

    def cells_of_texts(self, texts: Sequence[str]) -> Float32 | None:
        """Return the cells of fields of text, shape (N, 1); None if any is invalid."""
        return self._look_up(texts, self.cell_of_text)

    def _look_up(self, values: Sequence[Any], judge: Any) -> Float32 | None:
        try:
            found = list(map(self.table.get, values))
        except TypeError:  # arrays and objects have no hash
            return _one_by_one(judge, values, 1)
        if None in found:
            for place, cell in enumerate(found):
                if cell is None:
                    judged = judge(values[place])
                    if isinstance(judged, str):
                        return None
                    (found[place],) = judged
        return np.array(found, dtype=np.float32).reshape(-1, 1)


class CategoryConverter(_KnownValues):
    """A text is the code of its category; a value that is no category has the code after the last."""

    def __init__(self, feature: CategoricalFeature, schema: ModelSchema) -> None:
        known: dict[object, float] = {None: NAN, **dict.fromkeys(schema.missing_values, NAN)}
        codes = {category: float(code) for code, category in enumerate(feature.categories)}
        super().__init__(known | {same: code for text, code in codes.items() for same in _same(text)} | codes)
        self._other = float(len(codes))
        self.most = (self._other,)
        self.expected = f"must be a code from 0 to {len(codes)} or missing"

    def cell(self, value: object) -> Cells | str:
        """Return the cell of a value parsed from JSON, or what is wrong with it."""
        if isinstance(value, str):
            return self.cell_of_text(value)
        if value is None:
            return (NAN,)
        if isinstance(value, bool):
            return self.cell_of_text("true" if value else "false")
        if isinstance(value, int | float):
            return self.cell_of_text(_digits(value)) if math.isfinite(value) else OUT_OF_RANGE
        return f"must be a text, a number, true, false or null, got {json_type(value)}"

    def cell_of_text(self, text: str) -> Cells | str:
        """Return the cell of a field of text; every text is valid."""
        return (self.table.get(text.strip(), self._other),)


class BooleanConverter(_KnownValues):
    """One of two values, as in the training file or as JSON has them."""

    most: Cells = (1.0,)
    expected = "must be 0, 1 or missing"

    def __init__(self, feature: BooleanFeature, schema: ModelSchema) -> None:
        words = {"true": 1.0, "false": 0.0, "1": 1.0, "0": 0.0, "1.0": 1.0, "0.0": 0.0}
        words |= {text.casefold(): 0.0 for text in feature.false_values}
        words |= {text.casefold(): 1.0 for text in feature.true_values}
        missing: dict[object, float] = dict.fromkeys(schema.missing_values, NAN)
        as_written: dict[object, float] = dict.fromkeys(feature.false_values, 0.0)
        as_written |= dict.fromkeys(feature.true_values, 1.0)
        super().__init__({True: 1.0, False: 0.0, None: NAN} | missing | as_written)
        self._words = words
        self._must = f"must be {feature.true_values[0]} or {feature.false_values[0]} (or true, false, null)"

    def cell(self, value: object) -> Cells | str:
        """Return the cell of a value parsed from JSON, or what is wrong with it."""
        if isinstance(value, str):
            return self.cell_of_text(value)
        if value is None or (isinstance(value, int | float) and value in (0, 1)):
            return (self.table[value],)
        return f"{self._must}, got {'another number' if isinstance(value, int | float) else json_type(value)}"

    def cell_of_text(self, text: str) -> Cells | str:
        """Return the cell of a field of text, or what is wrong with it."""
        stripped = text.strip()
        found = self.table.get(stripped)
        if found is None:
            found = self._words.get(stripped.casefold())
        return f"{self._must}, got {'other text' if stripped else 'an empty field'}" if found is None else (found,)


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
        return _one_by_one(self.cell, values, 2)

    def cells_of_texts(self, texts: Sequence[str]) -> Float32 | None:
        """Return the cells of fields of text, shape (N, 2); None if any is invalid."""
        return _one_by_one(self.cell_of_text, texts, 2)


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


def problems(converter: Converter, values: Sequence[Any]) -> Iterator[tuple[int, str]]:
    """Yield the index of each invalid value and what is wrong with it; skip valid stretches quickly."""
    for start in range(0, len(values), _BLOCK_VALUES):
        block = values[start : start + _BLOCK_VALUES]
        if len(block) > 1 and converter.cells(block) is not None:
            continue
        for index, value in enumerate(block, start):
            if isinstance(found := converter.cell(value), str):
                yield index, found


def _one_by_one(judge: Any, values: Sequence[Any], width: int) -> Float32 | None:
    found = []
    for value in values:
        cells = judge(value)
        if isinstance(cells, str):
            return None
        found.append(cells)
    return np.array(found, dtype=np.float32).reshape(-1, width)


@functools.lru_cache(maxsize=_DATES_KEPT)
def _date(text: str, format_: str) -> Cells | None:
    return parse_date(text, format_)


def _digits(value: float) -> str:
    """Return a number as a category: 2.0 is `2`."""
    return str(int(value)) if value == int(value) else repr(value)


def _same(text: str) -> tuple[str, ...]:
    """Return other texts for the same number or truth value: pandas writes 2.0 for 2 in a column with gaps."""
    if _WHOLE.fullmatch(text):
        return (f"{text}.0",)
    if text.endswith(".0") and _WHOLE.fullmatch(text[:-2]):
        return (text[:-2],)
    return (text.lower(),) if text.lower() in ("true", "false") else ()
