"""Texts of numbers: each reading takes its own and no other."""

from __future__ import annotations

import math

import hypothesis
import pytest
from hypothesis import strategies as st

from modelstore.numbers import READINGS, describe_reading, parse_number
from tests.properties import examples


@pytest.mark.parametrize(
    ("text", "reading", "value"),
    [
        ("-1.5e3", "plain", -1500.0),
        ("1,234.5", "grouped_comma", 1234.5),
        ("1,234", "decimal_comma", 1.234),
        ("-,5E-1", "decimal_comma", -0.05),
        ("1.234,5", "grouped_point", 1234.5),
        ("1\u202f234,5", "grouped_space_comma", 1234.5),
        ("1'234.5", "grouped_space", 1234.5),
        ("56 %", "plain %", 56.0),
        ("$1,234.00", "grouped_comma $", 1234.0),
        ("-$5", "plain $", -5.0),
        ("$ -5", "plain $", -5.0),
        ("5 \u20ac", "plain \u20ac", 5.0),
        ("7", "plain \u20ac", 7.0),
        ("$56.7M", "plain $", 56.7e6),
    ],
)
def test_a_reading_gives_the_number(text: str, reading: str, value: float) -> None:
    assert parse_number(text, reading) == value


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        ("1,5", "plain"),
        ("1,5", "grouped_comma"),
        ("12,34,567", "grouped_comma"),
        ("1.5", "decimal_comma"),
        ("1.5", "grouped_point"),
        ("15", "plain %"),
        ("15%%", "plain %"),
        ("\u20ac5", "plain $"),
        ("$$5", "plain $"),
        ("5M", "plain $"),
        ("1_000", "plain"),
        ("\u0663", "plain"),
        ("nan", "plain"),
        ("inf", "plain"),
        ("1e999", "plain"),
        ("- 5", "plain"),
        ("$", "plain $"),
        ("", "plain"),
    ],
)
def test_what_is_written_otherwise_is_none(text: str, reading: str) -> None:
    assert parse_number(text, reading) is None


@examples(35)
@hypothesis.given(st.floats(allow_nan=False, allow_infinity=False))
def test_plain_numbers_are_read_as_float_does(value: float) -> None:
    assert parse_number(repr(value)) == value


@examples(35)
@hypothesis.given(st.text("0123456789.,' -+$%eM\u20ac", max_size=12), st.sampled_from(READINGS))
def test_any_text_is_a_finite_number_or_none(text: str, reading: str) -> None:
    value = parse_number(text, reading)

    assert value is None or math.isfinite(value)


def test_each_reading_is_described() -> None:
    assert len({describe_reading(reading) for reading in READINGS}) == len(READINGS)
