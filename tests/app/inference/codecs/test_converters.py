"""One converter a feature: the quick and the precise way agree, in values and in text."""

from __future__ import annotations

from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from app.inference.codecs.columns import find_problems
from app.inference.codecs.converters import Converter, converter_of, example_row
from app.inference.codecs.strict_json import as_whole
from app.schema import ModelSchema
from modelstore import DatetimeFeature, Dialect, Feature, NumericFeature
from modelstore.dialect import USUAL
from tests.app.typed import FEATURES, NAMES, typed_schema
from tests.properties import examples

SCHEMA = typed_schema()
CONVERTERS = {feature.name: converter_of(feature, SCHEMA) for feature in FEATURES}

HARD = """,  ,NA,null,basic, basic ,2,2.0,yes,YES,No,1,true,1e3,inf,nan,[1,2024-02-29,2024-02-30,2024-02-29T23:59:59Z,
2024-02-29 01:00:00+02:00,29/02/2024""".replace("\n", "").split(",")
texts = st.text(max_size=6) | st.sampled_from([*HARD, "$1,234.50", "1,2"])
floats = st.floats().map(as_whole)  # as they are parsed strictly
values = st.none() | st.booleans() | st.integers() | floats | texts | st.lists(st.none(), max_size=1)


@pytest.mark.parametrize("name", NAMES)
@examples(100)
@hypothesis.given(st.lists(values, max_size=5))
def test_values_are_judged_alike_together_and_alone(name: str, values: list[Any]) -> None:
    converter = CONVERTERS[name]
    alone = [converter.cell(value) for value in values]
    wrong = [(place, found) for place, found in enumerate(alone) if isinstance(found, str)]

    together = converter.cells(values)

    assert list(find_problems(values, converter.cells, converter.cell)) == wrong
    assert (together is None) == bool(wrong)
    if together is not None:
        assert together.tobytes() == np.array(alone, dtype=np.float32).reshape(-1, converter.width).tobytes()


@pytest.mark.parametrize("name", NAMES)
@examples(100)
@hypothesis.given(st.lists(texts, min_size=1, max_size=5))
def test_texts_are_judged_alike_together_and_alone(name: str, fields: list[str]) -> None:
    converter = CONVERTERS[name]
    alone = [converter.cell_of_text(field) for field in fields]

    together = converter.cells_of_texts(fields)

    assert (together is None) == any(isinstance(found, str) for found in alone)
    if together is not None:
        assert together.tobytes() == np.array(alone, dtype=np.float32).reshape(-1, converter.width).tobytes()


CELLS = {
    "a number": ("age", 41, [41]),
    "no number": ("age", None, [np.nan]),
    "a text for no number": ("age", " NA ", [np.nan]),
    "a category": ("plan", " plus, or more ", [1]),
    "a number as category": ("plan", 2, [2]),
    "a number with a point": ("plan", 2.0, [2]),
    "a text of it": ("plan", "2.0", [2]),
    "a category that is not known": ("plan", True, [3]),
    "a word of the file": ("paid", "yES", [1]),
    "a truth value": ("paid", False, [0]),
    "a truth value as number": ("paid", 1.0, [1]),
    "a date": ("since", "1970-01-03", [2, 0]),
    "a time in another zone": ("since", "1970-01-01T01:00:00+02:00", [-1, 82_800]),
    "no date": ("since", "", [np.nan, np.nan]),
    "an amount": ("sum", "$1,234.50", [1234.5]),
}


@pytest.mark.parametrize(("name", "value", "expected"), CELLS.values(), ids=CELLS.keys())
def test_cells_of_a_value(name: str, value: object, expected: list[float]) -> None:
    found = CONVERTERS[name].cell(value)

    assert not isinstance(found, str)
    np.testing.assert_array_equal(found, expected)


REFUSED = {
    "text as number": (
        "age",
        "41",
        "must be a number, got a string; send numbers without quotes, and null where one is missing",
    ),
    "truth as number": ("age", True, "must be a number, got a boolean"),
    "array as category": ("plan", ["basic"], "must be a text, a number, true, false or null, got an array"),
    "another word": ("paid", "maybe", "must be Yes or No (or true, false, null), got other text"),
    "another number": ("paid", 2, "must be Yes or No (or true, false, null), got another number"),
    "number as date": ("since", 20_240_101, "must be a date or time in ISO 8601, such as 2024-12-31, got a number"),
    "no such day": ("since", "2023-02-29", "must be a date or time in ISO 8601, such as 2024-12-31, got other text"),
}


@pytest.mark.parametrize(("name", "value", "problem"), REFUSED.values(), ids=REFUSED.keys())
def test_value_of_another_type_is_refused_with_what_is_expected(name: str, value: object, problem: str) -> None:
    assert CONVERTERS[name].cell(value) == problem


def test_example_row_stands_for_its_cells() -> None:
    cells = np.array([np.nan, 1, 0, 3, 3600, 5], dtype=np.float32)

    row = example_row(SCHEMA, cells)

    assert row == [None, "plus, or more", False, "1970-01-04T01:00:00", 5.0]


def trained_on(feature: Feature, **dialect: Any) -> Converter:
    """Return the converter of the only feature of a version whose training file is written in this way."""
    schema = ModelSchema.of_features("one", 1, [feature], ("a", "b"), dialect=Dialect(**dialect).or_else(USUAL))
    return converter_of(feature, schema)


def test_date_of_eight_digits_is_taken_as_text_as_number_and_in_iso() -> None:
    days = DatetimeFeature(name="day", min="2024-01-01", max="2024-12-31", quantiles=(1,) * 9, format="%Y%m%d")
    converter = trained_on(days)

    forms = [converter.cell(20240131), converter.cell("20240131"), converter.cell("2024-01-31")]
    forms += [converter.cell_of_text(" 20240131 "), converter.cell(20240131.0), converter.cell_of_text("20240131.0")]
    assert forms == [(19753, 0)] * 6
    for wrong in (20240132, 20240131.5, True):
        assert "or as %Y%m%d" in str(converter.cell(wrong)), wrong


def test_decimal_commas_of_the_training_file_are_taken_in_text_alone() -> None:
    number = NumericFeature(name="n", mean=0, std=1, min=0, max=9, quantiles=(1,) * 9)
    commas, points = trained_on(number, decimal=","), trained_on(number)

    assert [commas.cell_of_text(text) for text in ("1,5", "1.5", "-2", "NA")][:3] == [(1.5,), (1.5,), (-2,)]
    found = commas.cells_of_texts(["1,5", " 0,125", "3"])
    assert found is not None
    assert found.tolist() == [[1.5], [0.125], [3]]
    assert "must be a number" in str(commas.cell_of_text("1.234,5"))
    assert "must be a number" in str(commas.cell("1,5"))
    assert "must be a number" in str(points.cell_of_text("1,5"))
