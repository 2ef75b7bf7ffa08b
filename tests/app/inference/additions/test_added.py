"""Additional answers: taken apart, put together, and written as JSON and as texts."""

from __future__ import annotations

import numpy as np

from app.inference.additions.added import Added, AddedOutput, column_names, json_of, texts_of

NUMBERS = np.array([[0.1, np.nan], [2, 3]], np.float32)
TEXTS = np.array([["low, or high"], [None]], object)


def test_parts_and_joined_answers_are_those_of_their_rows() -> None:
    first, second = Added([b',"a":1', b""], [NUMBERS]), Added([b',"b":2', b',"b":3'], [TEXTS])

    joined = Added.join([first, second])

    assert joined.fields == [b',"a":1,"b":2', b',"b":3']
    assert joined.part(1, 2).fields == [b',"b":3']
    assert [column.tolist() for column in joined.part(1, 2).columns()] == [[2], [3], [None]]


def test_a_row_without_a_value_has_null_or_nothing() -> None:
    columns = list(Added([b"", b""], [NUMBERS, TEXTS]).columns())

    assert [json_of(column) for column in columns] == [b"[0.1,2.0]", b"[null,3.0]", b'["low, or high",null]']
    assert [texts_of(column) for column in columns] == [["0.1", "2.0"], ["", "3.0"], ["low, or high", ""]]


def test_columns_have_the_names_of_all_outputs() -> None:
    assert column_names((AddedOutput("base", ("base",)), AddedOutput("two", ("x", "y")))) == ["base", "x", "y"]
