"""Bare float32: every byte counts, and how the body came does not matter."""

from __future__ import annotations

import struct

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from app.errors import MalformedBody, Problem
from app.inference.batch_predictions import BatchClassification
from app.inference.codecs.columns import OUT_OF_RANGE
from app.inference.codecs.float32 import Float32Reader, Float32Writer
from app.inference.predictions import Predictions
from tests.app.tables import outcome, read, schema_of
from tests.properties import examples

CONTRACT = schema_of(("x", "y", "z"))


def reader() -> Float32Reader:
    return Float32Reader(CONTRACT)


def test_rows_are_little_endian_and_row_by_row() -> None:
    assert read(reader(), struct.pack("<6f", 1, 2, 3, 4, 5, 6)) == ([[1, 2, 3], [4, 5, 6]], {})


def test_same_rows_wherever_the_body_is_split() -> None:
    data = struct.pack("<9f", *range(9))

    for step in range(1, len(data)):
        assert read(reader(), data, step) == ([[0, 1, 2], [3, 4, 5], [6, 7, 8]], {}), step


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize(("column", "feature"), [(0, "x"), (1, "y"), (2, "z")])
def test_value_that_is_not_finite_is_named_by_row_and_feature(value: float, column: int, feature: str) -> None:
    x = np.ones((5, 3), dtype="<f4")
    x[3, column] = value

    (block,) = reader().feed(x.tobytes())

    assert block.bad == {3: Problem(3, feature, OUT_OF_RANGE)}
    assert block.x.tolist() == [[1, 1, 1]] * 3 + [[0, 0, 0], [1, 1, 1]]


def test_first_of_several_bad_values_of_a_row_is_named() -> None:
    (block,) = reader().feed(struct.pack("<6f", 1, np.nan, np.inf, np.nan, 1, 1))

    assert [(row, problem.feature) for row, problem in block.bad.items()] == [(0, "y"), (1, "x")]


@pytest.mark.parametrize("size", [1, 4, 11, 13, 23])
def test_body_that_ends_within_a_row_is_malformed_and_says_where(size: int) -> None:
    with pytest.raises(MalformedBody) as refused:
        read(reader(), bytes(size))

    row, rest = divmod(size, 12)
    assert str(refused.value) == (
        f"the body ends {rest} bytes into row {row}; means expects 3 float32 values (12 bytes) per row"
    )


def test_empty_body_is_malformed() -> None:
    with pytest.raises(MalformedBody, match="is empty"):
        read(reader(), b"")


@examples(50)
@hypothesis.given(st.binary(max_size=200), st.integers(1, 50))
def test_any_body_gives_the_same_whole_and_split(data: bytes, step: int) -> None:
    assert outcome(reader(), data) == outcome(reader(), data, step)


def test_answer_is_the_probabilities_and_nothing_else() -> None:
    batch = BatchClassification(CONTRACT, np.zeros((2, 3), np.float32), np.array([[0.25, 0.75], [1, 0]], np.float32))
    writer = Float32Writer(CONTRACT)

    answer = writer.head() + writer.rows(Predictions(batch, 0, 2)) + writer.tail()

    assert answer == struct.pack("<4f", 0.25, 0.75, 1, 0)
    assert writer.numbered_row(0, Predictions(batch, 1, 2), None) == struct.pack("<2f", 1, 0)
    assert (
        np.isnan(np.frombuffer(writer.numbered_row(1, None, Problem(1, "x", "is wrong")), "<f4")).tolist() == [True] * 2
    )
    assert writer.failure(MalformedBody("whatever")) == b""
