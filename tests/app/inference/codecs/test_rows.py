"""Rows of typed values: the same bits in every format; cells without a value are refused."""

from __future__ import annotations

from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from app.errors import Problem
from app.inference.codecs.columns import OUT_OF_RANGE
from app.inference.codecs.rows import converter_for
from tests.app.tables import schema_of
from tests.app.typed import NAMES, cells_by_format, typed_schema
from tests.properties import examples

SCHEMA = typed_schema()

plain = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=5)
rows = st.tuples(
    st.none() | st.floats(width=32, allow_nan=False, allow_infinity=False),
    st.none() | st.sampled_from(["basic", "plus, or more", "2", "2.0", ' "quoted']) | plain,
    st.none() | st.booleans(),
    st.none() | st.datetimes().map(lambda time: time.replace(microsecond=0).isoformat()),
    st.none() | st.integers(-999, 999),
).map(list)


@pytest.mark.slow
@examples(50)
@hypothesis.given(st.lists(rows, min_size=1, max_size=7))
def test_row_has_the_same_bits_in_every_format_alone_and_among_others(listed: list[list[Any]]) -> None:
    together = cells_by_format(listed, SCHEMA)
    alone = [cells_by_format([row], SCHEMA) for row in listed]

    assert set(together.values()) == {together["arrays"]}
    assert all(set(each.values()) == {each["arrays"]} for each in alone)
    assert b"".join(each["arrays"] for each in alone) == together["arrays"]


@pytest.mark.slow
@examples(100)
@hypothesis.given(st.lists(rows, min_size=1, max_size=5), st.sets(st.sampled_from(NAMES), max_size=4))
def test_optional_names_that_are_absent_are_missing_in_every_format(listed: list[list[Any]], absent: set[str]) -> None:
    gaps = [[None if name in absent else value for name, value in zip(NAMES, row, strict=True)] for row in listed]

    found = cells_by_format(gaps, typed_schema(optional=True), without=absent)

    assert set(found.values()) == {found["arrays"]}


WRONG = {
    "infinity": ([np.inf, 0, 0, 0, 0, 0], "age"),
    "a code beyond other": ([0, 4, 0, 0, 0, 0], "plan"),
    "a code between two": ([0, 0.5, 0, 0, 0, 0], "plan"),
    "a negative code": ([0, -1, 0, 0, 0, 0], "plan"),
    "two as truth": ([0, 0, 2, 0, 0, 0], "paid"),
    "a day without seconds": ([0, 0, 0, 1, np.nan, 0], "since"),
    "seconds of the next day": ([0, 0, 0, 1, 86_400, 0], "since"),
    "a day of no year": ([0, 0, 0, 1e7, 0, 0], "since"),
}


@pytest.mark.parametrize(("cells", "feature"), WRONG.values(), ids=WRONG.keys())
def test_cells_that_no_value_stands_for_are_refused(cells: list[float], feature: str) -> None:
    x = np.array([[np.nan] * 6, cells], dtype=np.float32)

    bad = converter_for(SCHEMA).clear_bad_rows(x, first=5)

    assert {row: (problem.row, problem.feature) for row, problem in bad.items()} == {1: (6, feature)}
    assert x[1].tolist() == [0] * 6


def test_numbers_that_are_not_finite_are_cleared_with_the_first_problem_of_each_row() -> None:
    x = np.array([[1, 2], [np.inf, np.nan], [3, 4], [5, -np.inf]], dtype=np.float32)

    bad = converter_for(schema_of(("left", "right"))).clear_bad_rows(x, 10)

    assert list(bad.items()) == [(1, Problem(11, "left", OUT_OF_RANGE)), (3, Problem(13, "right", OUT_OF_RANGE))]
    assert x.tolist() == [[1, 2], [0, 0], [3, 4], [0, 0]]
