from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from training.data.repeats import Marks, count_duplicates, mark, number_bits, text_bits


def labelled(rows: list[list[float]], labels: list[int]) -> Marks:
    return marked(*np.array(rows, dtype=np.float64).T, np.array(labels))


def marked(*columns: npt.NDArray[Any]) -> Marks:
    marks = np.zeros(len(columns[0]), dtype=np.uint64)
    for column in columns:
        mark(marks, column)
    return marks


def test_duplicates_are_counted_within_and_across_the_splits() -> None:
    train = labelled([[1, 2], [1, 2], [3, 4], [1, 2], [5, 6]], [0, 0, 0, 1, 0])
    test = labelled([[3, 4], [3, 4], [7, 8], [7, 8], [5, 6]], [0, 0, 0, 0, 1])

    assert count_duplicates(train, test) == (4, 2)  # one in train, one in test alone, two test rows known from train


def test_zero_and_minus_zero_are_the_same_and_swapped_columns_are_not() -> None:
    assert count_duplicates(labelled([[0.0, 1]], [0]), labelled([[-0.0, 1], [1, 0.0]], [0, 0])) == (1, 1)


@pytest.mark.slow
def test_a_million_different_rows_are_not_taken_for_repeated_ones() -> None:
    x = np.random.default_rng(0).integers(0, 1000, (1_000_000, 2))
    truth = len(x) - len(np.unique(x @ np.array([1000, 1])))
    marks = marked(*x.T)

    assert count_duplicates(marks[:-1], marks[-1:])[0] == truth


@pytest.mark.parametrize(
    "numbers",
    [[16777216, 16777217], [12345678901234567, 12345678901234568], [0.1, 0.1 + 1e-12], [1700000000001, 1700000000002]],
)
def test_f13_rows_that_differ_only_beyond_float32_or_float64_do_not_repeat_each_other(numbers: list[float]) -> None:
    marks = marked(np.array(numbers))

    assert count_duplicates(marks[:1], marks[1:]) == (0, 0)


@pytest.mark.parametrize("number", [3, -2.5, 0, 12345678901234567, -(2**62)])
def test_a_number_has_the_same_bits_as_its_text(number: float) -> None:
    texts = text_bits([str(number), "x"])

    assert texts[0] == number_bits(np.array([number]))[0]
    assert texts[0] != texts[1]
    assert text_bits(["2,5"], ",")[0] == text_bits(["2.50"])[0]


def test_a_whole_number_is_the_same_in_a_block_of_whole_numbers_and_in_one_of_decimals() -> None:
    assert count_duplicates(marked(np.array([7, 2**60])), marked(np.array([7.0, 0.5]))) == (1, 1)
