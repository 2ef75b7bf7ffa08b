"""The quick way and the precise way of each form of values hold to each other, and to NumPy."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from app.inference.codecs.columns import (
    NUMBERS,
    OUT_OF_RANGE,
    ValueColumn,
    find_problems,
    float_of_text,
    floats_of_array,
    floats_of_text,
    rows_of_arrays,
)
from app.schema import Float32
from tests.properties import examples

FLOAT32_MAX = float(np.finfo(np.float32).max)
ROUNDS_TO_INFINITY = 2.0**128 - 2.0**103  # half a step above the largest float32
INT8 = ValueColumn("values of INT8", frozenset((int,)), (-128, 127))
BOOL = ValueColumn("values of BOOL", frozenset((int, bool)), (0, 1))
COLUMNS = {"numbers": NUMBERS, "INT8": INT8, "BOOL": BOOL}

edges = st.sampled_from(
    [
        *(0, -0.0, 1, 127, 128, -128, -129, 2**24 + 1, 2**53 + 1, 2**63, 2**64 + 1, -(2**70), 10**38, 10**39, 10**400),
        *(FLOAT32_MAX, -FLOAT32_MAX, ROUNDS_TO_INFINITY, float(np.nextafter(ROUNDS_TO_INFINITY, 0)), 1e39, 1e308),
        *(5e-324, 1e-46, 1.4e-45, 7.0064923216240862e-46, float(np.finfo(np.float32).tiny), 1 + 2**-24, 1 + 2**-23),
        *(float("nan"), float("inf"), -float("inf")),
    ]
)
numbers = edges | st.integers() | st.integers(-(2**130), 2**130) | st.floats() | st.floats(width=32)
others = st.recursive(
    st.none() | st.booleans() | st.text(max_size=4) | st.sampled_from(["1", " 1 ", "1_0", "1,5", "NaN", "1e3", ""]),
    lambda children: st.lists(children | numbers, max_size=2) | st.dictionaries(st.text(max_size=2), children),
    max_leaves=4,
)


def float32_of(value: float) -> float | None:
    """Return the nearest float32, by NumPy; None if it is not finite."""
    try:
        with np.errstate(over="ignore"):
            rounded = np.float32(float(value))
    except OverflowError:
        return None
    return float(rounded) if np.isfinite(rounded) else None


def bits(values: Sequence[Any] | Float32) -> bytes:
    return np.array(values, dtype=np.float32).tobytes()


@pytest.mark.slow
@pytest.mark.parametrize("column", COLUMNS.values(), ids=COLUMNS.keys())
@examples(40)
@hypothesis.given(st.lists(numbers | others, max_size=6) | st.lists(numbers, max_size=6) | st.lists(st.integers(-1, 2)))
def test_values_are_judged_alike_together_and_alone(column: ValueColumn, values: list[Any]) -> None:
    alone = [column.float_of(value) for value in values]
    wrong = [(place, found) for place, found in enumerate(alone) if isinstance(found, str)]

    together = column.floats(values)

    assert list(find_problems(values, column.floats, column.float_of)) == wrong
    assert (together is None) == bool(wrong)
    if together is not None:
        assert together.dtype == np.float32
        assert together.tobytes() == bits(alone)


@pytest.mark.slow
@pytest.mark.parametrize("column", COLUMNS.values(), ids=COLUMNS.keys())
@examples(40)
@hypothesis.given(st.lists(st.none() | st.integers(-1, 2) | numbers, max_size=6))
def test_gaps_between_values_leave_each_as_it_is_alone(column: ValueColumn, values: list[Any]) -> None:
    alone = [np.nan if value is None else column.float_of(value) for value in values]

    together = column.floats_or_gaps(values)

    assert (together is None) == any(isinstance(found, str) for found in alone)
    if together is not None:
        assert together.tobytes() == bits(alone)


@pytest.mark.slow
@examples(100)
@hypothesis.given(numbers)
def test_number_is_the_nearest_float32_in_every_form(value: float) -> None:
    expected = float32_of(value)
    text = json.dumps(value)

    found, by_text, quick = NUMBERS.float_of(value), float_of_text(text), floats_of_text(text.encode())

    if expected is None:
        assert found == by_text == OUT_OF_RANGE
        assert quick is None
    else:
        assert bits([found]) == bits([by_text]) == bits([expected])
        assert quick is not None
        assert quick.tobytes() == bits([expected])


@pytest.mark.parametrize(
    ("value", "got"),
    [("1", "a string"), (True, "a boolean"), (None, "null"), ([1], "an array"), ({"a": 1}, "an object")],
)
def test_value_that_is_no_number_is_named_by_its_type(value: object, got: str) -> None:
    assert NUMBERS.float_of(value) == f"must be a number, got {got}"


@pytest.mark.parametrize(
    ("column", "value"), [(INT8, 128), (INT8, 1.0), (BOOL, 2), (BOOL, 0.5)], ids=["size", "float", "two", "half"]
)
def test_number_outside_of_the_datatype_is_another_number(column: ValueColumn, value: float) -> None:
    assert column.float_of(value) == f"must be {column.expected}, got another number"


@pytest.mark.parametrize("place", [0, 4095, 4096, 65_535, 65_536, 131_999])
def test_invalid_value_is_found_wherever_it_is_in_a_long_column(place: int) -> None:
    values: list[Any] = [0.5] * 132_000
    values[place] = None

    assert NUMBERS.floats(values) is None
    assert list(find_problems(values, NUMBERS.floats, NUMBERS.float_of)) == [(place, "must be a number, got null")]


def test_long_column_is_the_same_numbers_as_a_short_one() -> None:
    values = np.random.default_rng(1).normal(size=132_000).tolist()

    found = NUMBERS.floats(values)

    assert found is not None
    assert found.tobytes() == bits(values)


def test_long_column_with_gaps_is_the_same_numbers_as_a_short_one() -> None:
    values = [None if place % 7 == 3 else place / 3 for place in range(132_000)]

    found = NUMBERS.floats_or_gaps(values)

    assert found is not None
    assert found.tobytes() == bits([np.nan if value is None else value for value in values])
    assert NUMBERS.floats_or_gaps([*values, "1"]) is None


fields = numbers.map(str) | numbers.map(json.dumps) | st.text(alphabet="0123456789.eE+-_, \t\u0661naif", max_size=6)


@pytest.mark.slow
@examples(100)
@hypothesis.given(st.lists(fields | st.sampled_from(["true", "null", "[1]", '"1"', " 1 ", "1_0", "1,5"]), min_size=1))
def test_text_that_the_quick_way_takes_is_the_same_numbers_field_by_field(listed: list[str]) -> None:
    text = ",".join(listed)

    together = floats_of_text(text.encode())

    if together is not None:
        assert together.tobytes() == bits([float_of_text(field) for field in text.split(",")])


@pytest.mark.parametrize(
    ("field", "problem"),
    [
        ("", "must be a number, got an empty field"),
        (" \t", "must be a number, got an empty field"),
        ("1,5", "must be a number, got text"),
        ("1_0", "must be a number, got text"),
        ("\u0661", "must be a number, got text"),
        ("true", "must be a number, got text"),
        ("inf", OUT_OF_RANGE),
        ("nan", OUT_OF_RANGE),
        ("1e39", OUT_OF_RANGE),
    ],
)
def test_field_that_is_no_number_is_told_from_one_out_of_range(field: str, problem: str) -> None:
    assert float_of_text(field) == problem


WHOLE_KINDS = ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8")
FLOAT_KINDS = ("f2", "f4", "f8")


def assert_same_alone(array: np.ndarray[Any, Any]) -> None:
    found, in_rows = floats_of_array(array), rows_of_arrays([array, array], (len(array), 2))

    assert found.dtype == np.float32
    assert in_rows.tobytes() == np.stack([found, found], axis=1).tobytes()
    for value, together in zip(array.tolist(), found, strict=True):
        alone = NUMBERS.float_of(value)
        assert bits([alone]) == bits([together]) if np.isfinite(together) else alone == OUT_OF_RANGE


@pytest.mark.parametrize("kind", WHOLE_KINDS)
@examples(20)
@hypothesis.given(st.data())
def test_arrays_of_whole_numbers_are_the_same_numbers_as_their_values(kind: str, data: st.DataObject) -> None:
    limits = np.iinfo(kind)
    values = data.draw(st.lists(st.integers(int(limits.min), int(limits.max)), min_size=1, max_size=8))

    assert_same_alone(np.array(values, dtype=kind))


@pytest.mark.parametrize("value", [2**54 + 2**30 + 1, 2**63 - 2**38 - 1, 2**60 + 2**36 + 1])
def test_whole_number_that_float64_does_not_hold_is_rounded_in_arrays_as_in_text(value: int) -> None:
    (found,) = floats_of_array(np.array([value]))

    assert found == float_of_text(str(value)) == NUMBERS.float_of(value)


@pytest.mark.parametrize("kind", FLOAT_KINDS)
@examples(20)
@hypothesis.given(st.lists(st.floats() | st.floats(width=32) | st.floats(width=16), min_size=1, max_size=8))
def test_arrays_of_floats_are_the_same_numbers_as_their_values(kind: str, values: list[float]) -> None:
    with np.errstate(over="ignore"):
        assert_same_alone(np.array(values).astype(kind))


def test_array_of_float32_is_not_copied() -> None:
    x = np.ones(3, dtype=np.float32)

    assert floats_of_array(x) is x
