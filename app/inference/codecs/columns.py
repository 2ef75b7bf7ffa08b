"""Convert the values of a column to float32, or say what is wrong with a value.

Each form of values (Python objects, text, arrays) has a quick way for many values and a precise way for one; they give
the same bits for the same values. A block of rows in which all columns are numbers may be converted as one long column.
This module must not know how a format arranges its values, nor HTTP or torch.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import orjson

from app.schema import Float32

Cells = tuple[float, ...]
"""The cells of one value, as many as its feature has."""

NAN = math.nan
OUT_OF_RANGE = "must be a finite number within float32, at most 3.4e38 either way"

_FLOAT32 = struct.Struct("<f")
_STEP_VALUES = 65_536  # between steps other threads can run
_BLOCK_VALUES = 4096
_NUMBERS = frozenset((int, float))
_TYPE_NAMES = {str: "a string", bool: "a boolean", type(None): "null", dict: "an object", list: "an array"}


def json_type(value: object) -> str:
    """Return the name of a JSON value's type, for messages."""
    return _TYPE_NAMES.get(type(value), "a number")


@dataclass(frozen=True, slots=True)
class ValueColumn:
    """A column of numbers that come as Python objects, parsed from JSON.

    Attributes:
        expected: what a value must be, for messages.
        types: types of valid values; `bool` is no `int` here.
        limits: smallest and largest valid value; None if the range of float32 is the only limit.
    """

    expected: str
    types: frozenset[type]
    limits: tuple[int, int] | None = None

    def floats(self, values: Sequence[Any]) -> Float32 | None:
        """Return the values as float32, shape (N,), all finite; None if any value is invalid."""
        if len(values) > _STEP_VALUES:
            return _in_steps(self.floats, values)
        if self.types.issuperset(map(type, values)) and (self.limits is None or _within(self.limits, values)):
            x = _pack(values)
            return x if x is None or all_finite(x) else None
        return None

    def floats_or_gaps(self, values: Sequence[Any]) -> Float32 | None:
        """Return the values as float32, shape (N,), NaN in place of None; None if any other value is invalid."""
        if len(values) > _STEP_VALUES:
            return _in_steps(self.floats_or_gaps, values)
        if (x := self.floats(values)) is not None:
            return x
        present = [value for value in values if value is not None]
        if len(present) == len(values) or self.floats(present) is None:
            return None
        return _pack([NAN if value is None else value for value in values])

    def float_of(self, value: object) -> float | str:
        """Return one value, rounded to float32, or what is wrong with it."""
        if type(value) in self.types and (self.limits is None or _within(self.limits, (value,))):
            return round_number(cast("float", value))
        got = "another number" if type(value) in _NUMBERS else json_type(value)
        return f"must be {self.expected}, got {got}"


def _in_steps(convert: Callable[[Sequence[Any]], Float32 | None], values: Sequence[Any]) -> Float32 | None:
    parts = []
    for start in range(0, len(values), _STEP_VALUES):
        if (x := convert(values[start : start + _STEP_VALUES])) is None:
            return None
        parts.append(x)
    return np.concatenate(parts)


NUMBERS = ValueColumn("a number", _NUMBERS)


def find_problems(
    values: Sequence[Any], together: Callable[[Sequence[Any]], Float32 | None], alone: Callable[[Any], object]
) -> Iterator[tuple[int, str]]:
    """Yield the index of each invalid value and what is wrong with it; skip valid stretches quickly.

    Args:
        values: the values of a column.
        together: the quick way for many values; returns None if any is invalid.
        alone: the precise way for one value; returns what is wrong with it as a `str`.
    """
    for start in range(0, len(values), _BLOCK_VALUES):
        block = values[start : start + _BLOCK_VALUES]
        if len(block) > 1 and together(block) is not None:
            continue
        for index, value in enumerate(block, start):
            if isinstance(found := alone(value), str):
                yield index, found


def _within(limits: tuple[int, int], values: Sequence[Any]) -> bool:
    return not values or bool(limits[0] <= min(values) and max(values) <= limits[1])


def _pack(values: Sequence[float]) -> Float32 | None:
    """Return numbers as float32, or None if one is beyond it; twice as fast as any way through NumPy."""
    buffer = bytearray(4 * len(values))
    try:
        struct.pack_into(f"{len(values)}f", buffer, 0, *values)
    except (struct.error, OverflowError):
        return None
    return np.frombuffer(buffer, dtype=np.float32)


def round_number(value: float) -> float | str:
    """Return a number rounded to float32, or what is wrong with it."""
    try:
        (found,) = _FLOAT32.unpack(_FLOAT32.pack(value))
    except (struct.error, OverflowError):  # an integer beyond float64, a number beyond float32
        return OUT_OF_RANGE
    return found if math.isfinite(found) else OUT_OF_RANGE


def floats_of_text(text: bytes) -> Float32 | None:
    """Return comma-separated numbers as float32, shape (N,), all finite.

    None means that a field is not written as a JSON number; `float_of_text` decides whether it is a number nonetheless.
    """
    try:
        values = orjson.loads(b"[%b]" % text)
    except orjson.JSONDecodeError:
        return None
    return NUMBERS.floats(values) if values else None  # blank text is one empty field


def floats_of_fields(fields: Sequence[str], missing: frozenset[str]) -> Float32 | None:
    """Return fields of text as float32, shape (N,), NaN where a field is one of the missing texts.

    None means the same as in `floats_of_text`.
    """
    if not missing:
        x = floats_of_text(",".join(fields).encode())
        return x if x is not None and len(x) == len(fields) else None
    written = ["null" if field.strip() in missing else field for field in fields]
    if "null" not in missing and any("null" in field for field in fields):
        return None
    try:
        values = orjson.loads(f"[{','.join(written)}]")
    except orjson.JSONDecodeError:
        return None
    return NUMBERS.floats_or_gaps(values) if len(values) == len(fields) else None


def float_of_text(field: str) -> float | str:
    """Return the number that a field of text stands for, rounded to float32, or what is wrong with the field."""
    text = field.strip()
    only_python = "_" in text or not text.isascii()  # float() accepts 1_0, and digits of any script
    try:
        return round_number(float("" if only_python else text))
    except ValueError:
        return f"must be a number, got {'text' if text else 'an empty field'}"


def floats_of_array(values: np.ndarray[Any, Any]) -> Float32:
    """Return an array of numbers as float32, without a copy if possible; values out of range become infinite."""
    if values.dtype.itemsize < 8:
        return values.astype(np.float32, copy=False)
    with np.errstate(over="ignore", invalid="ignore"):
        return _as_parsed(values).astype(np.float32, copy=False)


def rows_of_arrays(columns: Iterable[np.ndarray[Any, Any]], shape: tuple[int, int]) -> Float32:
    """Return arrays of numbers as the columns of rows, float32, shape (N, F); values out of range become infinite."""
    x = np.empty(shape, dtype=np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        for column, values in enumerate(columns):
            x[:, column] = _as_parsed(values)
    return x


def _as_parsed(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Round integers of 64 bits to float64 first, as integers parsed from text are on their way to float32."""
    return values.astype(np.float64) if values.dtype.kind in "iu" and values.dtype.itemsize == 8 else values


def all_finite(values: Float32) -> bool:
    """Return whether all values are finite; for few values twice as fast as `np.isfinite(values).all()`."""
    return b"\0" not in np.isfinite(values).tobytes()


def convert_one_by_one(convert: Callable[[Any], Cells | str], values: Sequence[Any], width: int) -> Float32 | None:
    """Return the cells of values that are converted one by one, shape (N, width); None if any is invalid."""
    found = []
    for value in values:
        cells = convert(value)
        if isinstance(cells, str):
            return None
        found.append(cells)
    return np.array(found, dtype=np.float32).reshape(-1, width)
